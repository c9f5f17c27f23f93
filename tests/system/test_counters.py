"""Counters that hold for the whole cluster, with real clients: failed log-ins that lock a name or an address out, and
connections of an address. On one node, and (test_cluster.py has the cluster) over both frontends: see Client."""
import concurrent.futures
import json
import os
import signal
import socket
import ssl
import unittest

from node import DOMAIN, SLOW, Node, wait_for

node = None


def setUpModule():
    global node
    node = Node().start()
    node.config("login.failure.delay", "0")
    node.config("login.without.tls", "127.0.0.0/8")

    def in_force():  # in each loop
        for _ in range(8):
            with Client(node.endpoints()["IMAP"]) as client:
                client.socket.sendall(b"a CAPABILITY\r\n")
                if b"LOGINDISABLED" in client.file.readline():
                    return False
        return True
    wait_for("options are in force", in_force)


def tearDownModule():
    node.close()


class Client:
    """A connection from `source` that is read by lines; `greeting` is empty when it was refused."""

    def __init__(self, address, source="127.0.0.1", tls=False):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=60 * SLOW, source_address=(source, 0))
        try:
            if tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                self.socket = context.wrap_socket(self.socket)
            self.file = self.socket.makefile("rb")
            self.greeting = self.file.readline()
        except (ConnectionError, ssl.SSLError):
            self.greeting = b""

    def ask(self, line):
        """The last line of the answer."""
        self.socket.sendall(line + b"\r\n")
        while True:
            said = self.file.readline()
            if not said or (said[:2] != b"* " and said[3:4] != b"-"):
                return said.decode()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def plain(user, password):
    import base64
    return base64.b64encode(f"\0{user}\0{password}".encode())


def log_in(protocol, address, user, password, source="127.0.0.1", tls=False):
    """What the client hears: "in", "wrong", "locked", or the line itself when it is none of them."""
    with Client(address, source, tls) as client:
        if protocol == "imap":
            said = client.ask(b"a LOGIN %s %s" % (user.encode(), password.encode()))
        elif protocol == "pop3":
            said = client.ask(b"AUTH PLAIN " + plain(user, password))
        else:
            client.ask(b"EHLO test")
            said = client.ask(b"AUTH PLAIN " + plain(user, password))
    for words, text in (("in", ("a OK", "+OK", "235 ")),
                        ("wrong", ("a NO [AUTHENTICATIONFAILED]", "-ERR [AUTH]", "535 5.7.8")),
                        ("locked", ("a NO [UNAVAILABLE] LOGIN: too many failed log-ins",
                                    "-ERR [SYS/TEMP] log-in can't be checked now: too many failed log-ins",
                                    "454 4.7.0 Too many failed log-ins"))):
        if said.startswith(text):
            return words
    return said


def fail(count, doors, user, sources):
    """So many wrong log-ins, at the same time, dealt over `doors` (protocol, address, tls) and `sources`."""
    def one(number):
        protocol, address, tls = doors[number % len(doors)]
        return log_in(protocol, address, user, "wrong", sources[number % len(sources)], tls)
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def events(folder, name, **fields):
    found = []
    with open(os.path.join(folder, "events.json"), errors="replace") as f:
        for line in f.read().split("\n")[:-1]:
            event = json.loads(line)
            if event["event"] == name and all(str(event.get(k)) == str(v) for k, v in fields.items()):
                found.append(event)
    return found


def open_until_refused(address, source, most=20, tls=False):
    """Opens connections until one is refused; returns the others."""
    taken = []
    while len(taken) < most:
        client = Client(address, source, tls)
        if not client.greeting:
            client.close()
            break
        taken.append(client)
    return taken


class OneNode(unittest.TestCase):
    def doors(self):
        values = node.endpoints()
        return [("imap", values["IMAP"], False), ("pop3", values["POP3"], False), ("smtp", values["SUBMISSION"], False)]

    def says(self, user, password, source, wanted):
        for protocol, address, tls in self.doors():
            wait_for(f"{protocol} says {wanted}", lambda: log_in(protocol, address, user, password, source) == wanted)

    def logged(self, name, text):
        def there():
            with open(os.path.join(node.data, "log", name), errors="replace") as f:
                return text in f.read()
        wait_for(f"{name} says {text}", there)

    def test_a_user_is_locked_out_and_unlocked(self):
        for name in ("locked", "free"):
            node.user(name)
        user, free = "locked@" + DOMAIN, "free@" + DOMAIN
        said = fail(48, self.doors(), user, [f"127.0.1.{n}" for n in range(1, 13)])  # 20 lock it: four an address
        self.assertEqual((20, 28), (said.count("wrong"), said.count("locked")), said)
        for password in ("secret-1", "wrong"):
            self.says(user, password, "127.0.1.100", "locked")
        self.says(free, "secret-1", "127.0.1.100", "in")
        self.logged("security.log", f"AntiHammering - user {user} will be locked out for 5 minutes")
        self.assertEqual(1, len(events(node.data + "/log", "user-locked", user=user)))
        done = node.ctl("user", "unlock", user)
        self.assertEqual(0, done.returncode, done.stderr)
        self.says(user, "secret-1", "127.0.1.100", "in")
        for words, status in ((("user", "unlock", "nobody@" + DOMAIN), 1), (("user", "unlock"), 2)):
            self.assertEqual(status, node.ctl(*words).returncode, words)

    def test_somebody_who_is_not_there_is_locked_out_the_same(self):
        user = "nobody@" + DOMAIN
        said = fail(24, self.doors(), user, [f"127.0.2.{n}" for n in range(1, 13)])
        self.assertTrue(set(said) <= {"wrong", "locked"}, said)
        self.says(user, "secret-1", "127.0.2.100", "locked")

    def test_an_address_is_blocked_and_others_are_not(self):
        node.user("everybody")
        user = "everybody@" + DOMAIN
        said = []
        for number in range(12):  # names of many, so that none of them is locked
            protocol, address, tls = self.doors()[number % 3]
            said.append(log_in(protocol, address, f"nobody-{number}@{DOMAIN}", "wrong", "127.0.3.1"))
        self.assertEqual(["wrong"] * 10 + ["locked"] * 2, said)
        self.says(user, "secret-1", "127.0.3.1", "locked")
        self.says(user, "secret-1", "127.0.3.2", "in")
        self.logged("security.log", "AntiHammering - IP address 127.0.3.1 will be blocked for 5 minutes, too many "
                                    "failed logins from this IP address.")
        self.logged("security.log", f"AntiHammering - login of user {user} from IP address 127.0.3.1 refused")

    def test_who_is_exempt_is_not(self):
        node.config("login.lockout.exempt", "127.0.4.0/24")
        self.addCleanup(node.api, "DELETE", "/api/v1/config/login.lockout.exempt")
        tries = iter(range(1, 250))

        def is_let_in():  # after so many failures, once the option is in force everywhere
            number = next(tries)
            node.user(f"exempt-{number}")
            user, source = f"exempt-{number}@{DOMAIN}", f"127.0.4.{number}"
            fail(30, self.doors(), user, [source])
            return [log_in(*door[:2], user, "secret-1", source) for door in self.doors()] == ["in"] * 3
        wait_for("an exempt client is let in", is_let_in)

    def test_a_leader_that_died_has_forgotten(self):
        node.user("forgotten")
        user = "forgotten@" + DOMAIN
        fail(24, self.doors(), user, [f"127.0.5.{n}" for n in range(1, 13)])
        self.says(user, "secret-1", "127.0.5.100", "locked")
        pid = node.kill("storage-node-1", signal.SIGKILL)
        node.wait_restarted("storage-node-1", pid)
        self.says(user, "secret-1", "127.0.5.100", "in")

    def test_connections_of_an_address(self):
        node.config("imap.connections.per.address", "5")
        self.addCleanup(node.api, "DELETE", "/api/v1/config/imap.connections.per.address")
        address = node.endpoints()["IMAP"]

        def five():
            taken = open_until_refused(address, "127.0.6.1")
            for client in taken:
                client.close()
            return len(taken) == 5
        wait_for("five are taken, the sixth is refused", five)
        self.logged("warning.log", "Connection attempt to service IMAP from IP address 127.0.6.1 rejected: too many "
                                   "connections. Connection limit is 5")


if __name__ == "__main__":
    unittest.main()
