"""A whole cluster by deploy/cluster: real etcd members, mutual TLS, mail through any frontend, programs that die."""
import json
import os
import poplib
import subprocess
import unittest

from node import SLOW, mbsync_settings, wait_for
from test_counters import Client, events, fail, log_in, open_until_refused
from whole import DOMAIN, FRONTENDS, SIZE, Whole, tls

USERS = 9


def setUpModule():
    whole = Base.whole = Whole()
    unittest.addModuleCleanup(whole.close)  # also when the start fails
    whole.up()
    for i in range(USERS):
        whole.user(f"u{i}@{DOMAIN}")


class Base(unittest.TestCase):
    whole = None


class ClusterTest(Base):
    def run_script(self, *words, check=True):
        return self.whole.run(*words, check=check)

    def ready(self):
        return self.whole.is_ready()

    def send(self, subject, frontend="", users=range(USERS)):
        with self.whole.smtp(frontend) as s:
            for i in users:
                s.sendmail("a@outside.example", [f"u{i}@{DOMAIN}"], f"Subject: {subject} {i}\r\n\r\nbody of {i}\r\n")

    def subjects(self, user, frontend=""):
        return sorted(self.whole.subjects(f"u{user}@{DOMAIN}", frontend))

    def test_mail_through_either_frontend_is_seen_through_the_other(self):
        self.send("one")
        self.send("two", "_2")
        for i in range(USERS):
            for frontend in ("", "_2"):
                got = [s for s in self.subjects(i, frontend) if s.split()[0] in ("one", "two")]
                self.assertEqual(got, [f"one {i}", f"two {i}"])

    def test_one_message_for_all_arrives_once_in_each_box(self):
        with self.whole.smtp() as s:
            s.sendmail("a@outside.example", [f"u{i}@{DOMAIN}" for i in range(USERS)], "Subject: fan out\r\n\r\nx\r\n")
        for i in range(USERS):
            wait_for("the message", lambda i=i: self.subjects(i, "_2").count("fan out") >= 1, 30)
            self.assertEqual(self.subjects(i).count("fan out"), 1)

    def shards(self):
        status, text = self.whole.api("GET", "/api/v1/cluster/shards?limit=64")
        self.assertEqual(status, 200, text)
        return json.loads(text)["items"]

    def test_every_shard_has_a_copy_on_each_node_and_all_are_in_sync(self):
        nodes = {f"storage-node-{n}" for n in (1, 2, 3)}
        wait_for("all copies in sync", lambda: all(len(s["isr"]) == 3 for s in self.shards()), 60)
        for shard in self.shards():
            self.assertEqual(set(shard["replicas"]), nodes, shard)
        led = {}
        with open(os.path.join(self.whole.data, "log/events.json")) as f:
            for line in f:
                event = json.loads(line)
                if event["event"] == "shard-led" and event["epoch"] == 1:
                    led.setdefault(event["program"], set()).add(event["shard"])
        self.assertEqual(set(led), nodes)
        self.assertEqual(set().union(*led.values()), set(range(64)))

    def test_a_killed_program_loses_nothing(self):
        for number, name in enumerate(("storage-node-2", "scanner-1", "router-1", "etcd-2", "frontend-2")):
            self.send(f"before {number}")
            self.run_script("kill", name)
            self.run_script("start", name)
            wait_for(f"{name} is back", self.ready, 60)
            self.send(f"after {number}")
            for i in range(USERS):
                got = [s for s in self.subjects(i) if s.split()[:2] in (["before", str(number)], ["after", str(number)])]
                self.assertEqual(got, [f"after {number} {i}", f"before {number} {i}"], name)

    def test_a_storage_node_that_hangs_is_not_waited_for(self):
        wait_for("all copies in sync", lambda: all(len(s["isr"]) == 3 for s in self.shards()), 60)
        self.run_script("stop", "storage-node-3")
        try:
            self.send("while it hangs")
            for i in range(USERS):
                self.assertEqual(self.subjects(i, "_2").count(f"while it hangs {i}"), 1)
        finally:
            self.run_script("cont", "storage-node-3")
        wait_for("all is ready", self.ready, 60)
        wait_for("all copies in sync", lambda: all(len(s["isr"]) == 3 for s in self.shards()), 60)

    def test_what_the_command_refuses(self):
        for words, text in (((("up", "--port-offset", str(self.whole.offset))), "another size"),
                            (("kill", "storage-node-9"), "no such program"), (("kill",), "take the name"),
                            (("start", "router-1"), "is running"), (("status", "router-1"), "take none")):
            done = self.run_script(*words, check=False)
            self.assertNotEqual(done.returncode, 0, words)
            self.assertIn(text, done.stderr)
        done = self.run_script("up", "--port-offset", str(self.whole.offset), *SIZE, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("running already", done.stderr)


class Clients(Base):
    """Real clients: what they do through one frontend they see through the other."""

    def user(self, name, *subjects):
        """A user with mail in his box."""
        address = self.whole.user(f"{name}@{DOMAIN}")
        for subject in subjects:
            with self.whole.smtp() as s:
                s.sendmail("x@outside.example", [address], f"Subject: {subject}\r\n\r\nbody of {subject}\r\n")
        wait_for("mail", lambda: len(self.whole.subjects(address)) == len(subjects), 30)
        return address

    def tool(self, *words, **options):
        done = subprocess.run([str(w) for w in words], capture_output=True, text=True, errors="replace",
                              timeout=60 * SLOW, **options)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def test_swaks(self):
        to = self.user("swaks")
        for n, frontend in enumerate(FRONTENDS):
            host, port = self.whole.host_port("SMTP" + frontend)
            self.tool("swaks", "--server", host, "--port", port, "--to", to, "--from", "x@outside.example", "--header",
                      f"Subject: by swaks {n}")
            host, port = self.whole.host_port("SUBMISSION" + frontend)
            self.tool("swaks", "--server", host, "--port", port, "--tls", "--auth", "PLAIN", "--auth-user", to,
                      "--auth-password", "secret-1", "--to", to, "--from", to, "--header", f"Subject: submitted {n}")
            want = sorted(f"{how} {i}" for how in ("by swaks", "submitted") for i in range(n + 1))
            wait_for("both", lambda: sorted(self.whole.subjects(to, FRONTENDS[1 - n])) == want, 30)

    def test_curl(self):
        to, values = self.user("curl"), self.whole.values()
        mail = self.whole.path("curl.eml")
        for n, frontend in enumerate(FRONTENDS):
            other = FRONTENDS[1 - n]
            with open(mail, "w") as f:
                f.write(f"Subject: curl {n}\r\n\r\nbody of curl {n}\r\n")
            self.tool("curl", "-sS", f"smtp://{values['SMTP' + frontend]}", "--mail-from", "x@outside.example",
                      "--mail-rcpt", to, "-T", mail)
            wait_for("the message", lambda: len(self.whole.subjects(to)) == n + 1, 30)
            auth = ["-u", to + ":secret-1", "--cacert", values["CA_FILE"], "-sS"]
            body = self.tool("curl", *auth, f"imaps://{values['IMAPS' + other]}/INBOX;MAILINDEX={n + 1}")
            self.assertIn(f"body of curl {n}", body)
            body = self.tool("curl", *auth, f"pop3s://{values['POP3S' + other]}/{n + 1}")
            self.assertIn(f"body of curl {n}", body)

    def test_mbsync_both_ways_through_both(self):
        to = self.user("mbsync", *[f"m{i}" for i in range(5)])
        local, rc = self.whole.path("maildir"), self.whole.path("mbsyncrc")
        os.makedirs(local)

        def sync(frontend):
            # It does not look at addresses in certificates: TLS is openssl's.
            ca, end = self.whole.values()["CA_FILE"], self.whole.values()["IMAPS" + frontend]
            mbsync_settings(rc, f"""Tunnel "openssl s_client -quiet -verify_quiet -verify_return_error -CAfile {ca} -connect {end} 2>/dev/null"
User {to}
SSLType None
AuthMechs PLAIN LOGIN""", local)
            self.tool("mbsync", "-c", rc, "-a")
        sync("")
        new, cur = os.path.join(local, "INBOX", "new"), os.path.join(local, "INBOX", "cur")
        self.assertEqual(5, len(os.listdir(new)) + len(os.listdir(cur)))
        name = sorted(os.listdir(new))[0]
        os.rename(os.path.join(new, name), os.path.join(cur, name.split(":")[0] + ":2,S"))
        with open(os.path.join(cur, "1.local.test:2,F"), "w") as f:
            f.write("Subject: made here\n\nlocal\n")
        sync("_2")  # the same box: nothing comes a second time
        self.assertEqual(6, len(os.listdir(new)) + len(os.listdir(cur)))
        client = self.whole.imap(to)
        client.select()
        self.assertEqual([b"6"], client.search(None, "FLAGGED", "SUBJECT", "here")[1])
        self.assertEqual(1, len(client.search(None, "SEEN")[1][0].split()))
        client.store("1", "+FLAGS", r"(\Deleted)")
        client.expunge()
        client.logout()
        sync("")
        self.assertEqual(5, len(os.listdir(new)) + len(os.listdir(cur)))

    def test_mutt(self):
        to = self.user("mutt", "for mutt")
        for n, frontend in enumerate(FRONTENDS):
            host, port = self.whole.host_port("IMAPS" + frontend)
            settings, copy = self.whole.path(f"muttrc{n}"), self.whole.path(f"mutt{n}.mbox")
            with open(settings, "w") as f:
                f.write(f"""set folder="imaps://{host}:{port}/"
set spoolfile="imaps://{host}:{port}/INBOX"
set imap_user="{to}" imap_pass="secret-1"
set certificate_file="{self.whole.values()['CA_FILE']}"
set ssl_verify_host=no ssl_force_tls=yes ssl_starttls=no header_cache=""
set mbox_type=mbox confirmappend=no confirmcreate=no quit=yes delete=yes move=no
push "<copy-message>{copy}<enter><flag-message><quit>"
""")
            out = self.tool("script", "-qec", f"mutt -F {settings}", "/dev/null", stdin=subprocess.DEVNULL,
                            env={**os.environ, "TERM": "xterm", "HOME": self.whole.data})
            with open(copy) as f:
                self.assertIn("Subject: for mutt", f.read(), out[-500:])
            client = self.whole.imap(to, FRONTENDS[1 - n])
            client.select()
            wait_for("mutt's flag", lambda: client.noop() and client.search(None, "FLAGGED")[1] == [b"1"], 10)
            client.store("1", "-FLAGS", r"(\Flagged)")
            client.logout()

    def test_SV_02_flags_and_news_within_5_seconds_over_two_frontends(self):
        to = self.user("sv02", "first")
        a, b = (self.whole.imap(to, frontend) for frontend in FRONTENDS)
        a.select()
        b.select()
        for one, two, flag in ((a, b, rb"\Flagged"), (b, a, rb"\Answered")):
            one.store("1", "+FLAGS", f"({flag.decode()})")
            wait_for("the flag", lambda: two.noop() and flag in two.fetch("1", "(FLAGS)")[1][0], 5)
        for n, client in enumerate((a, b), 2):
            client.send(b"x1 IDLE\r\n")
            self.assertTrue(client.readline().startswith(b"+"))
            with self.whole.smtp(FRONTENDS[n - 2 - 1]) as s:  # by the other one
                s.sendmail("x@outside.example", [to], f"Subject: news {n}\r\n\r\nx\r\n")
            client.sock.settimeout(5 * SLOW)
            lines = []
            while f"* {n} EXISTS\r\n".encode() not in lines:
                lines.append(client.readline())
            client.send(b"DONE\r\n")
            while not client.readline().startswith(b"x1 OK"):
                pass
        a.logout()
        b.logout()

    def uidl(self, to, frontend, delete=None):
        host, port = self.whole.host_port("POP3S" + frontend)
        client = poplib.POP3_SSL(host, port, context=tls(), timeout=60 * SLOW)
        client.user(to)
        client.pass_("secret-1")
        ids = [line.split()[1] for line in client.uidl()[1]]
        if delete is not None:
            client.dele(delete)
        client.quit()
        return ids

    def test_SV_01_UIDL_is_the_same_at_each_frontend_and_after_a_new_start(self):
        to = self.user("sv01", "a", "b", "c")
        first = self.uidl(to, "")
        self.assertEqual(3, len(set(first)))
        self.assertEqual(first, self.uidl(to, "_2", delete=2))
        for name in ("frontend-1", "storage-node-1", "storage-node-2", "storage-node-3"):
            self.whole.run("kill", name)
            self.whole.run("start", name)
        self.whole.wait_ready()
        for frontend in FRONTENDS:
            self.assertEqual([first[0], first[2]], wait_for("POP3 again", lambda f=frontend: self.retry(to, f), 30))

    def retry(self, to, frontend):
        try:
            return self.uidl(to, frontend)
        except (OSError, poplib.error_proto):
            return None

    def test_users_are_spread_over_the_nodes(self):
        events = self.whole.events("shard-led")
        leaders = {e["shard"]: e["program"] for e in events}
        self.assertEqual(set(range(64)), set(leaders))
        before = {n: self.writes(n) for n in self.whole.programs("storage-node")}
        for frontend in FRONTENDS:
            with self.whole.smtp(frontend) as s:
                for i in range(USERS):
                    s.sendmail("x@outside.example", [f"u{i}@{DOMAIN}"], f"Subject: spread {i}\r\n\r\nx\r\n")
        for name in self.whole.programs("storage-node"):
            self.assertGreater(self.writes(name), before[name], name)

    def writes(self, name):
        """Entries that a storage node has logged."""
        return self.whole.metric(name, "godwit_storage_node_log_entries_total")


class Counters(Base):
    """Counters of the whole cluster (test_counters.py has one node)."""

    def doors(self):
        values = self.whole.values()
        return [(protocol, values[name + frontend], True) for frontend in ("", "_2")
                for protocol, name in (("imap", "IMAPS"), ("pop3", "POP3S"), ("smtp", "SMTPS"))]

    def says(self, user, source, wanted):
        """What the right password leads to, at each door of each frontend."""
        for protocol, address, tls in self.doors():
            wait_for(f"{user} from {source} is {wanted} by {protocol} at {address}",
                     lambda: log_in(protocol, address, f"{user}@{DOMAIN}", "secret-1", source, tls) == wanted, 60)

    def events(self, name, **fields):
        return events(self.whole.path("log"), name, **fields)

    def test_failures_at_both_frontends_lock_a_user_out(self):
        said = fail(48, self.doors(), f"u7@{DOMAIN}", [f"127.0.7.{n}" for n in range(1, 13)])
        self.assertEqual((20, 28), (said.count("wrong"), said.count("locked")), said)  # of all at once, never one more
        self.says("u7", "127.0.7.100", "locked")
        self.says("u6", "127.0.7.100", "in")
        wait_for("the log has it", lambda: self.events("user-locked", user=f"u7@{DOMAIN}"))
        self.assertEqual(1, len(self.events("user-locked", user=f"u7@{DOMAIN}")))
        status, text = self.whole.api("POST", f"/api/v1/users/u7@{DOMAIN}/unlock")
        self.assertEqual(204, status, text)
        self.says("u7", "127.0.7.100", "in")

    def test_failures_at_both_frontends_block_an_address(self):
        said = fail(24, self.doors(), f"nobody@{DOMAIN}", ["127.0.8.1"])
        self.assertEqual((10, 14), (said.count("wrong"), said.count("locked")), said)
        self.says("u6", "127.0.8.1", "locked")
        self.says("u6", "127.0.8.2", "in")
        wait_for("the log has it", lambda: self.events("address-locked", address="127.0.8.1"))
        self.assertEqual(1, len(self.events("address-locked", address="127.0.8.1")))

    def test_counters_of_leaders_that_died_are_forgotten(self):
        fail(24, self.doors(), f"u8@{DOMAIN}", [f"127.0.9.{n}" for n in range(1, 13)])
        self.says("u8", "127.0.9.100", "locked")
        for command in ("kill", "start"):
            for number in (1, 2, 3):
                self.whole.run(command, f"storage-node-{number}")
        wait_for("all is ready", self.whole.is_ready, 60)
        self.says("u8", "127.0.9.100", "in")

    def test_connections_at_both_frontends_are_counted_together(self):
        for key, value in (("imap.connections.per.address", "5"), ("server.connections.lease", "3")):
            self.whole.config(key, value)
            self.addCleanup(self.whole.api, "DELETE", "/api/v1/config/" + key)
        source, values = "127.0.10.1", self.whole.values()
        held = []
        self.addCleanup(lambda: [client.close() for client in held])

        def take(frontend, count):
            for _ in range(count):
                held.append(Client(values["IMAPS" + frontend], source, True))
                self.assertTrue(held[-1].greeting)

        def is_refused(frontend):
            with Client(values["IMAPS" + frontend], source, True) as client:
                return not client.greeting
        take("", 3)
        take("_2", 2)
        for frontend in ("", "_2"):  # as soon as the options are in force
            wait_for("a sixth is refused", lambda f=frontend: is_refused(f), 40)
        wait_for("the log has it", lambda: self.events("connections-too-many", service="IMAPS", address=source, limit=5))
        self.whole.run("kill", "frontend-2")
        # Its two count no more once their lease is over; the three of frontend-1 do.
        wait_for("two more are taken", lambda: len(self.more(values["IMAPS"], source)) == 2, 40)
        self.whole.run("start", "frontend-2")
        wait_for("all is ready", self.whole.is_ready, 60)
        wait_for("a seat is free", lambda: not is_refused("_2"), 40)

    def more(self, address, source):
        """How many are taken until one is refused; none of them is kept."""
        taken = open_until_refused(address, source, tls=True)
        for client in taken:
            client.close()
        return taken


if __name__ == "__main__":
    unittest.main()
