"""Mail that leaves: an SMTP sink and a DNS server of the test stand for the rest of the world."""
import socket
import socketserver
import struct
import threading
import unittest

from node import DOMAIN, Node, messages, wait_for

node = None
names = None
sink = None


class Names:
    """Answers A and MX over UDP; what it does not know does not exist."""

    def __init__(self):
        self.addresses, self.mx, self.broken = {}, {}, set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def close(self):
        # A datagram without a question ends it.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"end", ("127.0.0.1", self.port))
        self.thread.join(10)
        self.socket.close()

    def add(self, domain, address="127.0.0.1", mx=True):
        with self.lock:
            if mx:
                self.mx[domain] = "mx." + domain
                self.addresses["mx." + domain] = address
            else:
                self.addresses[domain] = address

    def run(self):
        while True:
            query, peer = self.socket.recvfrom(2048)
            if query == b"end":
                return
            if len(query) > 16:
                self.socket.sendto(self.answer(query), peer)

    @staticmethod
    def wire(name):
        return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1").lower())
            at += query[at] + 1
        name = ".".join(labels)
        kind, = struct.unpack_from(">H", query, at + 1)
        question = query[12:at + 5]
        with self.lock:
            data = []
            if kind == 1 and name in self.addresses:
                data = [socket.inet_aton(self.addresses[name])]
            elif kind == 15 and name in self.mx:
                data = [struct.pack(">H", 10) + self.wire(self.mx[name])]
            known = name in self.addresses or name in self.mx
            code = 2 if name in self.broken else 0 if known else 3
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(d)) + d for d in data)
        return query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(data), 0, 0) + question + records


class Session(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        server = self.server.sink
        sender, accepted = "", []
        self.say("220 sink ESMTP")
        for line in self.rfile:
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            verb = text[:4].upper()
            said = server.reply(text)
            if verb == "EHLO":
                self.say("250-sink\r\n250-PIPELINING\r\n250 8BITMIME")
            elif verb == "MAIL":
                sender, accepted = text[10:].split(">")[0].lstrip("<"), []
                self.say(said or "250 2.1.0 ok")
            elif verb == "RCPT":
                if not said:
                    accepted.append(text[8:].split(">")[0].lstrip("<"))
                self.say(said or "250 2.1.5 ok")
            elif verb == "DATA":
                self.data(sender, accepted)
            elif verb == "QUIT":
                self.say("221 2.0.0 bye")
                return
            else:
                self.say("250 2.0.0 ok")

    def data(self, sender, accepted):
        if not accepted:
            self.say("554 5.5.1 nobody")
            return
        self.say("354 go on")
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        else:
            return
        said = self.server.sink.reply(".")
        if not said:
            self.server.sink.take(sender, accepted, b"".join(lines))
        self.say(said or "250 2.0.0 taken")


class Sink:
    """An SMTP server that keeps what it gets; `reply(line)` says what it answers instead of yes."""

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    def __init__(self):
        self.server = Sink.Server(("127.0.0.1", 0), Session)
        self.server.sink = self
        self.port = self.server.server_address[1]
        self.lock = threading.Lock()
        self.mail, self.rules, self.lines = [], {}, []
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def refuse(self, word, answer, times):
        """Lines that hold `word` are answered with `answer`, so many times."""
        with self.lock:
            self.rules[word] = [answer, times]

    def reply(self, line):
        with self.lock:
            self.lines.append(line)
            for word, rule in self.rules.items():
                if word in line and rule[1] > 0:
                    rule[1] -= 1
                    return rule[0]
        return None

    def take(self, sender, recipients, body):
        with self.lock:
            self.mail.append((sender, recipients, body))

    def to(self, recipient):
        with self.lock:
            return [m for m in self.mail if recipient in m[1]]

    def asked(self, recipient):
        with self.lock:
            return sum(1 for line in self.lines if line.upper().startswith(f"RCPT TO:<{recipient.upper()}"))


def setUpModule():
    global node, names, sink
    sink = Sink()
    names = Names()
    node = Node().start()
    for key, value in (("dns.resolver", f"127.0.0.1:{names.port}"), ("smtp.delivery.port", sink.port),
                       ("courier.retry.first", 1), ("courier.retry.max", 2)):
        node.config(key, value)
    names.add("away.example")
    node.user("alice")


def tearDownModule():
    node.close()
    names.close()
    sink.close()


def submit(to, subject, user="alice", body="hello"):
    sender = f"{user}@{DOMAIN}"
    to = [to] if isinstance(to, str) else to
    with node.smtp("SUBMISSION") as s:
        s.starttls(context=node.tls())
        s.login(sender, "secret-1")
        return s.sendmail(sender, to, f"From: <{sender}>\r\nSubject: {subject}\r\n\r\n{body}\r\n")


def inbox(user="alice"):
    client = node.imap(user)
    try:
        return list(messages(client).values())
    finally:
        client.logout()


def bounces(recipient):
    return [m for m in inbox() if b"multipart/report" in m and b"rfc822;" + recipient.encode() in m]


class Outgoing(unittest.TestCase):
    def test_mail_of_an_authenticated_user_arrives(self):
        submit("bob@away.example", "going out", body=".a dot\r\nlast")
        wait_for("the mail", lambda: sink.to("bob@away.example"))
        (sender, recipients, body), = sink.to("bob@away.example")
        self.assertEqual((sender, recipients), (f"alice@{DOMAIN}", ["bob@away.example"]))
        self.assertIn(b"Subject: going out\r\n\r\n.a dot\r\nlast\r\n", body)
        self.assertTrue(body.startswith(b"Received: "), body[:200])

    def test_inside_and_outside_in_one_message(self):
        node.user("inside")
        submit([f"inside@{DOMAIN}", "outside@away.example"], "both ways")
        wait_for("outside", lambda: sink.to("outside@away.example"))
        wait_for("inside", lambda: any(b"Subject: both ways" in m for m in inbox("inside")))
        self.assertEqual(len(sink.to("outside@away.example")), 1)
        self.assertEqual(len(inbox("inside")), 1)

    def test_a_domain_without_mx_is_its_own_host(self):
        names.add("plain.example", mx=False)
        submit("x@plain.example", "no MX")
        wait_for("the mail", lambda: sink.to("x@plain.example"))

    def test_what_is_deferred_is_sent_later(self):
        sink.refuse("later@away.example", "451 4.7.1 Greylisted", 2)
        submit("later@away.example", "second thoughts")
        wait_for("the mail", lambda: sink.to("later@away.example"), 30)
        self.assertEqual(sink.asked("later@away.example"), 3)
        self.assertEqual(len(sink.to("later@away.example")), 1)
        self.assertEqual(bounces("later@away.example"), [])

    def test_what_is_refused_comes_back(self):
        sink.refuse("nobody@away.example", "550 5.1.1 No such user here", 100)
        submit(["nobody@away.example", "fine@away.example"], "to nobody")
        found = wait_for("the bounce", lambda: bounces("nobody@away.example"))
        self.assertEqual(len(found), 1)
        self.assertIn(b"Status: 5.1.1\r\n", found[0])
        self.assertIn(b"550 5.1.1 No such user here", found[0])
        self.assertIn(b"Subject: to nobody", found[0])
        self.assertTrue(found[0].startswith(b"Return-Path: <>") or b"\nReturn-Path: <>" in found[0][:500]
                        or b"Auto-Submitted: auto-replied" in found[0])
        wait_for("the other", lambda: sink.to("fine@away.example"))
        self.assertEqual(sink.asked("nobody@away.example"), 1)

    def test_an_unknown_domain_comes_back(self):
        submit("x@nowhere.example", "to nowhere")
        found = wait_for("the bounce", lambda: bounces("x@nowhere.example"))
        self.assertIn(b"Status: 5.1.2\r\n", found[0])

    def test_what_cannot_be_sent_in_time_comes_back(self):
        names.broken.add("broken.example")
        node.config("courier.expire", 3)
        try:
            submit("x@broken.example", "to a broken domain")
            found = wait_for("the bounce", lambda: bounces("x@broken.example"), 40)
            self.assertIn(b"Status: 4.4.7\r\n", found[0])
        finally:
            node.config("courier.expire", 345600)


class Faults(unittest.TestCase):
    def test_a_killed_frontend_loses_nothing(self):
        sink.refuse("kept", "451 4.3.0 Not now", 30)
        for i in range(10):
            submit(f"kept{i}@away.example", f"kept {i}")
        wait_for("an attempt", lambda: sink.asked("kept0@away.example"))
        old = node.kill("frontend-1")
        node.wait_restarted("frontend-1", old)
        with sink.lock:
            sink.rules.pop("kept")
        # What was under way when it died is leased until it runs out.
        for i in range(10):
            wait_for(f"mail {i}", lambda i=i: sink.to(f"kept{i}@away.example"), 200)

    def test_a_bounce_is_not_lost_with_the_frontend(self):
        sink.refuse("gone", "550 5.1.1 Gone", 1000)
        for i in range(5):
            submit(f"gone{i}@away.example", f"gone {i}")
        old = node.kill("frontend-1")
        node.wait_restarted("frontend-1", old)
        for i in range(5):
            wait_for(f"bounce {i}", lambda i=i: bounces(f"gone{i}@away.example"), 200)


if __name__ == "__main__":
    unittest.main()
