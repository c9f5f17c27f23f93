"""`user import` and `domain import` of files: all forms of hashes, bad lines, and kills of each program in the middle."""
import os
import re
import signal
import subprocess
import unittest

from node import BUILD, DOMAIN, SLOW, Node, wait_for

node = None
SHA512 = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/"
# Of "password", as other servers export them.
HASHES = [
    SHA512, "{SHA512-CRYPT}" + SHA512, "{CRYPT}" + SHA512,
    "$5$saltsalt$gOjOtoMpVhru2uyjeJSEc/JaLQWOXMNmlOnj6T4AtC.",
    "$7$86..../....BpECIvVfUpk9ylaEIxmjOGKORupVtxr8AETyRo1DTjB$s170BHYufYuLye1mUECY5qqdSZv.seH.7dYngvTKIt3",
    "$1$xxxxxxxx$UYCIxa628.9qXjpQCjM4a.",
    "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "{SSHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0",
    "{SSHA256}eje4XIkY6sGakInA+loqtNzj+QUo3N7sEIsj3fNge5lzYWx0",
    "{SSHA512}+mohhbPgqahe9B/7Z+88H7b3SYD46/lw5OcuNT7ZU31ZMIPCAd/W5D4cinqsK8jbsRnH37fUuPExEROVvXDpf3NhbHQ=",
]


def setUpModule():
    global node
    node = Node().start()
    node.config("login.lockout.exempt", "127.0.0.1")  # wrong passwords galore


def tearDownModule():
    node.close()


class Import(unittest.TestCase):
    def write(self, name, lines):
        path = os.path.join(node.base, name)
        with open(path, "w") as f:
            f.write("".join(line + "\n" for line in lines))
        return path

    def done(self, noun, path, status=0):
        """Imports a file: the numbers of made, unchanged, refused."""
        done = node.ctl(noun, "import", path)
        rejects = ""
        if os.path.exists(path + ".rejects"):
            with open(path + ".rejects") as f:
                rejects = f.read()
        self.assertEqual(status, done.returncode, done.stdout + done.stderr + rejects)
        return tuple(int(n) for n in re.findall(r"(\d+) (?:made|unchanged|refused)", done.stdout))

    def users(self, domain):
        """All addresses that are listed, as often as they are."""
        found, after = [], ""
        while True:
            page = node.api("GET", f"/api/v1/users?domain={domain}&limit=1000&after={after}")
            found += [user["address"] for user in page["items"]]
            after = page.get("next", "")
            if not after:
                return found


class Hashes(Import):
    def test_each_form_of_hash_fits_and_is_made_anew(self):
        path = self.write("hashes.csv", ["address,password_hash"] + [f"h{i}@{DOMAIN},{h}" for i, h in enumerate(HASHES)])
        self.assertEqual((len(HASHES), 0, 0), self.done("user", path))
        for i in range(len(HASHES)):
            with self.assertRaises(Exception):
                node.imap(f"h{i}", "Password")
            for _ in range(2):  # with the given one, and with what was made of it
                node.imap(f"h{i}", "password").logout()
        self.assertEqual((0, len(HASHES), 0), self.done("user", path))


class Lines(Import):
    def test_bad_lines_are_named_and_the_others_made(self):
        path = self.write("bad.csv", [
            "address,password,password_hash,quota,role", f"l1@{DOMAIN},secret-1,,1G,user",
            "l2@nowhere.test,secret-1,,,", f"l3@{DOMAIN},,{{PLAIN}}secret,,", f"l4@{DOMAIN},secret-1,,lots,",
            f"l5@{DOMAIN},secret-1,,,king", f"l6@{DOMAIN},x,,,", f"\"l7@{DOMAIN}", "no address,secret-1,,,",
            f"l9@{DOMAIN},secret-1,,,"])
        self.assertEqual((2, 0, 7), self.done("user", path, 1))
        with open(path + ".rejects") as f:
            rejects = [line.split(",", 2) for line in f]
        self.assertEqual(["3", "4", "5", "6", "7", "8", "9"], [r[0] for r in rejects])
        self.assertEqual(["address", "password_hash", "quota", "role", "password", "", "address"],
                         [r[1] for r in rejects])
        self.assertFalse(os.path.exists(path + ".progress"))
        node.imap("l1").logout()
        node.imap("l9").logout()
        self.assertEqual((0, 2, 7), self.done("user", path, 1))
        other = self.write("other.csv", ["address,quota", f"l1@{DOMAIN},2G", f"l9@{DOMAIN}"])
        self.assertEqual((0, 1, 1), self.done("user", other, 1))
        with open(other + ".rejects") as f:
            self.assertEqual('2,quota_bytes,"the user is there with another value"\n', f.read())


class Domains(Import):
    def test_many_domains_with_users(self):
        count = 1000
        path = self.write("domains.csv", ["name"] + [f"n{i}.import.test" for i in range(count)] + ["bad name", "n7.import.test"])
        self.assertEqual((count, 1, 1), self.done("domain", path, 1))
        self.assertEqual((0, count + 1, 1), self.done("domain", path, 1))
        rows = [f"u{i}@n{i}.import.test,password" for i in range(0, count, 100)]
        users = self.write("users.csv", rows)
        self.assertEqual((len(rows), 0, 0), self.done("user", users))
        node.imap(f"u{count - 100}@n{count - 100}.import.test", "password").logout()


class Kills(Import):
    COUNT = 6000

    def begin(self, path):
        return subprocess.Popen([os.path.join(BUILD, "godwitctl/godwitctl"), "--endpoints-file",
                                 os.path.join(node.data, "endpoints.env"), "user", "import", path],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def begun(self, process, path):
        """Some of it is done; it may be over already on a quick machine, and then nothing is cut short."""
        wait_for("the first lines", lambda: os.path.exists(path + ".progress") or process.poll() is not None)

    def killed(self, name, kill):
        """An import with `kill` in its middle, repeated until it ends: all users are there, each once."""
        domain = name + ".kills.test"
        node.api("POST", "/api/v1/domains", {"name": domain})
        wait_for("the domain", lambda: node.api("GET", f"/api/v1/users?domain={domain}", ok=False)[0] == 200)
        path = self.write(name + ".csv", ["address,password_hash,addresses"] + [
            f"u{i}@{domain},{SHA512},{f'further{i}@{domain}' if i % 100 == 0 else ''}" for i in range(self.COUNT)])
        process = self.begin(path)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        self.begun(process, path)
        kill(process)
        output = process.communicate(timeout=150 * SLOW)[0]
        if process.returncode != 0:
            self.assertLess(process.returncode, 0, output)  # it was killed itself
            self.assertEqual(self.COUNT, sum(self.done("user", path)))
        self.assertEqual((0, self.COUNT, 0), self.done("user", path))
        users = self.users(domain)
        self.assertEqual(sorted(f"u{i}@{domain}" for i in range(self.COUNT)), sorted(users))
        for i in (0, self.COUNT // 2, self.COUNT - 1):
            node.imap(f"u{i}@{domain}", "password").logout()
        user = node.api("GET", f"/api/v1/users/u100@{domain}")
        self.assertEqual([f"further100@{domain}"], user["addresses"])

    def test_godwitctl(self):
        self.killed("ctl", lambda process: process.kill())

    def test_frontend(self):
        def kill(_):
            node.wait_restarted("frontend-1", node.kill("frontend-1", signal.SIGKILL))
        self.killed("frontend", kill)

    def test_storage_node(self):
        def kill(_):
            node.wait_restarted("storage-node-1", node.kill("storage-node-1", signal.SIGKILL))
        self.killed("store", kill)


if __name__ == "__main__":
    unittest.main()
