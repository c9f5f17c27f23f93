"""godwitctl cluster coord migrate: a store moves from its directory to etcd while it is used."""
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

import etcd as etcd_module
from etcd import Driver, Etcd, Proxy
from node import BUILD, SLOW, Node, wait_for


class Base(unittest.TestCase):
    number = 0

    @classmethod
    def setUpClass(cls):
        cls.etcd = Etcd()

    @classmethod
    def tearDownClass(cls):
        cls.etcd.close()

    def setUp(self):
        Base.number += 1
        self.cluster = f"m{Base.number}"
        self.base = tempfile.mkdtemp(prefix="godwit-move-")
        self.addCleanup(shutil.rmtree, self.base, True)
        self.store = os.path.join(self.base, "coord")

    def open(self, *options, ready=True):
        driver = Driver(*(options or ("--coord", self.store)), ready=ready)
        self.addCleanup(driver.close)
        return driver

    def open_etcd(self, ready=True):
        return self.open("--etcd", self.etcd.endpoints[0], "--cluster", self.cluster, ready=ready)

    def words(self, endpoint=None, cluster=None, store=None):
        return [os.path.join(BUILD, "godwitctl/godwitctl"), "--output", "json", "cluster", "coord", "migrate",
                "--coord", store or self.store, "--etcd", endpoint or self.etcd.endpoints[0],
                "--cluster", cluster or self.cluster]

    def migrate(self, **options):
        return subprocess.run(self.words(**options), capture_output=True, text=True, timeout=120 * SLOW)

    def moved(self, **options):
        done = self.migrate(**options)
        self.assertEqual(0, done.returncode, done.stderr)
        return json.loads(done.stdout)

    def refused(self, status, text, **options):
        done = self.migrate(**options)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        self.assertIn(text, done.stderr)

    def in_etcd(self):
        return self.etcd.rows(self.cluster)

    def see(self, driver, rows):
        wait_for("the rows of etcd", lambda: driver.list()[1] == rows)


class Moves(Base):
    def test_everybody_goes_along(self):
        a, b = self.open(), self.open()
        for n in range(5):
            a.put(f"domains/{n}", str(n), 0)
        a.say("lease", "l", 30)
        a.take("lease", "l")
        a.change("put,live/a,0,x,l", "put,meta,0,m")
        b.watch("w", "domains/")
        done = self.moved()
        self.assertEqual((True, 6), (done["moved"], done["rows"]))
        self.assertLess(done["refused_ms"], 5000)
        rows = self.in_etcd()
        self.assertEqual({"meta"} | {f"domains/{n}" for n in range(5)}, set(rows))  # nothing else, no lease's
        self.see(a, rows)
        self.see(b, rows)
        self.assertEqual({k: r for k, r in rows.items() if k.startswith("domains/")}, b.watched("w"))
        self.assertEqual("lost", a.take("lease", "l")[2])
        self.assertEqual("3", b.get("domains/3")[1])
        # All that a store can do, in the new one.
        code, revision = a.put("domains/3", "new", rows["domains/3"])
        self.assertEqual("OK", code)
        self.assertEqual({"domains/3": revision}, b.watched("w"))
        self.assertEqual(revision, self.in_etcd()["domains/3"])
        self.assertEqual("OK", b.refresh())
        self.assertEqual(("NOT_FOUND", 0), a.change("put,live/a,0,x,l"))
        a.say("unlease", "l")
        a.say("lease", "again", 30)
        self.assertEqual("held", a.take("lease", "again")[2])
        self.assertEqual("OK", a.change("put,live/a,0,x,again")[0])
        # Who comes later finds it there too.
        c = self.open()
        self.assertEqual(self.in_etcd(), c.list()[1])
        self.assertEqual("OK", c.put("late", "x", 0)[0])
        d = self.open_etcd()
        self.assertEqual(self.in_etcd(), d.list()[1])
        for driver in (a, b, c):
            self.assertEqual("OK", driver.state()[0])

    def test_no_change_is_lost_on_the_way(self):
        writers = [self.open() for _ in range(2)]
        want, under_way, refused, moved = {}, [None] * 2, 0, None
        for n in range(150):
            writers[0].put(f"old/{n}", "x" * 1000, 0)
        process = subprocess.Popen(self.words(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        n = 0
        while moved is None or n < moved + 40:
            n += 1
            for i, writer in enumerate(writers):
                under_way[i] = (f"new/{i}/{n}", writer.start(f"put,new/{i}/{n},any,{n}"))
            for i, writer in enumerate(writers):
                key, tag = under_way[i]
                code, _ = writer.changed(tag)
                self.assertIn(code, ("OK", "MOVED"))
                refused += code == "MOVED"
                if code == "OK":
                    want[key] = str(n)
            if moved is None and process.poll() is not None:
                moved = n
        out, error = process.communicate()
        self.assertEqual(0, process.returncode, error)
        self.assertLess(json.loads(out)["refused_ms"], 5000)
        rows = self.in_etcd()
        self.assertEqual(set(want), {key for key in rows if key.startswith("new/")})
        self.assertEqual(150, len([key for key in rows if key.startswith("old/")]))
        for writer in writers:
            self.see(writer, rows)
        for writer in writers:
            self.assertEqual("OK", writer.put("end", "x")[0])

    def test_many_and_large_rows(self):
        a = self.open()
        for n in range(6):
            self.assertEqual("OK", a.change(*[f"put,k/{n}/{i},0,v{i}" for i in range(128)])[0])
        for n in range(3):
            self.assertEqual("OK", a.change(*[f"put,large/{n}/{i},0,@60000" for i in range(16)])[0])
        a.change("put,empty,0,")
        done = self.moved()
        self.assertEqual(6 * 128 + 48 + 1, done["rows"])
        rows = self.in_etcd()
        self.assertEqual(done["rows"], len(rows))
        self.see(a, rows)
        self.assertEqual("v77", a.get("k/3/77")[1])
        self.assertEqual(60000, len(a.get("large/2/15")[1]))
        self.assertEqual("", a.get("empty")[1])

    def test_a_second_run_says_so(self):
        a = self.open()
        a.put("a", "x", 0)
        self.assertTrue(self.moved()["moved"])
        self.see(a, self.in_etcd())
        a.put("b", "x", 0)
        rows = self.in_etcd()
        self.assertEqual((False, 0), ((again := self.moved())["moved"], again["rows"]))
        self.assertEqual(rows, self.in_etcd())
        self.refused(1, "moved elsewhere", cluster="another")
        self.assertEqual({}, self.etcd.rows("another"))

    def test_a_run_that_was_killed_goes_on(self):
        a = self.open()
        for n in range(300):
            a.put(f"k/{n}", str(n), 0)
        proxy = Proxy(self.etcd.client_ports[0])
        self.addCleanup(proxy.close)
        for transactions in (3, 2):  # the first is about the key `moving`, then come rows
            proxy.hold_before(b"POST /v3/kv/txn", transactions)
            process = subprocess.Popen(self.words(endpoint=proxy.endpoint), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            wait_for("half of it is there", lambda: proxy.mode == "hold" or process.poll() is not None)
            self.assertIsNone(process.poll())
            process.kill()
            process.wait()
            proxy.set("pass", cut=True)
            self.assertIn("moving", self.in_etcd())
            self.assertGreater(len(self.in_etcd()), 1)
            # Nobody takes it for a store; the old one is as it was.
            self.assertEqual("BUSY", self.open_etcd(ready=False).opened[1])
            self.assertEqual("OK", a.put("k/1", "changed")[0])
            self.assertEqual("OK", a.change("del,k/2,any")[0])
            a.put("k/2000", "new")
        done = self.moved(endpoint=proxy.endpoint)
        rows = self.in_etcd()
        self.assertNotIn("moving", rows)
        self.see(a, rows)
        self.assertTrue(done["moved"])
        self.assertEqual({f"k/{n}" for n in range(300) if n != 2} | {"k/2000"}, set(rows))
        self.assertEqual("changed", a.get("k/1")[1])

    def test_a_run_that_was_killed_at_the_very_end(self):
        a = self.open()
        a.put("a", "x", 0)
        self.moved()
        self.see(a, self.in_etcd())
        with open(os.path.join(self.store, "moving"), "w") as f:
            f.write("0123456789abcdef" * 2)
        self.etcd.put("moving", "0123456789abcdef" * 2, self.cluster)
        self.assertEqual("BUSY", self.open_etcd(ready=False).opened[1])
        self.assertFalse(self.moved()["moved"])
        self.assertEqual({"a"}, set(self.in_etcd()))
        self.open_etcd()
        self.assertFalse(os.path.exists(os.path.join(self.store, "moving")))

    def test_where_there_is_something_it_does_not_go(self):
        a = self.open()
        a.put("a", "mine", 0)
        self.etcd.put("b", "theirs", self.cluster)
        self.refused(1, "not empty")
        self.assertEqual({"b"}, set(self.in_etcd()))
        self.etcd.delete("b", self.cluster)
        self.etcd.put("moving", "f" * 32, self.cluster)
        self.refused(1, "another migration")
        self.etcd.delete("moving", self.cluster)
        self.assertEqual("OK", a.put("a", "still", 1)[0])
        self.assertEqual("OK", a.state()[0])
        self.assertTrue(self.moved()["moved"])

    def test_etcd_that_does_not_answer(self):
        a = self.open()
        a.put("a", "x", 0)
        proxy = Proxy(self.etcd.client_ports[0])
        self.addCleanup(proxy.close)
        proxy.set("hold")
        process = subprocess.Popen(self.words(endpoint=proxy.endpoint), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.assertEqual("OK", a.put("a", "y")[0])
        _, error = process.communicate(timeout=60 * SLOW)
        self.assertEqual(3, process.returncode, error)
        self.assertEqual("OK", a.put("a", "z")[0])
        self.assertEqual({}, self.in_etcd())

    def test_changes_wait_five_seconds_at_most(self):
        """etcd falls silent while the lock is held and something is to be copied still."""
        data, lock = (os.path.join(self.store, name) for name in ("data", "lock"))
        a = self.open()
        a.put("early", "x", 0)
        shutil.copy(data, data + ".early")
        a.put("late", "x", 0)
        a.close()
        shutil.copy(data, data + ".late")
        os.replace(data + ".early", data)
        proxy = Proxy(self.etcd.client_ports[0])
        self.addCleanup(proxy.close)
        with open(lock) as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            process = subprocess.Popen(self.words(endpoint=proxy.endpoint), stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
            wait_for("the first copy", lambda: set(self.in_etcd()) == {"moving", "early"})
            os.replace(data + ".late", data)
            proxy.set("hold")
        a = self.open()
        begin = time.monotonic()
        code, _ = a.put("late", "y")
        self.assertEqual("OK", code)
        self.assertLess(time.monotonic() - begin, 6 * SLOW)
        _, error = process.communicate(timeout=60 * SLOW)
        self.assertNotEqual(0, process.returncode, error)
        proxy.set("pass", cut=True)
        self.assertTrue(self.moved(endpoint=proxy.endpoint)["moved"])
        self.see(a, self.in_etcd())
        self.assertEqual("y", a.get("late")[1])

    def test_usage(self):
        program = os.path.join(BUILD, "godwitctl/godwitctl")
        a = self.open()
        a.put("a", "x", 0)
        for words, text in (
                (["--coord", self.store], "--etcd"),
                (["--etcd", self.etcd.endpoints[0]], "--data or --coord"),
                (["--coord", self.store, "--data", self.base, "--etcd", self.etcd.endpoints[0]], "one of them"),
                (["--coord", self.store + "x", "--etcd", self.etcd.endpoints[0]], "No such file"),
                (["--coord", self.store, "--etcd", "localhost"], "http://HOST:PORT"),
                (["--coord", self.store, "--etcd", self.etcd.endpoints[0], "--cluster", "A B"], "a-z"),
                (["--coord", self.store, "--etcd", self.etcd.endpoints[0], "--etcd-ca", "/none"], "/none"),
                (["--coord", self.store, "--etcd", self.etcd.endpoints[0], "--etcd-user", "u"], "password file"),
                (["--nonsense"], "nonsense")):
            done = subprocess.run([program, "cluster", "coord", "migrate", *words], capture_output=True, text=True)
            self.assertEqual(2, done.returncode, words)
            self.assertIn(text, done.stderr)
        self.refused(3, "etcd", endpoint="http://127.0.0.1:%d" % etcd_module.free_ports(1)[0])
        done = subprocess.run([program, "cluster", "coord", "migrate", "--help"], capture_output=True, text=True)
        self.assertIn("--etcd-password-file", done.stdout)


class OneNode(Base):
    def test_a_node_moves_while_it_serves(self):
        node = Node()
        self.addCleanup(node.close)
        node.start()
        user = node.user("before")
        client = node.imap(user)
        self.store = os.path.join(node.data, "coord")
        done = self.moved(store=self.store)
        self.assertLess(done["refused_ms"], 5000)
        self.assertIn("tenants/default", self.in_etcd())
        wait_for("changes are made in etcd", lambda: 200 <= node.api(
            "POST", "/api/v1/domains", {"name": "after.example"}, ok=False)[0] < 300
            or "domains/after.example" in self.in_etcd())
        self.assertIn("domains/after.example", self.in_etcd())
        wait_for("the frontend knows the domain", lambda: node.api(
            "POST", "/api/v1/users", {"address": "new@after.example", "password": "secret-1"}, ok=False)[0] == 201
            or node.api("GET", "/api/v1/users/new@after.example", ok=False)[0] == 200)
        node.send("new@after.example")
        self.assertEqual("OK", client.noop()[0])  # the connection of before
        # Each loop of the frontend moves by itself; changes may be refused for 5 s at most.
        wait_for("a change through any loop is taken", lambda: node.api(
            "PUT", "/api/v1/config/smtp.banner", {"value": "hello"}, ok=False)[0] < 300, 5)
        node.stop()
        node.start()  # finds its store in etcd
        self.assertEqual("OK", node.imap("new@after.example").select()[0])
        node.config("smtp.banner", "hello again")
        self.assertIn("policy/config", self.in_etcd())


if __name__ == "__main__":
    unittest.main()
