"""Real etcd members, what stands between them and a client, and lib/coord on lines (coord_driver)."""
import base64
import ctypes
import json
import os
import queue
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request

from node import BUILD, SLOW, wait_for


def free_ports(count):
    """Ports of 127.0.0.1 that are free now, below those that the kernel gives away."""
    ports = []
    while len(ports) < count:
        port = random.randrange(11000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def die_with_us():
    """In a child: a test that is killed leaves no member behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


class Etcd:
    """Members on private ports. With `tls` (ca, cert, key) clients have to use TLS and a certificate,
    the test `client` (cert, key)."""

    def __init__(self, members=1, tls=None, client=None, extra=()):
        self.base = tempfile.mkdtemp(prefix="godwit-etcd-")
        self.tls, self.client, self.extra = tls, client, list(extra)
        self.scheme = "https" if tls else "http"
        ports = free_ports(2 * members)
        self.client_ports, self.peer_ports = ports[:members], ports[members:]
        self.processes = [None] * members
        self.endpoints = [f"{self.scheme}://127.0.0.1:{p}" for p in self.client_ports]
        self.user = None
        for i in range(members):
            self.start(i)
        wait_for("etcd answers", self.is_ready, 60)

    def start(self, i):
        peers = [f"http://127.0.0.1:{p}" for p in self.peer_ports]
        command = ["etcd", "--name", f"m{i}", "--data-dir", os.path.join(self.base, f"m{i}"),
                   "--listen-client-urls", self.endpoints[i],
                   "--advertise-client-urls", self.endpoints[i],
                   "--listen-peer-urls", peers[i], "--initial-advertise-peer-urls", peers[i],
                   "--initial-cluster", ",".join(f"m{n}={p}" for n, p in enumerate(peers)),
                   "--initial-cluster-token", os.path.basename(self.base), "--pre-vote"]
        if self.tls:
            ca, cert, key = self.tls
            command += ["--trusted-ca-file", ca, "--cert-file", cert, "--key-file", key,
                        "--client-cert-auth"]
        with open(os.path.join(self.base, f"m{i}.log"), "ab") as log:
            self.processes[i] = subprocess.Popen(command + self.extra, stdout=log, stderr=log,
                                                 stdin=subprocess.DEVNULL, preexec_fn=die_with_us)

    def kill(self, i):
        self.processes[i].kill()
        self.processes[i].wait()

    def signal(self, i, number):
        self.processes[i].send_signal(number)

    def call(self, path, body, member=0, token=None, timeout=5):
        request = urllib.request.Request(self.endpoints[member] + path,
                                         data=json.dumps(body).encode())
        if token:
            request.add_header("Authorization", token)
        context = None
        if self.tls:
            context = ssl.create_default_context(cafile=self.tls[0])
            context.load_cert_chain(*self.client)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             *([urllib.request.HTTPSHandler(context=context)] if context else []))
        with opener.open(request, timeout=timeout * SLOW) as reply:
            return json.loads(reply.read())

    def is_ready(self):
        try:
            for i, process in enumerate(self.processes):
                if process.poll() is not None:
                    raise AssertionError("etcd ended:\n" + self.log(i))
                self.call("/v3/kv/range", {"key": b64("ready")}, i, timeout=1)
            return True
        except urllib.error.HTTPError as error:
            return b"etcdserver: " in error.read() and error.code < 500  # it wants a log-in
        except OSError:
            return False

    def leader(self):
        status = self.call("/v3/maintenance/status", {})
        for i in range(len(self.processes)):
            header = self.call("/v3/maintenance/status", {}, i)["header"]
            if header["member_id"] == status.get("leader"):
                return i
        return None

    def log(self, i):
        with open(os.path.join(self.base, f"m{i}.log"), errors="replace") as f:
            return "".join(f.readlines()[-15:])

    def ctl(self, *words, user=None):
        command = ["etcdctl", "--endpoints", ",".join(self.endpoints), *words]
        if self.tls:
            cert, key = self.client
            command += ["--cacert", self.tls[0], "--cert", cert, "--key", key]
        if user or self.user:
            command += ["--user", user or self.user]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60 * SLOW,
                              env={**os.environ, "ETCDCTL_API": "3"})
        if done.returncode != 0:
            raise AssertionError(f"etcdctl {words}: {done.stderr}")
        return done.stdout

    def put(self, key, value, cluster="default"):
        """Returns the revision."""
        reply = self.call("/v3/kv/put", {"key": b64(f"/godwit/{cluster}/{key}"), "value": b64(value)})
        return int(reply["header"]["revision"])

    def delete(self, key, cluster="default"):
        self.call("/v3/kv/deleterange", {"key": b64(f"/godwit/{cluster}/{key}")})

    def rows(self, cluster="default", member=0):
        """Keys and their revisions."""
        prefix = f"/godwit/{cluster}/"
        reply = self.call("/v3/kv/range", {"key": b64(prefix), "range_end": b64(prefix[:-1] + "0")},
                          member, timeout=30)
        return {base64.b64decode(kv["key"]).decode()[len(prefix):]: int(kv["mod_revision"])
                for kv in reply.get("kvs", [])}

    def value(self, key, cluster="default"):
        reply = self.call("/v3/kv/range", {"key": b64(f"/godwit/{cluster}/{key}")})
        kvs = reply.get("kvs")
        return base64.b64decode(kvs[0].get("value", "")).decode() if kvs else None

    def revision(self):
        return int(self.call("/v3/kv/range", {"key": b64("none")})["header"]["revision"])

    def compact(self):
        self.call("/v3/kv/compaction", {"revision": str(self.revision()), "physical": True})

    def close(self):
        for process in self.processes:
            if process and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        if os.environ.get("GODWIT_KEEP"):
            print("# kept", self.base)
        else:
            shutil.rmtree(self.base, ignore_errors=True)


class Proxy:
    """Between a client and one member. Modes: "pass"; "refuse" connections; "swallow": requests go on,
    then the connection breaks; "hold" everything back; "hold-watch": what etcd says on watches."""

    def __init__(self, port):
        self.target = port
        self.mode = "pass"
        self.hold_at = None
        self.requests, self.answers = b"", b""  # the last of them
        self.pairs, self.watches = [], set()
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "http://127.0.0.1:%d" % self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def set(self, mode, cut=False):
        """With `cut`, nothing that is held or on its way passes in the new mode."""
        with self.lock:
            self.mode, self.hold_at = mode, None
            pairs = self.let_go() if cut else ()
            self.changed.notify_all()
        self.shut(pairs)

    def hold_before(self, text, number):
        """Holds everything from the `number`th request on that has `text` in it."""
        with self.lock:
            self.hold_at = [text, number]

    def cut(self):
        with self.lock:
            pairs = self.let_go()
            self.changed.notify_all()
        self.shut(pairs)

    def let_go(self):
        pairs, self.pairs = self.pairs, []
        return pairs

    def shut(self, pairs):
        for pair in pairs:
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            if self.mode == "refuse":
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            with self.lock:
                refused = self.mode == "refuse"
                if not refused:
                    self.pairs.append((client, server))
            if refused:
                client.close()
                server.close()
                continue
            for is_request in (True, False):
                threading.Thread(target=self.pump, args=((client, server), is_request), daemon=True).start()

    def is_held(self, pair, is_request):
        if pair not in self.pairs:
            return False
        return self.mode == "hold" or (self.mode == "hold-watch" and not is_request and pair[0] in self.watches)

    def pump(self, pair, is_request):
        source, to = pair if is_request else reversed(pair)
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                with self.lock:
                    if is_request and b"/v3/watch" in data:
                        self.watches.add(source)
                    if is_request and self.hold_at and self.hold_at[0] in data:
                        self.hold_at[1] -= 1
                        if self.hold_at[1] == 0:
                            self.mode, self.hold_at = "hold", None
                    while self.is_held(pair, is_request):
                        self.changed.wait()
                    if pair not in self.pairs:
                        break
                    swallow = self.mode == "swallow" and not is_request
                    if is_request:
                        self.requests = (self.requests + data)[-(1 << 20):]
                    else:
                        self.answers = (self.answers + data)[-(16 << 20):]
                if swallow:
                    break
                to.sendall(data)
        except OSError:
            pass
        for s in (source, to):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        source.close()

    def close(self):
        self.set("refuse", cut=True)
        self.server.close()


class Driver:
    """One coord_driver. Lines that come are kept until they are asked for by their beginning."""

    def __init__(self, *options, ready=True):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "tests/system/coord_driver"), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.lines = []
        self.queue = queue.Queue()
        self.tags = 0
        self.stopped = False
        threading.Thread(target=self.read, daemon=True).start()
        self.opened = self.take("open", 30)
        if ready and self.opened[1] != "OK":
            raise AssertionError(f"driver: {self.opened}")

    def read(self):
        for line in self.process.stdout:
            self.queue.put(line.rstrip("\n"))
        self.queue.put(None)

    def fetch(self):
        while True:
            try:
                line = self.queue.get_nowait()
            except queue.Empty:
                return
            if line is None:
                self.queue.put(None)
                return
            self.lines.append(line)

    def find(self, *head):
        """The first line that begins with these words, taken out; or None."""
        self.fetch()
        for i, line in enumerate(self.lines):
            words = line.split(" ")
            if words[:len(head)] == list(head):
                del self.lines[i]
                return words
        return None

    def take(self, *head_and_seconds):
        head = [h for h in head_and_seconds if isinstance(h, str)]
        seconds = ([s for s in head_and_seconds if not isinstance(s, str)] or [20])[0]
        return wait_for("line " + " ".join(head), lambda: self.find(*head), seconds)

    def say(self, *words):
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()

    def start(self, *items):
        """A change under way: returns its tag, for `changed`."""
        self.tags += 1
        self.say("change", f"t{self.tags}", *items)
        return f"t{self.tags}"

    def changed(self, tag, seconds=20):
        """(error, revision)"""
        words = self.take("changed", tag, seconds)
        return words[2], int(words[3])

    def change(self, *items):
        return self.changed(self.start(*items))

    def put(self, key, value, revision="any"):
        return self.change(f"put,{key},{revision},{value}")

    def refresh(self, prefix="", seconds=20):
        self.tags += 1
        self.say("refresh", f"t{self.tags}", prefix)
        return self.take("refreshed", f"t{self.tags}", seconds)[2]

    def get(self, key):
        """(revision, value) or None"""
        self.say("get", key)
        words = wait_for("row", lambda: self.find("row", key) or self.find("none", key))
        return (int(words[2]), " ".join(words[3:])) if words[0] == "row" else None

    def list(self, prefix=""):
        """(revision, {key: revision})"""
        self.say("list", prefix)
        words = self.take("list")
        return int(words[1]), {w.rsplit("=", 1)[0]: int(w.rsplit("=", 1)[1]) for w in words[2:]}

    def state(self):
        self.say("state")
        words = self.take("state")
        return words[1], int(words[2]), " ".join(words[3:])

    def watch(self, name, prefix=""):
        self.say("watch", name, prefix)
        return self.watched(name)

    def watched(self, name, seconds=20):
        """What one call of the watch told: {key: revision, or None: gone}"""
        return parse_watched(self.take("watched", name, seconds))

    def watched_now(self, name):
        """All that has come by now, in order."""
        self.list("none")  # what was told before is here when this is
        told = []
        while words := self.find("watched", name):
            told.append(parse_watched(words))
        return told

    def signal(self, number):
        self.stopped = number == signal.SIGSTOP
        self.process.send_signal(number)

    def close(self):
        if self.process.poll() is None:
            if self.stopped:  # otherwise not: it would disturb a leak sanitizer at its work
                self.process.send_signal(signal.SIGCONT)
            self.process.stdin.close()
            try:
                self.process.wait(20 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        code = self.process.wait()
        self.process.stdout.close()
        if code not in (0, -signal.SIGKILL) and self.opened[1] == "OK":
            raise AssertionError(f"driver ended with {code}")


def parse_watched(words):
    return {w.rsplit("=", 1)[0]: (None if w.endswith("=gone") else int(w.rsplit("=", 1)[1]))
            for w in words[2:]}
