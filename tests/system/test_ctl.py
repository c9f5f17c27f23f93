"""godwitctl against one node and against a cluster: the status, shards, logs of all programs, pages of lists."""
import imaplib
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import unittest

from node import BUILD, DOMAIN, SLOW, Node, wait_for
from whole import bring_up

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, "../../deploy/cluster")
CTL = os.path.join(BUILD, "godwitctl/godwitctl")


def fail_login(host_port, user):
    host, port = host_port.rsplit(":", 1)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client = imaplib.IMAP4_SSL(host, int(port), ssl_context=context, timeout=60 * SLOW)
    try:
        client.login(user, "wrong")
    except imaplib.IMAP4.error:
        pass
    client.shutdown()


class OneNode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node()
        cls.addClassCleanup(cls.node.close)
        cls.node.start()

    def good(self, *words):
        done = self.node.ctl(*words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def status(self):
        return json.loads(self.good("--output", "json", "cluster", "status"))

    def wait_healthy(self):
        wait_for("all is well", lambda: self.status()["state"] == "healthy", 60)

    def test_the_status_of_a_node_that_is_well(self):
        text = wait_for("all is well", lambda: (lambda t: t if t.startswith("healthy\n") else "")(
            self.good("cluster", "status")), 60)
        self.assertIn("SHARDS ", text)
        status = self.status()
        for kind, name in (("frontends", "frontend-1"), ("storage_nodes", "storage-node-1"), ("scanners", "scanner-1")):
            self.assertEqual([(p["name"], p["state"]) for p in status[kind]], [(name, "ready")])
            self.assertIn(name, text)
        self.assertEqual(status["shards"]["led"], status["shards"]["count"])
        self.assertEqual(status["storage_nodes"][0]["shards_led"], status["shards"]["count"])
        scanner = status["scanners"][0]  # its signatures were written when the node was started
        self.assertGreater(scanner["workers"], 0)
        self.assertRegex(scanner["set"], r"^[0-9a-f]{16}$")
        self.assertIn(scanner["signatures"], text)
        self.assertIn(" SIGNATURES ", text)
        self.assertLess(scanner["signatures_age_seconds"], 366 * 86400)
        self.assertEqual([], status["bad_signature_sets"])

    def test_shards_and_their_pages(self):
        self.wait_healthy()
        count = self.status()["shards"]["count"]
        shards = json.loads(self.good("--output", "json", "cluster", "shards"))["items"]
        self.assertEqual([s["shard"] for s in shards], list(range(count)))
        self.assertEqual({s["state"] for s in shards}, {"led"})
        self.assertEqual(len(self.good("cluster", "shards").splitlines()), count + 1)
        page = self.good("cluster", "shards", "--limit", "2")
        self.assertEqual(len(page.splitlines()), 4)
        self.assertIn("(more: --after 1)", page)

    def test_a_storage_node_that_hangs_is_named_and_the_exit_status_is_0(self):
        self.wait_healthy()
        pid = self.node.pid("storage-node-1")
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_for("it is noticed", lambda: self.status()["state"] == "degraded", 60)
            text = self.good("cluster", "status")
            self.assertTrue(text.startswith("degraded: "), text)
            self.assertIn("storage", text.splitlines()[0])
        finally:
            os.kill(pid, signal.SIGCONT)
        self.wait_healthy()

    def test_events_of_every_program_are_in_one_log(self):
        def programs():
            tail = json.loads(self.good("--output", "json", "log", "tail", "operations", "--lines", "1000"))
            return {e["program"] for e in tail["items"]} if not tail["unreachable"] else set()
        wait_for("all programs", lambda: programs() >= {"frontend-1", "storage-node-1", "scanner-1"}, 60)
        fail_login(self.node.endpoints()["IMAPS"], "nobody-one@" + DOMAIN)
        fail_login(self.node.endpoints()["IMAPS"], "nobody-two@" + DOMAIN)
        text = self.good("log", "tail", "security", "--filter", "nobody-two")
        self.assertEqual(len(text.splitlines()), 1)
        self.assertRegex(text, r"^\d{4}-\d\d-\d\dT\S+Z frontend-1 warning login-failed .*user=nobody-two@")
        times = [e["time"] for e in json.loads(
            self.good("--output", "json", "log", "tail", "security", "--lines", "50"))["items"]]
        self.assertEqual(times, sorted(times))

    def test_a_log_is_followed(self):
        process = subprocess.Popen(
            [CTL, "--endpoints-file", os.path.join(self.node.data, "endpoints.env"), "--output", "json", "log", "tail",
             "security", "--follow", "--filter", "user=follow-me@" + DOMAIN], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        for n in range(2):
            fail_login(self.node.endpoints()["IMAPS"], "follow-me@" + DOMAIN)
            self.assertEqual(json.loads(process.stdout.readline())["event"], "login-failed", n)

    def test_exit_statuses(self):
        environment = {**os.environ, "GODWIT_API": "http://127.0.0.1:1", "GODWIT_TOKEN": "x"}
        for words, code, text in ((("cluster", "status"), 3, "is not reachable"), (("log", "tale", "x"), 2, "did you mean log tail"),
                                  (("log", "tail"), 2, "an argument is missing: name")):
            done = subprocess.run([CTL, *words], env=environment, capture_output=True, text=True, timeout=60 * SLOW)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr)
        for words, text in ((("log", "tail", "mails"), "there are config, debug, error, mail, operations, security, spam"),
                            (("log", "tail", "mail", "--lines", "2000"), "lines: a number from 1 to 1000"),
                            (("api", "GET", "/api/v1/nosuch"), "Not found")):
            done = self.node.ctl(*words)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(text, done.stderr)
        done = subprocess.run([CTL, "cluster", "status"], capture_output=True, text=True, timeout=60 * SLOW,
                              env={**os.environ, "GODWIT_API": self.node.endpoints()["API"], "GODWIT_TOKEN": "wrong"})
        self.assertEqual(done.returncode, 1, done.stderr)

    def test_a_long_list_is_whole(self):
        csv = os.path.join(self.node.base, "users.csv")
        with open(csv, "w") as f:
            f.write("address\n" + "".join(f"many{n:03}@{DOMAIN}\n" for n in range(230)))
        self.good("user", "import", csv)
        names = [f"many{n:03}@{DOMAIN}" for n in range(230)]
        listed = [u["address"] for u in json.loads(self.good("--output", "json", "user", "list"))["items"]]
        self.assertEqual([a for a in listed if a.startswith("many")], names)
        table = self.good("user", "list")
        self.assertEqual([line.split()[0] for line in table.splitlines() if line.startswith("many")], names)
        page = json.loads(self.good("--output", "json", "user", "list", "--limit", "10"))
        self.assertEqual(len(page["items"]), 10)
        self.assertEqual(self.good("api", "GET", "/api/v1/users?limit=10").count('"address"'), 10)

    def test_what_the_frontend_says_of_itself(self):
        self.assertEqual(self.good("cluster", "health"), "ok\n")
        wait_for("ready", lambda: self.node.ctl("cluster", "ready").stdout == "ready\n")
        self.assertIn("godwit_", self.good("cluster", "metrics"))
        self.assertIn("/api/v1/cluster/shards", json.loads(self.good("--output", "json", "cluster", "openapi"))["paths"])


class Cluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if shutil.which("etcd") is None:
            raise AssertionError("etcd is not installed; deploy/test installs it")
        cls.data = tempfile.mkdtemp(prefix="godwit-ctl-")
        os.chmod(cls.data, 0o755)
        cls.addClassCleanup(cls.end)  # also when the start fails
        bring_up(cls.script, cls.data, "--frontends", "2", "--storage-nodes", "3", "--scanners", "1", "--routers", "2",
                 "--etcd", "3")

    @classmethod
    def end(cls):
        if os.path.exists(os.path.join(cls.data, "cluster.json")):
            cls.script("down")
        shutil.rmtree(cls.data, ignore_errors=True)

    @classmethod
    def script(cls, *words, check=True):
        done = subprocess.run([SCRIPT, *words, "--data", cls.data], capture_output=True, text=True, timeout=180 * SLOW,
                              env={**os.environ, "GODWIT_BUILD": BUILD})
        if check and done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        return done

    def values(self):
        with open(os.path.join(self.data, "endpoints.env")) as f:
            return dict(line.rstrip("\n").split("=", 1) for line in f)

    def ctl(self, *words, frontend=""):
        values = self.values()
        done = subprocess.run([CTL, *words], capture_output=True, text=True, timeout=120 * SLOW,
                              env={**os.environ, "GODWIT_API": "http://" + values["HTTP" + frontend],
                                   "GODWIT_TOKEN": values["API_TOKEN"]})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def status(self, frontend=""):
        return json.loads(self.ctl("--output", "json", "cluster", "status", frontend=frontend))

    def wait_healthy(self):
        """Every program is there, too: who is gone without a trace is missed by nobody."""
        def well():
            status = self.status()
            return status["state"] == "healthy" and [len(status[kind]) for kind in (
                "storage_nodes", "frontends", "scanners", "routers", "store")] == [3, 2, 1, 2, 3]
        wait_for("all is well", well, 90)

    def tail(self, log, *words, frontend=""):
        return json.loads(self.ctl("--output", "json", "log", "tail", log, "--lines", "1000", *words, frontend=frontend))

    def test_the_status_is_the_same_through_either_frontend(self):
        self.wait_healthy()

        def same():
            one, two = self.status(), self.status("_2")
            return one if one["state"] == "healthy" and all(one[member] == two[member] for member in (
                "state", "cluster", "incarnation", "map_version", "controller", "shards", "store", "frontends")) else None
        one = wait_for("both say the same", same, 60)
        self.assertEqual(one["shards"]["led"], 64)
        self.assertEqual(sum(n["shards_led"] for n in one["storage_nodes"]), 64)
        self.assertEqual([r["name"] for r in one["routers"] if r["controller"]], [one["controller"]])
        wait_for("it says so", lambda: self.ctl("cluster", "status", frontend="_2").startswith("healthy\n"), 60)

    def test_a_storage_node_that_was_killed(self):
        self.wait_healthy()
        self.script("kill", "storage-node-2")
        try:
            # Others lead, with a copy less each; its lease is 10 s, twice that when the members of the store elect.
            wait_for("others lead", lambda: self.status()["shards"]["copies-missing"] == 64, 60)
            wait_for("it is seen to be gone", lambda: {n["name"]: n["alive"] for n in self.status("_2")["storage_nodes"]} == {
                "storage-node-1": True, "storage-node-2": False, "storage-node-3": True}, 60)
            first = self.ctl("cluster", "status").splitlines()[0]
            self.assertIn("degraded: ", first)
            self.assertIn("storage node storage-node-2 is gone", first)
            shards = json.loads(self.ctl("--output", "json", "cluster", "shards"))["items"]
            self.assertTrue(shards)
            for shard in shards:
                self.assertNotEqual(shard["leader"], "storage-node-2")
                self.assertEqual(set(shard["isr"]), {"storage-node-1", "storage-node-3"}, shard)
        finally:
            self.script("start", "storage-node-2")
        self.wait_healthy()

    def test_a_member_of_the_store_that_was_killed(self):
        self.wait_healthy()
        self.script("kill", "etcd-2")
        try:
            wait_for("it is named", lambda: [m["state"] == "ok" for m in self.status()["store"]] == [True, False, True], 60)
            self.assertIn("configuration store https://", self.ctl("cluster", "status").splitlines()[0])
        finally:
            self.script("start", "etcd-2")
        self.wait_healthy()

    def test_the_log_has_the_events_of_both_frontends_and_of_storage_nodes(self):
        self.wait_healthy()
        user = "stranger@testdomain.lab"
        for frontend in ("", "_2"):
            fail_login(self.values()["IMAPS" + frontend], user)
        for frontend in ("", "_2"):
            events = self.tail("security", "--filter", "user=" + user, frontend=frontend)["items"]
            self.assertEqual(sorted(e["program"] for e in events), ["frontend-1", "frontend-2"])
            self.assertEqual([e["time"] for e in events], sorted(e["time"] for e in events))
            programs = {e["program"] for e in self.tail("operations", frontend=frontend)["items"]}
            self.assertLessEqual({"frontend-1", "frontend-2", "storage-node-1", "storage-node-2", "storage-node-3",
                                  "scanner-1", "router-1", "router-2"}, programs)

    def test_a_program_that_hangs_is_named_and_the_others_are_shown(self):
        self.wait_healthy()
        fail_login(self.values()["IMAPS"], "before-stop@testdomain.lab")

        def named():
            """On a slow machine its lease may run out before it is asked: then it is not known any more."""
            self.wait_healthy()
            self.script("stop", "frontend-2")
            try:
                tail = self.tail("security", "--filter", "before-stop")
                self.assertEqual([e["program"] for e in tail["items"]], ["frontend-1"])
                return [u["program"] for u in tail["unreachable"]] == ["frontend/frontend-2"]
            finally:
                self.script("cont", "frontend-2")
        wait_for("it is named", named, 240)
        self.wait_healthy()


if __name__ == "__main__":
    unittest.main()
