"""Options that change on a running node: each is set by the API and in force without a restart."""
import os
import signal
import socket
import ssl
import subprocess
import time
import unittest

from node import DOMAIN, SLOW, Node, wait_for

node = None


def setUpModule():
    global node
    node = Node().start()
    node.user("alice")
    node.config("login.lockout.exempt", "127.0.0.1")  # wrong passwords galore


def tearDownModule():
    node.close()


class Options(unittest.TestCase):
    """Sets options for one test; they are at their defaults again after it."""

    def setUp(self):
        self.changed = []
        self.pid = node.pid("frontend-1")

    def tearDown(self):
        for path in self.changed:
            node.api("DELETE", path)
        self.assertEqual(self.pid, node.pid("frontend-1"), "the frontend was not to be restarted")

    def set(self, key, value, domain=None):
        path = "/api/v1/config/" + key + (f"?domain={domain}" if domain else "")
        node.api("PUT", path, {"value": value})
        self.changed.append(path)

    def refused(self, method, path, body, *words):
        status, reply = node.api(method, path, body, ok=False)
        self.assertEqual(400, status, reply)
        for word in words:
            self.assertIn(word, reply["detail"])

    def holds(self, what, condition):
        """True several times running: connections are spread over the loops of the frontend."""
        wait_for(what, lambda: all(condition() for _ in range(6)))


def greeting():
    with node.connect("SMTP") as s:
        return s.makefile("rb").readline().decode()


def openssl(*words):
    host, port = node.host_port("IMAPS")
    done = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", "-quiet", *words], input=b"a LOGOUT\r\n",
                          capture_output=True, timeout=20 * SLOW)
    return b"* OK" in done.stdout


def imap_says(*lines, tls=True, logged_in=True):
    """What IMAP answers to lines that are sent as they are, until it has nothing more to say."""
    host, port = node.host_port("IMAPS")
    with node.tls().wrap_socket(socket.create_connection((host, port), timeout=20 * SLOW)) as s:
        read = s.makefile("rb")
        said = [read.readline()]
        if logged_in:
            s.sendall(f"l LOGIN alice@{DOMAIN} secret-1\r\n".encode())
            said.append(read.readline())
        for line in lines:
            s.sendall(line)
        s.sendall(b"z LOGOUT\r\n")
        try:
            said.extend(read)
        except (ConnectionError, ssl.SSLError):
            pass
        return b"".join(said)


class Texts(Options):
    def test_empty_is_set_and_delete_takes_it_back(self):
        self.assertIn("ESMTP Godwit", greeting())
        self.set("smtp.banner", "")
        option = node.api("GET", "/api/v1/config/smtp.banner")
        self.assertEqual((option["value"], option["set"], option["default"]), ("", True, "Godwit"))
        self.holds("no banner", lambda: "Godwit" not in greeting())
        node.api("DELETE", "/api/v1/config/smtp.banner")
        option = node.api("GET", "/api/v1/config/smtp.banner")
        self.assertEqual((option["value"], option["set"]), ("Godwit", False))
        self.holds("the banner", lambda: "ESMTP Godwit" in greeting())

    def test_bad_values_are_refused_with_what_is_allowed(self):
        self.refused("PUT", "/api/v1/config/smtp.idle", {"value": ""}, "smtp.idle", "1 to 3600 seconds")
        self.refused("PUT", "/api/v1/config/smtp.idle", {"value": 0}, "out of bounds", "1 to 3600 seconds")
        self.refused("PUT", "/api/v1/config/tls.min", {"value": "1.1"}, "one of 1.2, 1.3")
        self.refused("PUT", "/api/v1/config/smtp.idle", {}, "the member \"value\" is", "DELETE")
        self.refused("PUT", f"/api/v1/config/smtp.idle?domain={DOMAIN}", {"value": 60}, "for a whole cluster")
        self.assertEqual(404, node.api("PUT", "/api/v1/config/no.such", {"value": 1}, ok=False)[0])
        self.assertEqual(404, node.api("GET", "/api/v1/config/smtp.idle?domain=nobody.example", ok=False)[0])

    def test_a_change_is_audited_with_its_address(self):
        self.set("smtp.banner", "audited")

        def lines():
            with open(os.path.join(node.data, "log", "config.log")) as f:
                return [line for line in f if "PUT /api/v1/config/smtp.banner" in line]
        line = wait_for("the line", lines)[-1]
        self.assertIn("operator", line)
        self.assertIn("from 127.0.0.1", line)


class Limits(Options):
    def test_http_body_max(self):
        long = {"address": "nobody@nowhere.example", "description": "x" * 3000}
        self.assertEqual(404, node.api("POST", "/api/v1/users", long, ok=False)[0])
        self.set("http.body.max", 1024)
        self.holds("413", lambda: node.api("POST", "/api/v1/users", long, ok=False)[0] == 413)
        short = {"address": "nobody@nowhere.example"}
        self.assertEqual(404, node.api("POST", "/api/v1/users", short, ok=False)[0])

    def test_imap_line_max(self):
        command = b'a SEARCH SUBJECT "' + b"x" * 9000 + b'"\r\n'
        self.assertNotIn(b"[TOOBIG]", imap_says(command))
        self.set("imap.line.max", 8192)
        self.holds("BYE", lambda: b"* BYE [TOOBIG]" in imap_says(command))
        self.assertNotIn(b"[TOOBIG]", imap_says(b'a SEARCH SUBJECT "' + b"x" * 8000 + b'"\r\n'))

    def test_imap_literal_max(self):
        def append(size):
            message = b"Subject: x\r\n\r\n" + b"m" * (size - 14)
            return imap_says(b"a APPEND INBOX {%d}\r\n" % size + message + b"\r\n")
        self.assertIn(b"a OK [APPENDUID", append(2000))
        self.set("imap.literal.max", 1024)
        self.holds("TOOBIG", lambda: b"a NO [TOOBIG]" in append(1025))
        self.assertIn(b"a OK [APPENDUID", append(1024))

    def test_login_failures_max(self):
        def failures():
            wrong = [b"a LOGIN alice@%s wrong\r\n" % DOMAIN.encode()] * 3
            said = imap_says(*wrong, logged_in=False)
            return said.count(b"AUTHENTICATIONFAILED") if b"* BYE too many" in said else 0
        self.set("login.failure.delay", 0)
        self.set("login.failures.max", 2)
        self.holds("two", lambda: failures() == 2)

    def test_connections_of_an_address_are_counted_over_all_loops(self):
        self.set("smtp.connections.per.address", 2)

        def taken():
            open_ones, count = [], 0
            for _ in range(5):
                s = node.connect("SMTP")
                open_ones.append(s)
                try:
                    count += s.recv(4) == b"220 "
                except ConnectionError:
                    pass
            for s in open_ones:
                s.close()
            return count
        wait_for("two of five", lambda: taken() == 2)
        with node.imap("alice") as client:  # another protocol has its own limit
            self.assertEqual("OK", client.noop()[0])


class Clients(Options):
    def test_tls_min(self):
        self.assertTrue(openssl("-tls1_2"))
        self.set("tls.min", "1.3")
        self.holds("TLS 1.2 is refused", lambda: not openssl("-tls1_2"))
        self.assertTrue(openssl("-tls1_3"))
        node.api("DELETE", "/api/v1/config/tls.min")
        self.holds("TLS 1.2 again", lambda: openssl("-tls1_2"))

    def test_proxy_wait(self):
        def connect(first=b""):
            """How long it took, and what was said."""
            begun = time.monotonic()
            with socket.create_connection(node.host_port("SMTP"), timeout=20 * SLOW,
                                          source_address=("127.0.0.7", 0)) as s:
                s.sendall(first)
                try:
                    said = s.recv(200)
                except ConnectionError:
                    said = b""
                return time.monotonic() - begun, said
        self.assertIn(b"220 ", connect()[1])
        self.set("proxy.wait", 1)
        self.set("proxy.trusted", "127.0.0.7")
        self.holds("a header is waited for", lambda: connect(b"PROXY TCP4 192.0.2.1 192.0.2.2 9 25\r\n")[1][:4] == b"220 "
                   and connect(b"EHLO x\r\n")[1] == b"")
        seconds, said = connect()
        self.assertEqual(b"", said)
        self.assertGreater(seconds, 0.9)
        self.assertLess(seconds, 4 * SLOW)

    def test_hash_cost(self):
        """Each log-in that finds a hash of another cost has it made anew; nobody is locked out."""
        for memory, passes in ((8192, 1), (65536, 3), (8192, 1)):
            self.set("password.argon2.memory", memory)
            self.set("password.argon2.passes", passes)
            for _ in range(4):
                node.imap("alice").logout()
        with self.assertRaises(Exception):
            node.imap("alice", "secret-2")


class Passwords(Options):
    def user(self, password, name="new.user"):
        body = {"address": f"{name}@{DOMAIN}", "password": password, "full_name": "Ada Lovelace"}
        status, reply = node.api("POST", "/api/v1/users", body, ok=False)
        if status == 201:
            node.api("DELETE", f"/api/v1/users/{name}@{DOMAIN}")
        return status, (reply or {}).get("detail", "")

    def test_policy(self):
        self.assertEqual(400, self.user("12345")[0])
        self.assertEqual(201, self.user("123456")[0])
        self.set("password.length.min", 10)
        self.holds("length", lambda: self.user("123456789")[0] == 400)
        self.assertIn("at least 10 characters", self.user("123456789")[1])
        self.set("password.classes.min", 3)
        self.holds("classes", lambda: self.user("abcdefgh1234")[0] == 400)
        self.set("password.names", False)
        self.holds("names", lambda: self.user("Xlovelace-99")[0] == 400)
        self.assertIn("password.names", self.user("New.User-1234")[1])
        self.assertEqual(201, self.user("Abcdefgh1234")[0])
        node.user("bob", password="Quite-Long-1")
        self.assertEqual(400, node.api("PATCH", f"/api/v1/users/bob@{DOMAIN}", {"password": "short"}, ok=False)[0])
        node.imap("bob", "Quite-Long-1").logout()

    def test_a_domain_narrows(self):
        self.set("password.length.min", 9, domain=DOMAIN)
        self.holds("the domain's", lambda: self.user("12345678")[0] == 400)
        self.assertEqual(201, self.user("123456789")[0])
        option = node.api("GET", f"/api/v1/config/password.length.min?domain={DOMAIN}")
        self.assertEqual(("9", True), (option["value"], option["set"]))
        self.assertFalse(node.api("GET", "/api/v1/config/password.length.min")["set"])
        done = node.ctl("config", "set", "password.length.min", "12", "--domain", DOMAIN)
        self.assertEqual(0, done.returncode, done.stderr)
        self.holds("the domain's, by godwitctl", lambda: self.user("12345678901")[0] == 400)
        self.assertEqual(0, node.ctl("config", "unset", "password.length.min", "--domain", DOMAIN).returncode)
        self.holds("the installation's", lambda: self.user("123456")[0] == 201)

    def test_foreign_senders_by_domain(self):
        def foreign():
            with node.smtp("SUBMISSION") as s:
                s.starttls(context=node.tls())
                s.login(f"alice@{DOMAIN}", "secret-1")
                return s.mail("someone@else.example")[0]
        self.assertEqual(553, foreign())
        self.set("smtp.sender.foreign", True, domain=DOMAIN)
        self.holds("it is allowed", lambda: foreign() == 250)


class Stale(Options):
    def test_policy_age_max(self):
        """The store is a file here: one that can't be read is a store that can't be reached."""
        self.set("policy.age.max", 5)
        self.holds("mail is taken", lambda: self.mail() == 250)
        data = os.path.join(node.data, "coord", "data")
        with open(data, "rb") as f:
            good = f.read()
        self.replace(data, b"damaged")
        try:
            wait_for("451", lambda: self.mail() == 451, 30)
            with node.smtp() as s:
                s.ehlo()
                self.assertEqual((451, b"4.3.5"), (lambda r: (r[0], r[1][:5]))(s.mail("a@outside.example")))
            self.assertEqual(503, node.http("GET", "/readyz")[0])
            with node.imap("alice") as client:  # what is there can be read
                self.assertEqual("OK", client.select("INBOX")[0])
                self.assertEqual("NO", client.append("INBOX", None, None, b"Subject: x\r\n\r\ny\r\n")[0])
        finally:
            self.replace(data, good)
        self.holds("mail is taken again", lambda: self.mail() == 250)

    def mail(self):
        with node.smtp() as s:
            s.ehlo()
            return s.mail("a@outside.example")[0]

    @staticmethod
    def replace(path, content):
        status = os.stat(path)
        with open(path + ".test", "wb") as f:
            f.write(content)
        os.chown(path + ".test", status.st_uid, status.st_gid)
        os.rename(path + ".test", path)


class Life(unittest.TestCase):
    def test_sessions_are_resumed_after_a_restart(self):
        context = node.tls()
        session, resumed = None, []

        def visit():
            nonlocal session
            with context.wrap_socket(node.connect("IMAPS"), session=session) as s:
                s.recv(100)
                session = s.session
                resumed.append(s.session_reused)
                return s.session_reused
        wait_for("a ticket", lambda: visit() or visit())
        del resumed[:]
        for _ in range(6):
            visit()
        old = node.kill("frontend-1")
        node.wait_restarted("frontend-1", old)
        for _ in range(6):
            visit()
        self.assertEqual([True] * 12, resumed)

    def begin_message(self):
        s = node.smtp()
        s.ehlo()
        self.assertEqual(250, s.mail("")[0])
        self.assertEqual(250, s.rcpt(f"alice@{DOMAIN}")[0])
        self.assertEqual(354, s.docmd("DATA")[0])
        return s

    def test_drain(self):
        """A message that has begun may come to its end, but no longer than the option says."""
        begun = self.begin_message()
        pid = node.kill("frontend-1", signal.SIGTERM)
        with self.assertRaises(AssertionError):  # nobody is let in any more, and it runs on
            wait_for("the end", lambda: node.pid("frontend-1") != pid, 2 / SLOW)
        begun.send(b"Subject: to the end\r\n\r\nx\r\n.\r\n")
        self.assertEqual(250, begun.getreply()[0])
        self.assertEqual(421, begun.getreply()[0])
        begun.close()
        node.wait_restarted("frontend-1", pid)
        node.config("server.drain", 1)
        wait_for("a greeting", lambda: "220" in greeting())
        begun, started = self.begin_message(), time.monotonic()
        pid = node.kill("frontend-1", signal.SIGTERM)
        node.wait_restarted("frontend-1", pid)
        self.assertGreater(time.monotonic() - started, 0.9)
        self.assertLess(time.monotonic() - started, 8 * SLOW)  # and not the 10 s of the default
        begun.close()
        node.api("DELETE", "/api/v1/config/server.drain")
        with node.imap("alice") as client:
            client.select("INBOX")
            self.assertEqual(1, len(client.search(None, "SUBJECT", '"to the end"')[1][0].split()))


if __name__ == "__main__":
    unittest.main()
