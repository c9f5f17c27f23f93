"""A whole cluster by deploy/cluster: real etcd members, mutual TLS, mail through any frontend, programs that die."""
import json
import os
import smtplib
import unittest

from deployed import DOMAIN, Deployed
from node import BUILD, SLOW, wait_for
from test_counters import Client, events, fail, log_in, open_until_refused

USERS = Deployed.USERS


class ClusterTest(Deployed):
    def send(self, subject, frontend="", users=range(USERS)):
        with self.smtp(frontend) as s:
            for i in users:
                s.sendmail("a@outside.example", [f"u{i}@{DOMAIN}"], f"Subject: {subject} {i}\r\n\r\nbody of {i}\r\n")

    def test_mail_through_either_frontend_is_seen_through_the_other(self):
        self.send("one")
        self.send("two", "_2")
        for i in range(USERS):
            for frontend in ("", "_2"):
                got = [s for s in self.subjects(i, frontend) if s.split()[0] in ("one", "two")]
                self.assertEqual(got, [f"one {i}", f"two {i}"])

    def test_one_message_for_all_arrives_once_in_each_box(self):
        host, port = self.values()["SMTP"].split(":")
        with smtplib.SMTP(host, int(port), timeout=30 * SLOW) as s:
            s.sendmail("a@outside.example", [f"u{i}@{DOMAIN}" for i in range(USERS)], "Subject: fan out\r\n\r\nx\r\n")
        for i in range(USERS):
            wait_for("the message", lambda i=i: self.subjects(i, "_2").count("fan out") >= 1, 30)
            self.assertEqual(self.subjects(i).count("fan out"), 1)

    def test_every_storage_node_leads_shards(self):
        led = {}
        with open(os.path.join(self.data, "log/events.json")) as f:
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
            host, port = self.values()["SMTP"].split(":")
            codes = set()
            for i in range(USERS):
                with smtplib.SMTP(host, int(port), timeout=60 * SLOW) as s:
                    s.ehlo()
                    s.mail("a@outside.example")
                    code, _ = s.rcpt(f"u{i}@{DOMAIN}")
                    codes.add(code // 100)
            self.assertTrue(codes <= {2, 4}, codes)
            self.assertIn(2, codes)
        finally:
            self.run_script("cont", "storage-node-3")
        wait_for("all is ready", self.ready, 60)

    # ---- counters of the whole cluster (test_counters.py has one node)

    def doors(self):
        values = self.values()
        return [(protocol, values[name + frontend], True) for frontend in ("", "_2")
                for protocol, name in (("imap", "IMAPS"), ("pop3", "POP3S"), ("smtp", "SMTPS"))]

    def says(self, user, source, wanted):
        """What the right password leads to, at each door of each frontend."""
        for protocol, address, tls in self.doors():
            wait_for(f"{user} from {source} is {wanted} by {protocol} at {address}",
                     lambda: log_in(protocol, address, f"{user}@{DOMAIN}", "secret-1", source, tls) == wanted, 60)

    def events(self, name, **fields):
        return events(os.path.join(self.data, "log"), name, **fields)

    def test_failures_at_both_frontends_lock_a_user_out(self):
        said = fail(24, self.doors(), f"u7@{DOMAIN}", [f"127.0.7.{n}" for n in range(1, 13)])
        self.assertTrue(set(said) <= {"wrong", "locked"}, said)
        self.says("u7", "127.0.7.100", "locked")
        self.says("u6", "127.0.7.100", "in")
        wait_for("the log has it", lambda: self.events("user-locked", user=f"u7@{DOMAIN}"))
        self.assertEqual(1, len(self.events("user-locked", user=f"u7@{DOMAIN}")))
        status, text = self.api("POST", f"/api/v1/users/u7@{DOMAIN}/unlock")
        self.assertEqual(204, status, text)
        self.says("u7", "127.0.7.100", "in")

    def test_failures_at_both_frontends_block_an_address(self):
        said = fail(12, self.doors(), f"nobody@{DOMAIN}", ["127.0.8.1"])
        self.assertTrue(set(said) <= {"wrong", "locked"}, said)
        self.says("u6", "127.0.8.1", "locked")
        self.says("u6", "127.0.8.2", "in")
        wait_for("the log has it", lambda: self.events("address-locked", address="127.0.8.1"))
        self.assertEqual(1, len(self.events("address-locked", address="127.0.8.1")))

    def test_counters_of_leaders_that_died_are_forgotten(self):
        fail(24, self.doors(), f"u8@{DOMAIN}", [f"127.0.9.{n}" for n in range(1, 13)])
        self.says("u8", "127.0.9.100", "locked")
        for command in ("kill", "start"):
            for number in (1, 2, 3):
                self.run_script(command, f"storage-node-{number}")
        wait_for("all is ready", self.ready, 60)
        self.says("u8", "127.0.9.100", "in")

    def test_connections_at_both_frontends_are_counted_together(self):
        for key, value in (("imap.connections.per.address", "5"), ("server.connections.lease", "3")):
            self.assertIn(self.api("PUT", "/api/v1/config/" + key, {"value": value})[0], (200, 204))
            self.addCleanup(self.api, "DELETE", "/api/v1/config/" + key)
        source, values = "127.0.10.1", self.values()
        held = []
        self.addCleanup(lambda: [client.close() for client in held])

        def take(frontend, count):
            for _ in range(count):
                held.append(Client(values["IMAPS" + frontend], source, True))
                self.assertTrue(held[-1].greeting)

        def is_refused(frontend):
            with Client(values["IMAPS" + frontend], source, True) as client:
                return not client.greeting
        take("", 3)
        take("_2", 2)
        for frontend in ("", "_2"):  # as soon as the options are in force
            wait_for("a sixth is refused", lambda f=frontend: is_refused(f), 40)
        wait_for("the log has it", lambda: self.events("connections-too-many", service="IMAPS", address=source, limit=5))
        self.run_script("kill", "frontend-2")
        # Its two count no more once their lease is over; the three of frontend-1 do.
        wait_for("two more are taken", lambda: len(self.more(values["IMAPS"], source)) == 2, 40)
        self.run_script("start", "frontend-2")
        wait_for("all is ready", self.ready, 60)
        wait_for("a seat is free", lambda: not is_refused("_2"), 40)

    def more(self, address, source):
        """How many are taken until one is refused; none of them is kept."""
        taken = open_until_refused(address, source, tls=True)
        for client in taken:
            client.close()
        return taken

    def test_what_the_command_refuses(self):
        for words, text in (((("up", "--port-offset", str(self.offset))), "another size"),
                            (("kill", "storage-node-9"), "no such program"), (("kill",), "take the name"),
                            (("start", "router-1"), "is running"), (("status", "router-1"), "take none")):
            done = self.run_script(*words, check=False)
            self.assertNotEqual(done.returncode, 0, words)
            self.assertIn(text, done.stderr)
        done = self.run_script("up", "--port-offset", str(self.offset), "--frontends", "2", "--storage-nodes", "3",
                               "--scanners", "2", "--routers", "2", "--etcd", "3", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("running already", done.stderr)


if __name__ == "__main__":
    unittest.main()
