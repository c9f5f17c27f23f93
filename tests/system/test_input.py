"""Hostile and broken input: a clear answer or a close, bounded memory, and nothing lost."""
import os
import socket
import ssl
import unittest

from node import DOMAIN, SLOW, Node, messages, wait_for

node = None


def setUpModule():
    global node
    node = Node().start()
    node.user("in1")


def tearDownModule():
    node.close()


def resident(program):
    with open(f"/proc/{node.pid(program)}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def unsent(client_port):
    """Octets that the server's socket to this client has not got rid of; None: it is closed."""
    with open("/proc/net/tcp") as f:
        for line in f.readlines()[1:]:
            fields = line.split()
            if fields[3] == "01" and int(fields[2].split(":")[1], 16) == client_port:
                return int(fields[4].split(":")[0], 16)
    return None


class Dialogue:
    """A raw line protocol conversation."""

    def __init__(self, name, tls=False):
        self.socket = node.connect(name)
        if tls:
            self.socket = node.tls().wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        """One SMTP reply, its last line."""
        while True:
            line = self.file.readline()
            if len(line) < 4 or line[3:4] != b"-":
                return line

    def say(self, data):
        self.send(data + b"\r\n")
        return self.reply()


def smtp_ready(d):
    d.reply()
    assert d.say(b"EHLO c.example").startswith(b"250")
    assert d.say(b"MAIL FROM:<a@outside.example>").startswith(b"250")
    assert d.say(b"RCPT TO:<in1@" + DOMAIN.encode() + b">").startswith(b"250")


class Smtp(unittest.TestCase):
    def test_smuggling_ends_are_not_ends(self):
        for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\n\r\n.\n"):
            with self.subTest(end), Dialogue("SMTP") as d:
                smtp_ready(d)
                self.assertTrue(d.say(b"DATA").startswith(b"354"))
                d.send(b"Subject: a\r\n\r\nbody" + end + b"MAIL FROM:<evil@outside.example>\r\n"
                       b"RCPT TO:<in1@" + DOMAIN.encode() + b">\r\nDATA\r\nsmuggled\r\n.\r\n")
                reply = d.reply()
                self.assertTrue(reply.startswith(b"55"), reply)
                self.assertTrue(d.say(b"NOOP").startswith(b"250"))
        client = node.imap("in1")
        for raw in messages(client).values():
            self.assertNotIn(b"smuggled", raw)
        client.logout()

    def test_bare_cr_goes_by_bdat(self):
        body = b"Subject: bare cr\r\n\r\none\rtwo\nthree\r\n"
        with Dialogue("SMTP") as d:
            smtp_ready(d)
            self.assertTrue(d.say(b"BDAT %d LAST\r\n" % len(body) + body[:-2]).startswith(b"250"))
        client = node.imap("in1")
        wait_for("the message", lambda: any(b"one\rtwo\nthree" in raw for raw in messages(client).values()))
        client.logout()

    def test_long_lines_nul_and_garbage(self):
        with Dialogue("SMTP") as d:
            d.reply()
            self.assertTrue(d.say(b"EHLO " + b"x" * 60000).startswith(b"5"))
            self.assertTrue(d.say(b"NO\0OP").startswith(b"5"))
            self.assertTrue(d.say(b"EHLO c.example").startswith(b"250"))
        with Dialogue("SMTP") as d:
            smtp_ready(d)
            d.say(b"DATA")
            line = b"x" * 60000
            self.assertTrue(d.say(b"Subject: long\r\n\r\n" + line + b"\r\n.").startswith(b"250"))
        with Dialogue("SMTP") as d:
            smtp_ready(d)
            d.say(b"DATA")
            self.assertTrue(d.say(b"Subject: longer\r\n\r\n" + b"x" * 200000 + b"\r\n.").startswith(b"5"))
            self.assertTrue(d.say(b"NOOP").startswith(b"250"))

    def test_10000_recipients_stay_bounded(self):
        before = resident("frontend-1")
        with Dialogue("SMTP") as d:
            d.reply()
            d.say(b"EHLO c.example")
            d.say(b"MAIL FROM:<a@outside.example>")
            answers = {}
            for start in range(0, 10000, 100):
                d.send(b"".join(b"RCPT TO:<in1+%d@%s>\r\n" % (start + i, DOMAIN.encode()) for i in range(100)))
                for _ in range(100):
                    answer = d.reply()[:3]
                    answers[answer] = answers.get(answer, 0) + 1
                    if answer in (b"", b"421"):
                        break
                if b"421" in answers or b"" in answers:
                    break
            self.assertTrue(answers.get(b"452") or answers.get(b"421") or answers.get(b"550"), answers)
        self.assertLess(resident("frontend-1") - before, 64 * 1024)

    def test_starttls_injection(self):
        with Dialogue("SUBMISSION") as d:
            d.reply()
            d.say(b"EHLO c.example")
            d.send(b"STARTTLS\r\nEHLO injected.example\r\nMAIL FROM:<evil@x.example>\r\n")
            self.assertTrue(d.reply().startswith(b"220"))
            try:
                tls = node.tls().wrap_socket(d.socket)
            except (ssl.SSLError, OSError):
                return  # hung up: as good
            tls.sendall(b"NOOP\r\n")
            self.assertTrue(tls.recv(1000).startswith(b"250"))
            tls.close()

    def test_broken_tls_and_half_open(self):
        with node.connect("SMTPS") as s:
            s.sendall(b"\x16\x03\x01\xff\xff" + os.urandom(300))
            s.settimeout(20)
            while s.recv(1000):
                pass
        with node.connect("IMAPS") as s:
            s.sendall(b"a1 LOGIN x y\r\n")
            s.settimeout(20)
            while s.recv(1000):
                pass
        with Dialogue("SMTP") as d:
            d.reply()
            d.socket.shutdown(socket.SHUT_WR)
            d.socket.settimeout(20)
            while d.file.read(100):
                pass
        self.assertTrue(node.is_ready())

    def test_slow_client_is_closed_in_time(self):
        node.config("smtp.idle", "2")
        try:
            def closed():
                with Dialogue("SMTP") as d:
                    d.reply()
                    d.socket.settimeout(10)
                    return d.file.readline().startswith(b"421")
            wait_for("a close", closed, 40)
        finally:
            node.config("smtp.idle", "300")

    def test_deep_mime(self):
        parts = 3000
        text = b"Subject: deep\r\nMIME-Version: 1.0\r\n"
        for i in range(parts):
            text += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i)
        text += b"\r\nleaf\r\n"
        node.user("deep")
        node.send(f"deep@{DOMAIN}", text.decode())
        client = node.imap("deep")
        wait_for("it", lambda: client.select()[1] == [b"1"])
        typ, data = client.fetch("1", "(ENVELOPE BODYSTRUCTURE RFC822.SIZE)")
        self.assertEqual(typ, "OK")
        client.logout()


class Imap(unittest.TestCase):
    def test_literal_of_4_gb(self):
        for form in (b"{4294967295}", b"{4294967295+}", b"{99999999999999999999}"):
            with self.subTest(form), Dialogue("IMAPS", tls=True) as d:
                d.file.readline()
                d.send(b"a1 LOGIN in1@" + DOMAIN.encode() + b" secret-1\r\n")
                while not d.file.readline().startswith(b"a1 OK"):
                    pass
                d.send(b"a2 APPEND INBOX " + form + b"\r\n")
                line = d.file.readline()
                self.assertTrue(line.startswith((b"a2 NO", b"a2 BAD", b"* BYE")), line)

    def test_slow_reader_gets_all_of_a_bulk_fetch(self):
        """More than all buffers between take, to a client that reads nothing until the server has
        stopped by itself: it must have stopped to ask the store for more, and not closed."""
        user = node.user("slow1")
        client = node.imap(user)
        # Small messages: the session never stops by itself for one that does not fit its buffer.
        mail = b"Subject: bulk\r\n\r\n" + (b"x" * 98 + b"\r\n") * 20
        with open("/proc/sys/net/ipv4/tcp_wmem") as f:
            kernel = int(f.read().split()[2])
        count, wanted = 8, (kernel + 6 * 1024 * 1024) // len(mail)
        for _ in range(count):
            self.assertEqual(client.append("INBOX", None, None, mail)[0], "OK")
        while count < wanted:
            self.assertEqual(client.select()[1], [str(count).encode()])
            self.assertEqual(client.copy("1:*", "INBOX")[0], "OK")
            count *= 2
        client.logout()
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # bounded; less would be slow
        plain.settimeout(60 * SLOW)
        plain.connect(node.host_port("IMAPS"))
        with node.tls().wrap_socket(plain) as s:
            def reads(until):
                """Octets up to the line that begins so."""
                got, tail = 0, b""
                while until not in tail:
                    piece = s.recv(1 << 14)
                    self.assertTrue(piece, f"closed after {got} octets")
                    got += len(piece)
                    tail = tail[-100:] + piece
                return got
            s.sendall(b"a1 LOGIN " + user.encode() + b" secret-1\r\na2 SELECT INBOX\r\n")
            reads(b"\r\na2 OK")
            s.sendall(b"a3 FETCH 1:* (UID BODY.PEEK[])\r\n")
            seen = []

            def stopped():
                """The server's side has sent what the kernel takes, or has closed."""
                seen.append(unsent(s.getsockname()[1]))
                return len(seen) > 20 and len(set(seen[-20:])) == 1 and seen[-1] != 0
            wait_for("the server waits for the client", stopped, 60)
            self.assertGreater(reads(b"\r\na3 OK"), count * len(mail))

    def test_garbage_ends_with_bye(self):
        with Dialogue("IMAPS", tls=True) as d:
            d.file.readline()
            d.socket.settimeout(20)
            try:
                for _ in range(60):
                    d.send(b"\xff\x00garbage (((((\r\n")
            except OSError:
                pass
            lines = d.file.read()
            self.assertIn(b"BYE", lines)

    def test_endless_line_is_refused(self):
        before = resident("frontend-1")
        with Dialogue("IMAPS", tls=True) as d:
            d.file.readline()
            d.socket.settimeout(20)
            try:
                for _ in range(500):
                    d.send(b"a" * 65536)
            except OSError:
                pass
            try:
                said = d.file.read(200)
                self.assertTrue(b"BAD" in said or b"BYE" in said, said)
            except OSError:
                pass
        self.assertLess(resident("frontend-1") - before, 16 * 1024)


if __name__ == "__main__":
    unittest.main()
