"""POP3 with real clients: SV-01, TLS-08; what it gives out, its lock, and what it does while things die."""
import os
import poplib
import re
import signal
import subprocess
import sys
import unittest

from node import DOMAIN, SLOW, Node, below_trace, messages, wait_for
from test_corpus import corpus, is_strict

node = None
SAMPLE = 250


def setUpModule():
    global node
    node = Node().start()
    node.config("login.failure.delay", "0")


def tearDownModule():
    node.close()


def lines_of(reply):
    return [line.decode() for line in reply[1]]


def retr(client, number, command="RETR {}"):
    """A message as octets: poplib's own retr() has a bound on the length of lines."""
    client._putcmd(command.format(number))
    head = client.file.readline()
    assert head.startswith(b"+OK"), head
    found = []
    while True:
        line = client.file.readline()
        if line == b".\r\n":
            return b"".join(found)
        if not line.endswith(b"\n"):
            raise EOFError("the message broke off")
        found.append(line[1:] if line.startswith(b".") else line)


def wait_count(user, count):
    def there():
        client = node.imap(user)
        typ, data = client.select(readonly=True)
        client.logout()
        return int(data[0]) >= count
    wait_for(f"{count} messages of {user}", there, 60)


def logs_in(user, target=None):
    """One try; None while the mailbox is locked or the node is away."""
    try:
        return (target or node).pop3(user)
    except (poplib.error_proto, OSError):
        return None


class Reading(unittest.TestCase):
    def test_real_mail_comes_back_byte_for_byte(self):
        user, mails = node.user("corpus"), corpus()
        mails = [m if m.endswith(b"\r\n") or not is_strict(m) else m + b"\r\n" for m in
                 mails[::max(1, len(mails) // SAMPLE)]]
        sent = []
        with node.smtp() as s:
            s.ehlo("client.example")
            for mail in mails:
                s.mail("s@outside.example")
                self.assertEqual(s.rcpt(user)[0], 250)
                s.send(b"BDAT %d LAST\r\n" % len(mail) + mail)
                code, reply = s.getreply()
                self.assertIn(code, (250, 554), reply)
                if code == 250:
                    sent.append(mail)
        self.assertGreater(len(sent), len(mails) * 9 // 10)
        wait_count(user, len(sent))
        client = node.pop3(user)
        self.assertEqual(client.stat()[0], len(sent))
        sizes = [int(line.split()[1]) for line in lines_of(client.list())]
        for number, want in enumerate(sent, 1):
            got = retr(client, number)
            if is_strict(want):
                self.assertEqual(len(got), sizes[number - 1], number)
                self.assertEqual(below_trace(got), want, number)
            else:  # a LF on its own is a line's end here; a last line without one gets it
                want = re.sub(rb"(?<!\r)\n", b"\r\n", want)
                self.assertEqual(below_trace(got).rstrip(b"\r\n"), want.rstrip(b"\r\n"), number)
            head, body = (got.split(b"\r\n\r\n", 1) + [None])[:2]
            if body is not None:
                top = retr(client, number, "TOP {} 3")
                self.assertEqual(top, head + b"\r\n\r\n" + b"".join(body.splitlines(True)[:3])
                                 if b"\r" not in body.replace(b"\r\n", b"") else top, number)
        client.quit()

    def test_SV_01_UIDL_is_stable_over_restarts_and_deletions(self):
        own = Node().start()
        try:
            own.user("uidl")
            for i in range(5):
                own.send(f"uidl@{DOMAIN}", subject=f"m{i}")

            def listed():
                client = own.pop3("uidl")
                found = [line.split()[1] for line in lines_of(client.uidl())]
                client.quit()
                return found
            before = wait_for("five", lambda: (lambda f: f if len(f) == 5 else None)(listed()))
            self.assertEqual(len(set(before)), 5)
            for uid in before:
                self.assertRegex(uid, r"^[!-~]{1,70}$")
            imap = own.imap("uidl")
            imap.select()
            imap.store("1:3", "+FLAGS", r"(\Seen)")
            imap.store("2", "+FLAGS", r"(\Deleted)")
            imap.expunge()
            imap.logout()
            old = own.kill("storage-node-1")
            own.wait_restarted("storage-node-1", old)
            self.assertEqual(listed(), before[:1] + before[2:])
            old = own.kill("frontend-1")
            own.wait_restarted("frontend-1", old)
            self.assertEqual(listed(), before[:1] + before[2:])
            client = own.pop3("uidl")
            client.dele(1)
            client.quit()
            own.stop()
            own.start()
            own.send(f"uidl@{DOMAIN}", subject="new")
            after = wait_for("the new one", lambda: (lambda f: f if len(f) == 4 else None)(listed()))
            self.assertEqual(after[:3], before[2:])
            self.assertNotIn(after[3], before)
        finally:
            own.close()


class Clients(unittest.TestCase):
    def setUp(self):
        self.name = "cl" + self.id()[-12:].replace("_", "").lower()
        self.user = node.user(self.name)
        self.ca = node.endpoints()["CA_FILE"]
        for i in range(3):
            node.send(self.user, f"Subject: number {i}\r\n\r\nbody\r\n.dot\r\n..\r\nend {i}\r\n")
        wait_count(self.user, 3)

    def run_curl(self, url, *more):
        return subprocess.run(["curl", "-sS", "--insecure", "-u", self.user + ":secret-1", url, *more],
                              capture_output=True, timeout=60 * SLOW)

    def test_curl_over_tls_and_with_stls(self):
        ep = node.endpoints()
        for url, more in ((f"pop3s://{ep['POP3S']}/", []), (f"pop3://{ep['POP3']}/", ["--ssl-reqd"])):
            for login in ([], ["--login-options", "AUTH=PLAIN"], ["--login-options", "AUTH=PLAIN", "--sasl-ir"],
                          ["--login-options", "AUTH=LOGIN"]):
                out = self.run_curl(url + "2", *more, *login)
                self.assertEqual(out.returncode, 0, (url, login, out.stderr))
                self.assertTrue(out.stdout.endswith(b"Subject: number 1\r\n\r\nbody\r\n.dot\r\n..\r\nend 1\r\n"), out)
            out = self.run_curl(url, *more)
            self.assertEqual([line.split()[0] for line in out.stdout.splitlines()], [b"1", b"2", b"3"])
            out = self.run_curl(url, "-X", "UIDL", *more)
            self.assertEqual(len(out.stdout.splitlines()), 3)
            out = self.run_curl(url, "-X", "TOP 1 0", *more)
            self.assertTrue(out.stdout.rstrip(b"\r\n").endswith(b"Subject: number 0"), out)

    def test_curl_without_tls_is_refused(self):
        out = self.run_curl(f"pop3://{node.endpoints()['POP3']}/1")
        self.assertNotEqual(out.returncode, 0)
        self.assertEqual(out.stdout, b"")

    def mpop(self, folder, *more):
        host, port = node.host_port("POP3S" if "--tls-starttls=off" in more else "POP3")
        return subprocess.run(
            ["mpop", f"--host={host}", f"--port={port}", "--tls=on", "--tls-certcheck=off", f"--user={self.user}",
             "--passwordeval=echo secret-1", f"--delivery=maildir,{folder}", "--received-header=off",
             f"--uidls-file={folder}/uidls", *more], capture_output=True, text=True, timeout=60 * SLOW,
            env={**os.environ, "HOME": node.base})

    def test_mpop_fetches_once_and_deletes(self):
        folder = os.path.join(node.base, "mpop")
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(folder, part))

        def fetched():
            found = []
            for name in os.listdir(folder + "/new"):
                with open(os.path.join(folder, "new", name), "rb") as f:
                    found.append(f.read().replace(b"\n", b"\r\n"))
            return sorted(below_trace(raw) for raw in found)
        want = [f"Subject: number {i}\r\n\r\nbody\r\n.dot\r\n..\r\nend {i}\r\n".encode() for i in range(3)]
        out = self.mpop(folder, "--tls-starttls=off", "--keep=on")
        self.assertEqual(out.returncode, 0, out.stdout + out.stderr)
        self.assertEqual(fetched(), want)
        out = self.mpop(folder, "--tls-starttls=on", "--keep=on")  # by STLS; UIDL says that all are known
        self.assertEqual(out.returncode, 0, out.stdout + out.stderr)
        self.assertEqual(fetched(), want)
        out = self.mpop(folder, "--tls-starttls=on", "--keep=off")
        self.assertEqual(out.returncode, 0, out.stdout + out.stderr)
        client = node.pop3(self.user)
        self.assertEqual(client.stat()[0], 0)
        client.quit()

    def test_poplib_every_command(self):
        client = node.pop3(None, name="POP3")
        self.assertIn("STLS", client.capa())
        self.assertNotIn("USER", client.capa())
        with self.assertRaises(poplib.error_proto):
            client.user(self.user)
        client.stls(node.tls())
        self.assertEqual(client.capa()["SASL"], ["PLAIN", "LOGIN"])
        client.user(self.user)
        client.pass_("secret-1")
        count, octets = client.stat()
        self.assertEqual(count, 3)
        self.assertEqual(octets, sum(int(line.split()[1]) for line in lines_of(client.list())))
        self.assertEqual(lines_of(client.retr(1))[-4:], ["body", ".dot", "..", "end 0"])
        self.assertEqual(lines_of(client.top(1, 1))[-2:], ["", "body"])
        client.dele(2)
        self.assertEqual(client.stat()[0], 2)
        client.rset()
        client.noop()
        self.assertEqual(client.stat()[0], 3)
        client.dele(2)
        self.assertEqual(client.quit(), b"+OK bye, 1 messages deleted")
        client = node.pop3(self.user)
        self.assertEqual(client.stat()[0], 2)
        client.quit()


class Input(unittest.TestCase):
    def test_TLS_08_what_follows_STLS_in_the_clear_is_dropped(self):
        with node.connect("POP3") as s:
            f = s.makefile("rb")
            self.assertTrue(f.readline().startswith(b"+OK"))
            s.sendall(b"STLS\r\nUSER evil\r\nQUIT\r\n")
            self.assertTrue(f.readline().startswith(b"+OK"))
            with node.tls().wrap_socket(s) as t:
                g = t.makefile("rwb")
                g.write(b"NOOP\r\n")
                g.flush()
                self.assertEqual(g.readline(), b"-ERR log in first\r\n")
                g.write(b"QUIT\r\n")
                g.flush()
                self.assertEqual(g.readline(), b"+OK bye\r\n")

    def test_garbage_is_answered_and_closed(self):
        for garbage in (b"\0\xff" * 300 + b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01" * 50 + b"\r\n",
                        b"USER " + b"x" * 5000 + b"\r\n", b"\n", b"AUTH PLAIN " + b"A" * 20000 + b"\r\n"):
            with node.connect("POP3S") as raw, node.tls().wrap_socket(raw) as s:
                f = s.makefile("rb")
                self.assertEqual(f.readline(), b"+OK Godwit ready\r\n")
                s.sendall(garbage * 25)
                answers = f.readlines()
                self.assertEqual(answers[-1], b"-ERR too many bad commands, closing\r\n", garbage[:20])
                self.assertEqual(len(answers), 20)
                self.assertTrue(all(a.startswith(b"-ERR ") for a in answers))

    def test_wrong_passwords_close_and_are_logged(self):
        node.user("wrongpass")
        client = node.pop3(None)
        for i in range(4):
            client.user(f"wrongpass@{DOMAIN}")
            with self.assertRaisesRegex(poplib.error_proto, r"\[AUTH\]"):
                client.pass_("no")
        self.assertEqual(client.file.readline(), b"")
        client.close()
        path = os.path.join(node.data, "log", "security.log")

        def logged():
            with open(path, errors="replace") as f:
                return [line for line in f if "POP3S" in line and "wrongpass@" in line]
        wait_for("the log", lambda: len(logged()) == 4)
        node.pop3("wrongpass").quit()

    def test_plain_log_in_only_from_where_it_is_allowed(self):
        node.user("plainpop")
        client = node.pop3(None, name="POP3")
        with self.assertRaisesRegex(poplib.error_proto, "TLS"):
            client.user(f"plainpop@{DOMAIN}")
        client.quit()
        node.config("login.without.tls", "127.0.0.0/8")
        try:
            wait_for("the option", lambda: "USER" in node.pop3(None, name="POP3").capa(), 5)
            node.pop3("plainpop", name="POP3").quit()
        finally:
            node.config("login.without.tls", "")


    def test_silent_client_is_hung_up_on_without_a_word(self):
        node.config("pop3.login", "1")
        try:
            def closed():
                with node.connect("POP3", timeout=5) as s:
                    return s.makefile("rb").readlines() == [b"+OK Godwit ready\r\n"]
            wait_for("the option", closed, 30)
        finally:
            node.config("pop3.login", "60")

    def test_address_of_a_PROXY_header_counts(self):
        own = Node().start()
        try:
            own.user("prox")
            own.config("login.without.tls", "192.0.2.1")
            own.config("proxy.trusted", "127.0.0.0/8")

            def capabilities(header):
                with own.connect("POP3", timeout=5) as s:
                    s.sendall(header + b"CAPA\r\nQUIT\r\n")
                    return s.makefile("rb").readlines()
            wait_for("the options", lambda: b"USER\r\n" in capabilities(b"PROXY TCP4 192.0.2.1 192.0.2.9 1 110\r\n"))
            self.assertNotIn(b"USER\r\n", capabilities(b"PROXY TCP4 192.0.2.2 192.0.2.9 1 110\r\n"))
            try:
                self.assertEqual(capabilities(b""), [])  # no header: hung up on
            except OSError:
                pass
        finally:
            own.close()


class Locked(unittest.TestCase):
    def test_second_log_in_is_refused_and_imap_is_not(self):
        node.user("lock")
        for i in range(3):
            node.send(f"lock@{DOMAIN}", subject=f"m{i}")
        wait_count("lock", 3)
        first = node.pop3("lock")
        with self.assertRaisesRegex(poplib.error_proto, r"\[IN-USE\]"):
            node.pop3("lock")
        imap = node.imap("lock")
        imap.select()
        imap.store("1", "+FLAGS", r"(\Deleted)")
        self.assertEqual(imap.expunge()[0], "OK")
        node.send(f"lock@{DOMAIN}", subject="later")
        wait_for("later", lambda: imap.select()[1] == [b"3"])
        with self.assertRaisesRegex(poplib.error_proto, "expunged by another client"):
            first.retr(1)
        self.assertIn("Subject: m1", lines_of(first.retr(2)))
        self.assertEqual(first.stat()[0], 3)
        with self.assertRaisesRegex(poplib.error_proto, "there are 3"):
            first.retr(4)
        first.dele(1)
        first.dele(2)
        first.quit()
        second = node.pop3("lock")  # at once: the lock was given back before "+OK bye"
        self.assertIn("Subject: m2", lines_of(second.retr(1)))
        self.assertIn("Subject: later", lines_of(second.retr(2)))
        second.quit()
        self.assertEqual(imap.select()[1], [b"2"])
        imap.logout()

    def test_client_killed_after_DELE_deletes_nothing_and_leaves_no_lock(self):
        node.user("killed")
        for i in range(3):
            node.send(f"killed@{DOMAIN}", subject=f"m{i}")
        wait_count("killed", 3)
        host, port = node.host_port("POP3S")
        child = subprocess.Popen(
            [sys.executable, "-c", f"""
import poplib, ssl, sys
c = poplib.POP3_SSL({host!r}, {port}, context=ssl._create_unverified_context())
c.user("killed@{DOMAIN}"); c.pass_("secret-1"); c.dele(1); c.dele(3)
print("marked", flush=True)
sys.stdin.read()
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self.assertEqual(child.stdout.readline(), b"marked\n")
            self.assertIsNone(logs_in("killed"))
        finally:
            child.kill()
            child.wait()
            child.stdin.close()
            child.stdout.close()
        client = wait_for("the lock is gone", lambda: logs_in("killed"), 5)
        self.assertEqual(client.stat()[0], 3)
        client.quit()


class Dying(unittest.TestCase):
    def setUp(self):
        self.node = Node().start()

    def tearDown(self):
        self.node.close()

    def big(self, name, megabytes):
        self.node.user(name)
        body = b"\r\n".join(os.urandom(36).hex().encode() for _ in range(megabytes * 14170))
        text = b"Subject: big\r\n\r\n" + body + b"\r\n"
        self.node.send(f"{name}@{DOMAIN}", text)
        wait_for("the message", lambda: self.node.imap(name).select()[1] == [b"1"], 60)
        return text

    def resident(self):
        with open(f"/proc/{self.node.pid('frontend-1')}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def test_slow_readers_cost_little_memory_and_get_everything(self):
        text = self.big("slow0", 20)
        names = ["slow0"] + [f"slow{i}" for i in range(1, 5)]
        for name in names[1:]:
            self.node.user(name)
            self.node.send(f"{name}@{DOMAIN}", text)
        for name in names:
            wait_for("the message", lambda: self.node.imap(name).select()[1] == [b"1"], 60)
        before = self.resident()
        clients = [self.node.pop3(name) for name in names]
        for client in clients:
            client._putcmd("RETR 1")
            self.assertTrue(client.file.readline().startswith(b"+OK"))
        # They read nothing more; a session that is not slow goes on beside them.
        other = self.node.pop3(None)
        self.node.user("quick")
        other.user(f"quick@{DOMAIN}")
        other.pass_("secret-1")
        other.quit()
        limit = 25 * 1024 if SLOW == 1 else 300 * 1024
        self.assertLess(self.resident() - before, limit)
        for client in clients:
            found = []
            while True:
                line = client.file.readline()
                if line == b".\r\n":
                    break
                self.assertTrue(line.endswith(b"\r\n"))
                found.append(line)
            self.assertEqual(below_trace(b"".join(found)), text)
            client.quit()
        self.assertLess(self.resident() - before, limit)

    def test_storage_node_killed_within_a_message(self):
        text = self.big("mid", 20)
        client = self.node.pop3("mid")
        client._putcmd("RETR 1")
        self.assertTrue(client.file.readline().startswith(b"+OK"))
        old = self.node.kill("storage-node-1")
        found, whole = [], False
        try:
            for line in client.file:
                whole = line == b".\r\n"
                found.append(line)
        except OSError:
            pass
        # Either it broke off without an end, or all of it had left already.
        if whole:
            self.assertEqual(below_trace(b"".join(found[:-1])), text)
        client.close()
        self.node.wait_restarted("storage-node-1", old)
        again = wait_for("log-in", lambda: logs_in("mid", self.node))
        self.assertEqual(below_trace(retr(again, 1)), text)
        again.quit()

    def test_QUIT_while_the_storage_node_restarts_deletes_once(self):
        self.node.user("upd")
        for i in range(4):
            self.node.send(f"upd@{DOMAIN}", subject=f"m{i}")
        wait_for("four", lambda: self.node.imap("upd").select()[1] == [b"4"])
        client = self.node.pop3("upd")
        client.dele(1)
        client.dele(3)
        old = self.node.kill("storage-node-1")
        self.assertEqual(client.quit(), b"+OK bye, 2 messages deleted")
        self.node.wait_restarted("storage-node-1", old)
        imap = self.node.imap("upd")
        subjects = sorted(line for raw in messages(imap).values() for line in raw.split(b"\r\n")
                          if line.startswith(b"Subject: "))
        self.assertEqual(subjects, [b"Subject: m1", b"Subject: m3"])
        imap.logout()

    def test_refused_update_deletes_nothing(self):
        self.node.user("full")
        self.node.send(f"full@{DOMAIN}", subject="m0")
        wait_for("one", lambda: self.node.imap("full").select()[1] == [b"1"])
        client = self.node.pop3("full")
        client.dele(1)
        self.node.config("store.reserve.bytes", "1T")

        def refused():
            try:
                self.node.imap("full").create("x" + os.urandom(4).hex())
                return self.node.imap("full").create("y" + os.urandom(4).hex())[0] == "NO"
            except OSError:
                return False
        wait_for("the disk counts as full", refused)
        with self.assertRaisesRegex(poplib.error_proto, r"\[SYS/TEMP\] nothing was deleted"):
            client.quit()
        self.node.config("store.reserve.bytes", "0")
        client = self.node.pop3("full")
        self.assertEqual(client.stat()[0], 1)
        self.assertIn("Subject: m0", lines_of(client.retr(1)))
        client.quit()

    def test_lock_of_a_dead_frontend_runs_out(self):
        self.node.user("lease")
        self.node.config("pop3.lock.lease", "3")
        wait_for("the option", lambda: self.node.api("GET", "/api/v1/config/pop3.lock.lease")["value"] == "3")
        client = self.node.pop3("lease")
        old = self.node.kill("frontend-1", signal.SIGKILL)
        client.close()
        self.node.wait_restarted("frontend-1", old)
        wait_for("the lease has run out", lambda: logs_in("lease", self.node), 15).quit()

    def test_lock_is_kept_by_renewals(self):
        self.node.user("renew")
        self.node.config("pop3.lock.lease", "3")
        wait_for("the option", lambda: self.node.api("GET", "/api/v1/config/pop3.lock.lease")["value"] == "3")
        client = self.node.pop3("renew")
        tries = []

        def over():
            tries.append(logs_in("renew", self.node))
            client.noop()
            return len(tries) > 60  # at most 0.1 s apart: two leases
        wait_for("two leases", over, 60)
        self.assertEqual(tries, [None] * len(tries))
        client.quit()
        self.node.pop3("renew").quit()

    def test_going_down_says_so_between_commands(self):
        self.node.user("down")
        client = self.node.pop3("down")
        os.kill(self.node.pid("frontend-1"), signal.SIGTERM)
        self.assertEqual(client.file.readline(), b"-ERR [SYS/TEMP] the server is going down\r\n")
        self.assertEqual(client.file.readline(), b"")
        client.close()


if __name__ == "__main__":
    unittest.main()
