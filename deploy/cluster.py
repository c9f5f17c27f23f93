"""A whole cluster on this machine; see deploy/cluster.

What lies in DIR:
  cluster.json      how many of each program, and on which ports
  lock              held while a command changes something; `running` says that there is a cluster
  NAME/             data of each process, with its log `out`
  certs/NAME/       its certificate for the others (godwitctl cluster cert issue), those of the members of
                    etcd and of an operator too; certs/etcd-KIND.password: what programs of a kind log in to etcd with
  founding/         before there is an etcd: the store that is then moved there
  tls/ secret/      the public certificate; the key-encryption key, the token, the administrator
  log/              logs of all programs
  pids/NAME         process id and start time
  endpoints.env     ARCHITECTURE section 7, rewritten after every kill and start
"""
import argparse
import base64
import fcntl
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

KINDS = ("etcd", "router", "storage-node", "scanner", "frontend")
# Distinct loopback addresses: 127.0.0.FIRST and the ones after it.
FIRST = {"frontend": 11, "storage-node": 31, "scanner": 51, "router": 71, "etcd": 91}
PROGRAMS = {"router": "router/godwit-router", "storage-node": "storage-node/godwit-storage-node",
            "scanner": "scanner-pool/godwit-scanner", "frontend": "frontend/godwit-frontend"}
PORTS = (("SMTP", 25, "smtp"), ("SUBMISSION", 587, "submission"), ("SMTPS", 465, "smtps"), ("LMTP", 24, "lmtp"),
         ("IMAP", 143, "imap"), ("IMAPS", 993, "imaps"), ("POP3", 110, "pop3"), ("POP3S", 995, "pop3s"),
        
         ("HTTP", 8080, "http"), ("HTTPS", 8443, "https"))
STORE, SCAN, ADMIN, METRICS, ETCD, ETCD_PEER = 7000, 7001, 7002, 9464, 2379, 2380
COUNT_MAX = 16
# A name in certificates of members of etcd, without which none is taken for one.
ETCD_MEMBER = "member.etcd.godwit"
ETCD_USERS = ("frontend", "router", "storage-node", "scanner", "operator")
READY_S = 60
# Options come from here alone, and not from variables that are meant for something else.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("GODWIT_")}


def fail(text):
    sys.exit("deploy/cluster: " + text)


class Cluster:
    def __init__(self, arguments):
        self.data = os.path.abspath(arguments.data)
        self.build = arguments.build
        self.spec_path = os.path.join(self.data, "cluster.json")
        self.spec = None
        if os.path.exists(self.spec_path):
            with open(self.spec_path) as f:
                self.spec = json.load(f)

    # ---- names, addresses, files

    def path(self, *parts):
        return os.path.join(self.data, *parts)

    def names(self, kind=None):
        kinds = KINDS if kind is None else (kind,)
        return [f"{k}-{n}" for k in kinds for n in range(1, self.spec["counts"][k] + 1)]

    def address(self, name):
        kind, number = name.rsplit("-", 1)
        return f"127.0.0.{FIRST[kind] + int(number) - 1}"

    def at(self, name, port):
        return f"{self.address(name)}:{port + self.spec['port_offset']}"

    def etcd_urls(self):
        return [f"https://{self.at(n, ETCD)}" for n in self.names("etcd")]

    def program(self, kind):
        return os.path.join(self.build, PROGRAMS[kind])

    def ctl(self, *words):
        try:
            done = subprocess.run([os.path.join(self.build, "godwitctl/godwitctl"), *words], capture_output=True,
                                  text=True, timeout=READY_S, env=ENVIRONMENT)
        except subprocess.TimeoutExpired:
            fail(f"godwitctl {' '.join(words[:3])}: no answer in {READY_S} s")
        if done.returncode != 0:
            fail(f"godwitctl {' '.join(words[:3])}: {done.stderr.strip()}")
        return done.stdout

    def store_words(self, name="operator"):
        words = [f"--etcd={url}" for url in self.etcd_urls()]
        user = "operator" if name == "operator" else name.rsplit("-", 1)[0]
        return words + ["--cluster=" + self.spec["cluster"], "--etcd-user=" + user,
                        "--etcd-password-file=" + self.etcd_password(user),
                        "--etcd-ca=" + self.path("certs", name, "ca.pem"),
                        "--etcd-cert=" + self.path("certs", name, "cert.pem"),
                        "--etcd-key=" + self.path("certs", name, "key.pem")]

    def etcd_password(self, user):
        return self.path("certs", f"etcd-{user}.password")

    def secret(self, name, make):
        path = self.path("secret", name)
        if not os.path.exists(path):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as f:
                f.write(make())
        with open(path) as f:
            return f.read().strip()

    # ---- processes

    def pid(self, name):
        """The process id of a program that runs, or None. Its start time tells it from a stranger's."""
        try:
            with open(self.path("pids", name)) as f:
                pid, started = f.read().split()
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except (OSError, ValueError):
            return None
        return int(pid) if fields[19] == started and fields[0] not in "ZX" else None

    def words(self, name):
        kind = name.rsplit("-", 1)[0]
        if kind == "etcd":
            peers = ",".join(f"{n}=https://{self.at(n, ETCD_PEER)}" for n in self.names("etcd"))
            client, peer = f"https://{self.at(name, ETCD)}", f"https://{self.at(name, ETCD_PEER)}"
            files = [f"--{peer_}{flag}={self.path('certs', name, file)}" for peer_ in ("", "peer-") for flag, file in (
                ("cert-file", "cert.pem"), ("key-file", "key.pem"), ("trusted-ca-file", "ca.pem"))]
            return ["etcd", "--name", name, "--data-dir", self.path(name), "--listen-client-urls", client,
                    "--advertise-client-urls", client, "--listen-peer-urls", peer,
                    "--initial-advertise-peer-urls", peer, "--initial-cluster", peers,
                    "--initial-cluster-token", self.spec["cluster"], "--pre-vote",
                    "--auto-compaction-mode=periodic", "--auto-compaction-retention=1h",
                    f"--listen-metrics-urls=http://{self.at(name, METRICS)}", *files, "--client-cert-auth",
                    "--peer-client-cert-auth", "--peer-cert-allowed-hostname=" + ETCD_MEMBER]
        words = [self.program(kind), "--name=" + name, "--log=" + self.path("log"),
                 "--metrics=" + self.at(name, METRICS), "--rpc-certs=" + self.path("certs", name),
                 "--admin-listen=" + self.at(name, ADMIN), *self.store_words(name)]
        if kind == "router":
            copies = self.spec.get("copies", 1)
            return words + [f"--nodes={self.spec['counts']['storage-node']}", f"--shards={self.spec['shards']}",
                            f"--copies={copies}", f"--min-isr={max(1, copies - 1)}"]
        if kind == "storage-node":
            at = self.at(name, STORE)
            return words + ["--data=" + self.path(name), "--listen=" + at, "--advertise=" + at]
        if kind == "scanner":
            return words + ["--data=" + self.path(name), "--signatures=" + self.path("signatures"),
                            "--listen=" + self.at(name, SCAN), "--advertise=" + self.at(name, SCAN), "--workers=1",
                            "--poll-ms=1000"]
        words.remove("--metrics=" + self.at(name, METRICS))  # a frontend has them on its HTTP port
        words += ["--data=" + self.path(name), "--kek-file=" + self.path("secret", "kek"), "--tls-cert=" + self.path("tls", "cert.pem"),
                  "--tls-key=" + self.path("tls", "key.pem")]
        return words + [f"--{flag}={self.at(name, port)}" for _, port, flag in PORTS]

    def start(self, name):
        kind = name.rsplit("-", 1)[0]
        os.makedirs(self.path(name), exist_ok=True)
        words, user = self.words(name), None
        if os.getuid() == 0:
            owner = pwd.getpwnam(self.spec["user"])
            shutil.chown(self.path(name), owner.pw_uid, owner.pw_gid)
            if kind in ("frontend",):
                words += [f"--uid={owner.pw_uid}", f"--gid={owner.pw_gid}"]  # it binds its ports first
            elif kind == "scanner":
                words.append("--user=" + self.spec["user"])
            else:
                user = owner
        with open(self.path(name + ".out"), "ab") as out:
            process = subprocess.Popen(words, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
                                       env=ENVIRONMENT,
                                       user=user.pw_uid if user else None, group=user.pw_gid if user else None,
                                       extra_groups=[] if user else None)
        with open(f"/proc/{process.pid}/stat") as f:
            started = f.read().rsplit(")", 1)[1].split()[19]
        with open(self.path("pids", name), "w") as f:
            f.write(f"{process.pid} {started}\n")

    def signal(self, name, number):
        pid = self.pid(name)
        if pid is None:
            fail(f"{name} is not running")
        os.kill(pid, number)
        return pid

    def wait_gone(self, names, seconds):
        until = time.monotonic() + seconds
        while any(self.pid(n) for n in names) and time.monotonic() < until:
            time.sleep(0.05)
        return [n for n in names if self.pid(n)]

    # ---- ready

    def get(self, address, path):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{address}{path}", timeout=2) as reply:
                return reply.status, reply.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except OSError as error:
            return 0, str(error)

    def metrics_address(self, name):
        return self.at(name, 8080 if name.startswith("frontend") else METRICS)

    def wait(self, what, question, seconds=READY_S):
        until, answer = time.monotonic() + seconds, "no answer"
        while time.monotonic() < until:
            answer = question()
            if answer is True:
                return
            time.sleep(0.05)
        fail(f"{what} is not ready after {seconds} s: {answer}")

    def ready(self, name):
        if self.pid(name) is None:
            with open(self.path(name + ".out"), errors="replace") as f:
                fail(f"{name} ended:\n" + "".join(f.readlines()[-10:]))
        if name.startswith("etcd"):
            status, text = self.get(self.at(name, METRICS), "/health")
            return True if status == 200 and '"true"' in text else text
        status, text = self.get(self.metrics_address(name), "/readyz")
        return True if status == 200 else text.strip()

    def api(self, method, path, body=None):
        request = urllib.request.Request(f"http://{self.at('frontend-1', 8080)}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": "Bearer " + self.token,
                                                  "Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=15) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except OSError as error:
            return 0, str(error)

    # ---- endpoints.env

    def endpoints(self):
        lines = []
        for number, name in enumerate(self.names("frontend"), 1):
            end = "" if number == 1 else f"_{number}"
            lines += [f"{key}{end}={self.at(name, port)}" for key, port, _ in PORTS]
        lines.append(f"API=http://{self.at('frontend-1', 8080)}")
        lines.append(f"API_TOKEN={self.secret('api.token', str)}")
        lines.append(f"CA_FILE={self.path('tls', 'cert.pem')}")
        lines.append(f"ADMIN_USER=admin@{self.spec['domain']}")
        lines.append(f"ADMIN_PASSWORD={self.secret('admin.password', str)}")
        for name in self.names():
            key = name.replace("-", "_")
            pid = self.pid(name)
            if pid:
                lines.append(f"PID_{key}={pid}")
            lines.append(f"METRICS_{key}={self.metrics_address(name)}")
            if name.startswith("storage-node"):
                lines.append(f"ADDR_{key}={self.at(name, STORE)}")
        temporary = self.path("endpoints.env.new")
        with open(temporary, "w") as f:
            f.write("\n".join(lines) + "\n")
        os.chmod(temporary, 0o600)
        os.rename(temporary, self.path("endpoints.env"))

    # ---- commands

    def make(self, arguments):
        counts = {"frontend": arguments.frontends, "storage-node": arguments.storage_nodes,
                  "scanner": arguments.scanners, "router": arguments.routers, "etcd": arguments.etcd}
        for kind, count in counts.items():
            if not 1 <= count <= COUNT_MAX:
                fail(f"--{kind}: {count} is refused; allowed: 1 to {COUNT_MAX}")
        copies = arguments.copies or min(3, arguments.storage_nodes)
        if not 1 <= copies <= min(7, arguments.storage_nodes):
            fail(f"--copies: {copies} is refused; allowed: 1 to {min(7, arguments.storage_nodes)}, each on a "
                 "storage node of its own")
        if not 0 <= arguments.port_offset <= 50000:
            fail(f"--port-offset: {arguments.port_offset} is refused; allowed: 0 to 50000")
        os.makedirs(self.data, exist_ok=True)
        if self.spec is not None:
            if self.spec["counts"] != counts or self.spec["port_offset"] != arguments.port_offset:
                fail(f"{self.data} has a cluster of another size or on other ports: {self.spec['counts']}, "
                     f"port offset {self.spec['port_offset']}")
            if not self.spec.get("etcd_tls"):
                fail(f"{self.data} has a cluster of an earlier version, whose etcd is without TLS; make a new one")
            return
        self.spec = {"counts": counts, "port_offset": arguments.port_offset, "domain": arguments.domain, "shards": 64, "copies": copies,
                     "cluster": "c" + secrets.token_hex(4), "user": arguments.user, "etcd_tls": True}
        self.write_spec()

    def write_spec(self):
        with open(self.spec_path + ".new", "w") as f:
            json.dump(self.spec, f)
        os.rename(self.spec_path + ".new", self.spec_path)

    def folders(self):
        for name, mode in (("pids", 0o755), ("certs", 0o755), ("tls", 0o755), ("secret", 0o700), ("log", 0o755),
                           ("signatures", 0o755)):
            os.makedirs(self.path(name), mode=mode, exist_ok=True)
        os.chmod(self.data, 0o755)
        if os.getuid() == 0:
            owner = pwd.getpwnam(self.spec["user"])
            shutil.chown(self.path("log"), owner.pw_uid, owner.pw_gid)
        signatures = os.path.join(os.path.dirname(os.path.abspath(__file__)), "signatures")
        for name in os.listdir(signatures):
            if not os.path.exists(self.path("signatures", name)):
                shutil.copy(os.path.join(signatures, name), self.path("signatures", name))
        if not os.path.exists(self.path("tls", "key.pem")):
            names = ",".join(["DNS:localhost", "DNS:mail." + self.spec["domain"], "DNS:" + self.spec["domain"]] +
                             [f"IP:{self.address(n)}" for n in self.names("frontend")])
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-keyout", self.path("tls", "key.pem"), "-out", self.path("tls", "cert.pem"), "-days", "825",
                            "-subj", "/CN=" + socket.gethostname()[:60], "-addext", "subjectAltName=" + names],
                           check=True, capture_output=True)
        os.chmod(self.path("tls", "key.pem"), 0o600)
        passwords = [self.etcd_password(user) for user in ETCD_USERS]
        for password in passwords:
            if not os.path.exists(password):
                with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
                    f.write(secrets.token_urlsafe(24) + "\n")
        if os.getuid() == 0:
            for path in (self.path("tls", "key.pem"), *passwords):
                shutil.chown(path, pwd.getpwnam(self.spec["user"]).pw_uid)

    def certificate(self, kind, name, store, *more):
        words = ["cluster", "cert", "issue", *store, "--kek-file=" + self.path("secret", "kek"), "--role=" + kind,
                 "--name=" + name, "--out=" + self.path("certs", name), *more]
        if os.getuid() == 0 and kind != "operator":
            words.append("--user=" + self.spec["user"])
        self.ctl(*words)

    def store_certificates(self, store):
        """Those without which etcd is not reached: for as long as the authority itself is good."""
        self.certificate("operator", "operator", store, "--days=3650", "--renew-before=30")
        for name in self.names("etcd"):
            # Connections between loopback addresses come from the first.
            self.certificate("etcd", name, store, "--days=3650", "--renew-before=30", "--host=" + self.address(name),
                             "--host=127.0.0.1", "--host=" + ETCD_MEMBER)

    def certificates(self, names):
        for name in names:
            self.certificate(name.rsplit("-", 1)[0], name, self.store_words(), "--host=" + self.address(name))

    # ---- the first start: an authority before there is an etcd, which then has a certificate of it

    def founded(self):
        return os.path.exists(self.path("secret", "founded"))

    def found(self):
        store = ["--coord=" + self.path("founding")]
        self.ctl("cluster", "init", *store, "--kek-file=" + self.path("secret", "kek"),
                 "--token-file=" + self.path("secret", "api.token"))
        self.store_certificates(store)

    def etcd_call(self, path, body, token=None):
        context = ssl.create_default_context(cafile=self.path("certs", "operator", "ca.pem"))
        context.load_cert_chain(self.path("certs", "operator", "cert.pem"), self.path("certs", "operator", "key.pem"))
        request = urllib.request.Request(self.etcd_urls()[0] + path, data=json.dumps(body).encode(),
                                         headers={"Authorization": token} if token else {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(request, timeout=10) as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            return {"error": text}

    def etcd_users(self):
        """A user for each kind of program, which reads and writes what it needs to and nothing else. What a start that
        broke off has made stays."""
        made = self.path("secret", "etcd.users")
        if os.path.exists(made):
            return
        root = {"name": "root", "password": self.secret("etcd.root.password", lambda: secrets.token_urlsafe(24))}
        calls = [("user/add", root), ("role/add", {"name": "root"}), ("user/grant", {"user": "root", "role": "root"})]
        for user in ETCD_USERS:
            with open(self.etcd_password(user)) as f:
                password = f.read().strip()
            calls += [("role/add", {"name": user}), ("user/add", {"name": user, "password": password}),
                      ("user/changepw", {"name": user, "password": password}),
                      ("user/grant", {"user": user, "role": user})]
        for line in self.ctl("cluster", "coord", "access", "--cluster=" + self.spec["cluster"]).splitlines():
            user, right, key, end = line.split()[:4]
            calls.append(("role/grant", {"name": user, "perm": {"permType": right.upper(), "key": key, "range_end": end}}))
        calls.append(("user/delete", {"name": "godwit"}))  # that of earlier versions, who could do anything
        token = self.etcd_call("/v3/auth/authenticate", root).get("token")  # none: nobody is asked for one yet
        for path, body in (*calls, ("enable", {})):
            answer = self.etcd_call("/v3/auth/" + path, body, token)
            if "error" in answer and not any(word in answer["error"] for word in ("already", "user name not found")):
                fail(f"etcd refuses {path}: {answer['error'].strip()}")
        with open(made, "w"):
            pass

    def move_to_etcd(self):
        self.ctl("cluster", "coord", "migrate", "--coord=" + self.path("founding"), *self.store_words())
        open(self.path("secret", "founded"), "w").close()
        shutil.rmtree(self.path("founding"))

    def first_accounts(self):
        domain = self.spec["domain"]
        if os.path.exists(self.path("secret", "admin.made")):
            return
        password = self.secret("admin.password", lambda: secrets.token_urlsafe(12))

        def made():
            status, text = self.api("POST", "/api/v1/domains", {"name": domain})
            if status not in (201, 200, 409):
                return text
            status, text = self.api("POST", "/api/v1/users", {
                "address": "admin@" + domain, "password": password, "full_name": "Administrator", "role": "admin"})
            return True if status in (200, 201, 409) else text
        self.wait("the first account", made)
        open(self.path("secret", "admin.made"), "w").close()

    def check_ports(self):
        """Frontends share ports with whoever lets them: another cluster's would take our clients."""
        ports = {"frontend": [ADMIN, *(port for _, port, _ in PORTS)], "storage-node": [STORE, ADMIN, METRICS],
                 "scanner": [SCAN, ADMIN, METRICS], "router": [ADMIN, METRICS], "etcd": [ETCD, ETCD_PEER, METRICS]}
        for name in self.names():
            for port in ports[name.rsplit("-", 1)[0]]:
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    try:
                        s.bind((self.address(name), port + self.spec["port_offset"]))
                    except OSError as error:
                        fail(f"{name}: {self.at(name, port)}: {error.strerror}; choose another --port-offset")

    def up(self, arguments):
        self.make(arguments)
        if any(self.pid(n) for n in self.names()) if os.path.isdir(self.path("pids")) else False:
            fail(f"a cluster is running already in {self.data}; `down` ends it")
        self.check_ports()
        self.folders()
        self.token = self.secret("api.token", lambda: secrets.token_urlsafe(30))
        self.secret("admin.password", lambda: secrets.token_urlsafe(12))
        if not self.founded():
            self.found()
        for name in self.names("etcd"):
            self.start(name)
        for name in self.names("etcd"):
            self.wait(name, lambda name=name: self.ready(name))
        self.etcd_users()
        if not self.founded():
            self.move_to_etcd()
        self.store_certificates(self.store_words())
        self.certificates([n for k in KINDS[1:] for n in self.names(k)])
        rest = [n for k in KINDS[1:4] for n in self.names(k)]
        for name in rest:
            self.start(name)
        for name in rest:
            self.wait(name, lambda name=name: self.ready(name))
        for name in self.names("frontend"):
            self.start(name)
        for name in self.names("frontend"):
            self.wait(name, lambda name=name: self.ready(name))
        self.first_accounts()
        self.endpoints()
        print(f"ready: {self.path('endpoints.env')}\nlog in as admin@{self.spec['domain']}, password in "
              f"{self.path('secret', 'admin.password')}")

    def down(self):
        """Frontends first, the store of the configuration last."""
        for kind in reversed(KINDS):
            names = [n for n in self.names(kind) if self.pid(n)]
            for name in names:
                self.signal(name, signal.SIGCONT)
                self.signal(name, signal.SIGTERM)
            for name in self.wait_gone(names, 20):
                print(f"{name} did not end in time and is killed", file=sys.stderr)
                self.signal(name, signal.SIGKILL)
        self.endpoints()

    def status(self):
        good = True
        for name in self.names():
            pid = self.pid(name)
            if pid is None:
                state = "not running"
            else:
                answer = self.ready(name)
                state = "ready" if answer is True else f"not ready: {answer}"
            good = good and state == "ready"
            print(f"{name:20} {pid or '-':>8}  {state}")
        return 0 if good else 1

    def add_scanner(self):
        """One more, on the next address; frontends find it by themselves."""
        self.spec["counts"]["scanner"] += 1
        name = self.names("scanner")[-1]
        self.certificates([name])
        self.write_spec()

    def one(self, command, name):
        if command == "start" and name == f"scanner-{self.spec['counts']['scanner'] + 1}" and \
                self.spec["counts"]["scanner"] < COUNT_MAX:
            self.add_scanner()
        if name not in self.names():
            fail(f"{name}: no such program; there are {', '.join(self.names())}")
        if command == "start":
            if self.pid(name):
                fail(f"{name} is running")
            self.start(name)
        else:
            self.signal(name, {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "cont": signal.SIGCONT}[command])
            if command == "kill":
                self.wait_gone([name], 10)
        self.endpoints()


def main():
    parser = argparse.ArgumentParser(prog="deploy/cluster")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("command", choices=["up", "down", "status", "kill", "stop", "cont", "start"])
    parser.add_argument("program", nargs="?")
    parser.add_argument("--data", required=True)
    parser.add_argument("--port-offset", type=int, default=10000)
    parser.add_argument("--copies", type=int, help="of each shard; as many as storage nodes, at most 3")
    parser.add_argument("--domain", default="testdomain.lab")
    parser.add_argument("--user", default="nobody")
    for name, count in (("frontends", 2), ("storage-nodes", 3), ("scanners", 1), ("routers", 2), ("etcd", 1)):
        parser.add_argument("--" + name, type=int, default=count)
    arguments = parser.parse_args()
    cluster = Cluster(arguments)
    if arguments.command != "up" and cluster.spec is None:
        fail(f"{arguments.data} has no cluster; `up` makes one")
    if (arguments.command in ("kill", "stop", "cont", "start")) != (arguments.program is not None):
        fail("kill, stop, cont and start take the name of a program, like storage-node-1; the others take none")
    os.makedirs(cluster.data, exist_ok=True)
    with open(cluster.path("lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fail(f"another command is at work in {cluster.data}")
        if arguments.command == "up":
            cluster.up(arguments)
        elif arguments.command == "down":
            cluster.down()
        elif arguments.command == "status":
            sys.exit(cluster.status())
        else:
            cluster.one(arguments.command, arguments.program)


main()
