"""What users and domains say about their mail, US-02..05, DM-01 and DM-03, on one node: forwarding, size limits,
confinement, footers, other servers of a domain. test_domains_cluster.py does the same through two frontends."""
import email
import email.message
import email.policy
import imaplib
import itertools
import smtplib
import unittest

from node import DOMAIN, Node, messages, wait_for
from test_courier import Names, Sink

node = None
names = None
sink = None
banners = itertools.count()


def setUpModule():
    global node, names, sink
    sink = Sink()
    names = Names()
    node = Node().start()
    configure(node)


def configure(one):
    for key, value in (("dns.resolver", f"127.0.0.1:{names.port}"), ("smtp.delivery.port", sink.port),
                       ("courier.retry.first", 1), ("courier.retry.max", 2), ("quota.warning.percent", 90)):
        one.config(key, value)
    in_force(one)
    names.add("sink.example")


def in_force(one):
    """Waits until what was configured holds where mail goes: changes come in their order."""
    banner = f"as of {next(banners)}"
    one.config("smtp.banner", banner)

    def greeting():
        with one.connect("SMTP") as s, s.makefile("rb") as f:
            return banner.encode() in f.readline()
    everywhere("the configuration is in force", greeting)


def tearDownModule():
    node.close()
    names.close()
    sink.close()


def full(name):
    return name if "@" in name else f"{name}@{DOMAIN}"


def submit(user, to, text, options=()):
    with node.smtp("SUBMISSION") as s:
        s.starttls(context=node.tls())
        s.login(full(user), "secret-1")
        return s.sendmail(full(user), to, text, options)


def plain(user, subject, body="hello"):
    return f"From: <{full(user)}>\r\nSubject: {subject}\r\n\r\n{body}\r\n"


def inbox(user):
    client = node.imap(user)
    try:
        return list(messages(client).values())
    finally:
        client.logout()


def subjects(user):
    found = []
    for raw in inbox(user):
        found += [line[9:].decode() for line in raw.split(b"\r\n") if line.startswith(b"Subject: ")]
    return found


def rcpt(sender, to, *options):
    """The answer to RCPT of a client outside."""
    with node.smtp() as s:
        s.ehlo("client.example")
        s.mail(sender, options)
        return s.rcpt(full(to))


def change(kind, name, **members):
    node.api("PATCH", f"/api/v1/{kind}/{name}", members)


def everywhere(what, condition):
    """Waits until it is true for several connections in a row: each loop of a frontend has its own snapshot."""
    wait_for(what, lambda: all(condition() for _ in range(4)))


def domain(name, **members):
    """A domain of its own, so that no test meets another's."""
    node.api("POST", "/api/v1/domains", {"name": name, **members})
    everywhere("the domain", lambda: rcpt("a@outside.example", f"nobody@{name}")[1].find(b"5.7.1") < 0)
    return name


def refused(call):
    """Code and text of the refusal that a call ends with."""
    try:
        call()
    except smtplib.SMTPRecipientsRefused as error:
        return next(iter(error.recipients.values()))
    except smtplib.SMTPResponseException as error:
        return error.smtp_code, error.smtp_error
    raise AssertionError("it was taken")


class Forward(unittest.TestCase):
    def test_US_02_forward_only_and_forward_and_keep(self):
        node.user("only", forward=["only@sink.example"])
        node.user("keep", forward=["keep@sink.example"], forward_keep=True)
        shown = node.api("GET", f"/api/v1/users/keep@{DOMAIN}")
        self.assertEqual((shown["forward"], shown["forward_keep"]), (["keep@sink.example"], True))
        node.send([full("only"), full("keep")], subject="go on")
        wait_for("both at the sink", lambda: sink.to("only@sink.example") and sink.to("keep@sink.example"))
        wait_for("the copy", lambda: subjects("keep") == ["go on"])
        self.assertEqual(subjects("only"), [])
        for name in ("only", "keep"):
            sender, _, body = sink.to(f"{name}@sink.example")[0]
            self.assertEqual(sender, full(name))  # so that SPF holds
            self.assertIn(b"Subject: go on", body)
        # A report keeps its null sender.
        node.send(full("only"), subject="a report", sender="")
        wait_for("the report", lambda: len(sink.to("only@sink.example")) == 2)
        self.assertEqual(sink.to("only@sink.example")[1][0], "")
        out = node.ctl("user", "set", full("keep"), "--forward", "", "--forward-only")
        self.assertEqual(out.returncode, 0, out.stderr)
        node.send(full("keep"), subject="stay")
        wait_for("it stays", lambda: subjects("keep") == ["go on", "stay"])
        self.assertEqual(len(sink.to("keep@sink.example")), 1)

    def test_US_02_to_the_inside_goes_at_once_and_rings_lose_nothing(self):
        for name in ("ring1", "ring2", "ring3"):
            node.user(name)
        node.user("inside", forward=[full("ring3")])
        node.send(full("inside"), subject="for three")
        wait_for("the one inside", lambda: subjects("ring3") == ["for three"])
        self.assertEqual(subjects("inside"), [])
        change("users", full("ring1"), forward=[full("ring2")])
        change("users", full("ring2"), forward=[full("ring1")])
        wait_for("both forward", lambda: len(node.api("GET", f"/api/v1/check-address?address=ring1%40{DOMAIN}")[
            "targets"]) == 1)
        node.send(full("ring1"), subject="round")
        wait_for("somebody keeps it", lambda: subjects("ring1") + subjects("ring2") == ["round"])

    def test_US_02_what_cannot_be_forwarded_stays_and_comes_back_once(self):
        node.user("bounced", forward=["refused@sink.example"])
        sink.refuse("refused@sink.example", "550 5.1.1 nobody", 1000)
        node.send(full("bounced"), subject="stays here")
        wait_for("it stays", lambda: subjects("bounced") == ["stays here"])
        # The other server sends it back to who forwards it there: it is not sent round again.
        node.user("returned", forward=["returned@sink.example"])
        node.send(full("returned"), subject="ring of two")
        body = wait_for("the first round", lambda: sink.to("returned@sink.example"))[0][2]
        with node.smtp() as s:
            s.sendmail(full("returned"), [full("returned")], body)
        wait_for("the second stays", lambda: subjects("returned") == ["ring of two"])
        self.assertEqual(len(sink.to("returned@sink.example")), 1)

    def test_US_02_bad_values_are_refused(self):
        node.user("careful")
        path = f"/api/v1/users/careful@{DOMAIN}"
        for members, word in (({"forward": [full("careful")]}, "own"), ({"forward": ["a@b.example"] * 2}, "twice"),
                              ({"forward": ["no address"]}, "not an address"),
                              ({"forward": [f"u{i}@b.example" for i in range(17)]}, "at most 16"),
                              ({"forward_keep": 1}, "true or false"),
                              ({"domain_only": True, "forward": ["a@b.example"]}, "confined")):
            status, reply = node.api("PATCH", path, members, ok=False)
            self.assertEqual(status, 400, members)
            self.assertIn(word, reply["detail"])
        self.assertEqual(node.api("GET", path)["forward"], [])


class Size(unittest.TestCase):
    def test_US_04_the_smaller_limit_of_user_and_domain_applies(self):
        name = domain("size.lab", size_max=2 << 20)
        for user in ("small", "large"):
            node.user(f"{user}@{name}")
        out = node.ctl("user", "set", f"small@{name}", "--size-max", "1M")
        self.assertEqual(out.returncode, 0, out.stderr)

        def message(size):
            head = f"From: <small@{name}>\r\nSubject: big\r\n\r\n"
            return head + ("x" * 70 + "\r\n") * ((size - len(head)) // 72)
        one_and_a_half, too_big = message(3 << 19), message(5 << 19)
        # smtplib says SIZE; a client that does not is told after DATA.
        code, text = refused(lambda: submit(f"small@{name}", f"large@{name}", one_and_a_half))
        self.assertEqual((code, text[:5]), (552, b"5.3.4"))
        self.assertIn(b"1048576", text)

        def without_size(user, text):
            with node.smtp("SUBMISSION") as s:
                s.starttls(context=node.tls())
                s.login(user, "secret-1")
                self.assertEqual(s.mail(user)[0], 250)
                self.assertEqual(s.rcpt(f"large@{name}")[0], 250)
                return s.data(text)
        code, text = without_size(f"small@{name}", one_and_a_half)
        self.assertEqual((code, text[:5]), (552, b"5.3.4"))
        self.assertIn(b"1048576", text)
        self.assertEqual(without_size(f"large@{name}", one_and_a_half)[0], 250)
        code, text = refused(lambda: submit(f"large@{name}", f"small@{name}", too_big))
        self.assertEqual(code, 552)
        self.assertIn(b"2097152", text)
        submit(f"small@{name}", f"large@{name}", message(1 << 19))
        change("users", f"small@{name}", size_max=0)
        wait_for("the domain's limit", lambda: without_size(f"small@{name}", one_and_a_half)[0] == 250)
        # It is about what users send, not about what they get.
        node.send(f"small@{name}", too_big)


class Confined(unittest.TestCase):
    def test_US_05_to_and_from_the_inside_only(self):
        for user in ("us05", "us05b"):
            node.user(user)
        out = node.ctl("user", "set", full("us05"), "--domain-only")
        self.assertEqual(out.returncode, 0, out.stderr)
        everywhere("it is in force", lambda: rcpt("a@outside.example", "us05")[0] == 550)
        for sender in ("a@outside.example", "", full("us05b")):  # the last says so only
            code, text = rcpt(sender, "us05")
            self.assertEqual((code, text[:5]), (550, b"5.7.1"), sender)
            self.assertIn(b"from inside the domain only", text)
        code, text = refused(lambda: submit("us05", "x@sink.example", plain("us05", "out")))
        self.assertEqual((code, text[:5]), (550, b"5.7.1"))
        self.assertIn(b"inside your own domain only", text)
        submit("us05", full("us05b"), plain("us05", "to the inside"))
        submit("us05b", full("us05"), plain("us05b", "from the inside"))
        wait_for("both", lambda: subjects("us05b") == ["to the inside"] and subjects("us05") == ["from the inside"])
        self.assertEqual(sink.to("x@sink.example"), [])
        change("users", full("us05"), domain_only=False)
        wait_for("open again", lambda: rcpt("a@outside.example", "us05")[0] == 250)

    def test_US_05_through_groups_aliases_and_forwards_the_others_get_it(self):
        for user in ("us05c", "us05d", "us05e"):
            node.user(user)
        change("users", full("us05c"), domain_only=True)
        change("users", full("us05e"), forward=["us05e@sink.example"], forward_keep=True)
        node.api("POST", "/api/v1/groups", {"address": full("us05-team"), "members": [
            full("us05c"), full("us05d"), "us05-guest@sink.example"]})
        node.api("POST", "/api/v1/aliases", {"address": full("us05-alias"), "targets": [full("us05c")]})
        everywhere("all is in force", lambda: rcpt("a@outside.example", "us05-alias")[0] == 550 and
                 rcpt("a@outside.example", "us05-team")[0] == 250 and rcpt("a@outside.example", "us05c")[0] == 550)
        node.send(full("us05-team"), subject="from outside")
        wait_for("the others", lambda: subjects("us05d") == ["from outside"] and sink.to("us05-guest@sink.example"))
        submit("us05c", [full("us05-team"), full("us05e")], plain("us05c", "from the confined"))
        wait_for("those inside", lambda: subjects("us05d") == ["from outside", "from the confined"])
        wait_for("the group has him too", lambda: subjects("us05c") == ["from the confined"])
        # Who forwards his mail does that by himself.
        wait_for("forwarded", lambda: sink.to("us05e@sink.example"))
        self.assertEqual(len(sink.to("us05-guest@sink.example")), 1)


class OtherServer(unittest.TestCase):
    def test_DM_03_unknown_recipients_go_to_the_other_server(self):
        name = domain("split.lab")
        node.user(f"here@{name}")
        self.assertEqual(rcpt("a@outside.example", f"There@{name}")[0], 550)
        out = node.ctl("domain", "set", name, "--forward-host", f"127.0.0.1:{sink.port}")
        self.assertEqual(out.returncode, 0, out.stderr)
        everywhere("it is in force", lambda: rcpt("a@outside.example", f"There@{name}")[0] == 250)
        node.send([f"here@{name}", f"There@{name}"], subject="for both")
        sender, _, body = wait_for("the other server", lambda: sink.to(f"There@{name}"))[0]
        self.assertEqual(sender, "someone@outside.example")
        self.assertIn(b"Subject: for both", body)
        wait_for("here", lambda: subjects(f"here@{name}") == ["for both"])
        self.assertEqual(sink.asked(f"here@{name}"), 0)
        # The other server does not have him either and sends it back: no ring.
        node.send(f"nobody@{name}", subject="round")
        body = wait_for("the other server", lambda: sink.to(f"nobody@{name}"))[0][2]
        code, text = refused(lambda: node.send(f"nobody@{name}", body.decode()))
        self.assertEqual((code, text[:5]), (554, b"5.4.6"))
        self.assertEqual(len(sink.to(f"nobody@{name}")), 1)
        change("domains", name, forward_host="")
        everywhere("not any more", lambda: rcpt("a@outside.example", f"There@{name}")[0] == 550)

    def test_DM_03_a_whole_domain_and_bad_values(self):
        name = domain("whole.lab")
        node.user(f"here@{name}")
        change("domains", name, forward_host=f"127.0.0.1:{sink.port}", forward_all=True)
        node_has = lambda: node.api("GET", f"/api/v1/check-address?address=here%40{name}")["kind"]  # noqa: E731
        everywhere("it is in force", lambda: node_has() == "forwarded")
        node.send(f"here@{name}", subject="all of it")
        wait_for("the other server", lambda: sink.to(f"here@{name}"))
        self.assertEqual(subjects(f"here@{name}"), [])
        path = f"/api/v1/domains/{name}"
        for members, word in (({"forward_host": "two words"}, "host:port"), ({"forward_host": "a.example:0"}, "host:port"),
                              ({"forward_host": "a.example:65536"}, "host:port"), ({"forward_host": ":25"}, "host:port"),
                              ({"forward_host": "[1.2.3"}, "host:port"), ({"forward_all": "yes"}, "true or false"),
                              ({"forward_host": "", "forward_all": True}, "needs forward_host"),
                              ({"footer_text": "a\u0001b"}, "control"), ({"footer_text": "x" * 8193}, "footer_text")):
            status, reply = node.api("PATCH", path, members, ok=False)
            self.assertEqual(status, 400, members)
            self.assertIn(word, reply["detail"])
        for host in ("mx.example.org", "192.0.2.1", "192.0.2.1:2525", "[2001:db8::1]:25", "[2001:db8::1]"):
            change("domains", name, forward_host=host)


class Footer(unittest.TestCase):
    TEXT, HTML = "-- \nGr\u00fc\u00dfe, Acme \u20ac", "<p>Gr\u00fc\u00dfe, <b>Acme</b> \u20ac</p>"

    def parts(self, raw):
        message = email.message_from_bytes(raw, policy=email.policy.default)
        return {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}

    def test_DM_01_footer_in_text_and_html_of_mail_that_leaves(self):
        name = domain("footer.lab")
        for user in ("a", "b"):
            node.user(f"{user}@{name}")
        out = node.ctl("domain", "set", name, "--footer-text", self.TEXT, "--footer-html", self.HTML)
        self.assertEqual(out.returncode, 0, out.stderr)
        self.assertEqual(node.api("GET", f"/api/v1/domains/{name}")["footer_text"], self.TEXT)
        in_force(node)
        mail = email.message.EmailMessage(policy=email.policy.SMTP)
        mail["From"], mail["Subject"] = f"a@{name}", "two kinds"
        mail.set_content("hello\n")
        mail.add_alternative("<html><body><p>hello</p></body></html>", subtype="html")
        submit(f"a@{name}", ["x@sink.example", f"b@{name}"], mail.as_bytes())
        sent = self.parts(wait_for("the sink", lambda: sink.to("x@sink.example"))[0][2])
        self.assertEqual(sent["text/plain"].splitlines(), ["hello", "", *self.TEXT.split("\n")])
        self.assertIn("<p>hello</p>", sent["text/html"])
        html = sent["text/html"].replace("&#252;", "\u00fc").replace("&#223;", "\u00df").replace("&#8364;", "\u20ac")
        self.assertIn(self.HTML, html)
        self.assertLess(html.index(self.HTML), html.index("</body>"))
        raw = wait_for("inside", lambda: inbox(f"b@{name}"))[0]
        self.assertNotIn("Acme", "".join(self.parts(raw).values()))
        # What has it already, like an answer by the same way, gets no second one.
        submit(f"a@{name}", "again@sink.example", sink.to("x@sink.example")[0][2])
        sent = self.parts(wait_for("the sink", lambda: sink.to("again@sink.example"))[0][2])
        self.assertEqual((sent["text/plain"].count("Acme"), sent["text/html"].count("Acme")), (1, 1))
        # Mail of others that comes through here has none; signed mail stays as it is.
        node.user(f"c@{name}", forward=["through@sink.example"])
        node.send(f"c@{name}", subject="through")
        self.assertNotIn(b"Acme", wait_for("through", lambda: sink.to("through@sink.example"))[0][2])
        signed = (f"From: <a@{name}>\r\nSubject: s\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nhello"
                  "\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n")
        submit(f"a@{name}", "signed@sink.example", signed)
        body = wait_for("signed", lambda: sink.to("signed@sink.example"))[0][2]
        self.assertTrue(body.endswith(signed.encode()))
        # By option inside, too; and only once to the outside.
        change("domains", name, footer_inside=True)
        wait_for("it is in force", lambda: submit(f"a@{name}", [f"b@{name}"], plain(f"a@{name}", "inside")) == {} and
                 any(b"Acme" in m for m in inbox(f"b@{name}")))
        submit(f"a@{name}", "once@sink.example", plain(f"a@{name}", "once"))
        body = wait_for("the sink", lambda: sink.to("once@sink.example"))[0][2]
        self.assertEqual(body.count(b"Acme"), 1)
        status, reply = node.api("PATCH", f"/api/v1/domains/{name}", {"footer_html": "x</body>"}, ok=False)
        self.assertEqual(status, 400)

    def test_DM_01_mail_to_the_alias_domain_arrives_and_log_in_with_it_fails(self):
        name = domain("real.lab")
        node.user(f"ann@{name}")
        out = node.ctl("domain", "set", name, "--also", "other-name.lab")
        self.assertEqual(out.returncode, 0, out.stderr)
        everywhere("it is in force", lambda: rcpt("a@outside.example", "ann@other-name.lab")[0] == 250)
        node.send("ann@other-name.lab", subject="by the other name")
        wait_for("it arrives", lambda: subjects(f"ann@{name}") == ["by the other name"])
        self.assertEqual(rcpt("a@outside.example", "nobody@other-name.lab")[0], 550)
        with self.assertRaises(imaplib.IMAP4.error):
            node.imap("ann@other-name.lab")
        with node.smtp("SUBMISSION") as s:
            s.starttls(context=node.tls())
            with self.assertRaises(smtplib.SMTPAuthenticationError):
                s.login("ann@other-name.lab", "secret-1")
        node.imap(f"ann@{name}").logout()


class Warned(unittest.TestCase):
    def test_US_03_warning_at_the_percent_and_none_at_zero(self):
        text = "Subject: filler\r\n\r\n" + ("x" * 70 + "\r\n") * 850  # 94 percent of it
        for name in ("silent", "warned"):
            node.user(name, quota_bytes=1 << 16)

        def percent(number):
            out = node.ctl("config", "set", "quota.warning.percent", str(number))
            self.assertEqual(out.returncode, 0, out.stderr)
            in_force(node)

        def fill(name):
            node.send(full(name), text)
            wait_for("stored", lambda: subjects(name).count("filler") == 1)

        def warned(name):
            return any("quota" in s.lower() for s in subjects(name))
        self.addCleanup(node.config, "quota.warning.percent", 90)
        percent(0)
        fill("silent")
        for _ in range(3):
            self.assertEqual(rcpt("a@outside.example", "silent")[0], 250)
        percent(80)
        fill("warned")
        wait_for("the warning", lambda: rcpt("a@outside.example", "warned")[0] == 250 and warned("warned"))
        self.assertFalse(warned("silent"))


if __name__ == "__main__":
    unittest.main()
