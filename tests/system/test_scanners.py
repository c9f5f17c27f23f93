"""The pool of scanners: found through the configuration store, killed under load, new signatures one scanner at a time."""
import base64
import json
import os
import shutil
import signal
import smtplib
import threading
import time
import unittest
import urllib.error
import urllib.request

from deployed import DOMAIN, HERE, Deployed
from node import DOMAIN as NODE_DOMAIN
from node import SLOW, Node, wait_for

SIGNATURES = os.path.join(HERE, "../../deploy/signatures")
MORE = "Godwit.Test.More:0:*:5445525249424c452d474f44574954\n"  # TERRIBLE-GODWIT
EICAR = base64.b64encode(base64.b64decode(
    "WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo=")).decode()


def message(subject, body="a message"):
    return f"From: <a@outside.example>\r\nSubject: {subject}\r\n\r\n{body}\r\n"


def virus():
    return (f"Subject: virus\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=e.com\r\n"
            f"Content-Transfer-Encoding: base64\r\n\r\n{EICAR}\r\n")


class Load:
    """Senders through each frontend until the end of the block; `codes` of all messages, `accepted` subjects."""

    def __init__(self, test, name, senders=4):
        self.test, self.name, self.senders = test, name, senders
        self.codes, self.accepted, self.errors = [], {}, []
        self.lock, self.over = threading.Lock(), threading.Event()

    def send(self, number):
        user, frontend, count = number % self.test.USERS, ("", "_2")[number % 2], 0
        while not self.over.is_set():
            subject = f"{self.name}-{number}-{count}"
            count += 1
            try:
                with self.test.smtp(frontend) as s:
                    s.ehlo("c.example")
                    s.mail("a@outside.example")
                    code, text = s.rcpt(f"u{user}@{DOMAIN}")
                    if code // 100 == 4:
                        continue  # nothing of it came to a scanner
                    if code == 250:
                        code, text = s.data(message(subject))
            except (OSError, smtplib.SMTPException) as error:
                with self.lock:
                    self.errors.append(f"{subject}: {error}")
                return
            with self.lock:
                self.codes.append((code, text))
                if code == 250:
                    self.accepted.setdefault(user, []).append(subject)

    def __enter__(self):
        self.threads = [threading.Thread(target=self.send, args=(n,)) for n in range(self.senders)]
        for thread in self.threads:
            thread.start()
        return self

    def count(self):
        with self.lock:
            return sum(len(s) for s in self.accepted.values())

    def wait_more(self, count, seconds=90):
        """So many more are accepted."""
        target = self.count() + count
        wait_for(f"{count} more messages", lambda: self.count() >= target or self.errors, seconds)

    def __exit__(self, kind, *error):
        self.over.set()
        if kind is not None:
            print("# load:", self.errors, {c: t for c, t in self.codes if c != 250})
        for thread in self.threads:
            thread.join(120 * SLOW)
            self.test.assertFalse(thread.is_alive())

    def check(self):
        """Each was taken or is the client's to send again; what was taken is there, once, and nothing else."""
        self.test.assertEqual(self.errors, [])
        self.test.assertEqual({c: t for c, t in self.codes if c not in (250, 451)}, {})
        for user, sent in self.accepted.items():
            def found(user=user):
                return [s for s in self.test.subjects(user) if s.startswith(self.name + "-")]
            wait_for(f"mail of u{user}", lambda: len(found()) >= len(sent), 60)
            self.test.assertEqual(found(), sorted(sent))


class ScannerPool(Deployed):
    SIZE = {"frontends": 2, "storage-nodes": 1, "scanners": 2, "routers": 1, "etcd": 1}
    USERS = 4

    def setUp(self):
        self.folder = os.path.join(self.data, "signatures")
        wait_for("all is ready", self.ready, 60)
        wait_for("the signatures are in use", self.settled, 60)

    def tearDown(self):
        self.run_script("cont", "etcd-1")
        for name in self.scanners():
            if self.run_script("cont", name, check=False).returncode != 0:
                self.run_script("start", name, check=False)
        self.restore()

    def restore(self):
        """The signatures that the cluster was made with, and no others."""
        for name in os.listdir(self.folder):
            if not os.path.exists(os.path.join(SIGNATURES, name)):
                os.unlink(os.path.join(self.folder, name))
        for name in os.listdir(SIGNATURES):
            if not os.path.exists(os.path.join(self.folder, name)):
                shutil.copy(os.path.join(SIGNATURES, name), self.folder)

    def write(self, name, text):
        """At once, as an updater should: nobody sees half of it."""
        with open(os.path.join(self.data, name + ".new"), "w") as f:
            f.write(text)
        os.rename(os.path.join(self.data, name + ".new"), os.path.join(self.folder, name))

    def scanners(self):
        return [f"scanner-{n}" for n in range(1, self.spec()["counts"]["scanner"] + 1)]

    def listed(self):
        return self.rows("scanners/")[0]

    def sets(self):
        """What each listed scanner uses."""
        return {name: row["set"] for name, row in self.listed().items()}

    def settled(self):
        """All are listed with one set, and nobody loads."""
        rows = self.listed()
        return (sorted(rows) == self.scanners() and len({r["set"] for r in rows.values()} - {""}) == 1
                and not any(r["set"] == "" for r in rows.values()) and not self.rows("signatures/reload")[0]
                and all(self.get(name, "/readyz") == (200, "ready\n") for name in rows))

    def one(self, text, frontend=""):
        """The answer to one message."""
        with self.smtp(frontend) as s:
            s.ehlo("c.example")
            s.mail("a@outside.example")
            s.rcpt(f"u0@{DOMAIN}")
            return s.data(text)

    def changes(self, revision, until):
        """The store's changes of signatures/reload and of scanners/ since a revision: (key, row or None), in order,
        until `until` says of the list that it is whole."""
        head = f"/godwit/{self.spec()['cluster']}/"
        key, end = head + "scanners/", head + "signatures0"
        words = {"key": base64.b64encode(key.encode()).decode(), "start_revision": str(revision + 1),
                 "range_end": base64.b64encode(end.encode()).decode()}
        found = []
        with self.etcd_open("/v3/watch", {"create_request": words}) as reply:
            for line in reply:
                for event in json.loads(line)["result"].get("events", []):
                    name = base64.b64decode(event["kv"]["key"]).decode()[len(head):]
                    value = event["kv"].get("value")
                    found.append((name, None if value is None else json.loads(base64.b64decode(value))))
                if until(found):
                    return found

    # ---- who is there

    def test_each_kind_of_program_has_the_rows_that_it_needs_and_no_others(self):
        """As etcd sees it: the users of the programs write nothing but their own, and read nothing of tenants."""
        folders = ("certs/ca", "controller", "counts/x", "directory/office", "domains/x", "ipgroups/0/x", "live/x",
                   "map/head", "meta", "moving", "place/x", "policy/config", "programs/frontend/x", "programs/router/x", "programs/scanner/x",
                   "programs/storage-node/x", "scanners/x", "shards/x", "signatures/bad", "stores/x", "tenants/x",
                   "tls/tickets", "tokens/x", "another/x")
        writes = {"frontend": {"counts/x", "directory/office", "domains/x", "ipgroups/0/x", "place/x", "policy/config",
                               "programs/frontend/x", "shards/x", "stores/x", "tenants/x", "tls/tickets", "tokens/x"},
                  "storage-node": {"live/x", "programs/storage-node/x", "shards/x", "stores/x"},
                  "scanner": {"programs/scanner/x", "scanners/x", "signatures/bad"},
                  "router": {"controller", "map/head", "place/x", "programs/router/x", "shards/x", "stores/x"}}
        everybody = {"meta", "moving", "policy/config"}
        reads = {"frontend": set(folders) - {"certs/ca", "another/x"},
                 "storage-node": writes["storage-node"] | everybody | {"map/head", "place/x"},
                 "scanner": writes["scanner"] | everybody,
                 "router": writes["router"] | everybody | {"live/x"}}
        space = f"/godwit/{self.spec()['cluster']}/"
        for user in writes:
            ask = self.etcd_login(user)

            def may(path, body):
                try:
                    with ask(path, body) as reply:
                        return "error" not in json.loads(reply.read())
                except urllib.error.HTTPError as error:
                    text = error.read().decode()
                    self.assertEqual(403, error.code, text)
                    self.assertIn("permission denied", text)
                    return False

            def key(name):
                return base64.b64encode((space + name).encode()).decode()

            def put(name):
                """That never comes about: the key is not of that version."""
                return {"compare": [{"key": key(name), "target": "VERSION", "version": "123456789"}],
                        "success": [{"request_put": {"key": key(name), "value": "eA=="}}]}
            self.assertEqual(writes[user], {n for n in folders if may("/v3/kv/txn", put(n))}, user)
            self.assertEqual(reads[user], {n for n in folders if may("/v3/kv/range", {"key": key(n)})}, user)
            for first, end in ((space, space[:-1] + "0"), ("/godwit/", "/godwit0"), ("/godwit/x/meta", "/godwit/x/metb")):
                words = {"key": base64.b64encode(first.encode()).decode(), "range_end": base64.b64encode(end.encode()).decode()}
                self.assertFalse(may("/v3/kv/range", words), (user, first))
                self.assertFalse(may("/v3/kv/deleterange", words), (user, first))
            self.assertFalse(may("/v3/auth/user/list", {}), user)

    def test_a_scanner_that_is_started_is_found_and_used(self):
        name = f"scanner-{len(self.scanners()) + 1}"
        with Load(self, "found") as load:
            load.wait_more(10)
            self.run_script("start", name)
            wait_for(name + " gets messages", lambda: self.metrics(name).get('scans_total{verdict="clean"}', 0) >= 5, 30)
            load.wait_more(10)
        load.check()
        known = {e["count"] for e in self.events("scanners-known") if e["program"] == "frontend-2"}
        self.assertIn(len(self.scanners()), known)
        self.assertEqual(self.metrics("frontend-2")["scanners_known"], len(self.scanners()))

    def test_scanners_that_are_killed_in_turn_lose_no_message(self):
        with Load(self, "killed") as load:
            for _ in range(2):
                for name in self.scanners():
                    load.wait_more(15)
                    self.run_script("kill", name)
                    load.wait_more(15)
                    self.run_script("start", name)
                    wait_for(name + " is back", lambda name=name: self.get(name, "/readyz")[0] == 200, 40)
            load.wait_more(15)
        load.check()
        self.assertGreater(sum(code == 250 for code, _ in load.codes), 60)

    def test_one_that_is_stopped_is_avoided_and_its_row_goes(self):
        name = self.scanners()[0]
        with Load(self, "stopped") as load:
            load.wait_more(10)
            self.run_script("stop", name)
            load.wait_more(100)
            wait_for("its row is gone", lambda: name not in self.listed(), 60)
            wait_for("frontends give it up", lambda: all(
                self.metrics(f).get("scanners_known") == len(self.scanners()) - 1
                for f in ("frontend-1", "frontend-2")), 60)
            self.run_script("cont", name)
            wait_for("it is back", lambda: name in self.listed(), 60)
            before = self.metrics(name)['scans_total{verdict="clean"}']
            wait_for("it is used again", lambda: self.metrics(name)['scans_total{verdict="clean"}'] > before + 5, 60)
        load.check()
        self.assertGreater(sum(code == 250 for code, _ in load.codes), 100)

    def test_one_that_is_stopped_for_a_moment_is_used_again(self):
        name = self.scanners()[-1]
        with Load(self, "moment") as load:
            load.wait_more(10)
            self.run_script("stop", name)
            load.wait_more(40)
            self.run_script("cont", name)
            before = self.metrics(name)['scans_total{verdict="clean"}']
            wait_for("it is used again", lambda: self.metrics(name)['scans_total{verdict="clean"}'] > before + 15, 60)
        load.check()

    def test_none_left_is_451_and_one_back_is_enough(self):
        for name in self.scanners():
            self.run_script("kill", name)
        begun = time.monotonic()
        code, text = self.one(message("none"))
        self.assertEqual(code, 451, text)
        self.assertLess(time.monotonic() - begun, 30 * SLOW)
        self.run_script("start", self.scanners()[0])
        wait_for("mail is accepted again", lambda: self.one(message("one"), "_2")[0] == 250, 60)

    # ---- signatures

    def test_a_good_set_goes_over_the_pool_one_at_a_time(self):
        before, (_, revision) = self.sets(), self.rows("signatures/")
        names = self.scanners()
        troubles = self.troubles()
        deaths = {name: self.metrics(name)["worker_deaths_total"] for name in names}
        self.assertEqual(self.one(message("terrible", "TERRIBLE-GODWIT"))[0], 250)
        with Load(self, "reload") as load:
            load.wait_more(10)
            self.write("more.ndb", MORE)
            wait_for("all use the new set", lambda: self.settled() and self.sets() != before, 90)
            load.wait_more(10)
        load.check()
        self.assertEqual(self.troubles(), troubles)  # every message had its scan, at once
        for frontend in ("", "_2"):
            for _ in range(3):
                self.assertEqual(self.one(message("terrible", "TERRIBLE-GODWIT"), frontend)[0] // 100, 5)
        self.check_turns(self.changes(revision, lambda found: [k for k, row in found if row is None].count(
            "signatures/reload") == len(names)), names, set(before.values()))
        for name in names:
            self.assertEqual(self.metrics(name)["signature_sets"], 1)
            self.assertEqual(self.metrics(name)["worker_deaths_total"], deaths[name])

    def troubles(self):
        """Scans that came to nothing at a scanner, and those that frontends had to give to another one."""
        at = [self.metrics(n).get(f'scans_total{{verdict="{v}"}}', 0) for n in self.scanners() for v in (
            "failed", "timeout")]
        return sum(at) + sum(self.metrics(f).get('scan_attempts_total{why="again"}', 0) for f in ("frontend-1", "frontend-2"))

    def check_turns(self, changes, names, old):
        """Each had one turn, and changed its set within that; nobody else did meanwhile."""
        holder, had = None, []
        for key, row in changes:
            if key == "signatures/reload":
                self.assertNotEqual(holder is None, row is None, changes)
                holder = None if row is None else row["scanner"]
                had += [] if row is None else [holder]
            elif key.startswith("scanners/") and row is not None and row["set"] not in old:
                self.assertIn(key[9:], had, changes)
        self.assertEqual(sorted(had), names)

    def refused(self):
        return sum(self.metrics(name)["signatures_refused_total"] for name in self.scanners())

    def test_a_corrupt_set_is_tried_by_one_and_the_old_one_stays(self):
        before, refused, troubles = self.sets(), self.refused(), self.troubles()
        with Load(self, "corrupt") as load:
            load.wait_more(5)
            self.write("broken.ndb", "this is no signature\n")

            def said():
                return all(self.get(name, "/readyz")[1].startswith("ready\n") and
                           "refused" in self.get(name, "/readyz")[1] for name in self.scanners())
            wait_for("all say that it is refused", said, 60)
            load.wait_more(5)
        load.check()
        self.assertEqual(self.troubles(), troubles)
        self.assertEqual(self.sets(), before)
        bad = self.rows("signatures/bad")[0][""]["sets"][-1]
        self.assertIn(bad["by"], self.scanners())
        self.assertNotEqual(bad["why"], "")
        rows = self.listed()
        self.assertEqual([n for n in rows if rows[n]["refused"] == bad["set"]], [bad["by"]])
        self.assertEqual(self.refused(), refused + 1)
        self.assertIn("signatures-failed", [e["event"] for e in self.events() if e["program"] == bad["by"]])
        self.assertEqual(self.one(virus())[0] // 100, 5)
        os.unlink(os.path.join(self.folder, "broken.ndb"))
        wait_for("nothing is refused any more", self.settled, 60)
        self.assertEqual(self.sets(), before)

    def test_a_set_that_does_not_find_eicar_is_not_used(self):
        before = self.sets()
        self.write("other.ndb", "Godwit.Test.Other:0:*:5445525249424c45\n")
        for name in ("godwit.ndb", "godwit.hdb"):
            os.unlink(os.path.join(self.folder, name))

        def marked():
            bad = self.rows("signatures/bad")[0].get("", {"sets": []})["sets"]
            return [b for b in bad if "EICAR" in b["why"]]
        wait_for("it is known as bad", marked, 60)
        wait_for("nobody loads", lambda: not self.rows("signatures/reload")[0], 60)
        for name in self.scanners():
            self.assertEqual(self.get(name, "/readyz")[0], 200)
        self.assertFalse(marked()[-1]["set"] in self.sets().values())
        for frontend in ("", "_2"):
            self.assertEqual(self.one(virus(), frontend)[0] // 100, 5)
            self.assertEqual(self.one(message("clean"), frontend)[0], 250)
        self.restore()
        wait_for("the first set is in use", lambda: self.settled() and self.sets() == before, 60)


    def wait_said(self, why):
        """All scanners are ready and say this of the folder's signatures."""
        def said():
            return all(self.get(n, "/readyz")[1].startswith("ready\n" + why) for n in self.scanners())
        wait_for(f"all say: {why}", said, 60)

    def test_a_turn_is_waited_for_until_its_holder_is_gone(self):
        before = self.sets()
        status, text = self.etcd("/v3/lease/grant", {"TTL": "3600"})
        self.assertEqual(status, 200, text)
        lease = json.loads(text)["ID"]
        key = f"/godwit/{self.spec()['cluster']}/signatures/reload"
        row = json.dumps({"scanner": "scanner-9", "boot": "0" * 31 + "1", "set": ""})
        status, text = self.etcd("/v3/kv/put", {"key": base64.b64encode(key.encode()).decode(), "lease": lease,
                                                "value": base64.b64encode(row.encode()).decode()})
        self.assertEqual(status, 200, text)
        self.write("more.ndb", MORE)
        self.wait_said("new signatures wait until another scanner")
        self.assertEqual(self.sets(), before)
        self.assertEqual(self.one(message("waiting"))[0], 250)
        # As when a lease runs out: its rows are gone.
        self.assertEqual(self.etcd("/v3/lease/revoke", {"ID": lease})[0], 200)
        wait_for("all use the new set", lambda: self.settled() and self.sets() != before, 60)

    def test_without_the_store_a_reload_waits_and_scanning_goes_on(self):
        before, lost = self.sets(), len(self.events("scanner-lease-lost"))
        with Load(self, "without") as load:
            load.wait_more(10)
            self.run_script("stop", "etcd-1")
            wait_for("leases are lost", lambda: {e["program"] for e in self.events("scanner-lease-lost")[lost:]} >= set(
                self.scanners()), 60)
            self.write("more.ndb", MORE)
            self.wait_said("new signatures wait for the configuration store")
            load.wait_more(20)
            self.run_script("cont", "etcd-1")
            wait_for("all use the new set", lambda: self.settled() and self.sets() != before, 90)
            load.wait_more(10)
        load.check()
        self.assertEqual({name: self.metrics(name)["signature_sets"] for name in self.scanners()},
                         dict.fromkeys(self.scanners(), 1))


class OneNode(unittest.TestCase):
    def test_new_signatures_are_loaded_while_mail_comes_in(self):
        node = Node().start()
        self.addCleanup(node.close)
        node.user("s1")
        values = node.endpoints()

        def metric(name):
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"http://{values['METRICS_scanner_1']}/metrics", timeout=20 * SLOW) as reply:
                lines = [line.split() for line in reply.read().decode().split("\n")]
            return next(float(line[1]) for line in lines if line and line[0] == "godwit_scanner_" + name)

        wait_for("the scanner is listed", lambda: metric("listed") == 1)
        terrible = message("terrible", "TERRIBLE-GODWIT")
        to, pid = f"s1@{NODE_DOMAIN}", node.pid("scanner-1")
        node.send(to, terrible)
        for count, text in ((3, MORE), (4, MORE + MORE.replace("More", "Again"))):
            with open(os.path.join(node.data, "signatures", "more.ndb"), "w") as f:
                f.write(text)
            os.kill(pid, signal.SIGHUP)

            def loaded():
                node.send(to)
                return metric("signatures") == count and metric("signature_sets") == 1
            wait_for("the new set is in use", loaded, 40)
            with self.assertRaises(smtplib.SMTPDataError) as refused:
                node.send(to, terrible)
            self.assertEqual(refused.exception.smtp_code // 100, 5)
            wait_for("the turn is given back", lambda: metric("reload_turn") == 0)
        with open(os.path.join(node.data, "signatures", "broken.ndb"), "w") as f:
            f.write("this is no signature\n")
        os.kill(pid, signal.SIGHUP)
        wait_for("the set is refused", lambda: metric("signatures_refused_total") == 1)
        self.assertEqual(metric("signatures"), 4)
        node.send(to)
        self.assertEqual(node.pid("scanner-1"), pid)


if __name__ == "__main__":
    unittest.main()
