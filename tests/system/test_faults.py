"""NX-04 and the faults of one node: kills at any moment, a full disk, missing programs, bad starts."""
import imaplib
import os
import signal
import smtplib
import subprocess
import threading
import time
import unittest

from node import BUILD, DOMAIN, SLOW, Node, messages, wait_for


class Killed(unittest.TestCase):
    """Mail goes on while programs are killed; what was answered with 250 is there once."""

    def setUp(self):
        self.node = Node().start()
        self.node.user("k1")
        self.node.user("k2")
        self.acknowledged, self.lock, self.done = [], threading.Lock(), threading.Event()

    def tearDown(self):
        self.node.close()

    def sender(self, number, count):
        """Sends `count` messages; each again, with the same content, until it got its 250."""
        for i in range(count):
            name = f"{number}-{i}"
            text = (f"From: <s{number}@outside.example>\r\nSubject: {name}\r\nMessage-ID: <{name}@outside>\r\n\r\n"
                    + f"body of {name}\r\n" * 50)

            def attempt():
                try:
                    with self.node.smtp() as s:
                        s.sendmail(f"s{number}@outside.example", [f"k1@{DOMAIN}", f"k2@{DOMAIN}"], text)
                    return True
                except (OSError, smtplib.SMTPException):
                    return False
            wait_for("message " + name, attempt, 60)
            with self.lock:
                self.acknowledged.append(name)

    def run_with_kills(self, program, kills):
        threads = [threading.Thread(target=self.sender, args=(n, 25)) for n in range(4)]
        for t in threads:
            t.start()
        for k in range(kills):
            target = (k + 1) * 100 // (kills + 1)
            wait_for("progress", lambda: len(self.acknowledged) >= target * 9 // 10 or not any(
                t.is_alive() for t in threads), 120)
            old = self.node.kill(program)
            self.node.wait_restarted(program, old)
        for t in threads:
            t.join(180 * SLOW)
            self.assertFalse(t.is_alive())
        self.check_once()

    def check_once(self):
        want = sorted(f"{n}-{i}" for n in range(4) for i in range(25))
        for user in ("k1", "k2"):
            def subjects():
                client = self.node.imap(user)
                found = messages(client)
                client.logout()
                return found
            wait_for("all in " + user, lambda: len(subjects()) >= 100, 60)
            found = subjects()
            names = sorted(line[9:].decode() for raw in found.values() for line in raw.split(b"\r\n")
                           if line.startswith(b"Subject: "))
            self.assertEqual(names, want)
            for raw in found.values():
                name = raw.split(b"Subject: ")[1].split(b"\r\n")[0]
                self.assertEqual(raw.split(b"\r\n\r\n", 1)[1], b"body of " + name + b"\r\n" + (
                    b"body of " + name + b"\r\n") * 49)

    def test_NX_04_frontend_is_killed(self):
        self.run_with_kills("frontend-1", 3)

    def test_NX_04_storage_node_is_killed(self):
        self.run_with_kills("storage-node-1", 3)

    def test_NX_04_scanner_is_killed(self):
        self.run_with_kills("scanner-1", 3)


class Repeated(unittest.TestCase):
    """The same message again: on purpose it arrives again, after a lost 250 it does not."""

    def setUp(self):
        self.node = Node().start()
        for user in ("p1", "p2", "p3", "p4", "p5"):
            self.node.user(user)

    def tearDown(self):
        self.node.close()

    def count(self, user):
        client = self.node.imap(user)
        try:
            return int(client.select(readonly=True)[1][0])
        finally:
            client.logout()

    def without_hearing(self, to):
        """Sends all of a message and is gone before its 250."""
        with self.node.connect("SMTP") as s:
            file = s.makefile("rb")
            file.readline()
            lines = ["EHLO c.example", "MAIL FROM:<cron@outside.example>"] + [f"RCPT TO:<{t}>" for t in to]
            for line in lines + ["DATA"]:
                s.sendall(line.encode() + b"\r\n")
                while file.readline()[3:4] == b"-":
                    pass
            s.sendall(self.text.replace("\n", "\r\n").encode() + b".\r\n")

    def heard(self, to):
        with smtplib.SMTP(*self.node.host_port("SMTP"), local_hostname="c.example", timeout=30 * SLOW) as s:
            s.sendmail("cron@outside.example", to, self.text.replace("\n", "\r\n"))

    text = "From: <cron@outside.example>\nSubject: disk full\n\nthe disk is full\n"

    def test_on_purpose_it_arrives_each_time_whichever_loop_takes_it(self):
        for i in range(8):
            self.heard([f"p1@{DOMAIN}"])
            self.assertEqual(self.count("p1"), i + 1)
        self.node.stop()  # and after a new start
        self.node.start()
        self.heard([f"p1@{DOMAIN}"])
        self.assertEqual(self.count("p1"), 9)

    def test_on_purpose_it_arrives_each_time_in_boxes_of_several_shards(self):
        to = [f"p{i}@{DOMAIN}" for i in range(1, 6)]
        for i in range(4):
            self.heard(to)
            for user in ("p1", "p2", "p3", "p4", "p5"):
                wait_for("mail in " + user, lambda u=user: self.count(u) >= i + 1)
        for user in ("p1", "p2", "p3", "p4", "p5"):
            self.assertEqual(self.count(user), 4)

    def test_after_a_lost_answer_it_arrives_once(self):
        for i in range(4):  # new connections, so mostly another loop
            self.without_hearing([f"p2@{DOMAIN}"])
            wait_for("the message", lambda: self.count("p2") >= 1)
        self.heard([f"p2@{DOMAIN}"])
        self.assertEqual(self.count("p2"), 1)
        self.heard([f"p2@{DOMAIN}"])  # that one is on purpose
        self.assertEqual(self.count("p2"), 2)

    def test_after_a_lost_answer_and_a_killed_frontend_it_arrives_once(self):
        to = [f"p{i}@{DOMAIN}" for i in range(1, 6)]
        self.without_hearing(to)
        wait_for("the message", lambda: self.count("p3") >= 1)
        old = self.node.kill("frontend-1")
        self.node.wait_restarted("frontend-1", old)
        self.heard(to)
        for user in ("p1", "p2", "p3", "p4", "p5"):
            wait_for("mail in " + user, lambda u=user: self.count(u) >= 1, 60)
            self.assertEqual(self.count(user), 1)


class Restarted(unittest.TestCase):
    def test_uids_flags_and_moves_survive_and_uids_are_not_used_again(self):
        node = Node().start()
        try:
            node.user("r1")
            for i in range(6):
                node.send(f"r1@{DOMAIN}", subject=f"m{i}")
            client = node.imap("r1")
            wait_for("six", lambda: client.select()[1] == [b"6"])
            client.create("Kept")
            self.assertEqual(client.store("1:2", "+FLAGS", r"(\Seen $Label1)")[0], "OK")
            self.assertEqual(client._simple_command("MOVE", "5:6", "Kept")[0], "OK")
            client.store("4", "+FLAGS", r"(\Deleted)")
            client.expunge()
            validity = client.response("UIDVALIDITY")[1] or client.status("INBOX", "(UIDVALIDITY)")[1]
            old = node.kill("storage-node-1")
            node.wait_restarted("storage-node-1", old)
            node.send(f"r1@{DOMAIN}", subject="after")
            node.stop()
            node.start()
            client = node.imap("r1")
            wait_for("four", lambda: client.select()[1] == [b"4"])
            typ, data = client.fetch("1:*", "(UID FLAGS)")
            self.assertEqual([int(d.split(b"UID ")[1].split()[0]) for d in data], [1, 2, 3, 7])
            self.assertIn(b"$Label1", data[0])
            self.assertIn(b"\\Seen", data[1])
            self.assertEqual(client.select("Kept")[1], [b"2"])
            self.assertTrue(validity)
            client.logout()
        finally:
            node.close()

    def test_append_acknowledged_before_kill_is_there(self):
        node = Node().start()
        try:
            node.user("ap")
            sent = []
            for round_ in range(4):
                client = node.imap("ap")
                for i in range(10):
                    text = f"Subject: {round_}.{i}\r\n\r\n".encode() + os.urandom(3000).hex().encode() + b"\r\n"
                    typ, data = client.append("INBOX", r"(\Seen)", None, text)
                    self.assertEqual(typ, "OK", data)
                    sent.append(text)
                old = node.kill("storage-node-1")
                node.wait_restarted("storage-node-1", old)
                try:
                    client.shutdown()
                except OSError:
                    pass
            client = node.imap("ap")
            found = messages(client)
            self.assertEqual(sorted(found.values()), sorted(sent))
            self.assertEqual(sorted(found), list(range(1, 41)))
            client.logout()
        finally:
            node.close()


class Missing(unittest.TestCase):
    def setUp(self):
        self.node = Node().start()
        self.node.user("m1")

    def tearDown(self):
        for program in ("storage-node-1", "scanner-1"):
            try:
                os.kill(self.node.pid(program), signal.SIGCONT)
            except (OSError, ValueError):
                pass
        self.node.close()

    def rcpt_and_data(self):
        with self.node.smtp() as s:
            s.ehlo("c.example")
            s.mail("a@outside.example")
            code, text = s.rcpt(f"m1@{DOMAIN}")
            if code != 250:
                return code, text
            return s.data("Subject: x\r\n\r\ny\r\n")

    def test_stopped_scanner_is_451_and_nothing_is_stored(self):
        self.node.config("scan.deadline", "2")
        os.kill(self.node.pid("scanner-1"), signal.SIGSTOP)
        code, text = self.rcpt_and_data()
        self.assertEqual(code, 451, text)
        os.kill(self.node.pid("scanner-1"), signal.SIGCONT)
        wait_for("scanned again", lambda: self.rcpt_and_data()[0] == 250)
        client = self.node.imap("m1")
        self.assertEqual(client.select()[1], [b"1"])
        client.logout()

    def test_stopped_storage_node_is_4xx_and_no_hang(self):
        self.node.config("store.deadline", "2")
        os.kill(self.node.pid("storage-node-1"), signal.SIGSTOP)
        begun = time.monotonic()
        code, text = self.rcpt_and_data()
        self.assertEqual(code // 100, 4, text)
        self.assertLess(time.monotonic() - begun, 10 * SLOW)
        os.kill(self.node.pid("storage-node-1"), signal.SIGCONT)
        wait_for("stored again", lambda: self.rcpt_and_data()[0] == 250)

    def test_disk_below_the_reserve_is_452_and_no_and_reading_goes_on(self):
        self.assertEqual(self.rcpt_and_data()[0], 250)
        self.node.config("store.reserve.bytes", str(1 << 40))

        def refused():
            code, text = self.rcpt_and_data()
            return (code, text) if code != 250 else None
        code, text = wait_for("a refusal", refused, 15)
        self.assertEqual(code, 452, text)
        client = self.node.imap("m1")
        self.assertEqual(client.select()[0], "OK")
        self.assertIn(b"Subject: x", client.fetch("1", "(BODY.PEEK[])")[1][0][1])
        typ, data = client.append("INBOX", "", None, b"Subject: n\r\n\r\nn\r\n")
        self.assertEqual(typ, "NO", data)
        self.assertEqual(client.store("1", "+FLAGS", r"(\Seen)")[0], "NO")
        self.node.config("store.reserve.bytes", str(1 << 20))
        wait_for("room again", lambda: self.rcpt_and_data()[0] == 250)
        self.assertEqual(client.store("1", "+FLAGS", r"(\Seen)")[0], "OK")
        client.logout()


class Started(unittest.TestCase):
    def test_second_start_on_a_live_directory_is_refused(self):
        node = Node().start()
        try:
            again = subprocess.run([os.path.join(BUILD, "godwitctl/godwitctl"), "up", "--data", node.data,
                                    "--port-offset", "55"], capture_output=True, text=True, timeout=30)
            self.assertEqual(again.returncode, 1)
            self.assertIn("running already", again.stderr)
            store = subprocess.run([os.path.join(BUILD, "storage-node/godwit-storage-node"),
                                    f"--data={node.data}/store", f"--coord={node.data}/coord",
                                    f"--listen=unix:{node.base}/other.sock"], capture_output=True, text=True,
                                   timeout=30)
            self.assertNotEqual(store.returncode, 0)
            self.assertTrue(node.is_ready())
        finally:
            node.close()

    def test_bad_configuration_is_refused_with_name_bounds_and_text(self):
        node = Node().start()
        try:
            before = node.api("GET", "/api/v1/config/smtp.size.max")["value"]
            for value in ("-5", "banana", "999999999T", ""):
                status, problem = node.api("PUT", "/api/v1/config/smtp.size.max", {"value": value}, ok=False)
                self.assertEqual(status, 400, problem)
                self.assertIn("smtp.size.max", problem["detail"])
            self.assertEqual(node.api("GET", "/api/v1/config/smtp.size.max")["value"], before)
            status, problem = node.api("PUT", "/api/v1/config/no.such.key", {"value": "1"}, ok=False)
            self.assertEqual(status, 404, problem)
            done = node.ctl("config", "set", "smtp.size.max", "banana")
            self.assertEqual(done.returncode, 1)
            self.assertIn("smtp.size.max", done.stderr)
            self.assertEqual(node.ctl("config", "nonsense").returncode, 2)
            self.assertEqual(node.ctl("config", "set", "smtp.size.max", "1M").returncode, 0)

            def limit():
                with node.smtp() as s:
                    s.ehlo("c.example")
                    return s.esmtp_features["size"]
            wait_for("the new limit", lambda: limit() == str(1 << 20), 10)
        finally:
            node.close()

    def test_unreachable_api_is_status_3(self):
        done = subprocess.run([os.path.join(BUILD, "godwitctl/godwitctl"), "domain", "list"],
                              env={**os.environ, "GODWIT_API": "http://127.0.0.1:9"}, capture_output=True,
                              timeout=30)
        self.assertEqual(done.returncode, 3)


if __name__ == "__main__":
    unittest.main()
