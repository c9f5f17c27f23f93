"""lib/coord: one table of behaviours over both back ends, files and etcd."""
import os
import shutil
import signal
import tempfile
import unittest

from etcd import Driver, Etcd
from node import wait_for


class Behaviour:
    """Each test has a store of its own; `open` gives one more program that uses it."""

    def setUp(self):
        self.drivers = []
        self.addCleanup(lambda: [d.close() for d in self.drivers])

    def open(self, *options, ready=True):
        driver = Driver(*self.store(), *options, ready=ready)
        self.drivers.append(driver)
        return driver

    def see(self, driver, prefix, rows, seconds=20):
        """Waits until the program sees these rows and no others."""
        wait_for(f"rows {sorted(rows)}", lambda: driver.list(prefix)[1] == rows, seconds)

    # -- changes

    def test_compare_and_swap(self):
        a = self.open()
        ok, first = a.put("tenants/1", "one", 0)
        self.assertEqual("OK", ok)
        self.assertEqual((first, "one"), a.get("tenants/1"))  # it is seen when it is told
        self.assertEqual(("CONFLICT", 0), a.put("tenants/1", "again", 0))
        ok, second = a.put("tenants/1", "two", first)
        self.assertEqual("OK", ok)
        self.assertGreater(second, first)
        self.assertEqual(("CONFLICT", 0), a.put("tenants/1", "late", first))
        self.assertEqual(("CONFLICT", 0), a.put("none", "x", first))
        self.assertEqual(("CONFLICT", 0), a.change(f"del,tenants/1,{first}"))
        self.assertEqual((second, "two"), a.get("tenants/1"))
        self.assertEqual("OK", a.change(f"del,tenants/1,{second}")[0])
        self.assertIsNone(a.get("tenants/1"))
        ok, third = a.put("tenants/1", "new", 0)
        self.assertEqual("OK", ok)
        self.assertGreater(third, second)
        self.assertEqual("OK", a.put("tenants/1", "any")[0])
        self.assertEqual("OK", a.put("empty", "", 0)[0])
        self.assertEqual("", a.get("empty")[1])
        self.assertEqual("OK", a.change("del,tenants/1,any")[0])
        self.assertEqual("OK", a.change("del,tenants/1,any")[0])

    def test_a_change_of_several_keys_is_all_or_none(self):
        a, b = self.open(), self.open()
        b.watch("w")
        ok, revision = a.change("put,shards/1,0,x", "put,shards/2,0,y", "put,head,0,1")
        self.assertEqual("OK", ok)
        rows = {"shards/1": revision, "shards/2": revision, "head": revision}
        self.assertEqual(rows, b.watched("w"))  # at once, too
        self.assertEqual(rows, a.list()[1])
        self.assertEqual("CONFLICT", a.change("put,shards/1,any,z", f"put,head,{revision + 1},2")[0])
        self.assertEqual("CONFLICT", a.change("put,shards/3,0,z", "cmp,shards/2,0")[0])
        self.assertEqual(rows, a.list()[1])
        ok, later = a.change("put,shards/3,0,z", f"cmp,shards/2,{revision}", "del,shards/1,any", "cmp,none,0")
        self.assertEqual("OK", ok)
        self.assertEqual({"shards/3": later, "shards/1": None}, b.watched("w"))
        self.assertEqual({"shards/2": revision, "shards/3": later, "head": revision}, a.list()[1])

    def test_no_change_of_many_writers_is_lost(self):
        drivers = [self.open() for _ in range(3)]
        drivers[0].put("counter", "0", 0)
        rounds, under_way = [0] * 3, [None] * 3
        for d in drivers:
            self.see(d, "counter", drivers[0].list("counter")[1])
        while min(rounds) < 12:
            for i, d in enumerate(drivers):
                if under_way[i] is not None:
                    code = d.changed(under_way[i])[0]
                    self.assertIn(code, ("OK", "CONFLICT"))
                    rounds[i] += code == "OK"
                    if code == "CONFLICT":
                        d.refresh("counter")
                under_way[i] = None
            for i, d in enumerate(drivers):
                if rounds[i] < 12:
                    revision, value = d.get("counter")
                    under_way[i] = d.start(f"put,counter,{revision},{int(value) + 1}")
        self.assertEqual("OK", drivers[0].refresh())
        self.assertEqual("36", drivers[0].get("counter")[1])

    def test_changes_without_a_revision_all_come_in(self):
        drivers = [self.open() for _ in range(2)]
        tags = [(d, d.start(f"put,one,any,{n}")) for n in range(25) for d in drivers]
        revisions = []
        for d, tag in tags:
            code, revision = d.changed(tag)
            self.assertEqual("OK", code)
            revisions.append(revision)
        self.assertEqual(len(tags), len(set(revisions)))
        self.assertEqual("OK", drivers[0].refresh())
        self.assertEqual(max(revisions), drivers[0].get("one")[0])

    def test_bad_changes_are_refused(self):
        a = self.open()
        many = [f"put,k{i},0,x" for i in range(129)]
        for want, items in [
            ("SYNTAX", ["put,,0,x"]),
            ("SYNTAX", ["put,a,0,x", "put,a,0,y"]),
            ("SYNTAX", ["put,a,0,x", "del,a,0"]),
            ("SYNTAX", ["cmp,a,0"]),
            ("SYNTAX", ["put,a,0,x", "cmp,b,any"]),
            ("SYNTAX", ["put,moving,0,x"]),
            ("SYNTAX", []),
            ("TOO_BIG", ["put," + "k" * 513 + ",0,x"]),
            ("TOO_BIG", ["put,a,0,@65537"]),
            ("TOO_BIG", many),
            ("TOO_BIG", [f"put,k{i},0,@65536" for i in range(17)]),
        ]:
            self.assertEqual((want, 0), a.change(*items), items[:2])
        self.assertEqual({}, a.list()[1])
        self.assertEqual("OK", a.change("put," + "k" * 512 + ",0,@65536")[0])
        self.assertEqual("OK", a.change(*many[:128])[0])
        self.assertEqual(129, len(a.list()[1]))

    def test_changes_under_way_are_bounded(self):
        a = self.open()
        tags = [f"t{n + 1}" for n in range(300)]
        a.tags = 300
        a.say("\n".join(f"change {tag} put,k/{tag},0,x" for tag in tags))
        codes = [a.changed(tag, 60)[0] for tag in tags]
        self.assertEqual({"OK", "BUSY"}, set(codes))
        self.assertEqual("OK", codes[0])
        self.assertEqual(codes.count("OK"), len(a.list("k/")[1]))
        self.assertEqual("OK", a.put("after", "x", 0)[0])

    # -- watches

    def test_watches_hear_of_their_prefix(self):
        a, b = self.open(), self.open()
        self.assertEqual({}, b.watch("tenants", "tenants/"))
        self.assertEqual({}, b.watch("all"))
        one = a.put("tenants/1", "x", 0)[1]
        self.assertEqual({"tenants/1": one}, b.watched("tenants"))
        self.assertEqual({"tenants/1": one}, b.watched("all"))
        two = a.put("domains/1", "x", 0)[1]
        self.assertEqual({"domains/1": two}, b.watched("all"))
        three = a.put("tenants/1", "y", one)[1]
        self.assertEqual({"tenants/1": three}, b.watched("tenants"))
        a.change("del,tenants/1,any")
        self.assertEqual({"tenants/1": None}, b.watched("tenants"))
        self.see(b, "", {"domains/1": two})
        self.assertEqual({"domains/1": two}, b.watch("late"))  # once at the beginning
        b.say("unwatch", "tenants")
        a.put("tenants/2", "x", 0)
        wait_for("the watch of all", lambda: "tenants/2" in (b.find("watched", "all") or [""])[-1])
        self.assertEqual([], b.watched_now("tenants"))

    def test_nothing_is_lost_or_told_twice(self):
        a, b = self.open(), self.open()
        b.watch("w", "n/")
        told, want = {}, {}
        for n in range(60):
            key = f"n/{n % 7}"
            if n % 11 == 10:
                a.change(f"del,{key},any")
                want.pop(key, None)
            else:
                want[key] = a.put(key, str(n))[1]
        self.see(b, "n/", want)
        for changes in b.watched_now("w"):
            self.assertTrue(changes)
            for key, revision in changes.items():
                self.assertGreater(revision or 10 ** 9, told.get(key) or 0)
                told[key] = revision
        self.assertEqual(want, {k: r for k, r in told.items() if r is not None})

    def test_a_refresh_sees_what_was_done_before(self):
        a, b = self.open(), self.open()
        for n in range(30):
            revision = a.put("policy/config", str(n))[1]
            if n % 3 == 0:
                a.change("put,policy/x,any,1")
            else:
                a.change("del,policy/x,any")
            self.assertEqual("OK", b.refresh("policy/" if n % 2 else ""))
            self.assertEqual((revision, str(n)), b.get("policy/config"))
            self.assertEqual(n % 3 == 0, b.get("policy/x") is not None)

    def test_only_what_was_asked_for_is_kept(self):
        a = self.open()
        b = self.open("--prefix", "shards/", "--prefix", "map/")
        b.watch("w")
        one = a.put("shards/1", "x", 0)[1]
        self.assertEqual({"shards/1": one}, b.watched("w"))
        a.put("domains/1", "x", 0)
        two = a.put("map/head", "x", 0)[1]
        self.assertEqual({"map/head": two}, b.watched("w"))
        self.assertEqual({"shards/1": one, "map/head": two}, b.list()[1])
        self.assertEqual([], b.watched_now("w"))
        self.assertEqual("OK", b.refresh("shards/"))
        self.assertEqual("UNSUPPORTED", b.refresh("domains/"))
        self.assertEqual("UNSUPPORTED", b.refresh(""))
        # What is not kept can be changed all the same, by its revision.
        self.assertEqual("CONFLICT", b.put("domains/1", "y", 0)[0])
        three = b.put("domains/1", "y")[1]
        self.see(a, "domains/", {"domains/1": three})
        self.assertIsNone(b.get("domains/1"))
        c = self.open("--prefix", "a", "--prefix", "ab", ready=False)
        self.assertEqual("SYNTAX", c.opened[1])

    def test_a_store_of_some_megabytes(self):
        a = self.open()
        want = {}
        for n in range(8):
            keys = [f"big/{n}/{i}" for i in range(16)]
            code, revision = a.change(*[f"put,{key},0,@60000" for key in keys])
            self.assertEqual("OK", code)
            want.update((key, revision) for key in keys)
        b = self.open()
        self.assertEqual(want, b.list()[1])
        self.assertEqual(60000, len(b.get("big/3/7")[1]))
        self.assertEqual("OK", b.refresh("big/"))
        self.assertEqual(want, b.list("big/")[1])

    # -- leases

    def hold(self, driver, name, seconds):
        driver.say("lease", name, seconds)
        self.assertEqual("held", driver.take("lease", name)[2])

    def test_a_lease_given_back_takes_its_rows_along(self):
        a, b = self.open(), self.open()
        b.watch("w", "live/")
        self.hold(a, "l", 3)
        revision = a.change("put,live/a,0,x,l", "put,stays,0,x")[1]
        self.assertEqual({"live/a": revision}, b.watched("w"))
        self.assertEqual("OK", a.put("live/b", "x", 0)[0])
        b.watched("w")
        a.say("unlease", "l")
        self.assertEqual({"live/a": None}, b.watched("w"))
        self.assertEqual({"live/b", "stays"}, set(b.list()[1]))
        self.assertEqual("OK", a.refresh())
        self.assertEqual("OK", a.put("live/a", "y", 0)[0])

    def test_a_lease_is_renewed(self):
        a, b = self.open(), self.open()
        b.watch("w", "live/")
        self.hold(a, "l", 2)
        a.change("put,live/a,0,x,l")
        b.watched("w")
        # Another one of 4 s, whose holder is stopped, runs out while that of 2 s is renewed.
        self.hold(b, "clock", 4)
        b.change("put,live/clock,0,x,clock")
        b.signal(signal.SIGSTOP)
        wait_for("the row is seen", lambda: a.get("live/clock"))
        wait_for("the stopped holder's row goes", lambda: a.get("live/clock") is None)
        b.signal(signal.SIGCONT)
        self.assertEqual("lost", b.take("lease", "clock")[2])
        self.assertIsNotNone(a.get("live/a"))
        self.assertIsNone(a.find("lease", "l"))

    def test_a_stopped_holder_loses_its_rows_and_hears_of_it(self):
        a, b = self.open(), self.open()
        b.watch("w", "controller")
        self.hold(a, "l", 2)
        first = a.change("put,controller,0,a,l")[1]
        self.assertEqual({"controller": first}, b.watched("w"))
        self.assertEqual("CONFLICT", b.put("controller", "b", 0)[0])
        a.signal(signal.SIGSTOP)
        self.assertEqual({"controller": None}, b.watched("w"))
        self.hold(b, "l", 10)
        second = b.change("put,controller,0,b,l")[1]
        a.signal(signal.SIGCONT)
        self.assertEqual("lost", a.take("lease", "l")[2])
        self.assertEqual(("NOT_FOUND", 0), a.change("put,controller,any,a,l"))
        self.see(a, "controller", {"controller": second})
        a.say("unlease", "l")
        self.assertEqual("CONFLICT", a.put("controller", "a", 0)[0])
        self.assertEqual("b", b.get("controller")[1])

    def test_a_killed_holder_is_gone_after_its_time(self):
        a, b = self.open(), self.open()
        b.watch("w", "live/")
        self.hold(a, "l", 2)
        a.change("put,live/1,0,x,l", "put,live/2,0,y,l")
        b.watched("w")
        a.process.kill()
        self.assertEqual({"live/1": None, "live/2": None}, b.watched("w"))
        c = self.open()
        self.assertEqual({}, c.list()[1])
        self.assertEqual("OK", c.put("live/1", "x", 0)[0])

    def test_bad_leases(self):
        a = self.open()
        for seconds in (0, 1, 601):
            a.say("lease", "l", seconds)
            self.assertEqual("failed", a.take("lease", "l")[2])
        for n in range(16):
            a.say("lease", f"l{n}", 60)
            a.take("lease", f"l{n}")
        a.say("lease", "l", 60)
        self.assertEqual("failed", a.take("lease", "l")[2])


class InFiles(Behaviour, unittest.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="godwit-coord-")
        self.addCleanup(shutil.rmtree, self.directory, True)

    def store(self):
        return ["--coord", os.path.join(self.directory, "coord")]

    def test_a_holder_on_another_start_of_the_machine_is_gone(self):
        a, b = self.open(), self.open()
        b.watch("w")
        self.hold(a, "l", 60)
        a.change("put,live/a,0,x,l")
        b.watched("w")
        folder = os.path.join(self.directory, "coord")
        a.process.kill()
        name = os.path.join(folder, [n for n in os.listdir(folder) if n.startswith("lease-")][0])
        with open(name, "r+b") as f:
            f.seek(16)
            f.write(b"0" * 36)
        b.put("other", "x", 0)  # whoever looks at the store next finds out
        self.assertEqual({"other"}, set(b.list()[1]))
        self.assertFalse(os.path.exists(name))


class InEtcd(Behaviour, unittest.TestCase):
    clusters = 0

    @classmethod
    def setUpClass(cls):
        cls.etcd = Etcd()

    @classmethod
    def tearDownClass(cls):
        cls.etcd.close()

    def setUp(self):
        super().setUp()
        InEtcd.clusters += 1
        self.cluster = f"c{InEtcd.clusters}"

    def store(self):
        return ["--etcd", self.etcd.endpoints[0], "--cluster", self.cluster]


if __name__ == "__main__":
    unittest.main()
