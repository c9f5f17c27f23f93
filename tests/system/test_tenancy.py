"""Tenants: tokens with role and place, quotas, IP groups, requests that are sent again; on one node and two frontends."""
import imaplib
import json
import os
import smtplib
import subprocess
import unittest
import urllib.error
import urllib.request

from cluster import Cluster
from node import BUILD, DOMAIN, SLOW, Node, wait_for

node = None


def setUpModule():
    global node
    node = Node().start()
    node.user("alice")


def tearDownModule():
    node.close()


def ctl(token, *words):
    """godwitctl with another token than the operator's."""
    environment = {**os.environ, "GODWIT_API": node.endpoints()["API"], "GODWIT_TOKEN": token}
    return subprocess.run([os.path.join(BUILD, "godwitctl/godwitctl"), *words], capture_output=True, text=True,
                          timeout=60 * SLOW, env=environment)


def make(kind, *words):
    done = node.ctl("--output", "json", kind, "create", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Tokens(unittest.TestCase):
    def test_a_tenants_token_by_the_command(self):
        make("tenant", "acme", "--users-max", "2", "--domains-max", "1", "--quota", "10M")
        make("domain", "acme.test", "--tenant", "acme", "--quota", "1M")
        made = make("token", "admin", "--tenant", "acme", "--description", "console")
        token = made["token"]
        done = ctl(token, "domain", "list")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("acme.test", done.stdout)
        self.assertNotIn(DOMAIN, done.stdout)
        self.assertEqual(1, ctl(token, "user", "list", "--domain", DOMAIN).returncode)
        self.assertEqual(1, ctl(token, "tenant", "list").returncode)
        for name in ("ann", "bob"):
            self.assertEqual(0, ctl(token, "user", "create", f"{name}@acme.test").returncode)
        over = ctl(token, "user", "create", "cid@acme.test")
        self.assertEqual(1, over.returncode)
        self.assertIn("the tenant has as many users as it may", over.stderr)
        shown = json.loads(node.ctl("--output", "json", "tenant", "show", "acme").stdout)
        self.assertEqual((2, 2, 1, 2 << 20), (shown["users"], shown["users_max"], shown["domains"], shown["granted_bytes"]))
        # Delegated: the tenant's administrator gives a domain away, and no more than he has.
        done = ctl(token, "--output", "json", "token", "create", "domain-admin", "--domain", "acme.test")
        self.assertEqual(0, done.returncode, done.stderr)
        inner = json.loads(done.stdout)["token"]
        self.assertEqual(0, ctl(inner, "user", "show", "ann@acme.test").returncode)
        self.assertEqual(1, ctl(inner, "token", "create", "admin").returncode)
        self.assertEqual(1, ctl(token, "token", "create", "operator").returncode)
        self.assertIn(made["id"], node.ctl("token", "list").stdout)
        who = json.loads(ctl(inner, "--output", "json", "token", "whoami").stdout)
        self.assertEqual(("domain-admin", "acme.test", made["id"]), (who["role"], who["domain"], who["by"]))
        self.assertEqual(0, node.ctl("token", "delete", made["id"]).returncode)
        wait_for("the token is refused", lambda: "(401)" in ctl(token, "domain", "list").stderr)
        # What was done with it says so.
        with open(os.path.join(node.data, "log/config.log")) as f:
            text = f.read()
        self.assertIn(f"admin:{made['id']} - POST /api/v1/users, status", text)
        self.assertNotIn(token.rsplit("_", 1)[1], text)

    def test_metrics_name_no_tenant_and_no_domain(self):
        for url in (node.endpoints()["API"], "http://" + node.endpoints()["METRICS_frontend_1"].replace("http://", "")):
            request = urllib.request.Request(url.rstrip("/").removesuffix("/metrics") + "/metrics")
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=30 * SLOW) as reply:
                text = reply.read().decode()
            self.assertIn("godwit_", text)
            for name in (DOMAIN, "default", "acme", "alice"):
                self.assertNotIn(name, text)


class Quotas(unittest.TestCase):
    def test_what_a_tenants_users_store_is_within_its_quota(self):
        make("tenant", "small", "--quota", "60K")
        make("domain", "small.test", "--tenant", "small")
        for name in ("one", "two"):
            node.user(f"{name}@small.test", quota_bytes=30 << 10)
        status, reply = node.api("POST", "/api/v1/users", {"address": "three@small.test", "quota_bytes": 1}, ok=False)
        self.assertEqual((409, "the tenant's quota of bytes does not hold it"), (status, reply["detail"]))
        text = "Subject: part\r\n\r\n" + ("x" * 70 + "\r\n") * 140  # 10 KiB
        refused = {}
        for name in ("one", "two"):
            for i in range(10):
                try:
                    node.send(f"{name}@small.test", text)
                except smtplib.SMTPException:
                    refused[name] = i
                    break
        self.assertEqual({"one", "two"}, set(refused), refused)
        self.assertTrue(all(i > 0 for i in refused.values()), refused)
        used = [node.api("GET", f"/api/v1/users/{name}@small.test")["used_bytes"] for name in ("one", "two")]
        self.assertLessEqual(sum(used), 60 << 10)


class IpGroups(unittest.TestCase):
    def may_log_in(self):
        try:
            node.imap("alice", tls=False).logout()
            return True
        except imaplib.IMAP4.error:
            return False

    def holds(self, what, condition):
        """Several times running: connections are spread over the loops of the frontend."""
        wait_for(what, lambda: all(condition() for _ in range(6)))

    def test_an_option_names_a_group_and_a_change_of_it_is_in_force(self):
        pid = node.pid("frontend-1")
        make("ip-group", "lab", "--entry", "192.0.2.0/24")
        make("ip-group", "all", "--entry", "group:lab")
        self.assertFalse(self.may_log_in())
        node.config("login.without.tls", "group:all")
        self.addCleanup(node.api, "DELETE", "/api/v1/config/login.without.tls")
        self.holds("it holds nobody yet", lambda: not self.may_log_in())
        done = node.ctl("ip-group", "set", "lab", "--entry", "192.0.2.0/24", "--entry", "127.0.0.0-127.0.0.255")
        self.assertEqual(0, done.returncode, done.stderr)
        self.holds("the client is in it", self.may_log_in)
        shown = node.ctl("--output", "json", "ip-group", "show", "all", "--address", "127.0.0.1")
        self.assertTrue(json.loads(shown.stdout)["has_address"])
        done = node.ctl("ip-group", "delete", "all")
        self.assertEqual(1, done.returncode)
        self.assertIn("option login.without.tls", done.stderr)
        done = node.ctl("ip-group", "delete", "lab")
        self.assertIn("IP group all", done.stderr)
        bad = node.ctl("ip-group", "set", "lab", "--entry", "10.0.0.300")
        self.assertEqual(1, bad.returncode)
        self.assertIn("entries[0]: 10.0.0.300", bad.stderr)
        self.assertEqual(0, node.ctl("ip-group", "set", "lab", "--entry", "192.0.2.0/24").returncode)
        self.holds("and is not any more", lambda: not self.may_log_in())
        self.assertEqual(pid, node.pid("frontend-1"))


class Repeats(unittest.TestCase):
    def post(self, key, body, path="/api/v1/users"):
        return node.http("POST", path, body, node.endpoints()["API_TOKEN"], {"Idempotency-Key": key})

    def test_the_first_answer_outlives_the_frontend_and_the_storage_node(self):
        body = {"address": f"again@{DOMAIN}", "password": "secret-1"}
        first = self.post("again-1", body)
        self.assertEqual(201, first[0], first)
        made = self.post("again-2", {"role": "operator", "description": "again"}, "/api/v1/tokens")
        self.assertEqual(201, made[0], made)
        for program in ("frontend-1", "storage-node-1"):
            node.wait_restarted(program, node.kill(program))
            self.assertEqual(first, self.post("again-1", body))
            self.assertEqual(made, self.post("again-2", {"role": "operator", "description": "again"}, "/api/v1/tokens"))
        self.assertEqual(422, self.post("again-1", {"address": f"other@{DOMAIN}"})[0])
        self.assertEqual(200, node.http("GET", "/api/v1/whoami", token=made[1]["token"])[0])


class TwoFrontends(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        cls.cluster.add_frontend("frontend-2").start()
        cls.cluster.wait_ready("frontend-2")
        cls.cluster.user("first")

    def call(self, frontend, method, path, body=None, token=None, headers=None):
        c = self.cluster
        request = urllib.request.Request(
            f"http://{c.FRONTEND}:{c.processes[frontend].ports['http']}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer " + (token or c.token), **(headers or {})})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30 * SLOW) as reply:
                text = reply.read()
                return reply.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def test_a_token_is_taken_and_refused_by_both(self):
        status, made = self.call("frontend-1", "POST", "/api/v1/tokens", {"role": "auditor", "tenant": "default"})
        self.assertEqual(201, status, made)

        def status_of(frontend):
            return self.call(frontend, "GET", "/api/v1/whoami", token=made["token"])[0]
        for frontend in ("frontend-1", "frontend-2"):
            wait_for("taken by " + frontend, lambda: all(status_of(frontend) == 200 for _ in range(6)))
        self.assertEqual(204, self.call("frontend-2", "DELETE", "/api/v1/tokens/" + made["id"])[0])
        for frontend in ("frontend-1", "frontend-2"):
            wait_for("refused by " + frontend, lambda: all(status_of(frontend) == 401 for _ in range(6)))

    def test_the_first_answer_is_known_to_both(self):
        body = {"address": f"twice@{DOMAIN}", "full_name": "T"}
        one = self.call("frontend-1", "POST", "/api/v1/users", body, headers={"Idempotency-Key": "k"})
        self.assertEqual(201, one[0], one)
        self.assertEqual(one, self.call("frontend-2", "POST", "/api/v1/users", body, headers={"Idempotency-Key": "k"}))
        self.assertEqual(409, self.call("frontend-2", "POST", "/api/v1/users", body)[0])


if __name__ == "__main__":
    unittest.main()
