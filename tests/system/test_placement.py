"""Where copies are, in a cluster of real processes: it grows from one copy to three, a node is drained, copies are moved
and leads transferred by hand, a node that dies is replaced; mail goes on and all of it is there in the end, once."""
import itertools
import json
import unittest

from node import wait_for
from whole import DOMAIN, Whole

USERS = [f"u{n}@{DOMAIN}" for n in range(6)]
NODES = [f"storage-node-{n}" for n in (1, 2, 3, 4)]
NUMBERS = itertools.count()


class Placement(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.whole = Whole(("--frontends", "1", "--storage-nodes", "4", "--scanners", "1", "--routers", "1", "--etcd", "1",
                           "--copies", "1"))
        cls.addClassCleanup(cls.whole.close)
        cls.whole.up()
        for user in USERS:
            cls.whole.user(user)
        for key, value in (("cluster.rebalance.after", "1"), ("cluster.moves.max", "16"), ("cluster.replace.after", "10")):
            cls.whole.config(key, value)
        cls.sent, cls.refusals = set(), set()

    def good(self, *words):
        done = self.whole.ctl("--output", "json", *words)
        self.assertEqual(done.returncode, 0, (words, done.stderr))
        return json.loads(done.stdout)

    def refused(self, says, *words):
        done = self.whole.ctl(*words)
        self.assertEqual(done.returncode, 1, (words, done.stdout))
        self.assertIn(says, done.stderr)

    def node(self, name):
        return next(n for n in self.good("cluster", "status")["storage_nodes"] if n["name"] == name)

    def shards(self):
        return self.good("cluster", "shards")["items"]

    def at_rest(self, copies, nodes):
        """Every shard has its copies, on nodes of its own, all in sync; as many on each node, and as many leads."""
        shards = self.shards()
        if any(sorted(s["isr"]) != sorted(s["replicas"]) or len(set(s["replicas"])) != copies or "leaving" in s or
               "lead" in s or "leader" not in s for s in shards):
            return None
        counts = {n: (sum(n in s["replicas"] for s in shards), sum(n == s["leader"] for s in shards)) for n in nodes}
        if sum(c for c, _ in counts.values()) != 64 * copies or self.good("cluster", "plan")["items"]:
            return None
        if any(max(found) - min(found) > 1 for found in zip(*counts.values())):
            return None
        return shards

    def send(self, subject):
        """Taken at the first try or at one of the next: a lead may be changing hands. Each try is a message of its own:
        what is refused may have arrived, or not."""
        for user in USERS:
            def taken(user=user):
                name = f"{subject}, {next(NUMBERS)}"
                with self.whole.smtp() as s:
                    try:
                        s.sendmail("a@outside.example", [user], f"Subject: {name}\r\n\r\nx\r\n")
                    except OSError:
                        self.refusals.add((user, name))
                        return False
                self.sent.add((user, name))
                return True
            wait_for("mail is taken", taken, 60)

    def check(self):
        for user in USERS:
            client = self.whole.imap(user)
            client.select(readonly=True)
            _, data = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            client.logout()
            got = [part[1].decode().split(":", 1)[1].strip() for part in data if isinstance(part, tuple)]
            self.assertEqual(len(got), len(set(got)), user)
            of = {name for owner, name in self.sent if owner == user}
            self.assertEqual(of - set(got), set(), user)
            self.assertEqual({name for name in set(got) - of if (user, name) not in self.refusals}, set(), user)

    def test_from_one_copy_to_three_and_on(self):
        wait_for("one copy", lambda: self.at_rest(1, NODES), 60)
        self.send("with one copy")
        self.whole.config("cluster.copies", "3")
        self.whole.config("cluster.copies.needed", "2")
        self.send("while it grows")
        shards = wait_for("three copies", lambda: self.at_rest(3, NODES), 120)
        self.assertEqual({s["min_isr"] for s in shards}, {2})
        self.check()
        self.drain()
        self.by_hand()
        self.replace()
        self.check()

    def drain(self):
        self.assertEqual(self.good("cluster", "drain", "storage-node-4")["state"], "draining")
        self.send("while it drains")
        wait_for("it is empty", lambda: (lambda n: n["state"] == "draining" and n["copies"] + n["shards_led"] == 0)(
            self.node("storage-node-4")), 120)
        wait_for("the others have all", lambda: self.at_rest(3, NODES[:3]), 120)
        self.check()
        self.assertEqual(self.good("cluster", "undrain", "storage-node-4")["state"], "active")
        wait_for("it has its share again", lambda: self.at_rest(3, NODES), 120)

    def by_hand(self):
        shard = next(s for s in self.shards() if "storage-node-4" not in s["replicas"])
        number, leaves = str(shard["shard"]), next(n for n in shard["replicas"] if n != shard["leader"])
        self.good("cluster", "move", number, leaves, "storage-node-4")
        moved = sorted((set(shard["replicas"]) - {leaves}) | {"storage-node-4"})
        wait_for("the copy moves", lambda: sorted(self.shards()[shard["shard"]]["isr"]) == moved, 60)
        self.good("cluster", "transfer", number, "storage-node-4")
        wait_for("it leads", lambda: self.shards()[shard["shard"]]["leader"] == "storage-node-4", 60)
        self.send("led by another")
        # Others make up for it, this one stays.
        shards = wait_for("all is even", lambda: self.at_rest(3, NODES), 120)
        self.assertEqual(sorted(shards[shard["shard"]]["replicas"]), moved)
        self.assertEqual(shards[shard["shard"]]["leader"], "storage-node-4")
        self.refused("has a copy of shard", "cluster", "move", number, "storage-node-4", moved[0])
        self.refused("no storage node storage-node-9", "cluster", "drain", "storage-node-9")
        self.refused("no shard 64", "cluster", "release", "64")
        self.refused("accept_loss", "cluster", "force-leader", number, moved[0])
        self.refused("has not been gone for long enough", "cluster", "force-leader", number, moved[0], "--i-accept-loss")
        self.good("cluster", "release", number)

    def replace(self):
        self.whole.run("kill", "storage-node-2")
        left = [n for n in NODES if n != "storage-node-2"]
        self.send("without one")
        wait_for("its copies are made anew", lambda: self.at_rest(3, left), 180)
        self.check()
        wait_for("the controller says so", lambda: [0, 0, 0] == [
            self.whole.metric("router-1", "godwit_router_shards_" + key)
            for key in ("under_min_isr", "without_leader", "copies_missing")], 60)
        self.whole.run("start", "storage-node-2")
        wait_for("it has its share again", lambda: self.at_rest(3, NODES), 180)
        self.send("with all")


if __name__ == "__main__":
    unittest.main()
