"""A server under test: where it listens, its processes, and mail for it from the generator."""
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

from imap import Imap, tls_context
from measure import Server
from pop3 import Pop3

PASSWORD = "secret-1"


class Target:
    """A server under test: ours, or the peer."""

    def __init__(self, path):
        self.path = path
        with open(path) as f:
            self.values = dict(line.rstrip("\n").split("=", 1) for line in f if "=" in line)
        self.peer = self.values.get("PEER") == "1"
        self.domain = self.values.get("DOMAIN", "testdomain.lab")
        kinds = {}
        for key, value in self.values.items():
            if key.startswith("PID_"):
                kinds.setdefault(key[4:].rsplit("_", 1)[0], []).append(int(value))
        self.server = Server((pid for kind, pids in kinds.items() if kind != "etcd" for pid in pids), kinds)
        self.frontends = kinds.get("frontend", [])
        if not self.peer:
            self.domain = self.values["ADMIN_USER"].split("@")[1]

    def api(self, method, path, body):
        request = urllib.request.Request(self.values["API"] + path, method=method, data=json.dumps(body).encode(),
                                         headers={"Authorization": "Bearer " + self.values["API_TOKEN"],
                                                  "Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            return error.code

    def users(self, prefix, count):
        if self.peer:
            return
        for i in range(count):
            status = self.api("POST", "/api/v1/users", {"address": f"{prefix}{i}@{self.domain}",
                                                        "password": PASSWORD})
            if status not in (200, 201, 409):
                sys.exit(f"user {prefix}{i}: {status}")

    def config(self, key, value):
        if not self.peer:
            status = self.api("PUT", "/api/v1/config/" + key, {"value": value})
            if status >= 300:
                sys.exit(f"config {key}: {status}")

    def imap(self, user, tls=True):
        client = Imap(self.values["IMAPS" if tls else "IMAP"], tls_context() if tls else None)
        client.login(f"{user}@{self.domain}", PASSWORD)
        return client

    def pop3(self, user):
        client = Pop3(self.values["POP3S"], tls_context())
        client.one(f"USER {user}@{self.domain}")
        client.one(f"PASS {PASSWORD}")
        return client


def generate(target, prefix, users, recipients, connections, per_session, count, size, body, name="smtp"):
    host, port = target.values[name.upper()].split(":")
    done = subprocess.run([os.environ["LOADTEST_GENERATOR"], name.split("_")[0].lower(), host, port, target.domain, prefix, str(users),
                           str(recipients), str(connections), str(per_session), str(count), str(size), body],
                          capture_output=True, text=True)
    if not done.stdout:
        sys.exit("generator: " + done.stderr)
    return json.loads(done.stdout)
