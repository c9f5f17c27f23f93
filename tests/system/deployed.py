"""A whole cluster by deploy/cluster, for the tests of a class: real etcd members, mutual TLS, all programs."""
import base64
import imaplib
import json
import os
import shutil
import smtplib
import ssl
import tempfile
import unittest
import urllib.error
import urllib.request

from node import SLOW, subjects
from whole import bring_up, run_script, tls

HERE = os.path.dirname(os.path.abspath(__file__))
DOMAIN = "testdomain.lab"
ETCD = 2379


class Deployed(unittest.TestCase):
    SIZE = {"frontends": 2, "storage-nodes": 3, "scanners": 2, "routers": 2, "etcd": 3}
    USERS = 9

    @classmethod
    def setUpClass(cls):
        if shutil.which("etcd") is None:
            raise AssertionError("etcd is not installed; deploy/test installs it")
        cls.data = tempfile.mkdtemp(prefix="godwit-cluster-")
        os.chmod(cls.data, 0o755)
        cls.addClassCleanup(cls.end)  # also when the start fails
        cls.offset = bring_up(cls.run_script, cls.data, *cls.size_words())
        for i in range(cls.USERS):
            status, text = cls.api("POST", "/api/v1/users", {"address": f"u{i}@{DOMAIN}", "password": "secret-1"})
            if status not in (200, 201):
                raise AssertionError(text)

    @classmethod
    def size_words(cls):
        words = []
        for kind, count in cls.SIZE.items():
            words += ["--" + kind, str(count)]
        return words

    @classmethod
    def end(cls):
        if os.path.exists(os.path.join(cls.data, "cluster.json")):
            cls.run_script("down")
        if os.environ.get("GODWIT_KEEP"):
            print("# kept", cls.data)
        else:
            shutil.rmtree(cls.data, ignore_errors=True)

    @classmethod
    def run_script(cls, command, *words, check=True):
        return run_script(cls.data, command, *words, check=check)

    @classmethod
    def values(cls):
        with open(os.path.join(cls.data, "endpoints.env")) as f:
            return dict(line.rstrip("\n").split("=", 1) for line in f)

    @classmethod
    def spec(cls):
        with open(os.path.join(cls.data, "cluster.json")) as f:
            return json.load(f)

    @classmethod
    def fetch(cls, url, method="GET", body=None, token=None):
        """Status and text; 0 when nobody answers."""
        request = urllib.request.Request(url, method=method, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        if token is not None:
            request.add_header("Authorization", "Bearer " + token)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30 * SLOW) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    @classmethod
    def api(cls, method, path, body=None):
        values = cls.values()
        return cls.fetch(values["API"] + path, method, body, values["API_TOKEN"])

    @classmethod
    def get(cls, program, path):
        """Of a program's health and metrics."""
        return cls.fetch(f"http://{cls.values()['METRICS_' + program.replace('-', '_')]}{path}")

    @classmethod
    def metrics(cls, program):
        """Names, with labels and without the program's prefix, and their numbers; empty: it does not answer."""
        status, text = cls.get(program, "/metrics")
        found = {}
        for line in text.split("\n") if status == 200 else []:
            if line and not line.startswith("#"):
                name, _, number = line.rpartition(" ")
                found[name.split("_", 2)[2] if not name.startswith("godwit_storage") else name] = float(number)
        return found

    @classmethod
    def etcd_login(cls, user="operator"):
        """What asks etcd as the cluster's operator, or as a kind of program: (path, body) -> answer, to be closed."""
        folder = os.path.join(cls.data, "certs")
        context = ssl.create_default_context(cafile=os.path.join(folder, "operator/ca.pem"))
        context.load_cert_chain(os.path.join(folder, "operator/cert.pem"), os.path.join(folder, "operator/key.pem"))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=context))

        def call(path, body, **headers):
            return opener.open(urllib.request.Request(f"https://127.0.0.91:{ETCD + cls.offset}{path}", headers=headers,
                                                      data=json.dumps(body).encode()), timeout=60 * SLOW)
        with open(os.path.join(folder, f"etcd-{user}.password")) as f:
            login = {"name": user, "password": f.read().strip()}
        with call("/v3/auth/authenticate", login) as reply:
            token = json.loads(reply.read())["token"]
        return lambda path, body: call(path, body, Authorization=token)

    @classmethod
    def etcd_open(cls, path, body):
        """An answer of etcd to the cluster's operator, to be read and closed."""
        return cls.etcd_login()(path, body)

    @classmethod
    def etcd(cls, path, body):
        """Status and text."""
        try:
            with cls.etcd_open(path, body) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    @classmethod
    def rows(cls, prefix):
        """The store's rows under a prefix, by what follows it; their revision."""
        first = f"/godwit/{cls.spec()['cluster']}/{prefix}"
        last = first[:-1] + chr(ord(first[-1]) + 1)
        status, text = cls.etcd("/v3/kv/range", {"key": base64.b64encode(first.encode()).decode(),
                                                 "range_end": base64.b64encode(last.encode()).decode()})
        assert status == 200, text
        reply = json.loads(text)
        rows = {base64.b64decode(kv["key"]).decode()[len(first):]: json.loads(base64.b64decode(kv["value"]))
                for kv in reply.get("kvs", [])}
        return rows, int(reply["header"]["revision"])

    @classmethod
    def events(cls, event=None):
        """What all programs have logged."""
        with open(os.path.join(cls.data, "log/events.json"), errors="replace") as f:
            rows = [json.loads(line) for line in f.read().split("\n")[:-1]]
        return [r for r in rows if event is None or r["event"] == event]

    def ready(self):
        return self.run_script("status", check=False).returncode == 0

    # ---- mail

    @classmethod
    def smtp(cls, frontend=""):
        host, port = cls.values()["SMTP" + frontend].split(":")
        return smtplib.SMTP(host, int(port), timeout=90 * SLOW)

    def subjects(self, user, frontend=""):
        host, port = self.values()["IMAPS" + frontend].split(":")
        client = imaplib.IMAP4_SSL(host, int(port), ssl_context=tls(), timeout=30 * SLOW)
        client.login(f"u{user}@{DOMAIN}", "secret-1")
        found = subjects(client)
        client.logout()
        return sorted(found)
