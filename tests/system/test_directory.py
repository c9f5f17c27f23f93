"""DM-02: a domain whose users are in an LDAP directory. One node and two servers of the directory, the primary and its
backup, with TLS by an authority of their own."""
import imaplib
import json
import poplib
import smtplib
import unittest

from node import DOMAIN, Node, messages, wait_for
from slapd import PEOPLE, READER, READER_PASSWORD, Authority, Slapd, person

CORP = "corp.example"
PEOPLE_AT_FIRST = (person("alice", mail=f"alice@{CORP}", full_name="Alice Adams") + person("bob") +
                   person("carol", mail=f"carol@{DOMAIN}") + person("dave") + person("erin") + person("frank") +
                   person("here") + person("nobody", password=None))

node = None
authority = None
primary = None
backup = None


def setUpModule():
    global node, authority, primary, backup
    authority = Authority()
    primary, backup = Slapd(authority, PEOPLE_AT_FIRST).start(), Slapd(authority, PEOPLE_AT_FIRST).start()
    node = Node().start()
    node.config("login.failure.delay", 0)
    node.config("login.lockout.user.failures", 3)
    done = node.ctl("domain", "create", CORP)
    assert done.returncode == 0, done.stderr
    node.user(f"here@{CORP}", "made-here-1")
    done = node.ctl("domain", "set", CORP, "--directory-host", primary.host(), "--directory-host", backup.host(),
                    "--directory-ca", authority.pem(), "--directory-bind-dn", READER, "--directory-password", "-",
                    "--directory-base", PEOPLE, "--directory-filter", "(objectClass=inetOrgPerson)",
                    "--directory-sync", "1", "--directory-timeout", "1", input=READER_PASSWORD + "\n")
    assert done.returncode == 0, done.stderr
    wait_for("users are taken over", lambda: len(users()) >= 7)


def tearDownModule():
    node.close()
    primary.close()
    backup.close()
    authority.close()


def users():
    return {user["address"]: user for user in node.api("GET", f"/api/v1/users?domain={CORP}")["items"]}


def user(name):
    return users().get(f"{name}@{CORP}", {})


def can_log_in(name, password="secret-1"):
    """Whether it works; an answer that is neither yes nor no is an error."""
    try:
        node.imap(f"{name}@{CORP}", password).logout()
        return True
    except imaplib.IMAP4.error as error:
        if "AUTHENTICATIONFAILED" in str(error):
            return False
        raise


def is_away(name, password="secret-1"):
    try:
        can_log_in(name, password)
    except imaplib.IMAP4.error as error:
        return "UNAVAILABLE" in str(error)
    return False


def everywhere(ldif=None, remove=None):
    """A change in the directory: of both servers."""
    for server in (primary, backup):
        if ldif is not None:
            server.add(ldif)
        if remove is not None:
            server.remove(remove)


class Directory(unittest.TestCase):
    def test_who_is_in_the_directory_is_a_user(self):
        self.assertEqual({f"{name}@{CORP}" for name in ("alice", "bob", "dave", "erin", "frank", "here", "nobody")},
                         set(users()) - {f"gina@{CORP}"})
        self.assertEqual("Alice Adams", user("alice")["full_name"])
        self.assertEqual(f"uid=alice,{PEOPLE}", user("alice")["directory_dn"])
        # The one of another domain is nobody there either.
        self.assertEqual(404, node.api("GET", f"/api/v1/users/carol@{DOMAIN}", ok=False)[0])
        # Mail comes before anybody has logged in.
        node.send(f"alice@{CORP}", subject="before")
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            node.send(f"carol@{CORP}")
        client = node.imap(f"alice@{CORP}")
        self.assertIn(b"Subject: before", list(messages(client).values())[0])
        client.logout()
        self.assertEqual(1, node.pop3(f"alice@{CORP}").stat()[0])
        with node.smtp("SUBMISSION") as s:
            s.starttls(context=node.tls())
            s.login(f"bob@{CORP}", "secret-1")
            s.sendmail(f"bob@{CORP}", f"alice@{CORP}", f"From: <bob@{CORP}>\r\nSubject: out\r\n\r\nhi\r\n")

    def test_what_came_of_the_last_look_is_shown(self):
        listed = node.ctl("directory", "list")
        self.assertEqual(0, listed.returncode, listed.stderr)
        head, row = listed.stdout.rstrip("\n").split("\n")[:2]
        self.assertEqual(["DOMAIN", "STATE", "LAST LOOK"], [word.strip() for word in head.split("  ") if word][:3])
        self.assertIn(CORP, row)
        wait_for("a whole look", lambda: node.api("GET", f"/api/v1/directories/{CORP}")["state"] == "ok")
        shown = json.loads(node.ctl("directory", "show", CORP, "--output", "json").stdout)
        self.assertGreaterEqual(shown["entries"], 6)
        self.assertEqual("", shown["error"])
        self.assertEqual(404, node.api("GET", f"/api/v1/directories/{DOMAIN}", ok=False)[0])

    def test_passwords(self):
        self.assertTrue(can_log_in("alice"))
        self.assertFalse(can_log_in("alice", "wrong"))
        for name in ("bob", "nobody", "here"):
            with self.assertRaises(poplib.error_proto):
                node.pop3(f"{name}@{CORP}", "")
        self.assertFalse(can_log_in("nobody"))
        # Who was made here is not the directory's.
        self.assertTrue(can_log_in("here", "made-here-1"))
        self.assertFalse(can_log_in("here", "secret-1"))
        status, reply = node.api("PATCH", f"/api/v1/users/alice@{CORP}", {"password": "another-1"}, ok=False)
        self.assertEqual((400, True), (status, "directory" in reply["detail"]))
        status, reply = node.api("DELETE", f"/api/v1/users/alice@{CORP}", ok=False)
        self.assertEqual((409, True), (status, "directory" in reply["detail"]))
        shown = node.ctl("domain", "show", CORP, "--output", "json").stdout
        self.assertIn("directory_base", shown)
        self.assertNotIn(READER_PASSWORD, shown)
        # And to whom the password of the reader goes is nothing that one changes without it.
        status, reply = node.api("PATCH", f"/api/v1/domains/{CORP}", {"directory_hosts": ["elsewhere.example"]}, ok=False)
        self.assertEqual((400, True), (status, "directory_password" in reply["detail"]))

    def test_removed_and_back(self):
        node.send(f"dave@{CORP}", subject="kept")
        self.assertTrue(can_log_in("dave"))  # and now known for a while
        everywhere(remove="dave")
        wait_for("disabled within the time of a look, and of the look", lambda: user("dave")["directory_gone"], 10)
        self.assertFalse(user("dave")["enabled"])
        self.assertFalse(can_log_in("dave"))
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            wait_for("mail is refused", lambda: node.send(f"dave@{CORP}") and False)
        status, reply = node.api("PATCH", f"/api/v1/users/dave@{CORP}", {"enabled": True}, ok=False)
        self.assertEqual((409, True), (status, "directory" in reply["detail"]))
        everywhere(person("dave", "other-secret-2"))
        wait_for("back", lambda: user("dave")["enabled"])
        self.assertTrue(can_log_in("dave", "other-secret-2"))
        client = node.imap(f"dave@{CORP}", "other-secret-2")
        self.assertIn(b"Subject: kept", list(messages(client).values())[0])
        client.logout()
        # Whom an administrator has disabled is not enabled by the directory.
        node.api("PATCH", f"/api/v1/users/dave@{CORP}", {"enabled": False})
        everywhere(person("gina"))
        wait_for("another look", lambda: user("gina"))
        self.assertFalse(user("dave")["enabled"])

    def test_the_primary_is_away_and_then_both_are(self):
        primary.stop()
        try:
            self.assertTrue(can_log_in("erin"))
            self.assertFalse(can_log_in("erin", "wrong"))
            backup.pause()  # takes connections and says nothing
            for _ in range(4):  # more than lock a name
                self.assertTrue(is_away("frank"))
            self.assertTrue(is_away("erin", "another"))
            with node.smtp("SUBMISSION") as s, self.assertRaises(smtplib.SMTPAuthenticationError) as refused:
                s.starttls(context=node.tls())
                s.login(f"frank@{CORP}", "secret-1")
            self.assertEqual(454, refused.exception.smtp_code)
            wait_for("who was let in a moment ago is known, in the loop that did it", lambda: not is_away("erin"))
            node.send([f"erin@{CORP}", f"frank@{CORP}"])
            self.assertTrue(user("frank")["enabled"])
            wait_for("said in the log", lambda: "directory-away" in node.api(
                "GET", "/api/v1/logs/warning").__repr__())
            wait_for("and by the API", lambda: "failed" == node.api("GET", f"/api/v1/directories/{CORP}")["state"])
            self.assertIn("127.0.0.1:", node.api("GET", f"/api/v1/directories/{CORP}")["error"])
        finally:
            backup.go_on()
            primary.start()
            wait_for("log-in works again", lambda: not is_away("frank"))
        self.assertTrue(can_log_in("frank"))


if __name__ == "__main__":
    unittest.main()
