"""lib/coord on etcd: every trap of etcd's JSON gateway, against real members."""
import http.server
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from etcd import Driver, Etcd, Proxy, b64
from node import wait_for


class Base(unittest.TestCase):
    def driver(self, *options, ready=True):
        driver = Driver(*options, ready=ready)
        self.addCleanup(driver.close)
        return driver

    def proxy(self, etcd, member=0):
        proxy = Proxy(etcd.client_ports[member])
        self.addCleanup(proxy.close)
        return proxy

    def see(self, driver, prefix, rows, seconds=30):
        wait_for(f"rows {sorted(rows)}", lambda: driver.list(prefix)[1] == rows, seconds)

    def is_not_current(self, driver, seconds=20):
        return wait_for("the store is known not to be current",
                        lambda: (s := driver.state())[0] != "OK" and s, seconds)

    def is_current(self, driver, seconds=30):
        wait_for("the store is current", lambda: driver.state()[0] == "OK", seconds)

    def check_told(self, driver, name, want):
        """Every change was told, once and forwards, up to `want`; no call without one."""
        told = {}
        for changes in driver.watched_now(name):
            self.assertTrue(changes)
            for key, revision in changes.items():
                if revision is not None and told.get(key) is not None:
                    self.assertGreater(revision, told[key])
                told[key] = revision
        self.assertEqual(want, {k: r for k, r in told.items() if r is not None})


class OneMember(Base):
    number = 0

    @classmethod
    def setUpClass(cls):
        cls.etcd = Etcd()

    @classmethod
    def tearDownClass(cls):
        cls.etcd.close()

    def setUp(self):
        OneMember.number += 1
        self.cluster = f"one{OneMember.number}"

    def open(self, *endpoints, ready=True):
        endpoints = endpoints or self.etcd.endpoints
        return self.driver("--etcd", ",".join(endpoints), "--cluster", self.cluster, ready=ready)

    def put(self, key, value):
        return self.etcd.put(key, value, self.cluster)

    def rows(self):
        return self.etcd.rows(self.cluster)

    def version(self, key):
        reply = self.etcd.call("/v3/kv/range", {"key": b64(f"/godwit/{self.cluster}/{key}")})
        return int(reply["kvs"][0]["version"])

    # -- watches

    def test_what_was_compacted_while_we_were_away_is_read_again(self):
        proxy = self.proxy(self.etcd)
        self.put("gone", "x")
        kept = self.put("kept", "x")
        d = self.open(proxy.endpoint)
        d.watch("w")
        proxy.set("refuse", cut=True)
        self.is_not_current(d)
        self.etcd.delete("gone", self.cluster)
        for n in range(20):
            self.put("changed", str(n))
        self.etcd.compact()
        self.put("behind", "x")
        proxy.answers = b""
        proxy.set("pass")
        want = self.rows()
        self.see(d, "", want)
        self.assertIn(b'"canceled":true', proxy.answers)
        self.assertIn(b'"compact_revision"', proxy.answers)
        told = {}
        for changes in d.watched_now("w"):
            self.assertTrue(changes)
            told.update(changes)
        del want["kept"]
        self.assertEqual({"gone": None, **want}, told)
        self.assertEqual(kept, d.get("kept")[0])
        later = self.put("later", "x")  # the new watch works
        self.assertEqual({"later": later}, d.watched("w"))

    def test_what_was_not_compacted_comes_by_the_watch(self):
        proxy = self.proxy(self.etcd)
        d = self.open(proxy.endpoint)
        d.watch("w")
        for round_ in range(5):
            proxy.set("refuse", cut=True)
            for n in range(10):
                self.put(f"k/{n}", str(round_))
            self.etcd.delete("k/3", self.cluster)
            proxy.set("pass")
            self.see(d, "", self.rows())
        self.check_told(d, "w", self.rows())

    def test_fragments_are_put_together(self):
        proxy = self.proxy(self.etcd)
        d = self.open(proxy.endpoint)
        d.watch("w", "f/")
        proxy.set("refuse", cut=True)
        for n in range(60):
            self.put(f"f/{n}", chr(97 + n % 26) * 60000)
        proxy.answers = b""
        proxy.set("pass")
        want = self.rows()
        self.assertEqual(want, d.watched("w"))  # all of them in one call
        self.assertIn(b'"fragment":true', proxy.answers)
        self.assertEqual("d" * 60000, d.get("f/3")[1])
        later = self.put("f/0", "x")
        self.assertEqual({"f/0": later}, d.watched("w"))

    def test_a_watch_that_says_nothing_more_is_found_out(self):
        proxy = self.proxy(self.etcd)
        d = self.open(proxy.endpoint)
        d.watch("w")
        proxy.set("hold-watch")
        first = self.put("a/1", "x")
        # Calls get through; what a refresh of a part brings, the watch owes.
        self.assertEqual("OK", d.refresh("a/1"))
        self.assertEqual({"a/1": first}, d.watched("w"))
        second = self.put("b", "x")
        with self.subTest("the watch is stuck"):
            self.assertEqual([], d.watched_now("w"))
        wait_for("another watch is asked for", lambda: proxy.requests.count(b"/v3/watch") > 1)
        proxy.set("pass", cut=True)
        self.assertEqual({"b": second}, d.watched("w", 30))

    def test_a_member_that_holds_everything_back_is_left(self):
        proxy = self.proxy(self.etcd)
        d = self.open(proxy.endpoint, self.etcd.endpoints[0])
        d.watch("w")
        proxy.set("hold")
        revision = self.put("a", "x")
        self.assertEqual({"a": revision}, d.watched("w", 30))
        self.is_current(d)
        self.assertEqual("OK", d.put("b", "x", 0)[0])

    def test_each_of_many_prefixes_is_watched_at_the_first_try(self):
        """Etcd's gateway loses watches that it has not read before it answers, one time in eight: a try more is 2 s."""
        prefixes = [word for i in range(8) for word in ("--prefix", f"programs/storage-node/{i}/")]
        late = 0
        for _ in range(30):
            begun = time.monotonic()
            d = self.driver("--etcd", self.etcd.endpoints[0], "--cluster", self.cluster, *prefixes)
            late += time.monotonic() - begun >= 2
            d.close()
        self.assertLessEqual(late, 1)

    def test_prefixes_share_one_stream(self):
        proxy = self.proxy(self.etcd)
        d = self.driver("--etcd", proxy.endpoint, "--cluster", self.cluster, "--prefix", "a/",
                        "--prefix", "b/", "--prefix", "c/")
        self.assertEqual(1, proxy.requests.count(b"POST /v3/watch"))
        self.assertEqual(3, proxy.requests.count(b"create_request"))
        d.watch("w")
        want = {key: self.put(key, "x") for key in ("a/1", "c/1", "b/1")}
        self.put("d/1", "x")
        self.see(d, "", want)
        self.check_told(d, "w", want)

    # -- outcomes

    def test_a_change_whose_answer_is_lost_was_made_once(self):
        proxy = self.proxy(self.etcd)
        d = self.open(proxy.endpoint)
        for n in range(5):
            self.assertEqual("OK", d.put("warm", str(n))[0])  # there are connections to be used again
            proxy.set("swallow")
            tag = d.start(f"put,shards/{n},0,nonce-{n}")
            wait_for("it was made", lambda: f"shards/{n}" in self.rows())
            proxy.set("pass")
            code, revision = d.changed(tag)
            self.assertEqual(("OK", self.rows()[f"shards/{n}"]), (code, revision))
            self.assertEqual(1, self.version(f"shards/{n}"))
            self.assertEqual((revision, f"nonce-{n}"), d.get(f"shards/{n}"))

    def test_a_deletion_whose_answer_is_lost_was_made(self):
        proxy = self.proxy(self.etcd)
        d = self.open(proxy.endpoint)
        revision = d.put("a", "x", 0)[1]
        proxy.set("swallow")
        tag = d.start(f"del,a,{revision}")
        wait_for("it was made", lambda: not self.rows())
        proxy.set("pass")
        self.assertEqual("OK", d.changed(tag)[0])

    def test_a_change_whose_answer_is_lost_and_that_another_overwrote_is_lost(self):
        proxy = self.proxy(self.etcd)
        d = self.open(proxy.endpoint)
        proxy.set("swallow")
        tag = d.start("put,shards/1,0,mine")
        wait_for("it was made", lambda: self.rows())
        proxy.set("refuse", cut=True)  # nobody heard of it
        later = self.put("shards/1", "theirs")
        proxy.set("pass")
        self.assertEqual(("CONFLICT", 0), d.changed(tag))
        self.assertEqual((later, "theirs"), d.get("shards/1"))

    def test_a_change_that_never_came_is_sent_again(self):
        proxy = self.proxy(self.etcd)
        d = self.open(proxy.endpoint)
        proxy.set("hold", cut=True)
        tag = d.start("put,shards/1,0,mine", "put,shards/2,0,mine")
        wait_for("it is sent", lambda: d.find("changed") is None and proxy.pairs)
        wait_for("there is no answer for a while", lambda: d.state()[0] != "OK")
        proxy.set("pass", cut=True)
        code, revision = d.changed(tag)
        self.assertEqual("OK", code)
        self.assertEqual({"shards/1": revision, "shards/2": revision}, self.rows())

    def test_without_an_answer_until_the_end_the_outcome_is_not_known(self):
        proxy = self.proxy(self.etcd)
        d = self.open(proxy.endpoint)
        d.say("wait", 1500)
        proxy.set("swallow")
        tag = d.start("put,shards/1,0,mine")
        wait_for("it was made", lambda: self.rows())
        proxy.set("refuse", cut=True)
        self.assertEqual(("UNKNOWN", 0), d.changed(tag))
        proxy.set("pass")
        self.see(d, "", self.rows())
        self.assertEqual({"shards/1"}, set(self.rows()))

    def test_a_lease_that_somebody_else_revokes(self):
        d = self.open()
        d.say("lease", "l", 6)
        d.take("lease", "l")
        self.assertEqual("OK", d.change("put,live/n,0,x,l")[0])
        kv = self.etcd.call("/v3/kv/range", {"key": b64(f"/godwit/{self.cluster}/live/n")})["kvs"][0]
        self.etcd.call("/v3/lease/revoke", {"ID": kv["lease"]})
        self.see(d, "", {})
        self.assertEqual("NOT_FOUND", d.change("put,live/n,0,x,l")[0])  # before or after we know
        self.assertEqual("lost", d.take("lease", "l")[2])  # the answer to a renewal has no TTL

    # -- bad input, wrong places

    def test_what_another_program_wrote_too_large(self):
        d = self.open()
        self.put("large", "x" * 100000)
        self.assertEqual("TOO_BIG", self.is_not_current(d)[0])
        self.assertEqual("TOO_BIG", self.open(ready=False).opened[1])
        self.etcd.delete("large", self.cluster)
        self.is_current(d)
        revision = self.put("small", "x")
        self.see(d, "", {"small": revision})

    def test_options_that_make_no_sense(self):
        for options in (["--etcd", "127.0.0.1:2379"], ["--etcd", "http://127.0.0.1"],
                        ["--etcd", "http://127.0.0.1:port"], ["--etcd", "ftp://127.0.0.1:1"],
                        ["--etcd", "http://u@host:1"], ["--etcd", "http://host:1/path"],
                        ["--etcd", self.etcd.endpoints[0], "--cluster", "A"],
                        ["--etcd", self.etcd.endpoints[0], "--cluster", "a/b"],
                        ["--etcd", self.etcd.endpoints[0], "--cluster", ""],
                        ["--etcd", self.etcd.endpoints[0], "--etcd-user", "u"],
                        ["--etcd", self.etcd.endpoints[0], "--etcd-cert", "/c"],
                        []):
            self.assertEqual("SYNTAX", self.driver(*options, ready=False).opened[1], options)

    def test_nobody_answers(self):
        proxy = self.proxy(self.etcd)
        proxy.set("refuse")
        self.assertEqual("UNREACHABLE", self.open(proxy.endpoint, ready=False).opened[1])
        d = self.open(proxy.endpoint, self.etcd.endpoints[0])  # the second does
        self.assertEqual("OK", d.put("a", "x", 0)[0])

    def test_etcd_that_knows_another_cluster(self):
        other = Etcd()
        self.addCleanup(other.close)
        proxy = self.proxy(self.etcd)
        d = self.open(proxy.endpoint, other.endpoints[0])
        revision = d.put("a", "x", 0)[1]
        other.put("a", "wrong", self.cluster)
        proxy.set("refuse", cut=True)
        wait_for("it says so", lambda: d.state()[0] == "CORRUPT")
        self.assertEqual((revision, "x"), d.get("a"))
        self.assertNotEqual("OK", d.refresh("", 30))
        proxy.set("pass")
        self.is_current(d)
        self.assertEqual((revision, "x"), d.get("a"))


class Scripted(Base):
    """What real members do too seldom to wait for: an etcd of our own that says what it is told."""

    def serve(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, text = answer(self.path, body.decode())
                self.send_response(status)
                if text is None:  # a watch: the stream stays open
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    for n in range(body.count(b"create_request")):
                        line = b'{"result":{"header":{"revision":"5"},"created":true,"watch_id":"%d"}}\n' % n
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                    self.wfile.flush()
                    closing.wait()
                    self.close_connection = True
                    return
                text = text.encode()
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        closing = threading.Event()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.addCleanup(closing.set)
        return "http://127.0.0.1:%d" % server.server_address[1]

    def kvs(self, keys, revision=5, more=False):
        return json.dumps({"header": {"cluster_id": "1", "revision": str(revision)}, "more": more, "kvs": [
            {"key": b64("/godwit/default/" + key), "mod_revision": "3", "value": b64(key)} for key in keys]})

    def test_pages_and_a_compaction_between_them(self):
        asked = []

        def answer(path, body):
            if path != "/v3/kv/range":
                return 200, None
            ask = json.loads(body)
            if "range_end" not in ask:
                return 200, self.kvs([])
            asked.append((ask.get("revision"), ask["key"]))
            if len(asked) == 2:
                return 400, '{"error":"etcdserver: mvcc: required revision has been compacted","code":11}'
            if ask["key"] == b64("/godwit/default/"):
                return 200, self.kvs(["a", "b"], more=True)
            return 200, self.kvs(["c"], revision=9)
        d = self.driver("--etcd", self.serve(answer))
        self.assertEqual({"a": 3, "b": 3, "c": 3}, d.list()[1])
        first, behind = b64("/godwit/default/"), b64("/godwit/default/b\0")
        self.assertEqual([("5", first), ("5", behind)] * 2, asked)

    def test_pages_that_make_no_sense(self):
        for keys, more in ((["b", "a"], False), (["a", "a"], False), ([], True)):
            url = self.serve(lambda path, body: (200, self.kvs(keys if "range_end" in body else [], more=more)))
            self.assertEqual("SYNTAX", self.driver("--etcd", url, ready=False).opened[1])

    def test_what_is_no_etcd(self):
        for status, text, want in ((404, "Not Found", "UNSUPPORTED"), (200, "<html>", "SYNTAX"),
                                   (200, '{"kvs":5}', "SYNTAX"),
                                   (403, '{"error":"etcdserver: permission denied","code":7}', "DENIED")):
            d = self.driver("--etcd", self.serve(lambda path, body: (status, text)), ready=False)
            self.assertEqual(want, d.opened[1], text)

    def test_an_answer_older_than_the_one_before(self):
        revision = [5]
        changed = '{"header":{"cluster_id":"1","revision":"%d"},"succeeded":true,"responses":[{}]}'

        def answer(path, body):
            if path == "/v3/kv/range":
                return 200, self.kvs(["a"] if "range_end" in body else [], revision[0])
            return 200, None if path == "/v3/watch" else changed % revision[0]
        d = self.driver("--etcd", self.serve(answer))
        revision[0] = 20
        self.assertEqual(("OK", 20), d.change("put,b,0,x"))
        revision[0] = 10
        self.assertNotEqual("OK", d.refresh("", 30))
        wait_for("it says so", lambda: d.state()[0] == "CORRUPT")
        d.say("wait", 1000)
        self.assertEqual("UNKNOWN", d.change("put,c,0,x")[0])  # it cannot be told what became of it
        revision[0] = 21
        self.is_current(d)
        self.assertEqual("OK", d.refresh())

    def test_what_the_gateway_says_about_a_change(self):
        say = [200, ""]

        def answer(path, body):
            if path == "/v3/kv/range":
                return 200, self.kvs(["a"] if "range_end" in body else [])
            if path == "/v3/watch":
                return 200, None
            return (200, self.kvs([])) if '"compare"' not in body else tuple(say)
        d = self.driver("--etcd", self.serve(answer))
        d.say("wait", 700)
        for status, code, text, want in (
                (400, 3, "etcdserver: request is too large", "TOO_BIG"),
                (403, 7, "etcdserver: permission denied", "DENIED"),
                (404, 5, "etcdserver: requested lease not found", "NOT_FOUND"),
                (429, 8, "etcdserver: mvcc: database space exceeded", "FULL"),
                (429, 8, "etcdserver: too many requests", "BUSY"),
                (500, 2, "context deadline exceeded", "UNKNOWN"),
                (503, 14, "etcdserver: request timed out", "UNKNOWN"),
                (503, 14, "etcdserver: leader changed", "UNKNOWN"),
                (400, 3, "etcdserver: user name is empty", "DENIED")):
            say[:] = status, json.dumps({"error": text, "message": text, "code": code})
            self.assertEqual((want, 0), d.change("put,b,0,x"), text)

    def test_a_change_that_was_made_though_there_was_no_room(self):
        """etcd carries out what it let through, and says afterwards that its quota is exceeded."""
        made = []

        def answer(path, body):
            if path == "/v3/kv/range":
                return 200, self.kvs(["a"] if "range_end" in body else [])
            if path == "/v3/watch":
                return 200, None
            if '"compare"' in body:
                made.append(body)
                return 429, json.dumps({"error": "etcdserver: mvcc: database space exceeded", "code": 8})
            rows = [{"key": b64("/godwit/default/b"), "mod_revision": "9", "value": b64("x")}] if made else []
            return 200, json.dumps({"header": {"cluster_id": "1", "revision": "9"},
                                    "responses": [{"response_range": {"kvs": rows}}]})
        d = self.driver("--etcd", self.serve(answer))
        self.assertEqual(("OK", 9), d.change("put,b,0,x"))
        self.assertEqual(len(made), 1)


class Limits(Base):
    def test_requests_that_the_member_finds_too_large(self):
        etcd = Etcd(extra=["--max-request-bytes", "32768"])
        self.addCleanup(etcd.close)
        d = self.driver("--etcd", etcd.endpoints[0])
        self.assertEqual(("TOO_BIG", 0), d.change("put,a,0,@60000"))
        self.assertEqual("OK", d.change("put,a,0,@20000")[0])

    def test_a_full_database(self):
        etcd = Etcd(extra=["--quota-backend-bytes", "400000"])
        self.addCleanup(etcd.close)
        d = self.driver("--etcd", etcd.endpoints[0])
        codes = []
        while codes.count("OK") < 20 and "FULL" not in codes:
            codes.append(d.change(f"put,k{len(codes)},0,@60000")[0])
        self.assertIn("FULL", codes)
        self.assertEqual(codes.count("OK"), len(etcd.rows()))

    def test_a_database_from_yesterday(self):
        etcd = Etcd()
        self.addCleanup(etcd.close)
        d = self.driver("--etcd", etcd.endpoints[0])
        d.put("a", "old", 0)
        etcd.kill(0)
        d.say("wait", 700)
        self.is_not_current(d)
        self.assertEqual(("UNREACHABLE", 0), d.put("a", "never", 1))  # nothing could be sent
        d.say("wait", 10000)
        data = os.path.join(etcd.base, "m0")
        shutil.copytree(data, data + ".old")
        etcd.start(0)
        wait_for("etcd answers", etcd.is_ready)
        for n in range(20):
            self.assertEqual("OK", d.put("a", str(n))[0])
        now = d.get("a")
        etcd.kill(0)
        shutil.rmtree(data)
        shutil.move(data + ".old", data)
        etcd.start(0)
        wait_for("etcd answers", etcd.is_ready)
        wait_for("it says so", lambda: d.state()[0] == "CORRUPT")
        self.assertEqual(now, d.get("a"))
        self.assertEqual("CORRUPT", d.refresh("", 30))
        self.assertNotEqual("OK", d.put("a", "x", now[0])[0])


class ThreeMembers(Base):
    number = 0

    @classmethod
    def setUpClass(cls):
        cls.etcd = Etcd(3)

    @classmethod
    def tearDownClass(cls):
        cls.etcd.close()

    def setUp(self):
        ThreeMembers.number += 1
        self.cluster = f"three{ThreeMembers.number}"

    def tearDown(self):
        for i, process in enumerate(self.etcd.processes):
            if process.poll() is not None:
                self.etcd.start(i)
            self.etcd.signal(i, signal.SIGCONT)
        wait_for("etcd answers", self.etcd.is_ready, 60)

    def open(self, *members):
        endpoints = [self.etcd.endpoints[i] for i in members or (0, 1, 2)]
        return self.driver("--etcd", ",".join(endpoints), "--cluster", self.cluster)

    def test_a_member_without_a_leader_ends_the_watch(self):
        d = self.open(0)
        d.watch("w")
        first = d.put("a", "x", 0)[1]
        self.assertEqual({"a": first}, d.watched("w"))
        d.say("wait", 3000)
        for i in (1, 2):
            self.etcd.signal(i, signal.SIGSTOP)
        tag = d.start(f"put,a,{first},y")
        self.is_not_current(d)
        self.assertEqual(("UNKNOWN", 0), d.changed(tag))
        self.assertNotEqual("OK", d.refresh("", 30))
        age = d.state()[1]
        wait_for("its age grows", lambda: d.state()[1] > age)
        self.assertEqual((first, "x"), d.get("a"))  # what was known is there
        for i in (1, 2):
            self.etcd.signal(i, signal.SIGCONT)
        self.is_current(d)
        want = self.etcd.rows(self.cluster)  # the change that we gave up may have come
        self.see(d, "", want)
        self.assertEqual("OK", d.put("a", "z")[0])

    def test_a_watch_ends_because_it_asks_for_a_leader(self):
        """With no call but the watch: the header has the member say that it has no leader."""
        proxy = self.proxy(self.etcd)
        d = self.driver("--etcd", proxy.endpoint, "--cluster", self.cluster)
        self.assertIn(b"Grpc-Metadata-hasleader: true", proxy.requests)
        for i in (1, 2):
            self.etcd.signal(i, signal.SIGSTOP)
        wait_for("the member says so", lambda: b"no leader" in proxy.answers)
        self.is_not_current(d)
        for i in (1, 2):
            self.etcd.signal(i, signal.SIGCONT)
        self.is_current(d)

    def test_members_stopped_in_the_middle_of_a_change(self):
        d = self.open()
        others = [i for i in range(3) if i != self.etcd.leader()]
        for n in range(3):
            for i in others:
                self.etcd.signal(i, signal.SIGSTOP)
            tag = d.start(f"put,shards/{n},0,nonce-{n}")
            self.is_not_current(d)
            for i in others:
                self.etcd.signal(i, signal.SIGCONT)
            code, revision = d.changed(tag)
            self.assertEqual("OK", code)
            reply = self.etcd.call("/v3/kv/range", {"key": b64(f"/godwit/{self.cluster}/shards/{n}")}, timeout=20)
            self.assertEqual(("1", str(revision)), (reply["kvs"][0]["version"], reply["kvs"][0]["mod_revision"]))
            self.is_current(d)

    def test_members_are_lost_one_after_the_other(self):
        watcher, writer = self.open(0, 1, 2), self.open(2, 1, 0)
        watcher.watch("w")
        want, n = {}, 0
        for victim in (0, 1, 2, 0):
            for phase in ("before", "down", "after"):
                if phase == "down":
                    self.etcd.kill(victim)
                if phase == "after":
                    self.etcd.start(victim)
                for _ in range(10):
                    n += 1
                    code, revision = writer.put(f"k/{n % 13}", str(n))
                    self.assertEqual("OK", code)
                    want[f"k/{n % 13}"] = revision
            wait_for("etcd answers", self.etcd.is_ready, 60)
        self.see(watcher, "", want)
        self.check_told(watcher, "w", want)
        self.is_current(watcher)

    def test_a_leader_is_stopped(self):
        d = self.open()
        d.watch("w")
        leader = self.etcd.leader()
        self.etcd.signal(leader, signal.SIGSTOP)
        code, revision = d.put("a", "x", 0)
        self.assertEqual("OK", code)
        self.assertEqual({"a": revision}, d.watched("w"))
        self.etcd.signal(leader, signal.SIGCONT)
        code, revision = d.put("a", "y", revision)
        self.assertEqual("OK", code)
        self.assertEqual({"a": revision}, d.watched("w"))

    def test_a_lease_outlives_a_leader(self):
        d = self.open()
        d.say("lease", "l", 3)
        d.take("lease", "l")
        code, revision = d.change("put,live/n,0,x,l")
        self.assertEqual("OK", code)
        leader = self.etcd.leader()
        self.etcd.kill(leader)
        self.assertEqual("OK", d.put("a", "x", 0)[0])
        self.etcd.start(leader)
        wait_for("etcd answers", self.etcd.is_ready, 60)
        held = d.find("lease", "l")
        # Three seconds are short for an election on a busy machine; then it is known to be lost.
        if held is None:
            self.assertEqual(revision, d.get("live/n")[0])
        else:
            self.assertEqual("lost", held[2])


def certificates(directory):
    """A CA, a server's and a client's certificate."""
    def run(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)
    for name in ("ca", "other"):
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", "2")
    with open(os.path.join(directory, "server.ext"), "w") as f:
        f.write("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    with open(os.path.join(directory, "client.ext"), "w") as f:
        f.write("extendedKeyUsage=clientAuth\n")
    for name, subject in (("server", "/CN=etcd"), ("client", "/O=godwit"), ("named", "/CN=godwit")):
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
            "-out", f"{name}.csr", "-subj", subject)
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-days", "2", "-extfile", "server.ext" if name == "server" else "client.ext")
    return {name: os.path.join(directory, name) for name in ("ca", "other", "server", "client", "named")}


class Secured(Base):
    """TLS with certificates of clients, users with roles, tokens that expire."""

    @classmethod
    def setUpClass(cls):
        cls.base = tempfile.mkdtemp(prefix="godwit-tls-")
        cls.names = names = certificates(cls.base)
        cls.etcd = Etcd(tls=(names["ca"] + ".pem", names["server"] + ".pem", names["server"] + ".key"),
                        client=(names["client"] + ".pem", names["client"] + ".key"),
                        extra=["--auth-token-ttl", "3"])
        ctl = cls.etcd.ctl
        for words in (["user", "add", "root:secret"], ["role", "add", "root"],
                      ["user", "grant-role", "root", "root"],
                      ["role", "add", "godwit"], ["user", "add", "godwit:pass \"word\""],
                      ["role", "grant-permission", "--prefix=true", "godwit", "readwrite", "/godwit/mine/"],
                      ["user", "grant-role", "godwit", "godwit"],
                      ["role", "add", "reader"], ["user", "add", "reader:reader"],
                      ["role", "grant-permission", "--prefix=true", "reader", "read", "/godwit/mine/"],
                      ["user", "grant-role", "reader", "reader"], ["auth", "enable"]):
            ctl(*words)
        cls.etcd.user = "root:secret"

    @classmethod
    def tearDownClass(cls):
        cls.etcd.close()
        shutil.rmtree(cls.base, ignore_errors=True)

    def password(self, text):
        path = os.path.join(self.base, "password-%d" % len(os.listdir(self.base)))
        with open(path, "w") as f:
            f.write(text)
        return path

    def open(self, user="godwit", password='pass "word"\n', ca="ca", cert="client", cluster="mine", ready=True):
        options = ["--etcd", self.etcd.endpoints[0], "--cluster", cluster]
        if user:
            options += ["--etcd-user", user, "--etcd-password-file", self.password(password)]
        if ca:
            options += ["--etcd-ca", self.names[ca] + ".pem"]
        if cert:
            options += ["--etcd-cert", self.names[cert] + ".pem", "--etcd-key", self.names[cert] + ".key"]
        return self.driver(*options, ready=ready)

    def test_who_has_all_of_it_comes_in(self):
        d = self.open()
        d.watch("w", "in/")
        code, revision = d.put("in/a", "x", 0)
        self.assertEqual("OK", code)
        self.assertEqual({"in/a": revision}, d.watched("w"))

    def test_who_has_not_does_not(self):
        for want, options in (
                ("UNREACHABLE", {"ca": "other"}), ("UNREACHABLE", {"ca": None}),
                ("UNREACHABLE", {"cert": None}), ("UNREACHABLE", {"cert": "other"}),
                # A certificate that names somebody: the gateway takes none while etcd has users.
                ("DENIED", {"cert": "named"}),
                ("DENIED", {"password": "wrong"}), ("DENIED", {"user": "nobody"}),
                ("DENIED", {"user": None}), ("DENIED", {"cluster": "other"}),
                ("SYNTAX", {"password": ""}), ("SYNTAX", {"password": "\n"}),
                ("SYNTAX", {"password": "x" * 5000})):
            self.assertEqual(want, self.open(**options, ready=False).opened[1], options)

    def test_a_missing_password_file(self):
        d = self.driver("--etcd", self.etcd.endpoints[0], "--etcd-user", "u", "--etcd-password-file",
                        "/none", "--etcd-ca", self.names["ca"] + ".pem", ready=False)
        self.assertEqual("IO", d.opened[1])

    def test_a_reader_only_reads(self):
        writer, reader = self.open(), self.open(user="reader", password="reader")
        code, revision = writer.put("read/a", "x")
        self.assertEqual("OK", code)
        wait_for("it is read", lambda: reader.get("read/a") == (revision, "x"))
        self.assertEqual(("DENIED", 0), reader.put("read/a", "y", revision))
        self.assertEqual("DENIED", reader.change("put,read/b,0,y")[0])
        self.assertEqual("OK", reader.refresh("read/"))

    def test_a_token_that_has_expired(self):
        d = self.open()
        d.watch("w", "token/")
        # Its use keeps a token alive; a program that was stopped finds it expired.
        d.signal(signal.SIGSTOP)
        tokens = {"used": None}

        def expired():
            """As old as the driver's, and not used since, one of the test's own has expired."""
            if tokens["used"] is None:
                tokens["used"] = self.etcd.call("/v3/auth/authenticate", {"name": "reader", "password": "reader"})["token"]
                tokens["asked"] = 0
            tokens["asked"] += 1
            if tokens["asked"] % 60:
                return False
            try:
                self.etcd.call("/v3/kv/range", {"key": b64("/godwit/mine/x")}, token=tokens["used"])
                tokens["used"] = None
                return False
            except OSError:
                return True
        wait_for("tokens expire", expired, 40)
        d.signal(signal.SIGCONT)
        code, revision = d.put("token/a", "x", 0)
        self.assertEqual("OK", code)
        self.assertEqual({"token/a": revision}, d.watched("w"))

    def test_tokens_that_a_new_start_of_the_member_has_forgotten(self):
        d = self.open()
        d.watch("w", "start/")
        first = d.put("start/a", "x", 0)[1]
        self.assertEqual({"start/a": first}, d.watched("w"))
        self.etcd.kill(0)
        self.is_not_current(d)
        self.etcd.start(0)
        wait_for("etcd answers", self.etcd.is_ready, 60)
        self.is_current(d)
        second = d.put("start/a", "y", first)
        self.assertEqual("OK", second[0])
        self.assertEqual({"start/a": second[1]}, d.watched("w"))

    def test_a_watch_that_is_refused(self):
        """Permission for what is looked at first, and no more for what is watched."""
        proxy = self.proxy(self.etcd)
        for words in (["role", "add", "watcher"], ["user", "add", "watcher:watcher"],
                      ["user", "grant-role", "watcher", "watcher"],
                      ["role", "grant-permission", "watcher", "read", "/godwit/mine/moving"],
                      ["role", "grant-permission", "--prefix=true", "watcher", "read", "/godwit/mine/w/"]):
            self.etcd.ctl(*words)
        names = self.names
        d = self.driver("--etcd", proxy.endpoint.replace("http:", "https:"), "--cluster", "mine", "--prefix", "w/",
                        "--etcd-user", "watcher", "--etcd-password-file", self.password("watcher"),
                        "--etcd-ca", names["ca"] + ".pem", "--etcd-cert", names["client"] + ".pem",
                        "--etcd-key", names["client"] + ".key")
        d.watch("w")
        self.etcd.ctl("role", "revoke-permission", "--prefix=true", "watcher", "/godwit/mine/w/")
        proxy.cut()
        wait_for("etcd refuses the watch", lambda: d.state()[0] == "DENIED")
        self.etcd.ctl("role", "grant-permission", "--prefix=true", "watcher", "read", "/godwit/mine/w/")
        self.is_current(d)
        revision = self.open().put("w/a", "x")[1]
        self.assertEqual({"w/a": revision}, d.watched("w"))

    def test_leases_of_users(self):
        a, b = self.open(), self.open()
        a.say("lease", "l", 5)
        a.take("lease", "l")
        self.assertEqual("OK", a.change("put,lease/n,0,x,l")[0])
        wait_for("it is seen", lambda: b.get("lease/n"))
        a.say("unlease", "l")
        wait_for("it is gone", lambda: b.get("lease/n") is None)

    def test_certificates_are_read_again(self):
        copies = {}
        for name in ("client.pem", "client.key", "ca.pem"):
            copies[name] = os.path.join(self.base, "copy-" + name)
            shutil.copy(os.path.join(self.base, name), copies[name])
        proxy = self.proxy(self.etcd)
        d = self.driver("--etcd", proxy.endpoint.replace("http:", "https:"), "--cluster", "mine", "--etcd-user", "godwit",
                        "--etcd-password-file", self.password('pass "word"'), "--etcd-ca", copies["ca.pem"],
                        "--etcd-cert", copies["client.pem"], "--etcd-key", copies["client.key"])
        for name in ("client.pem", "client.key"):  # another authority's
            shutil.copy(self.names["other"] + name[6:], copies[name])
        proxy.cut()
        self.assertEqual("UNREACHABLE", self.is_not_current(d)[0])
        for name in ("client.pem", "client.key"):
            shutil.copy(os.path.join(self.base, name), copies[name])
        self.is_current(d)
        self.assertEqual("OK", d.put("certs/a", "x")[0])

    def test_a_role_that_is_taken_away_and_given_back(self):
        d = self.open()
        d.put("role/a", "x")
        self.etcd.ctl("user", "revoke-role", "godwit", "godwit")
        self.assertEqual("DENIED", d.put("role/a", "y")[0])
        self.assertEqual("DENIED", self.is_not_current(d)[0])
        self.etcd.ctl("user", "grant-role", "godwit", "godwit")
        self.is_current(d)
        self.assertEqual("OK", d.put("role/a", "y")[0])


if __name__ == "__main__":
    unittest.main()
