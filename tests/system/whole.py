"""A whole cluster by deploy/cluster, for tests: private ports, nothing left behind."""
import imaplib
import json
import os
import random
import re
import shutil
import smtplib
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request

from node import BUILD, SLOW, subjects, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, "../../deploy/cluster")
DOMAIN = "testdomain.lab"
SIZE = ("--frontends", "2", "--storage-nodes", "3", "--scanners", "2", "--routers", "2", "--etcd", "3")
FRONTENDS = ("", "_2")  # the ends of the names in endpoints.env


def tls():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def run_script(data, command, *words, check=True):
    """deploy/cluster for the cluster in a folder."""
    done = subprocess.run([SCRIPT, command, *words, "--data", data], capture_output=True, text=True,
                          timeout=180 * SLOW, env={**os.environ, "GODWIT_BUILD": BUILD})
    if check and done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
    return done


def bring_up(run, data, *size):
    """Starts a cluster of this size by run(words, check=) of deploy/cluster, on ports that nobody has: several may run
    on a machine. Returns what was added to its ports."""
    for _ in range(20):
        offset = random.randrange(11000, 22000)  # below the ports that clients' ends get
        done = run("up", "--port-offset", str(offset), *size, check=False)
        if done.returncode == 0:
            return offset
        if "choose another --port-offset" not in done.stderr:
            raise AssertionError(done.stdout + done.stderr)
        os.unlink(os.path.join(data, "cluster.json"))
    raise AssertionError("no free ports")


class Whole:
    def __init__(self, size=SIZE):
        self.size = size
        if shutil.which("etcd") is None:
            raise AssertionError("etcd is not installed; deploy/test installs it")
        self.data = tempfile.mkdtemp(prefix="godwit-cluster-")
        os.chmod(self.data, 0o755)
        self.offset = None

    def up(self):
        self.offset = bring_up(self.run, self.data, *self.size)
        return self

    def close(self):
        if os.path.exists(os.path.join(self.data, "cluster.json")):
            self.run("down")
        if os.environ.get("GODWIT_KEEP"):
            print("# kept", self.data)
        else:
            shutil.rmtree(self.data, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.data, *names)

    def run(self, command, *words, check=True):
        return run_script(self.data, command, *words, check=check)

    def values(self):
        with open(self.path("endpoints.env")) as f:
            return dict(line.rstrip("\n").split("=", 1) for line in f)

    def programs(self, kind=None):
        """The names of the programs of a kind, or of all."""
        with open(self.path("cluster.json")) as f:
            counts = json.load(f)["counts"]
        return [f"{k}-{n}" for k in counts for n in range(1, counts[k] + 1) if kind in (None, k)]

    def pid(self, name):
        return int(self.values()["PID_" + name.replace("-", "_")])

    def host_port(self, key):
        host, port = self.values()[key].split(":")
        return host, int(port)

    def mend(self):
        """Everything runs again."""
        for name in self.programs():
            state = self.state(name)
            if state == "T":
                self.run("cont", name)
            elif state in (None, "Z", "X"):
                self.run("start", name)
        self.wait_ready()

    def state(self, name):
        """The letter of its process in /proc; None: it is not there."""
        try:
            with open(self.path("pids", name)) as f:
                pid, started = f.read().split()
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            return None
        return fields[0] if fields[19] == started else None

    def is_ready(self):
        return self.run("status", check=False).returncode == 0

    def wait_ready(self, seconds=60):
        wait_for("all programs are ready", self.is_ready, seconds)

    # -- HTTP

    def get(self, name, path):
        """Status and text of what a program says of itself."""
        address = self.values()["METRICS_" + name.replace("-", "_")]
        return self.http("GET", f"http://{address}{path}", timeout=10)

    def http(self, method, url, body=None, headers=None, timeout=30):
        request = urllib.request.Request(url, method=method, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json", **(headers or {})})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=timeout * SLOW) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def api(self, method, path, body=None, frontend=""):
        values = self.values()
        return self.http(method, f"http://{values['HTTP' + frontend]}{path}", body,
                         {"Authorization": "Bearer " + values["API_TOKEN"]})

    def metric(self, name, key):
        """A number of /metrics; None: it is not there."""
        status, text = self.get(name, "/metrics")
        found = re.search("^" + re.escape(key) + r" (\S+)$", text, re.MULTILINE) if status == 200 else None
        return float(found.group(1)) if found else None

    def config(self, key, value):
        status, text = self.api("PUT", "/api/v1/config/" + key, {"value": value})
        assert status in (200, 204), text

    def user(self, address):
        def made():
            status, text = self.api("POST", "/api/v1/users", {"address": address, "password": "secret-1"})
            return status in (200, 201, 409)
        wait_for("user " + address, made, 30)
        return address

    def ctl(self, *words):
        return subprocess.run([os.path.join(BUILD, "godwitctl/godwitctl"), "--endpoints-file",
                               self.path("endpoints.env"), *words],
                              capture_output=True, text=True, timeout=60 * SLOW)

    def events(self, event=None, **fields):
        """What all programs logged, or one event of it with these fields."""
        with open(self.path("log/events.json"), errors="replace") as f:
            rows = [json.loads(line) for line in f.read().split("\n")[:-1]]
        return [r for r in rows if event in (None, r["event"]) and all(r.get(k) == v for k, v in fields.items())]

    # -- clients

    def smtp(self, frontend="", timeout=60):
        host, port = self.host_port("SMTP" + frontend)
        return smtplib.SMTP(host, port, local_hostname="client.example", timeout=timeout * SLOW)

    def imap(self, user, frontend="", timeout=60):
        host, port = self.host_port("IMAPS" + frontend)
        client = imaplib.IMAP4_SSL(host, port, ssl_context=tls(), timeout=timeout * SLOW)
        client.login(user, "secret-1")
        return client

    def subjects(self, user, frontend=""):
        """Of the messages in a user's INBOX, in their order."""
        client = self.imap(user, frontend)
        found = subjects(client)
        client.logout()
        return found
