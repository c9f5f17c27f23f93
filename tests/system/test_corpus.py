"""Real mail in by SMTP, LMTP and BDAT, and out by IMAP with the same bytes below our trace headers."""
import glob
import os
import random
import subprocess
import tempfile
import unittest

from node import DOMAIN, SLOW, Node, below_trace, messages, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
ARCHIVE = os.path.join(HERE, "../../../shared/corpus/dev.tar.xz")


def made_mail():
    """Where the corpus is not at hand: mail of the same kinds, made here."""
    r = random.Random(7)
    for i in range(300):
        body = "\r\n".join("".join(r.choice("abc def ghi.") for _ in range(r.randrange(0, 120)))
                           for _ in range(r.randrange(0, 200)))
        head = f"From: a{i}@x.example\r\nSubject: =?utf-8?q?m_{i}?=\r\nMessage-ID: <{i}@x.example>\r\n"
        if i % 3 == 0:
            head += "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=zz\r\n"
            body = f"--zz\r\n\r\n{body}\r\n--zz\r\nContent-Type: text/html\r\n\r\n<p>{body}\r\n--zz--"
        yield f"{head}\r\n{body}\r\n.\r\n..\r\n".encode()


def corpus():
    if not os.path.exists(ARCHIVE):
        return list(made_mail())
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["tar", "-C", folder, "-xJf", ARCHIVE], check=True)
        found = []
        for name in sorted(glob.glob(folder + "/**/*.eml", recursive=True)):
            with open(name, "rb") as f:
                found.append(f.read().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        return found


def is_strict(mail):
    rest = mail.replace(b"\r\n", b"")
    return b"\r" not in rest and b"\n" not in rest


class Corpus(unittest.TestCase):
    def setUp(self):
        self.node = Node().start()

    def tearDown(self):
        self.node.close()

    def resident(self):
        total = {}
        for program in ("frontend-1", "storage-node-1"):
            with open(f"/proc/{self.node.pid(program)}/status") as f:
                total[program] = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
        return total

    def deliver(self, mails, client, user):
        """Delivers over one connection; returns those taken (the scanner may refuse real malware)."""
        taken = []
        client.ehlo_or_helo_if_needed()
        for mail in mails:
            self.assertEqual(client.mail("s@outside.example")[0], 250)
            self.assertEqual(client.rcpt(user)[0], 250)
            if is_strict(mail):
                # data() would rewrite line ends: send it as it is, with dots doubled.
                code, _ = client.docmd("DATA")
                self.assertEqual(code, 354)
                text = mail if mail.endswith(b"\r\n") else mail + b"\r\n"
                stuffed = (b"." if text.startswith(b".") else b"") + text.replace(b"\r\n.", b"\r\n..")
                client.send(stuffed + b".\r\n")
                code, reply = client.getreply()
            else:
                text = mail
                client.send(b"BDAT %d LAST\r\n" % len(mail) + mail)
                code, reply = client.getreply()
            self.assertIn(code, (250, 554), reply)
            if code == 250:
                taken.append(text)
        return taken

    def test_every_message_comes_back_byte_for_byte(self):
        mails = corpus()
        half = len(mails) // 2
        before = self.resident()
        users = [self.node.user("c1"), self.node.user("c2")]
        with self.node.smtp() as s:
            taken = [self.deliver(mails[:half], s, users[0])]
        with self.node.lmtp() as s:
            taken.append(self.deliver(mails[half:], s, users[1]))
        self.assertGreaterEqual(sum(map(len, taken)), len(mails) - 20)
        for user, sent in zip(users, taken):
            client = self.node.imap(user)

            def found():
                client.select(readonly=True)
                return len(client.search(None, "ALL")[1][0].split()) >= len(sent)
            wait_for("all of " + user, found, 60)
            stored = [below_trace(raw) for raw in messages(client).values()]
            self.assertEqual(len(stored), len(sent))
            for i, (got, want) in enumerate(zip(stored, sent)):
                self.assertEqual(got, want, f"message {i} of {user}")
            typ, data = client.fetch("1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)")
            self.assertEqual(typ, "OK")
            client.logout()
        after = self.resident()
        for program, limit_kb in (("frontend-1", 100 * 1024), ("storage-node-1", 600 * 1024)):
            # A sanitizer keeps freed memory back (256 MiB of quarantine) and shadows the rest.
            limit_kb = limit_kb if SLOW == 1 else limit_kb * 5
            self.assertLess(after[program] - before[program], limit_kb, (before, after))


if __name__ == "__main__":
    unittest.main()
