"""The rows of test_domains.py in a cluster with two frontends: the API of one, mail through the other."""
import os
import shutil
import smtplib
import subprocess
import unittest

import slapd
import test_domains as rows
from node import BUILD, SLOW, Node, wait_for
from test_courier import Names, Sink
from whole import bring_up

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/cluster")


class Cluster(Node):
    """What Node is for one node: clients go to frontend `mail`, administrators to the first."""

    def __init__(self, mail=2):
        super().__init__()
        self.mail = mail
        self.data = os.path.join(self.base, "cluster")
        self.is_up = False

    def script(self, *words, check=True):
        done = subprocess.run([SCRIPT, *words, "--data", self.data], capture_output=True, text=True,
                              timeout=180 * SLOW, env={**os.environ, "GODWIT_BUILD": BUILD})
        if check and done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        return done

    def start(self):
        self.is_up = True
        bring_up(self.script, self.data, "--frontends", "2", "--storage-nodes", "2", "--scanners", "1", "--routers",
                 "1", "--etcd", "1")
        return self

    def close(self):
        try:
            if self.is_up and os.path.exists(os.path.join(self.data, "cluster.json")):
                self.script("down")
        finally:
            shutil.rmtree(self.base, ignore_errors=True)

    def host_port(self, name):
        values = self.endpoints()
        host, port = values[f"{name}_{self.mail}" if self.mail > 1 else name].rsplit(":", 1)
        return host, int(port)


def setUpModule():
    if shutil.which("etcd") is None:
        raise AssertionError("etcd is not installed; deploy/test installs it")
    rows.sink, rows.names = Sink(), Names()
    unittest.addModuleCleanup(rows.sink.close)
    unittest.addModuleCleanup(rows.names.close)
    rows.node = Cluster()
    unittest.addModuleCleanup(rows.node.close)  # also when the start fails
    rows.node.start()
    rows.configure(rows.node)


class Forward(rows.Forward):
    pass


class Size(rows.Size):
    pass


class Confined(rows.Confined):
    pass


class OtherServer(rows.OtherServer):
    pass


class Footer(rows.Footer):
    pass


class Warned(rows.Warned):
    pass


class Everywhere(unittest.TestCase):
    def test_a_change_is_in_force_on_both_frontends(self):
        name = rows.domain("both.lab")
        one = rows.node
        self.addCleanup(setattr, one, "mail", one.mail)
        for value, code in ((f"127.0.0.1:{rows.sink.port}", 250), ("", 550)):
            rows.change("domains", name, forward_host=value)
            for one.mail in (1, 2):
                rows.everywhere(f"at frontend {one.mail}",
                                lambda: rows.rcpt("a@outside.example", f"x@{name}")[0] == code)
        one.user(f"u@{name}", domain_only=True)
        for one.mail in (1, 2):
            self.assertEqual(rows.rcpt("a@outside.example", f"u@{name}")[0], 550)


class Directory(unittest.TestCase):
    """DM-02 in a cluster: one frontend takes the users, each lets them in, and the other goes on when the one dies."""

    def test_one_frontend_takes_users_and_the_next_when_it_dies(self):
        one, name = rows.node, rows.domain("corp.lab")
        authority = slapd.Authority()
        self.addCleanup(authority.close)
        server = slapd.Slapd(authority, slapd.person("hugo"))
        self.addCleanup(server.close)
        server.start()
        rows.change("domains", name, directory_hosts=[server.host()], directory_ca=authority.pem(),
                    directory_base=slapd.PEOPLE, directory_bind_dn=slapd.READER,
                    directory_password=slapd.READER_PASSWORD, directory_sync=1)
        self.addCleanup(setattr, one, "mail", one.mail)
        for one.mail in (1, 2):
            wait_for("the user", lambda: rows.rcpt("a@outside.example", f"hugo@{name}")[0] == 250)
            one.imap(f"hugo@{name}").logout()

        def elected():
            events = one.api("GET", "/api/v1/logs/operations")["items"]
            return [event["program"] for event in events if event["event"] == "directory-elected"]
        self.assertEqual(1, len(elected()))
        holder = elected()[0]
        one.script("kill", holder)
        self.addCleanup(self.start_again, one, holder)
        one.mail = 2 if holder == "frontend-1" else 1
        server.add(slapd.person("ida"))
        wait_for("the other takes over", lambda: rows.rcpt("a@outside.example", f"ida@{name}")[0] == 250, 60)

    @staticmethod
    def start_again(one, frontend):
        one.script("start", frontend)
        one.mail = int(frontend[-1])

        def serves():
            try:
                with one.smtp() as s:
                    return s.noop()[0] == 250 and one.is_ready()
            except (OSError, smtplib.SMTPException):
                return False
        wait_for("it serves again", serves)


if __name__ == "__main__":
    unittest.main()
