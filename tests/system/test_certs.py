"""Separate processes over TCP with mutual TLS: mail goes through, certificates change under load, and
whoever has no business there is refused."""
import imaplib
import json
import os
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import threading
import unittest
import warnings

from cluster import (DENIED, END, GOAWAY, HELLO, ROLES, SOURCE, UNPRIVILEGED, Caller, Cluster, context, ctl, hello,
                     program, request, run)
from node import DOMAIN, SLOW, messages, wait_for

warnings.simplefilter("ignore", DeprecationWarning)  # of old versions of TLS, which are tried here

PAIRS = {("frontend", "storage-node"), ("frontend", "scanner"), ("router", "storage-node"),
         ("storage-node", "storage-node"), ("frontend", "frontend"), ("frontend", "router"), ("router", "frontend")}


def methods(service):
    """Number and name of each method of a .proto file."""
    with open(os.path.join(SOURCE, "proto", service + ".proto")) as f:
        return {int(n): name for name, n in re.findall(r"rpc (\w+)\(.*// = (\d+)", f.read())}


def send(cluster, frontend, to, text):
    with smtplib.SMTP(Cluster.FRONTEND, cluster.processes[frontend].ports["smtp"], timeout=30 * SLOW) as s:
        s.sendmail("someone@outside.example", [to], text)


def imap(cluster, frontend, user):
    client = imaplib.IMAP4_SSL(Cluster.FRONTEND, cluster.processes[frontend].ports["imaps"],
                               ssl_context=context(), timeout=30 * SLOW)
    client.login(user, "secret-1")
    return client


def mail(subject):
    return f"From: <someone@outside.example>\r\nSubject: {subject}\r\n\r\nhello\r\n"


class Walk(unittest.TestCase):
    """Mail from a client to a client, with every call between programs over TLS."""

    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)

    def test_a_message_is_delivered_and_read(self):
        self.cluster.start()
        user = self.cluster.user("ann")
        send(self.cluster, "frontend-1", user, mail("over TLS"))
        client = imap(self.cluster, "frontend-1", user)
        found = messages(client)
        client.logout()
        self.assertEqual(1, len(found))
        self.assertIn(b"Subject: over TLS", found[1])
        for name, role in (("storage-node-1", "storage-node"), ("scanner-1", "scanner"), ("frontend-1", "frontend")):
            taken = self.cluster.processes[name].wait_event("certificates-taken")[0]
            self.assertEqual(f"godwit://{self.cluster.id}/{role}/{name}", taken["name"])
            self.assertEqual([], self.cluster.processes[name].events("peer-refused"))
        # Nobody has a unix socket for calls here.
        with open("/proc/net/unix") as f:
            self.assertNotIn(self.cluster.base, f.read())


class BeforeTheMap(unittest.TestCase):
    """A frontend that is there before anybody has made the map of slots."""

    def lines(self, service, tls=False):
        """What a client hears that says nothing, until the end."""
        port = self.cluster.processes["frontend-1"].ports[service]
        with socket.create_connection((Cluster.FRONTEND, port), timeout=30 * SLOW) as plain:
            wire = context().wrap_socket(plain) if tls else plain
            return wire.makefile("rb").read().decode().split("\r\n")[:-1]

    def test_it_waits_and_says_so_and_goes_on(self):
        self.cluster = cluster = Cluster(with_map=False)
        self.addCleanup(cluster.close)
        cluster.add_scanner().start()
        frontend = cluster.add_frontend().start()
        wait_for("it answers", lambda: cluster.ready("frontend-1")[0] == 503)
        self.assertIn("there is no map of slots yet", cluster.ready("frontend-1")[1])
        self.assertEqual(200, cluster.http("frontend-1", "GET", "/healthz")[0])
        frontend.wait_event("program-not-ready", reason="there is no map of slots yet")
        for service in ("smtp", "lmtp"):
            self.assertEqual("421 4.3.2 Not ready yet, try again later", self.lines(service)[-1])
        self.assertEqual("* BYE the server is not ready yet", self.lines("imaps", tls=True)[-1])
        cluster.found(cluster.coord, cluster.kek)
        wait_for("the map is there", lambda: "the storage node does not answer" in cluster.ready("frontend-1")[1])
        cluster.add_node().start()
        cluster.wait_ready("frontend-1")
        user = cluster.user("ann")
        send(cluster, "frontend-1", user, mail("after the map"))
        client = imap(cluster, "frontend-1", user)
        self.assertIn(b"Subject: after the map", messages(client)[1])
        client.logout()


class Rotation(unittest.TestCase):
    """Certificates and authorities are changed while mail flows: no call is lost."""

    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)  # also when the start fails
        self.cluster.start()
        self.user = self.cluster.user("ann")
        self.failures, self.sent, self.done = [], [], threading.Event()

    def tearDown(self):
        self.done.set()

    def load(self, number, frontend):
        count = 0
        while not self.done.is_set():
            subject = f"{frontend}-{number}-{count}"
            count += 1
            try:
                send(self.cluster, frontend, self.user, mail(subject))
                self.sent.append(subject)
                if count % 5 == 0:
                    client = imap(self.cluster, frontend, self.user)
                    client.select("INBOX", readonly=True)
                    client.logout()
            except Exception as error:  # whatever it is, a client noticed
                self.failures.append(f"{subject}: {error!r}")

    def issue_all(self, round_number):
        for role, name in (("storage-node", "storage-node-1"), ("scanner", "scanner-1"), ("frontend", "frontend-1")):
            self.cluster.issue(role, name)
        for name in ("storage-node-1", "scanner-1", "frontend-1"):
            self.cluster.processes[name].wait_event("certificates-taken", round_number)

    def issuer(self):
        """Who signed what the storage node shows to a new connection."""
        done = subprocess.run(["openssl", "s_client", "-connect", f"{Cluster.NODE}:{self.cluster.node_port}"],
                              input="", capture_output=True, text=True, timeout=20 * SLOW)
        return re.search(r"issuer=.*?CN ?= ?(\S+)", done.stdout)[1]

    def progress(self, count=20):
        mark = len(self.sent) + count
        wait_for("mail flows", lambda: len(self.sent) >= mark or self.failures, 60)

    def test_a_new_authority_takes_over_under_load(self):
        cluster = self.cluster
        threads = [threading.Thread(target=self.load, args=(n, "frontend-1")) for n in range(3)]
        for t in threads:
            t.start()
        self.progress()
        self.assertTrue(self.issuer().startswith("ca-1."))
        cluster.ca("add")
        self.issue_all(2)  # trust both
        self.progress()
        self.assertTrue(self.issuer().startswith("ca-1."))
        cluster.ca("use", "2")
        self.issue_all(3)  # signed by the new one
        self.progress()
        self.assertTrue(self.issuer().startswith("ca-2."))
        cluster.ca("remove", "1")
        self.issue_all(4)  # the old one is trusted no more
        self.progress()
        # A frontend that begins now knows the new authority only; the first goes on as before.
        cluster.add_frontend("frontend-2").start()
        cluster.wait_ready("frontend-2")
        threads.append(threading.Thread(target=self.load, args=(9, "frontend-2")))
        threads[-1].start()
        self.progress(40)
        self.assertTrue(any(s.startswith("frontend-2") for s in self.sent))
        self.done.set()
        for t in threads:
            t.join(60 * SLOW)
        self.assertEqual([], self.failures)
        client = imap(cluster, "frontend-1", self.user)
        found = [re.search(rb"Subject: (\S+)", m)[1].decode() for m in messages(client).values()]
        client.logout()
        self.assertEqual(sorted(self.sent), sorted(found))
        for name in ("storage-node-1", "scanner-1", "frontend-1", "frontend-2"):
            process = cluster.processes[name]
            refused = [e for e in process.events() if "refuse" in e["event"]]
            # What the test's own openssl showed, which has no certificate, is refused, and nothing else.
            self.assertEqual([], [e for e in refused if "did not return a certificate" not in e.get("reason", "")])

    def test_files_that_do_not_fit_change_nothing(self):
        cluster = self.cluster
        node, certs = cluster.processes["storage-node-1"], cluster.path("certs-storage-node-1")
        other = cluster.issue("scanner", "scanner-9")
        for name in ("cert.pem", "key.pem"):
            run("cp", os.path.join(other, name), os.path.join(certs, "new"))
            os.replace(os.path.join(certs, "new"), os.path.join(certs, name))
        refused = node.wait_event("certificates-refused")[0]
        self.assertIn("is for a scanner, and this is a storage-node", refused["reason"])
        send(cluster, "frontend-1", self.user, mail("still works"))
        self.assertTrue(self.issuer().startswith("ca-1."))

    def test_what_is_kept_renews_itself(self):
        """--keep issues again when the authorities change, and a program takes it."""
        cluster = self.cluster
        words = ["cluster", "cert", "issue", "--keep", "--role", "scanner", "--name", "scanner-1", "--out",
                 cluster.path("certs-scanner-1"), "--coord", cluster.coord, "--kek-file", cluster.kek,
                 "--keep-every", "1"]
        keeper = subprocess.Popen([os.path.join(os.environ["GODWIT_BUILD"], "godwitctl/godwitctl"), *words],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, user=UNPRIVILEGED)
        try:
            self.assertIn("is there, good until", keeper.stdout.readline())
            cluster.ca("add")
            cluster.processes["scanner-1"].wait_event("certificates-taken", 2)
        finally:
            keeper.terminate()
            self.assertEqual(0, keeper.wait(20 * SLOW))
            keeper.stdout.close()


class Refused(unittest.TestCase):
    """Every pair and every method that is not allowed, and every certificate that is no good."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.close)  # also when the start fails
        cls.cluster.start()
        cls.user = cls.cluster.user("ann")
        cls.addresses = {"storage-node": (Cluster.NODE, cls.cluster.node_port),
                         "scanner": (Cluster.SCANNER, cls.cluster.scan_port)}
        cls.names = {role: role + "-1" for role in ("storage-node", "scanner", "frontend", "router")}
        cls.cluster.add_router().start().wait_event("program-ready")
        # What each program tells of itself, behind an address of its own.
        cls.admin = {role: cls.cluster.admin_ports[name] for role, name in cls.names.items()}
        cls.folders = {role: cls.cluster.issue(role, role + "-7") for role in ROLES}

    def still_works(self):
        send(self.cluster, "frontend-1", self.user, mail("still works"))

    def test_pairs(self):
        for role in ROLES:
            for target, address in (*self.addresses.items(), *self.admin.items()):
                with self.subTest(caller=role, server=target, address=address), \
                        Caller(address, context(self.folders[role]), hello(role, self.cluster.id)) as caller:
                    kind, _, payload = caller.take()
                    if (role, target) in PAIRS:
                        self.assertEqual(HELLO, kind)
                        continue
                    self.assertEqual(GOAWAY, kind)
                    self.assertEqual(DENIED, int.from_bytes(payload[:2], "big"))
                    self.assertIn(b"does not call", payload)
                    event = self.cluster.processes[self.names[target]].wait_event(
                        "peer-refused", name=f"/{role}/{role}-7", reason="does not call one of that")[0]
                    self.assertIn("does not call", event["reason"])
        self.still_works()

    def test_which_methods(self):  # after the others: of so many refusals not each is logged
        allowed = {("frontend", "storage-node"): set(methods("store").values()),
                   ("frontend", "scanner"): set(methods("scan").values()),
                   ("router", "storage-node"): {"NodeStatus"},
                   ("storage-node", "storage-node"): set()}
        served = [(self.addresses, target, service) for target, service in (("storage-node", "store"), ("scanner", "scan"))]
        served += [(self.admin, target, "admin") for target in self.admin]
        for addresses, target, service in served:
            for role in sorted(r for r, t in PAIRS if t == target):
                may = ({"LogRecent"} if role == "frontend" else set()) if service == "admin" else allowed[(role, target)]
                with Caller(addresses[target], context(self.folders[role]), hello(role, self.cluster.id)) as caller:
                    self.ask_each(caller, role, target, methods(service), may)
        self.still_works()

    def ask_each(self, caller, role, target, known, may):
        self.assertEqual(HELLO, caller.take()[0])
        for number, name in known.items():
            if name in ("Watch", "QueueWatch", "Capacity") and name in may:
                continue  # they stay open
            with self.subTest(caller=role, server=target, method=name):
                call = number << 12 | number
                caller.socket.sendall(request(call, number))
                kind = payload = None
                while kind != END:
                    kind, answered, payload = caller.take()
                    self.assertEqual(call, answered)
                refused = b"does not call this method" in payload
                self.assertEqual(name not in may, refused)
                if refused:
                    self.assertEqual(DENIED, int.from_bytes(payload[:2], "big"))

    def test_logs_are_read_through_a_frontend(self):
        """Over TLS, and nothing of it over plain HTTP any more."""
        status, text = self.cluster.http("frontend-1", "GET", "/api/v1/logs/operations?lines=1000")
        self.assertEqual(200, status, text)
        found = json.loads(text)
        self.assertEqual([], found["unreachable"])
        self.assertLessEqual({"frontend-1", "storage-node-1", "scanner-1", "router-1"}, {e["program"] for e in found["items"]})
        self.assertEqual(404, self.cluster.http("frontend-1", "GET", "/logs/operations")[0])

    def refused(self, target, tls, say, word, **fields):
        """Not one byte of an answer but GOAWAY, and the reason in the log."""
        process = self.cluster.processes[self.names[target]]
        before = len(process.events("peer-refused"))
        heard = None
        try:
            with Caller(self.addresses[target], tls, say) as caller:
                heard = caller.take()
        except (OSError, ConnectionError):
            pass
        if heard is not None:
            self.assertEqual(GOAWAY, heard[0])
        event = wait_for("refusal in the log", lambda: [
            e for e in process.events("peer-refused")[before:] if word in e["reason"]])[0]
        self.assertTrue(event["address"].startswith("127.0.0."))
        for key, value in fields.items():
            self.assertIn(value, event[key])

    def test_certificates(self):
        cluster = self.cluster
        stranger = Cluster.__new__(Cluster)  # another cluster: only its store and certificates
        stranger.__dict__.update(base=cluster.path("stranger"), node_port=1)
        run("mkdir", "-p", stranger.base)
        stranger.coord, stranger.kek = stranger.path("coord"), stranger.path("kek")
        stranger.id = stranger.found(stranger.coord, stranger.kek)
        foreign = stranger.issue("frontend", "frontend-7")
        member = cluster.issue("etcd", "etcd-7")  # of our own authority, and no program of ours
        own = self.folders["frontend"]
        good = hello("frontend", cluster.id)
        for target in self.addresses:
            cases = [
                ("no certificate", context(), good, "did not return a certificate", {}),
                ("another cluster's CA", context(foreign), hello("frontend", stranger.id), "issuer", {}),
                ("a member of etcd", context(member), good, "names no program", {}),
                ("another role than it has", context(self.folders["operator"]), good, "role is not", {}),
                ("another cluster than it is of", context(own), hello("frontend", stranger.id), "cluster is not", {}),
                ("another incarnation", context(own), hello("frontend", cluster.id, 9), "another incarnation",
                 {"name": "/frontend/frontend-7"}),
                ("no version in common", context(own), good.replace(b"\x00\x01\x00\x01", b"\x00\x09\x00\x09", 1),
                 "no version", {}),
                ("TLS 1.1", context(own, ssl.TLSVersion.TLSv1_1), good, "unsupported protocol", {}),
                ("TLS 1.0", context(own, ssl.TLSVersion.TLSv1), good, "unsupported protocol", {}),
                ("no TLS", None, good, "", {}),
                ("HTTP", None, b"GET / HTTP/1.1\r\n\r\n", "http request", {}),
                ("junk in TLS", context(own), b"\xff" * 64, "no frame", {}),
            ]
            for what, tls, say, word, fields in cases:
                with self.subTest(what, server=target):
                    self.refused(target, tls, say, word, **fields)
        self.still_works()

    def openssl(self, *words, **options):
        done = run("openssl", *words, cwd=self.cluster.path("own"), **options)
        assert done.returncode == 0, done.stderr

    def test_certificates_of_a_trusted_authority(self):
        """An authority of the test's own is trusted beside the cluster's; what it signs can be anything."""
        cluster, node = self.cluster, self.cluster.processes["storage-node-1"]
        run("mkdir", "-p", cluster.path("own"))
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                     "ca.key", "-out", "ca.pem", "-subj", "/CN=the test's own", "-days", "2")
        trusted = os.path.join(cluster.path("certs-storage-node-1"), "ca.pem")
        with open(trusted) as one, open(cluster.path("own", "ca.pem")) as two:
            both = one.read() + two.read()
        with open(cluster.path("both.pem"), "w") as f:
            f.write(both)
        taken = len(node.events("certificates-taken"))
        os.replace(cluster.path("both.pem"), trusted)
        node.wait_event("certificates-taken", taken + 1)
        uri = f"URI:godwit://{cluster.id}/frontend/frontend-8"
        cases = [
            ("good", uri, "2", None),
            ("expired", uri, "-1", "certificate has expired"),
            ("of no program", "DNS:frontend-8", "2", "names no program"),
            ("of another cluster", uri.replace(cluster.id, "f" * 32), "2", "cluster is not"),
            ("of another role", uri.replace("/frontend/", "/scanner/"), "2", "role is not"),
            ("of no role", uri.replace("/frontend/", "/janitor/"), "2", "names no program"),
        ]
        for what, names, days, word in cases:
            with self.subTest(what):
                folder = cluster.path("own", what.replace(" ", "-"))
                run("mkdir", "-p", folder)
                with open(cluster.path("own", "names"), "w") as f:
                    f.write(f"subjectAltName={names}\n")
                self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                             "-keyout", folder + "/key.pem", "-out", "request", "-subj", "/CN=x")
                self.openssl("x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                             "-days", days, "-extfile", "names", "-out", folder + "/cert.pem")
                if UNPRIVILEGED:
                    os.chmod(folder + "/key.pem", 0o644)
                if word is not None:
                    self.refused("storage-node", context(folder), hello("frontend", cluster.id), word)
                    continue
                with Caller(self.addresses["storage-node"], context(folder), hello("frontend", cluster.id)) as caller:
                    self.assertEqual(HELLO, caller.take()[0])
        self.still_works()


class Crowd(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)  # also when the start fails
        self.cluster.start()

    def test_a_crowd_that_says_nothing(self):
        """Memory and time are bounded, and mail goes on meanwhile."""
        user = self.cluster.user("ann")
        node, address = self.cluster.processes["storage-node-1"], (Cluster.NODE, self.cluster.node_port)
        before = node.memory_kb()
        crowd = [socket.create_connection(address, timeout=20 * SLOW) for _ in range(600)]
        for s in crowd[::2]:
            s.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # half a ClientHello
        send(self.cluster, "frontend-1", user, mail("still works"))
        # A sanitizer shadows what is there and keeps back what was freed.
        self.assertLess(node.memory_kb() - before, (64 if SLOW == 1 else 320) * 1024)
        # Those beyond the limit were sent away at once, the others after the time for hello.
        for s in crowd:
            try:
                while s.recv(4096):
                    pass
            except ConnectionResetError:
                pass
            s.close()

        def told():
            """The number of those that were not named comes with the next one after a while."""
            socket.create_connection(address, timeout=20 * SLOW).sendall(b"plain\r\n")
            return node.events("peers-refused")
        self.assertGreater(int(wait_for("the crowd is counted", told)[0]["count"]), 300)
        send(self.cluster, "frontend-1", user, mail("still works"))


class Apart(unittest.TestCase):
    """Frontends of another incarnation and of another cluster say so and take no mail."""

    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)  # also when the start fails
        self.cluster.start()

    def expect(self, frontend, word, by_peer):
        status, text = wait_for("refused, and says so", lambda: (
            (answer := self.cluster.ready(frontend))[0] == 503 and word in answer[1] and answer))
        self.assertIn("the storage node does not answer: refused: ", text)
        process = self.cluster.processes[frontend]
        process.wait_event("refused-by-peer" if by_peer else "peer-refused", reason=word,
                           address=f"{Cluster.NODE}:{self.cluster.node_port}")
        status, reply = self.cluster.http(frontend, "POST", "/api/v1/domains", {"name": DOMAIN})
        self.assertIn(status, (200, 201), reply)

        def domain_is_known():
            return self.cluster.http(frontend, "GET", "/api/v1/domains/" + DOMAIN)[0] == 200
        wait_for("the domain is known", domain_is_known)
        with smtplib.SMTP(Cluster.FRONTEND, process.ports["smtp"], timeout=30 * SLOW) as s:
            s.ehlo("outside.example")
            s.mail("someone@outside.example")
            code, text = s.rcpt(f"ann@{DOMAIN}")
            self.assertEqual(4, code // 100, text)  # never for good

    def test_another_incarnation(self):
        cluster = self.cluster
        cluster.user("ann")
        coord, kek = cluster.path("coord-2"), cluster.path("kek-2")
        cluster.found(coord, kek, "--cluster-id", cluster.id, "--incarnation", 2)
        cluster.add_frontend("frontend-2", coord=coord).start()
        self.expect("frontend-2", "another incarnation", True)
        cluster.processes["storage-node-1"].wait_event("peer-refused", name="/frontend/frontend-2",
                                                       reason="another incarnation")
        self.assertEqual(200, cluster.ready("frontend-1")[0])

    def test_another_cluster(self):
        cluster = self.cluster
        cluster.user("ann")
        coord, kek = cluster.path("coord-2"), cluster.path("kek-2")
        self.assertNotEqual(cluster.id, cluster.found(coord, kek))
        cluster.add_frontend("frontend-2", certs=cluster.issue("frontend", "frontend-2", coord, kek), coord=coord)
        cluster.processes["frontend-2"].start()
        self.expect("frontend-2", "issuer", False)
        cluster.processes["storage-node-1"].wait_event("peer-refused", reason="unknown ca")
        # A certificate that is not of the store's cluster: it does not start.
        certs = cluster.path("certs-frontend-1")
        process = cluster.add_frontend("frontend-3", certs=certs, coord=coord).start()
        status, said = process.wait_failed()
        self.assertEqual(1, status)
        self.assertIn("the configuration store is of another cluster", said)


class Starts(unittest.TestCase):
    """Bad options and files end a start with a clear word."""

    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)

    def failed(self, process, word):
        status, said = process.start().wait_failed()
        self.assertIn(status, (1, 2))
        self.assertIn(word, said)
        process.stop()
        os.unlink(self.cluster.path(process.name + ".out"))

    def test_bad_starts(self):
        cluster = self.cluster
        scanner = cluster.issue("scanner", "scanner-1")
        cut = cluster.issue("storage-node", "storage-node-2")
        os.unlink(os.path.join(cut, "key.pem"))
        address = f"{Cluster.NODE}:{cluster.node_port}"
        self.failed(cluster.add_node(certs=scanner), "cert.pem: is for a scanner, and this is a storage-node")
        self.failed(cluster.add_node(certs=cut), "key.pem: No such file or directory")
        self.failed(cluster.add_node(certs=""), "listening on TCP needs certificates of our own")
        self.failed(cluster.add_node(listen="here"), "address")
        self.failed(cluster.add_node(listen=",".join([address] * 9)), "addresses to listen on")
        self.failed(cluster.add_scanner(certs=cut), "certificates: ")
        self.failed(cluster.add_frontend(certs=cluster.path("nowhere")), "nowhere/ca.pem: No such file")
        process = cluster.add_frontend("frontend-2")
        process.words.append("--scanner=somewhere")
        self.failed(process, "address of a program: unix:/path, ip:port or name:port")

    def test_bad_requests_for_certificates(self):
        cluster, store = self.cluster, ["--coord", self.cluster.coord, "--kek-file", self.cluster.kek]
        out = ["--out", cluster.path("out")]
        cases = [
            (["issue", "--role", "janitor", "--name", "a", *out, *store], 2, "--role is frontend,"),
            (["issue", "--role", "scanner", "--name", "A b", *out, *store], 2, "--name is 1 to 63"),
            (["issue", "--role", "scanner", "--name", "a", "--days", "0", *out, *store], 2, "--days is from 1"),
            (["issue", "--role", "scanner", "--name", "a", "--days", "10", "--renew-before", "10", *out, *store], 2,
             "--renew-before is less"),
            (["issue", "--role", "scanner", "--name", "a", *store], 2, "out: has to be given"),
            (["issue", "--role", "scanner", "--name", "a", "--host", "a b", *out, *store], 1, "name of a certificate"),
            (["issue", "--role", "scanner", "--name", "a", *out, "--coord", cluster.path("empty"), *store[2:]], 1,
             "there is no cluster in this store"),
            (["issue", "--role", "scanner", "--name", "a", *out, *store[:2], "--kek-file", cluster.path("none")], 1,
             "none: No such file"),
            (["revoke"], 2, "usage:"),
        ]
        for words, status, word in cases:
            with self.subTest(words[:6]):
                done = ctl("cluster", "cert", *words)
                self.assertEqual(status, done.returncode, done.stderr)
                self.assertIn(word, done.stderr)
                self.assertFalse(os.path.exists(cluster.path("out", "key.pem")))
        for words, status, word in (
                (["remove", "1"], 1, "it is the one that signs"), (["use", "7"], 1, "there is no such authority"),
                (["use", "x"], 1, "no number of an authority"), (["use"], 2, "usage:")):
            with self.subTest(words):
                done = ctl("cluster", "ca", *words, *store)
                self.assertEqual(status, done.returncode, done.stderr)
                self.assertIn(word, done.stderr)
        # Another key-encryption key opens nothing.
        done = ctl("cluster", "init", "--coord", cluster.path("coord-2"), "--kek-file", cluster.path("kek-2"))
        self.assertEqual(0, done.returncode, done.stderr)
        done = ctl("cluster", "cert", "issue", "--role", "scanner", "--name", "a", *out, *store[:2], "--kek-file",
                   cluster.path("kek-2"))
        self.assertEqual(1, done.returncode)
        self.assertIn("stored data fails its own checks", done.stderr)
        # It is made once, and stays as long as it is good.
        folder = cluster.issue("scanner", "scanner-1", None, None, "--host", "127.0.0.3")
        with open(os.path.join(folder, "cert.pem")) as f:
            first = f.read()
        self.assertEqual(0o600, os.stat(os.path.join(folder, "key.pem")).st_mode & 0o777)
        for more, same in ((["--host", "127.0.0.3"], True), (["--host", "127.0.0.3", "--renew-before", "89"], True),
                           (["--host", "127.0.0.3", "--days", "100", "--renew-before", "99"], False)):
            cluster.issue("scanner", "scanner-1", None, None, *more)
            with open(os.path.join(folder, "cert.pem")) as f:
                self.assertEqual(same, f.read() == first, more)


if __name__ == "__main__":
    unittest.main()
