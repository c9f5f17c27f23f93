"""Many domains and users on one node, and how soon a changed option is in force on every process."""
import ctypes
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

from imap import Imap
from measure import percentile, tree

PASSWORD = "secret-1"


def cheap_hash():
    """A hash at the lowest cost that the options allow: what is beyond hashing is measured."""
    sodium = ctypes.CDLL("libsodium.so.23")
    text = ctypes.create_string_buffer(128)
    if sodium.sodium_init() < 0 or sodium.crypto_pwhash_str(
            text, PASSWORD.encode(), ctypes.c_ulonglong(len(PASSWORD)), ctypes.c_ulonglong(1), 8192) != 0:
        raise OSError("libsodium makes no hash")
    return text.value.decode()


def domain_name(i):
    return f"d{i:05}.load.test"


def write_files(folder, domains, users):
    hashed = cheap_hash()
    with open(os.path.join(folder, "domains.csv"), "w") as f:
        f.writelines(["name\n"] + [domain_name(i) + "\n" for i in range(domains)])
    with open(os.path.join(folder, "users.csv"), "w") as f:
        f.write("address,full_name,password_hash,quota\n")
        for i in range(users):
            f.write(f'u{i}@{domain_name(i % domains)},User {i},"{hashed}",1G\n')


class Node:
    """What is asked of the node under test beside its protocols."""

    def __init__(self, target):
        self.target = target
        self.folder = os.path.dirname(os.path.abspath(target.path))

    def values(self):
        with open(self.target.path) as f:
            return dict(line.rstrip("\n").split("=", 1) for line in f if "=" in line)

    def disk_bytes(self):
        done = subprocess.run(["du", "-s", "-B1", self.folder], capture_output=True, text=True)
        return int(done.stdout.split()[0])

    def is_ready(self):
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(self.values()["API"] + "/readyz", timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False

    def restart_seconds(self, name):
        """From the kill of a program to a node that is ready again."""
        pid = int(self.values()["PID_" + name])
        started = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        until = started + 300
        while int(self.values()["PID_" + name]) in (0, pid) or not self.is_ready():
            if time.monotonic() > until:
                raise OSError(f"{name} does not come back")
            time.sleep(0.02)
        return time.monotonic() - started

    def memory_mb(self, prefix):
        """Of all processes of a kind together."""
        pids = [int(v) for k, v in self.values().items() if k.startswith("PID_" + prefix)]
        return self.target.server.pss_kb(tree(pids)) / 1024

    def load(self, noun, path):
        """godwitctl's import of a file: seconds, and that nothing was refused."""
        started = time.monotonic()
        done = subprocess.run([os.environ["LOADTEST_GODWITCTL"], "--endpoints-file", self.target.path, noun, "import",
                               path], capture_output=True, text=True)
        if done.returncode != 0:
            raise OSError(f"{noun} import: {done.stdout} {done.stderr[-500:]}")
        return time.monotonic() - started


def logins(target, domains, users, count):
    """Milliseconds of a LOGIN, each of another user, on a connection of its own."""
    times = []
    for i in random.sample(range(users), min(count, users)):
        client = Imap(target.values["IMAP"], None)
        started = time.monotonic()
        client.login(f"u{i}@{domain_name(i % domains)}", PASSWORD)
        times.append((time.monotonic() - started) * 1000)
        client.do("LOGOUT")
        client.close()
    return times


def recipients(target, domains, users, count):
    """Milliseconds of a RCPT, each of another user."""
    host, port = target.values["SMTP"].split(":")
    times = []
    with socket.create_connection((host, int(port)), timeout=60) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        f = s.makefile("rb")

        def say(text):
            s.sendall(text)
            line = f.readline()
            while line[3:4] == b"-":
                line = f.readline()
            return line
        say(b"")
        say(b"EHLO load.example\r\n")
        for n, i in enumerate(random.sample(range(users), min(count, users))):
            if n % 50 == 0:
                say(b"RSET\r\n")
                say(b"MAIL FROM:<a@outside.example>\r\n")
            started = time.monotonic()
            line = say(f"RCPT TO:<u{i}@{domain_name(i % domains)}>\r\n".encode())
            times.append((time.monotonic() - started) * 1000)
            if not line.startswith(b"250"):
                raise OSError(f"RCPT: {line}")
        say(b"QUIT\r\n")
    return times


def directory(target, arguments, round_):
    """--domains and --accounts are imported by godwitctl (once), then what they cost is measured."""
    node, domains, users = Node(target), arguments.domains - 1, arguments.accounts  # it has one domain already
    figures = {"frontend_mb_before": node.memory_mb("frontend")}
    if round_ == 0:
        target.config("password.argon2.memory", "8192")
        target.config("password.argon2.passes", "1")
        target.config("login.without.tls", "127.0.0.0/8")
        target.config("scan.enabled", "false")
        folder = tempfile.mkdtemp(prefix="loadtest-")
        try:
            write_files(folder, domains, users)
            before = node.disk_bytes()
            took = node.load("domain", os.path.join(folder, "domains.csv"))
            print(f"  domains_per_s {domains / took:.0f} ({took:.1f} s), frontends {node.memory_mb('frontend'):.1f} MB")
            took = node.load("user", os.path.join(folder, "users.csv"))
            target.server.settle()
            size = (node.disk_bytes() - before) / users
            print(f"  users_per_s {users / took:.0f} ({took:.1f} s), {size:.0f} bytes on disk a user")
            took = node.load("user", os.path.join(folder, "users.csv"))
            print(f"  unchanged_per_s {users / took:.0f}")
        finally:
            shutil.rmtree(folder)
    times = logins(target, domains, users, arguments.count)
    figures["login_p50_ms"], figures["login_p99_ms"] = percentile(times, 0.5), percentile(times, 0.99)
    times = recipients(target, domains, users, arguments.count)
    figures["rcpt_p50_ms"], figures["rcpt_p99_ms"] = percentile(times, 0.5), percentile(times, 0.99)
    figures["frontend_mb"] = node.memory_mb("frontend")
    figures["storage_node_mb"] = node.memory_mb("storage_node")
    figures["storage_node_restart_s"] = node.restart_seconds("storage_node_1")
    figures["frontend_restart_s"] = node.restart_seconds("frontend_1")
    figures["frontend_mb_restarted"] = node.memory_mb("frontend")
    return figures


class Watched:
    """Asks one process for the revision of its options, again and again."""

    def __init__(self, address):
        self.address, self.revision, self.since = address, -1, 0.0
        self.changed = threading.Condition()
        self.stop = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        connection = None
        while not self.stop:
            try:
                connection = connection or http.client.HTTPConnection(self.address, timeout=10)
                connection.request("GET", "/metrics")
                text = connection.getresponse().read()
                revision = next(int(float(line.split()[-1])) for line in text.splitlines()
                                if b"_config_revision" in line and not line.startswith(b"#"))
            except (OSError, http.client.HTTPException, StopIteration):
                connection = None
                time.sleep(0.1)
                continue
            with self.changed:
                if revision != self.revision:
                    self.revision, self.since = revision, time.monotonic()
                    self.changed.notify_all()
            time.sleep(0.005)

    def wait(self, old):
        with self.changed:
            if not self.changed.wait_for(lambda: self.revision not in (-1, old), timeout=30):
                raise OSError(f"{self.address}: still at revision {old}")
            return self.since


def config_change(target, arguments, round_):
    """--count changes of an option by the first frontend: until every process has it in force."""
    watched = {k[8:]: Watched(v) for k, v in target.values.items()
               if k.startswith("METRICS_") and not k.startswith("METRICS_etcd")}
    target.config("smtp.banner", f"begin{round_}")
    time.sleep(1)
    times, puts = [], []
    for i in range(min(arguments.count, 200)):
        old = {name: w.revision for name, w in watched.items()}
        started = time.monotonic()
        target.config("smtp.banner", f"change{i % 2}")
        puts.append((time.monotonic() - started) * 1000)
        times.append(max(w.wait(old[name]) - started for name, w in watched.items()) * 1000)
    for w in watched.values():
        w.stop = True
    for w in watched.values():
        w.thread.join()
    return {"processes": len(watched), "put_p50_ms": percentile(puts, 0.5), "put_p99_ms": percentile(puts, 0.99),
            "in_force_p50_ms": percentile(times, 0.5), "in_force_p99_ms": percentile(times, 0.99),
            "in_force_max_ms": max(times)}
