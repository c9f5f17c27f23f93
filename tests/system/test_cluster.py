"""A whole cluster by deploy/cluster: real etcd members, mutual TLS, mail through any frontend, programs that die."""
import json
import os
import unittest

from node import wait_for
from whole import DOMAIN, SIZE, Whole

USERS = 9


class ClusterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.whole = Whole()
        cls.addClassCleanup(cls.whole.close)  # also when the start fails
        cls.whole.up()
        for i in range(USERS):
            cls.whole.user(f"u{i}@{DOMAIN}")

    def run_script(self, *words, check=True):
        return self.whole.run(*words, check=check)

    def ready(self):
        return self.whole.is_ready()

    def send(self, subject, frontend="", users=range(USERS)):
        with self.whole.smtp(frontend) as s:
            for i in users:
                s.sendmail("a@outside.example", [f"u{i}@{DOMAIN}"], f"Subject: {subject} {i}\r\n\r\nbody of {i}\r\n")

    def subjects(self, user, frontend=""):
        client = self.whole.imap(f"u{user}@{DOMAIN}", frontend)
        client.select(readonly=True)
        _, data = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        client.logout()
        return sorted(part[1].decode().split(":", 1)[1].strip() for part in data if isinstance(part, tuple))

    def test_mail_through_either_frontend_is_seen_through_the_other(self):
        self.send("one")
        self.send("two", "_2")
        for i in range(USERS):
            for frontend in ("", "_2"):
                got = [s for s in self.subjects(i, frontend) if s.split()[0] in ("one", "two")]
                self.assertEqual(got, [f"one {i}", f"two {i}"])

    def test_one_message_for_all_arrives_once_in_each_box(self):
        with self.whole.smtp() as s:
            s.sendmail("a@outside.example", [f"u{i}@{DOMAIN}" for i in range(USERS)], "Subject: fan out\r\n\r\nx\r\n")
        for i in range(USERS):
            wait_for("the message", lambda i=i: self.subjects(i, "_2").count("fan out") >= 1, 30)
            self.assertEqual(self.subjects(i).count("fan out"), 1)

    def test_every_storage_node_leads_shards(self):
        led = {}
        with open(os.path.join(self.whole.data, "log/events.json")) as f:
            for line in f:
                event = json.loads(line)
                if event["event"] == "shard-led":
                    led.setdefault(event["program"], set()).add(event["shard"])
        self.assertEqual(sorted(led), [f"storage-node-{n}" for n in (1, 2, 3)])
        self.assertEqual(set().union(*led.values()), set(range(64)))
        for shards in led.values():
            self.assertIn(len(shards), (21, 22))

    def test_a_killed_program_loses_nothing(self):
        for number, name in enumerate(("storage-node-2", "scanner-1", "router-1", "etcd-2", "frontend-2")):
            self.send(f"before {number}")
            self.run_script("kill", name)
            self.run_script("start", name)
            wait_for(f"{name} is back", self.ready, 60)
            self.send(f"after {number}")
            for i in range(USERS):
                got = [s for s in self.subjects(i) if s.split()[:2] in (["before", str(number)], ["after", str(number)])]
                self.assertEqual(got, [f"after {number} {i}", f"before {number} {i}"], name)

    def test_a_storage_node_that_is_away_is_a_temporary_failure_and_others_go_on(self):
        self.run_script("stop", "storage-node-3")
        try:
            codes = set()
            for i in range(USERS):
                with self.whole.smtp() as s:
                    s.ehlo()
                    s.mail("a@outside.example")
                    code, _ = s.rcpt(f"u{i}@{DOMAIN}")
                    codes.add(code // 100)
            self.assertTrue(codes <= {2, 4}, codes)
            self.assertIn(2, codes)
        finally:
            self.run_script("cont", "storage-node-3")
        wait_for("all is ready", self.ready, 60)

    def test_what_the_command_refuses(self):
        for words, text in (((("up", "--port-offset", str(self.whole.offset))), "another size"),
                            (("kill", "storage-node-9"), "no such program"), (("kill",), "take the name"),
                            (("start", "router-1"), "is running"), (("status", "router-1"), "take none")):
            done = self.run_script(*words, check=False)
            self.assertNotEqual(done.returncode, 0, words)
            self.assertIn(text, done.stderr)
        done = self.run_script("up", "--port-offset", str(self.whole.offset), *SIZE, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("running already", done.stderr)


if __name__ == "__main__":
    unittest.main()
