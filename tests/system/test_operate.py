"""Operating a node: health, readiness and metrics of all three programs, logs, options in force without a
restart, and what an idle node costs."""
import base64
import io
import json
import os
import signal
import time
import unittest
import urllib.error
import urllib.request
import zipfile

from node import DOMAIN, Node, SLOW, wait_for

PROGRAMS = {"frontend": "godwit_frontend_", "storage_node": "godwit_storage_node_", "scanner": "godwit_scanner_"}
IDLE_CORE_MAX = 0.005  # of one core, all programs and their children together

node = None


def setUpModule():
    global node
    node = Node().start()


def tearDownModule():
    node.close()


def get(program, path, n=None):
    """Status and text of a program's health address."""
    address = (n or node).endpoints()[f"METRICS_{program}_1"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}{path}", timeout=20 * SLOW) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metrics(program):
    """{name with labels, without the program's prefix: value}; checks the form."""
    status, text = get(program, "/metrics")
    assert status == 200, (status, text)
    prefix, values, typed = PROGRAMS[program], {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert kind in ("counter", "gauge", "histogram"), line
            assert name not in typed, line
            typed.add(name)
            continue
        if line.startswith("#"):
            assert line.startswith("# HELP "), line
            continue
        name, value = line.rsplit(" ", 1)
        assert name.startswith(prefix), line
        assert name not in values, "twice: " + line
        base = name.split("{")[0]
        for suffix in ("_bucket", "_sum", "_count"):
            if base not in typed and base.endswith(suffix):
                base = base[:-len(suffix)]
        assert base in typed, "no TYPE before: " + line
        values[name[len(prefix):]] = float(value)
    return values


def all_metrics():
    return {program: metrics(program) for program in PROGRAMS}


def archive(files):
    """A message with an archive of so many files."""
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as z:
        for i in range(files):
            z.writestr(f"{i}.txt", f"number {i}")
    text = base64.encodebytes(zipped.getvalue()).decode().replace("\n", "\r\n")
    return (f"From: <a@outside.example>\r\nTo: <operate@{DOMAIN}>\r\nSubject: archive\r\nMIME-Version: 1.0\r\n"
            "Content-Type: application/zip; name=\"a.zip\"\r\nContent-Transfer-Encoding: base64\r\n"
            f"Content-Disposition: attachment; filename=\"a.zip\"\r\n\r\n{text}\r\n")


def events(n=None):
    """All lines of JSON that the programs have logged."""
    found = []
    folder = os.path.join((n or node).data, "log")
    for name in sorted(os.listdir(folder)):
        if not name.startswith("events.json"):
            continue
        with open(os.path.join(folder, name)) as f:
            for line in f:
                if not line.endswith("\n"):
                    continue  # it is being written
                found.append(json.loads(line))
    return found


class Health(unittest.TestCase):
    def test_all_three_are_alive_and_ready(self):
        for program in PROGRAMS:
            self.assertEqual(get(program, "/healthz")[0], 200, program)
            self.assertEqual(get(program, "/readyz")[0], 200, program)
            self.assertEqual(get(program, "/nothing")[0], 404, program)

    def test_metrics_move_with_a_delivery(self):
        before = all_metrics()
        node.user("operate")
        node.send(f"operate@{DOMAIN}")
        client = node.imap("operate")
        wait_for("the message", lambda: client.select()[1] == [b"1"])
        client.fetch("1", "(FLAGS)")
        client.logout()
        after = all_metrics()

        def moved(program, name, least=1):
            self.assertGreaterEqual(after[program][name] - before[program].get(name, 0), least, f"{program} {name}")
        moved("frontend", "messages_accepted_total")
        moved("frontend", "logins_total")
        moved("frontend", "connections_total", 2)
        moved("storage_node", "log_entries_total")
        moved("storage_node", "log_groups_total")
        moved("storage_node", "log_group_entries_count")
        moved("storage_node", "log_sync_seconds_count")
        moved("storage_node", 'log_sync_seconds_bucket{le="+Inf"}')
        moved("storage_node", "applied_total")
        moved("storage_node", "log_bytes")
        moved("storage_node", 'rpc_calls_total{method="Deliver",status="OK"}')
        moved("storage_node", "index_hits_total")  # a new mailbox is in the cache from its first row on
        moved("storage_node", "index_mailboxes")
        moved("scanner", 'scans_total{verdict="clean"}')
        moved("scanner", "scan_seconds_count")
        moved("scanner", "scan_bytes_total", 40)
        moved("scanner", 'rpc_calls_total{method="Scan",status="OK"}')
        now = after["storage_node"]
        self.assertEqual(now['shards{role="serving"}'], 16)
        self.assertEqual(now['shards{role="quarantined"}'], 0)
        self.assertEqual(now["read_only"], 0)
        wait_for("all that was logged is applied", lambda: metrics("storage_node")["apply_lag_entries"] == 0)
        self.assertGreater(now["kv_memory_bytes"], 0)
        self.assertGreater(now["disk_free_bytes"], 0)
        self.assertEqual(after["scanner"]["ready"], 1)
        self.assertGreaterEqual(after["scanner"]['workers{state="idle"}'], 1)
        self.assertGreater(after["scanner"]["signatures"], 0)
        self.assertEqual(after["frontend"]["scanners_ready"], 1)
        self.assertEqual(after["frontend"]["store_reachable"], 1)

    def test_counters_of_a_frontend_are_those_of_all_its_loops(self):
        """Whichever loop answers, the sum is the same or more."""
        last = 0
        for _ in range(20):
            now = metrics("frontend")["connections_total"]
            self.assertGreaterEqual(now, last)
            last = now

    def test_a_scanner_without_signatures_is_alive_and_not_ready(self):
        """And the frontend says why it is not ready either."""
        other = Node().start()
        try:
            folder = os.path.join(other.data, "signatures")
            other.config("scan.signatures.age.max", "1s")
            wait_for("the scanner is not ready", lambda: get("scanner", "/readyz", other)[0] == 503)
            self.assertIn("too old", get("scanner", "/readyz", other)[1])
            self.assertEqual(get("scanner", "/healthz", other)[0], 200)
            wait_for("the frontend is not ready", lambda: other.http("GET", "/readyz")[0] == 503)
            self.assertEqual(get("storage_node", "/readyz", other)[0], 200)
            other.config("scan.signatures.age.max", "0")
            wait_for("ready again", other.is_ready)
            said = [e["event"] for e in events(other) if e["program"] == "scanner-1"]
            for event in ("program-not-ready", "signatures-old"):
                self.assertIn(event, said)
            self.assertGreaterEqual(said.count("program-ready"), 2)
            # A set that can't be loaded leaves the old one in force.
            with open(os.path.join(folder, "broken.ndb"), "w") as f:
                f.write("this is no signature\n")
            os.kill(other.pid("scanner-1"), signal.SIGHUP)
            wait_for("the set is refused", lambda: any(e["event"] == "signatures-failed" for e in events(other)))
            self.assertEqual(get("scanner", "/readyz", other)[0], 200)
        finally:
            other.close()


class Logs(unittest.TestCase):
    def test_every_line_is_an_event_and_every_program_has_some(self):
        said = events()
        for event in said:
            for key in ("time", "level", "log", "event", "program"):
                self.assertIn(key, event)
        started = {e["program"] for e in said if e["event"] == "program-started"}
        self.assertEqual(started, {"frontend-1", "storage-node-1", "scanner-1"})
        ready = {e["program"] for e in said if e["event"] == "program-ready"}
        self.assertEqual(ready, started)
        self.assertTrue(any(e["event"] == "signatures-loaded" and e["count"] > 0 for e in said))
        with open(os.path.join(node.data, "log/operations.log")) as f:
            lines = f.read().splitlines()
        self.assertEqual([line for line in lines if not line.startswith("[")], [])
        self.assertTrue(any("storage-node-1 is ready" in line for line in lines), lines)

    def test_a_program_that_is_killed_says_so_by_starting_again(self):
        def starts(program):
            return sum(e["event"] == "program-started" and e["program"] == program for e in events())
        def readies():
            return sum(e["event"] == "program-ready" and e["program"] == "frontend-1" for e in events())
        for program in ("storage-node-1", "scanner-1"):
            before, ready_before = starts(program), readies()
            old = node.kill(program)
            node.wait_restarted(program, old)
            wait_for(program + " logs again", lambda: starts(program) == before + 1)
            wait_for("the frontend says that it is ready again", lambda: readies() > ready_before)
        kinds = [e["event"] for e in events() if e["program"] == "frontend-1"]
        for kind in ("store-unreachable", "store-reachable", "program-not-ready", "program-ready"):
            self.assertIn(kind, kinds)
        why = {e["reason"] for e in events() if e["event"] == "program-not-ready"}
        self.assertLessEqual({"the storage node does not answer", "no scanner is ready"}, why)

    def test_files_moved_away_are_opened_anew(self):
        path = os.path.join(node.data, "log/events.json")
        os.rename(path, path + ".moved")
        node.config("smtp.banner", "moved")
        wait_for("a new file", lambda: os.path.exists(path) and os.path.getsize(path) > 0)

    def test_rotation_and_level_without_a_restart(self):
        node.config("log.rotate.bytes", "65536")
        node.config("log.rotate.keep", "2")
        folder = os.path.join(node.data, "log")

        def rotated():
            for i in range(100):
                node.api("PUT", "/api/v1/config/smtp.banner", {"value": f"banner {i} " + "x" * 200})
            return os.path.exists(os.path.join(folder, "events.json.2"))
        wait_for("two files were put aside", rotated, 60)
        self.assertFalse(os.path.exists(os.path.join(folder, "events.json.3")))
        events()  # all of them are whole
        node.config("log.level", "error")
        taken = {"storage-node-1": 0, "scanner-1": 0}

        def quiet():
            before = os.path.getsize(os.path.join(folder, "config.log"))
            node.config("smtp.banner", "quiet")
            # What an administrator did is logged by whoever is not at that level yet.
            return os.path.getsize(os.path.join(folder, "config.log")) == before
        wait_for("nothing but errors is logged", quiet)
        node.config("log.level", "info")
        node.config("smtp.banner", "loud again")

        def heard():
            for event in events():
                if event["event"] == "config-taken" and event["program"] in taken:
                    taken[event["program"]] += 1
            return all(taken.values())
        wait_for("storage node and scanner take the configuration", heard)


class Options(unittest.TestCase):
    def test_scan_limits_are_in_force_without_a_restart(self):
        node.user("limits")
        pids = {name: node.pid(name) for name in ("storage-node-1", "scanner-1", "frontend-1")}

        def scanned(verdict):
            before = metrics("scanner")[f'scans_total{{verdict="{verdict}"}}']
            try:
                node.send(f"limits@{DOMAIN}", archive(50))
            except Exception:  # what is done about an archive that is too large is not the point here
                pass
            return metrics("scanner")[f'scans_total{{verdict="{verdict}"}}'] > before
        self.assertTrue(scanned("clean"))
        node.config("scan.files.max", "10")
        wait_for("an archive of 50 files is too large", lambda: scanned("uncheckable"), 10)
        node.config("scan.files.max", "1000")
        wait_for("and is not any more", lambda: scanned("clean"), 10)
        self.assertEqual(pids, {name: node.pid(name) for name in pids})

    def test_the_quota_of_all_is_in_force_without_a_restart(self):
        node.user("quota")
        node.user("own", quota_items=100)
        node.send(f"quota@{DOMAIN}")
        node.config("quota.items", "1")

        def refused(name):
            try:
                node.send(f"{name}@{DOMAIN}")
                return False
            except Exception:
                return True
        wait_for("the box is full", lambda: refused("quota"), 10)
        self.assertFalse(refused("own"), "its own quota is what counts")
        self.assertFalse(refused("own"))
        node.config("quota.items", "0")
        wait_for("the box is not full any more", lambda: not refused("quota"), 10)

    def test_a_bad_option_changes_nothing(self):
        status, reply = node.api("PUT", "/api/v1/config/scan.files.max", {"value": "many"}, ok=False)
        self.assertEqual(status, 400, reply)
        for program in PROGRAMS:
            self.assertEqual(get(program, "/readyz")[0], 200)


class Idle(unittest.TestCase):
    def test_an_idle_node_costs_next_to_nothing(self):
        """Processor time of the programs and their children: less than IDLE_CORE_MAX of one core."""
        roots = {int(v) for k, v in node.endpoints().items() if k.startswith("PID_")} | {node.process.pid}

        def family():
            parents = {}
            for name in os.listdir("/proc"):
                try:
                    with open(f"/proc/{name}/stat") as f:
                        parents[int(name)] = int(f.read().rsplit(")", 1)[1].split()[1])
                except (ValueError, OSError):
                    continue
            found, grew = set(roots), True
            while grew:
                grew = False
                for pid, parent in parents.items():
                    if parent in found and pid not in found:
                        found.add(pid)
                        grew = True
            return found

        def used():
            """Seconds, of all threads that are alive."""
            total = 0
            for pid in family():
                try:
                    for task in os.listdir(f"/proc/{pid}/task"):
                        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                            total += int(f.read().split()[0]) / 1e9
                except OSError:
                    continue
            return total

        start, last, share = time.monotonic(), used(), None
        self.assertGreater(last, 0)

        def settled():
            nonlocal start, last, share
            now = time.monotonic()
            if now - start < 10:
                return False
            share = (used() - last) / (now - start)
            start, last = now, used()
            return share < IDLE_CORE_MAX
        wait_for("an idle node", settled, 60)
        print(f"# idle: {share * 100:.3f} % of a core", flush=True)


if __name__ == "__main__":
    unittest.main()
