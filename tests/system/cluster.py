"""A storage node, a scanner and frontends as separate processes on loopback addresses of their own,
with mutual TLS between them and without `godwitctl up`: what a cluster's deployment does by hand."""
import json
import os
import pwd
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import urllib.error
import urllib.request

from node import BUILD, DOMAIN, SANITIZERS, SLOW, wait_for

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNPRIVILEGED = "nobody" if os.geteuid() == 0 else None

_ports = {}


def free_port(host):
    """A port of `host` that nobody has, and that this process gave nobody."""
    while True:
        with socket.socket() as s:
            s.bind((host, 0))
            port = s.getsockname()[1]
        if port not in _ports.setdefault(host, set()):
            _ports[host].add(port)
            return port


def program(name):
    folder = {"frontend": "frontend", "storage-node": "storage-node", "scanner": "scanner-pool", "router": "router"}[name]
    return os.path.join(BUILD, folder, "godwit-" + name)


def run(*words, **options):
    """A command as the unprivileged user. What GODWIT_KEEP tells tests is an option of godwitctl too."""
    environment = {k: v for k, v in os.environ.items() if k != "GODWIT_KEEP"}
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=60 * SLOW,
                          user=UNPRIVILEGED, **{"env": environment, **options})


def ctl(*words, **options):
    return run(os.path.join(BUILD, "godwitctl/godwitctl"), *words, **options)


class Process:
    def __init__(self, cluster, name, words, environment=None):
        self.cluster, self.name, self.words = cluster, name, words
        self.environment = environment or {}
        self.log = cluster.path("log-" + name)
        self.popen = None

    def start(self):
        self.output = open(self.cluster.path(self.name + ".out"), "ab")
        self.popen = subprocess.Popen(
            self.words, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
            user=UNPRIVILEGED, env={"PATH": os.environ["PATH"], **SANITIZERS, **self.environment})
        return self

    def stop(self, number=signal.SIGTERM):
        if self.popen is None:
            return
        if self.popen.poll() is None:
            self.popen.send_signal(number)
            self.popen.wait(30 * SLOW)
        self.popen = None
        self.output.close()

    def wait_failed(self):
        """Its exit status and what it said."""
        status = wait_for(self.name + " ends", lambda: (self.popen.poll() is not None) and [self.popen.poll()])
        with open(self.cluster.path(self.name + ".out"), errors="replace") as f:
            return status[0], f.read()

    def events(self, event=None):
        """What it logged, as dicts; of one event when it is named."""
        path = os.path.join(self.log, "events.json")
        if not os.path.exists(path):
            return []
        with open(path, errors="replace") as f:
            rows = [json.loads(line) for line in f.read().split("\n")[:-1]]
        return [r for r in rows if event is None or r["event"] == event]

    def wait_event(self, event, count=1, **fields):
        """Waits until so many are there, with these words in these fields; returns them."""
        def there():
            found = [e for e in self.events(event) if all(str(v) in str(e.get(k)) for k, v in fields.items())]
            return found if len(found) >= count else None
        return wait_for(f"{self.name} logs {count} {event} {fields}", there)

    def memory_kb(self):
        with open(f"/proc/{self.popen.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


class Cluster:
    NODE, SCANNER, FRONTEND, ROUTER = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"

    def __init__(self, with_map=True):
        self.base = tempfile.mkdtemp(prefix="godwit-test-")
        os.chmod(self.base, 0o755)
        if UNPRIVILEGED:
            os.chown(self.base, pwd.getpwnam(UNPRIVILEGED).pw_uid, -1)
        self.coord, self.kek = self.path("coord"), self.path("kek")
        self.processes = {}
        self.node_port = free_port(self.NODE)
        self.admin_ports = {}  # of each process
        self.scan_port, self.scan_named_port = free_port(self.SCANNER), free_port("127.0.0.1")
        self.id = self.found(self.coord, self.kek, with_map=with_map)
        with open(self.path("token")) as f:
            self.token = f.read().strip()
        self.api_port = None

    def path(self, *names):
        return os.path.join(self.base, *names)

    # -- the store and its certificates

    def found(self, coord, kek, *more, with_map=True):
        node = ["--node", f"{self.NODE}:{self.node_port}"] if with_map else []
        done = ctl("cluster", "init", "--coord", coord, "--kek-file", kek, "--shards", 4, *node,
                   "--token-file", self.path("token"), *more)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ca(self, *words):
        done = ctl("cluster", "ca", *words, "--coord", self.coord, "--kek-file", self.kek)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def issue(self, role, name, coord=None, kek=None, *more):
        """Certificate files; returns their folder."""
        out = self.path("certs-" + name)
        done = ctl("cluster", "cert", "issue", "--role", role, "--name", name, "--out", out,
                   "--coord", coord or self.coord, "--kek-file", kek or self.kek, *more)
        assert done.returncode == 0, done.stderr
        return out

    # -- processes

    def admin(self, name, host):
        """Where a process tells about itself."""
        self.admin_ports[name] = (host, free_port(host))
        return "%s:%d" % self.admin_ports[name]

    def add(self, name, words, environment=None):
        self.processes[name] = Process(self, name, words, environment)
        return self.processes[name]

    def add_node(self, name="storage-node-1", listen=None, certs=None, **environment):
        """All from the environment."""
        return self.add(name, [program("storage-node")], {
            "GODWIT_DATA": self.path("store-" + name), "GODWIT_COORD": self.coord, "GODWIT_NAME": name,
            "GODWIT_LISTEN": listen or f"{self.NODE}:{self.node_port}",
            "GODWIT_RPC_CERTS": certs if certs is not None else self.issue("storage-node", name),
            "GODWIT_ADMIN_LISTEN": self.admin(name, self.NODE) if certs != "" else "",
            "GODWIT_LOG": self.path("log-" + name), **environment})

    def add_scanner(self, name="scanner-1", certs=None):
        """All from a file."""
        signatures = self.path("signatures")
        if not os.path.isdir(signatures):
            shutil.copytree(os.path.join(SOURCE, "deploy/signatures"), signatures)
        with open(self.path(name + ".conf"), "w") as f:
            f.write(f"""# {name}
name = {name}
data = {self.path("scan-" + name)}
signatures = {signatures}
coord = {self.coord}
workers = 1
listen = {self.SCANNER}:{self.scan_port},127.0.0.1:{self.scan_named_port}
rpc-certs = {certs if certs is not None else self.issue("scanner", name)}
admin-listen = {self.admin(name, self.SCANNER)}
log = {self.path("log-" + name)}
""")
        return self.add(name, [program("scanner"), "--config", self.path(name + ".conf")])

    def add_frontend(self, name="frontend-1", certs=None, coord=None):
        """All from flags; one scanner by address and the same one by a name."""
        ports = {p: free_port(self.FRONTEND) for p in ("smtp", "lmtp", "imaps", "http")}
        public, key = self.path("public.pem"), self.path("public.key")
        if not os.path.exists(public):
            done = run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                       "-keyout", key, "-out", public, "-subj", "/CN=mail." + DOMAIN, "-days", "2")
            assert done.returncode == 0, done.stderr
        process = self.add(name, [
            program("frontend"), "--name", name, "--data", self.path("data-" + name), "--coord",
            coord or self.coord, "--scanner", f"{self.SCANNER}:{self.scan_port}",
            f"--scanner=localhost:{self.scan_named_port}", "--log", self.path("log-" + name),
            "--rpc-certs", certs if certs is not None else self.issue("frontend", name), "--loops", "2",
            "--tls-cert", public, "--tls-key", key, "--kek-file", self.kek,
            "--admin-listen", self.admin(name, self.FRONTEND), *[f"--{p}={self.FRONTEND}:{ports[p]}" for p in ports]])
        os.makedirs(self.path("data-" + name), exist_ok=True)
        if UNPRIVILEGED:
            os.chown(self.path("data-" + name), pwd.getpwnam(UNPRIVILEGED).pw_uid, -1)
        process.ports = ports
        return process

    def add_router(self, name="router-1"):
        """One that stands by: all it does here is to be asked."""
        return self.add(name, [
            program("router"), "--name", name, "--coord", self.coord, "--log", self.path("log-" + name),
            "--rpc-certs", self.issue("router", name), "--admin-listen", self.admin(name, self.ROUTER)])

    def start(self):
        for process in (self.add_node(), self.add_scanner(), self.add_frontend()):
            process.start()
        self.wait_ready("frontend-1")
        return self

    def ready(self, name):
        try:
            return self.http(name, "GET", "/readyz")
        except OSError as error:
            return 0, str(error)

    def wait_ready(self, name):
        wait_for(name + " is ready", lambda: self.ready(name)[0] == 200, 40)

    def http(self, name, method, path, body=None):
        request = urllib.request.Request(
            f"http://{self.FRONTEND}:{self.processes[name].ports['http']}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": "Bearer " + self.token})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30 * SLOW) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def user(self, name, frontend="frontend-1"):
        status, reply = self.http(frontend, "POST", "/api/v1/domains", {"name": DOMAIN})
        assert status in (200, 201, 409), reply

        def made():
            answer = self.http(frontend, "POST", "/api/v1/users",
                               {"address": f"{name}@{DOMAIN}", "password": "secret-1"})
            return answer[0] in (200, 201)
        wait_for("user " + name, made)
        return f"{name}@{DOMAIN}"

    def close(self):
        for process in reversed(list(self.processes.values())):
            try:
                process.stop()
            except subprocess.TimeoutExpired:
                process.stop(signal.SIGKILL)
        if os.environ.get("GODWIT_KEEP"):
            print("# kept", self.base)
        else:
            shutil.rmtree(self.base, ignore_errors=True)


# ---- a client of lib/rpc (lib/rpc/rpc_frame.c has the format)

ROLES = {"frontend": 1, "storage-node": 2, "scanner": 4, "router": 8, "operator": 16}
HELLO, REQUEST, END, GOAWAY = 1, 2, 5, 9
DENIED, SYNTAX = 8, 5


def frame(kind, payload=b"", call=0, flags=0, method=0):
    return struct.pack(">IIBBH", len(payload), call, kind, flags, method) + payload


def hello(role, cluster, incarnation=0):
    return frame(HELLO, b"GODWITR1" + struct.pack(">HHI", 1, 1, ROLES[role]) + bytes.fromhex(cluster)
                 + struct.pack(">I", incarnation))


def request(call, method):
    """A call with an empty message."""
    return frame(REQUEST, struct.pack(">IIQ", 20000, 0, 0) + bytes(16), call, 3, method)


class Caller:
    """One connection; `heard` after hello is the server's answer: (kind, payload), or an exception."""

    def __init__(self, address, context, say=None):
        self.socket = socket.create_connection(address, timeout=20 * SLOW)
        self.buffer = b""
        if context is not None:
            self.socket = context.wrap_socket(self.socket)
        if say is not None:
            self.socket.sendall(say)

    def take(self):
        """The next frame: kind, call, payload."""
        while True:
            if len(self.buffer) >= 12:
                size, call, kind, _, _ = struct.unpack(">IIBBH", self.buffer[:12])
                if len(self.buffer) >= 12 + size:
                    payload, self.buffer = self.buffer[12:12 + size], self.buffer[12 + size:]
                    return kind, call, payload
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("the other end closed")
            self.buffer += more

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def context(folder=None, version=None):
    """A client's TLS: with the certificate of a folder; without one, with none."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if version is not None:
        made.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        made.maximum_version = version
        made.set_ciphers("ALL:@SECLEVEL=0")
    if folder is not None:
        made.load_cert_chain(os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem"))
    return made
