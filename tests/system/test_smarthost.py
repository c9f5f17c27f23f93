"""Mail by way of a smart host: log-in under TLS, certificates that hold or do not, none at all."""
import base64
import os
import shutil
import socketserver
import ssl
import subprocess
import tempfile
import threading
import unittest

from node import DOMAIN, Node, messages, wait_for

node = None
sink = None
folder = None


def make_ca(path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", path + ".key", "-out", path, "-subj", "/CN=test CA", "-days", "2",
                    "-addext", "basicConstraints=critical,CA:TRUE"], check=True, capture_output=True)


def make_certificate(ca, path, name):
    with open(path + ".ext", "w") as f:
        f.write(f"subjectAltName={name}\n")
    subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    path + ".key", "-out", path + ".csr", "-subj", "/CN=relay"], check=True, capture_output=True)
    subprocess.run(["openssl", "x509", "-req", "-in", path + ".csr", "-CA", ca, "-CAkey", ca + ".key", "-CAcreateserial",
                    "-out", path, "-days", "2", "-extfile", path + ".ext"], check=True, capture_output=True)


class Session(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        try:
            self.talk()
        except (ssl.SSLError, ConnectionError, ValueError):
            pass  # a client that does not like the certificate

    def talk(self):
        server, tls, user, body = self.server.sink, False, None, None
        self.say("220 relay ESMTP")
        while True:
            line = self.rfile.readline()
            if not line:
                return
            if body is not None:
                if line != b".\r\n":
                    body.append(line)
                    continue
                server.mail.append({"tls": tls, "user": user, "body": b"".join(body)})
                body = None
                self.say("250 2.0.0 taken")
                continue
            text = line.decode().rstrip("\r\n")
            server.lines.append(text)
            verb = text[:4].upper()
            if verb == "EHLO":
                offers = ["STARTTLS"] if server.context and not tls else []
                offers += ["AUTH " + server.mechanisms] if tls else []
                words = ["relay"] + offers + ["8BITMIME"]
                self.wfile.write("".join(f"250{'-' if i + 1 < len(words) else ' '}{w}\r\n"
                                         for i, w in enumerate(words)).encode())
            elif verb == "STAR":
                self.say("220 go on")
                self.request = server.context.wrap_socket(self.request, server_side=True)
                self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", buffering=0)
                tls = True
            elif verb == "AUTH":
                user = self.authenticate(text)
                self.say("235 2.7.0 ok" if user == server.user else "535 5.7.8 Bad credentials")
                if user != server.user:
                    user = None
            elif verb == "DATA":
                self.say("354 go on")
                body = []
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 2.0.0 ok")

    def authenticate(self, text):
        if text.upper().startswith("AUTH PLAIN "):
            return tuple(base64.b64decode(text[11:]).decode().split("\0")[1:])
        self.say("334 VXNlcm5hbWU6")
        user = base64.b64decode(self.rfile.readline()).decode()
        self.say("334 UGFzc3dvcmQ6")
        return user, base64.b64decode(self.rfile.readline()).decode()


class Sink:
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    def __init__(self):
        self.server = Sink.Server(("127.0.0.1", 0), Session)
        self.server.sink = self
        self.port = self.server.server_address[1]
        self.mail, self.lines, self.context = [], [], None
        self.mechanisms, self.user = "PLAIN LOGIN", ("relay-user", "relay-password")
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def certificate(self, name):
        self.context = None
        if name is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(os.path.join(folder, name), os.path.join(folder, name + ".key"))

    def with_subject(self, subject):
        return [m for m in self.mail if b"Subject: " + subject.encode() + b"\r\n" in m["body"]]


def setUpModule():
    global node, sink, folder
    folder = tempfile.mkdtemp(prefix="godwit-test-")
    os.chmod(folder, 0o755)
    for ca in ("ca", "other-ca"):
        make_ca(os.path.join(folder, ca))
    for ca, path, name in (("ca", "right", "IP:127.0.0.1"), ("ca", "wrong-name", "DNS:relay.example"),
                           ("other-ca", "wrong-ca", "IP:127.0.0.1")):
        make_certificate(os.path.join(folder, ca), os.path.join(folder, path), name)
    os.environ["SSL_CERT_FILE"] = os.path.join(folder, "ca")  # the system's CAs, for the node
    sink = Sink()
    try:
        node = Node().start()
    finally:
        del os.environ["SSL_CERT_FILE"]
    node.user("alice")
    for key, value in (("smtp.smarthost", f"127.0.0.1:{sink.port}"), ("courier.retry.first", 1), ("courier.retry.max", 1),
                       ("courier.retry.factor", 100)):
        node.config(key, value)


def tearDownModule():
    node.close()
    sink.close()
    shutil.rmtree(folder, ignore_errors=True)


def submit(subject):
    sender = f"alice@{DOMAIN}"
    with node.smtp("SUBMISSION") as s:
        s.starttls(context=node.tls())
        s.login(sender, "secret-1")
        s.sendmail(sender, ["bob@away.example"], f"From: <{sender}>\r\nSubject: {subject}\r\n\r\nhello\r\n")


def answers():
    items = node.api("GET", "/api/v1/queue")["items"]
    return " ".join(str(item) for item in items)


class SmartHost(unittest.TestCase):
    def setUp(self):
        sink.certificate("right")
        sink.mechanisms = "PLAIN LOGIN"
        for key in ("courier.tls", "smtp.smarthost.user", "smtp.smarthost.password"):
            node.api("DELETE", "/api/v1/config/" + key)

    def log_in(self, password="relay-password"):
        node.config("smtp.smarthost.user", "relay-user")
        node.config("smtp.smarthost.password", password)

    def arrives(self, subject, seconds=30):
        wait_for("the mail", lambda: sink.with_subject(subject), seconds)
        mail, = sink.with_subject(subject)
        return mail

    def test_the_password_is_a_secret(self):
        self.log_in("hunter2-hunter2")
        option = node.api("GET", "/api/v1/config/smtp.smarthost.password")
        self.assertEqual(("********", True), (option["value"], option["set"]))
        self.assertNotIn("hunter2", str(node.api("GET", "/api/v1/config")))
        self.assertNotIn("hunter2", node.ctl("config", "describe", "smtp.smarthost.password").stdout)
        with open(os.path.join(node.data, "coord", "data"), "rb") as f:
            self.assertNotIn(b"hunter2", f.read())
        self.assertNotIn("hunter2", node.log())
        self.assertEqual(0o600, os.stat(os.path.join(node.data, "secret", "keys")).st_mode & 0o777)

    def test_log_in_by_plain_and_by_login(self):
        self.log_in()
        for mechanisms in ("PLAIN LOGIN", "LOGIN"):
            sink.mechanisms = mechanisms
            submit("by " + mechanisms)
            mail = self.arrives("by " + mechanisms)
            self.assertTrue(mail["tls"])
            self.assertEqual(sink.user, mail["user"])

    def test_a_wrong_password_leaves_mail_queued_until_it_is_right(self):
        self.log_in("wrong")
        submit("wrong password")
        wait_for("the status", lambda: "535 5.7.8 Bad credentials" in answers())
        self.assertEqual([], sink.with_subject("wrong password"))
        self.log_in()
        self.assertEqual(sink.user, self.arrives("wrong password")["user"])

    def test_no_password_without_tls(self):
        self.log_in()
        sink.certificate(None)
        submit("no TLS")
        wait_for("the status", lambda: "without TLS" in answers() or "no AUTH" in answers())
        self.assertEqual([], sink.with_subject("no TLS"))
        sink.certificate("right")
        self.assertTrue(self.arrives("no TLS")["tls"])

    def test_courier_tls_changes_while_it_runs(self):
        node.config("courier.tls", "none")
        submit("none")
        self.assertFalse(self.arrives("none")["tls"])
        node.config("courier.tls", "may")
        sink.certificate("wrong-ca")
        submit("may")
        self.assertTrue(self.arrives("may")["tls"])
        node.config("courier.tls", "verify")
        for name in ("wrong-ca", "wrong-name", None):
            sink.certificate(name)
            submit(f"verify {name}")
            wait_for("the status", lambda: ("454 4.7.5" if name else "451 4.7.10") in answers())
            self.assertEqual([], sink.with_subject(f"verify {name}"))
            sink.certificate("right")
            self.assertTrue(self.arrives(f"verify {name}")["tls"])
        node.config("courier.tls", "encrypt")
        sink.certificate(None)
        submit("encrypt")
        wait_for("the status", lambda: "451 4.7.10" in answers())
        sink.certificate("wrong-ca")
        self.assertTrue(self.arrives("encrypt")["tls"])
        client = node.imap("alice")
        self.assertEqual([], [m for m in messages(client).values() if b"multipart/report" in m])
        client.logout()


if __name__ == "__main__":
    unittest.main()
