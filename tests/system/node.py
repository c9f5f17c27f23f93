"""One Godwit node for tests: a private directory and private ports; nothing is left behind."""
import imaplib
import json
import os
import poplib
import random
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

BUILD = os.environ.get("GODWIT_BUILD", "build/release")
DOMAIN = "testdomain.lab"
PORTS = [24, 25, 110, 143, 465, 587, 993, 995, 8080, 8443, 9464, 9465]
SLOW = float(os.environ.get("GODWIT_SLOW", "1"))  # sanitizers: deadlines are longer
# For programs that get an environment of their own: where a sanitizer's reports go.
SANITIZERS = {k: v for k, v in os.environ.items() if k in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")}


def wait_for(what, condition, seconds=20.0):
    """Calls `condition` until it is true; fails with `what` after a deadline."""
    until = time.monotonic() + seconds * SLOW
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"not in {seconds} s: {what}")
        signal.sigtimedwait([], pause)  # gives the processor away for a moment
        pause = min(pause * 2, 0.1)


def free_offset():
    """An offset at which every port of a node is free."""
    for _ in range(200):
        offset = random.randrange(11000, 22000)  # below the ports that clients' ends get
        try:
            for port in PORTS:
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", port + offset))
            return offset
        except OSError:
            continue
    raise AssertionError("no free ports")


class Node:
    def __init__(self, base=None):
        self.base = base or tempfile.mkdtemp(prefix="godwit-test-")
        os.chmod(self.base, 0o755)
        self.data = os.path.join(self.base, "data")
        self.offset = free_offset()
        self.process = None

    # -- life

    def start(self):
        self.output = open(os.path.join(self.base, "up.log"), "ab")
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "godwitctl/godwitctl"), "up", "--data", self.data, "--port-offset",
             str(self.offset), "--domain", DOMAIN], stdout=self.output, stderr=self.output,
            stdin=subprocess.DEVNULL)
        mark = self.output.tell()

        def ready():
            if self.process.poll() is not None:
                raise AssertionError("up ended:\n" + self.log())
            with open(self.output.name, "rb") as f:
                f.seek(mark)
                return b"Godwit is ready" in f.read()
        try:
            wait_for("the node is ready", ready, 40)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None
        return self

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30 * SLOW)
        self.process = None

    def close(self):
        try:
            self.stop()
        finally:
            self.output.close()
            if os.environ.get("GODWIT_KEEP"):
                print("# kept", self.base)
            else:
                shutil.rmtree(self.base, ignore_errors=True)

    def log(self):
        text = ""
        folder = os.path.join(self.data, "log")
        names = [os.path.join(self.base, "up.log")]
        if os.path.isdir(folder):
            names += [os.path.join(folder, n) for n in sorted(os.listdir(folder))]
        for name in names:
            with open(name, errors="replace") as f:
                text += f"--- {name}\n" + "".join(f.readlines()[-15:])
        return text

    def endpoints(self):
        with open(os.path.join(self.data, "endpoints.env")) as f:
            return dict(line.rstrip("\n").split("=", 1) for line in f if "=" in line)

    def pid(self, program):
        return int(self.endpoints()["PID_" + program.replace("-", "_")])

    def kill(self, program, number=signal.SIGKILL):
        """Kills a program and returns its old process id; it is started again by itself."""
        pid = self.pid(program)
        os.kill(pid, number)
        return pid

    def wait_restarted(self, program, old_pid):
        wait_for(program + " runs again", lambda: self.pid(program) not in (0, old_pid))
        wait_for("ready", self.is_ready)

    def is_ready(self):
        try:
            return self.http("GET", "/readyz")[0] == 200
        except OSError:
            return False

    # -- administration

    def http(self, method, path, body=None, token=None, headers=None):
        request = urllib.request.Request(
            self.endpoints()["API"] + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **(headers or {})})
        if token is not None:
            request.add_header("Authorization", "Bearer " + token)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30 * SLOW) as reply:
                text, status = reply.read(), reply.status
        except urllib.error.HTTPError as error:
            text, status = error.read(), error.code
        try:
            return status, json.loads(text) if text else None
        except ValueError:
            return status, text.decode("utf-8", "replace")

    def api(self, method, path, body=None, ok=True):
        status, reply = self.http(method, path, body, self.endpoints()["API_TOKEN"])
        if ok and not 200 <= status < 300:
            raise AssertionError(f"{method} {path}: {status} {reply}")
        return (status, reply) if not ok else reply

    def ctl(self, *words, **options):
        return subprocess.run(
            [os.path.join(BUILD, "godwitctl/godwitctl"), "--endpoints-file",
             os.path.join(self.data, "endpoints.env"), *words],
            capture_output=True, text=True, timeout=60 * SLOW, **options)

    def user(self, name, password="secret-1", **fields):
        address = name if "@" in name else f"{name}@{DOMAIN}"
        self.api("POST", "/api/v1/users", {"address": address, "password": password, **fields})
        return address

    def config(self, key, value):
        return self.api("PUT", "/api/v1/config/" + key, {"value": value})

    # -- clients

    def host_port(self, name):
        host, port = self.endpoints()[name].rsplit(":", 1)
        return host, int(port)

    def connect(self, name, timeout=20):
        return socket.create_connection(self.host_port(name), timeout=timeout * SLOW)

    def smtp(self, name="SMTP"):
        host, port = self.host_port(name)
        return smtplib.SMTP(host, port, timeout=30 * SLOW)

    def lmtp(self):
        host, port = self.host_port("LMTP")
        return smtplib.LMTP(host, port)

    def tls(self, verify=True):
        context = ssl.create_default_context(cafile=self.endpoints()["CA_FILE"])
        context.check_hostname = False
        if not verify:
            context.verify_mode = ssl.CERT_NONE
        return context

    def imap(self, user, password="secret-1", tls=True):
        if tls:
            host, port = self.host_port("IMAPS")
            client = imaplib.IMAP4_SSL(host, port, ssl_context=self.tls(), timeout=30 * SLOW)
        else:
            host, port = self.host_port("IMAP")
            client = imaplib.IMAP4(host, port, timeout=30 * SLOW)
        if user is not None:
            client.login(user if "@" in user else f"{user}@{DOMAIN}", password)
        return client

    def mutt_settings(self, user, more):
        """The path of mutt's settings for a user's INBOX, with `more` lines of one's own."""
        host, port = self.host_port("IMAPS")
        path = os.path.join(self.base, user + ".muttrc")
        with open(path, "w") as f:
            f.write(f"""set folder="imaps://{host}:{port}/"
set spoolfile="imaps://{host}:{port}/INBOX"
set imap_user="{user}@{DOMAIN}"
set imap_pass="secret-1"
set certificate_file="{self.endpoints()['CA_FILE']}"
set ssl_verify_host=no ssl_force_tls=yes ssl_starttls=no
set mbox_type=mbox confirmappend=no confirmcreate=no quit=yes delete=yes move=no
{more}
""")
        return path

    def mutt(self, settings, *words):
        """Runs mutt. It wants a terminal: script(1) gives it one."""
        return subprocess.run(["script", "-qec", f"mutt -F {settings} " + " ".join(words), "/dev/null"],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60 * SLOW,
                              env={**os.environ, "TERM": "xterm", "HOME": self.base})

    def pop3(self, user, password="secret-1", name="POP3S"):
        host, port = self.host_port(name)
        if name == "POP3S":
            client = poplib.POP3_SSL(host, port, context=self.tls(), timeout=60 * SLOW)
        else:
            client = poplib.POP3(host, port, timeout=60 * SLOW)
        if user is not None:
            try:
                client.user(user if "@" in user else f"{user}@{DOMAIN}")
                client.pass_(password)
            except poplib.error_proto:
                client.close()
                raise
        return client

    def send(self, to, body=None, sender="someone@outside.example", subject="test"):
        to = [to] if isinstance(to, str) else to
        text = body if body is not None else f"From: <{sender}>\r\nSubject: {subject}\r\n\r\nhello\r\n"
        with self.smtp() as s:
            return s.sendmail(sender, to, text)


def messages(client, mailbox="INBOX"):
    """The raw messages of a mailbox, by UID."""
    typ, data = client.select(mailbox, readonly=True)
    assert typ == "OK", data
    typ, data = client.uid("FETCH", "1:*", "(UID BODY.PEEK[])")
    assert typ == "OK", data
    found = {}
    for item in data or []:
        if isinstance(item, tuple):
            head = item[0].decode()
            found[int(head.split("UID ")[1].split()[0].rstrip(")"))] = item[1]
    return found


def subjects(client, mailbox="INBOX"):
    """Of all messages of a mailbox, in their order."""
    client.select(mailbox, readonly=True)
    _, data = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    return [part[1].decode().split(":", 1)[1].strip() for part in data if isinstance(part, tuple)]


def mbsync_settings(path, account, local):
    """A file of settings for mbsync: an account, described by these lines, both ways with a folder `local`."""
    with open(path, "w") as f:
        f.write(f"""IMAPAccount a
{account}
Pass secret-1

IMAPStore r
Account a

MaildirStore l
Path {local}/
Inbox {local}/INBOX
SubFolders Verbatim

Channel c
Far :r:
Near :l:
Patterns *
Create Both
Expunge Both
SyncState *
""")


def below_trace(message):
    """A message without the trace headers that we put in front of it."""
    while True:
        lower = message[:20].lower()
        if not (lower.startswith(b"return-path:") or lower.startswith(b"received:")):
            return message
        end = message.index(b"\r\n")
        while message[end + 2:end + 3] in (b" ", b"\t"):
            end = message.index(b"\r\n", end + 2)
        if lower.startswith(b"received:"):
            return message[end + 2:]
        message = message[end + 2:]
