"""Rows of the checklist that hold with one node: GEN-01..04, SV-02, TLS-06, US-03."""
import os
import smtplib
import ssl
import subprocess
import unittest

from node import DOMAIN, Node, mbsync_settings, messages, wait_for

node = None


def setUpModule():
    global node
    node = Node().start()


def tearDownModule():
    node.close()


def subjects(user, password="secret-1"):
    client = node.imap(user, password)
    try:
        found = []
        for raw in messages(client).values():
            found += [line[9:].decode() for line in raw.split(b"\r\n") if line.startswith(b"Subject: ")]
        return found
    finally:
        client.logout()


class Gen(unittest.TestCase):
    def test_GEN_01_local_domain_is_taken_and_no_other(self):
        node.user("gen01")
        with node.smtp() as s:
            s.ehlo("client.example")
            self.assertEqual(s.mail("a@outside.example")[0], 250)
            code, text = s.rcpt(f"gen01@{DOMAIN}")
            self.assertEqual(code, 250, text)
            code, text = s.rcpt("someone@elsewhere.example")
            self.assertEqual((code, text[:5]), (550, b"5.7.1"))
            code, text = s.rcpt(f"nobody@{DOMAIN}")
            self.assertEqual((code, text[:5]), (550, b"5.1.1"))

    def test_GEN_02_user_made_by_the_api_logs_in_within_5_seconds(self):
        node.user("gen02", "first pass")
        self.assertEqual(node.imap("gen02", "first pass").logout()[0], "BYE")
        with self.assertRaises(Exception):
            node.imap("gen02", "wrong")

    def test_GEN_03_group_mail_arrives_once_in_each_member_box(self):
        for name in ("g3a", "g3b", "g3c"):
            node.user(name)
        node.api("POST", "/api/v1/groups", {"address": f"gen03@{DOMAIN}", "members": [
            f"g3a@{DOMAIN}", f"g3b@{DOMAIN}"]})
        node.send([f"gen03@{DOMAIN}", f"g3a@{DOMAIN}"], subject="to the group")
        wait_for("mail in both boxes", lambda: subjects("g3a") and subjects("g3b"))
        self.assertEqual(subjects("g3a"), ["to the group"])
        self.assertEqual(subjects("g3b"), ["to the group"])
        self.assertEqual(subjects("g3c"), [])

    def test_GEN_04_alias_with_wildcard_and_check_address(self):
        node.user("gen04")
        node.api("POST", "/api/v1/aliases", {"address": f"?ime@{DOMAIN}", "targets": [f"gen04@{DOMAIN}"]})

        def taken(local):
            with node.smtp() as s:
                s.ehlo("client.example")
                s.mail("a@outside.example")
                return s.rcpt(f"{local}@{DOMAIN}")[0]
        wait_for("the alias is in force", lambda: taken("time") == 250, 5)
        self.assertEqual(taken("dime"), 250)
        self.assertEqual(taken("prime"), 550)
        node.send(f"time@{DOMAIN}", subject="time")
        node.send(f"dime@{DOMAIN}", subject="dime")
        wait_for("both", lambda: sorted(subjects("gen04")) == ["dime", "time"])
        reply = node.api("GET", f"/api/v1/check-address?address=time%40{DOMAIN}")
        self.assertEqual(reply["targets"], [f"gen04@{DOMAIN}"])
        shown = node.ctl("alias", "check", f"dime@{DOMAIN}")
        self.assertIn(f"gen04@{DOMAIN}", shown.stdout)


class Secure(unittest.TestCase):
    def test_SV_02_two_clients_see_each_others_flags_and_idle_works(self):
        node.user("sv02")
        node.send(f"sv02@{DOMAIN}")
        a, b = node.imap("sv02"), node.imap("sv02")
        wait_for("the message", lambda: a.select()[1] == [b"1"])
        b.select()
        a.store("1", "+FLAGS", r"(\Flagged)")

        def seen():
            b.noop()
            return rb"\Flagged" in b.fetch("1", "(FLAGS)")[1][0]
        wait_for("the flag at the other client", seen, 5)
        b.send(b"x1 IDLE\r\n")
        self.assertTrue(b.readline().startswith(b"+"))
        node.send(f"sv02@{DOMAIN}", subject="second")
        lines = []
        while not any(b"EXISTS" in line for line in lines):
            lines.append(b.readline())
        self.assertIn(b"* 2 EXISTS\r\n", lines)
        b.send(b"DONE\r\n")
        while not b.readline().startswith(b"x1 OK"):
            pass
        a.logout()
        b.logout()

    def test_TLS_06_certificate_is_this_installations_own(self):
        def key(n):
            out = subprocess.run(["openssl", "x509", "-in", n.endpoints()["CA_FILE"], "-noout",
                                  "-pubkey", "-enddate"], capture_output=True, text=True, check=True)
            self.assertIn("notAfter=", out.stdout)
            return out.stdout.split("notAfter")[0]
        mode = os.stat(os.path.join(node.data, "tls/key.pem")).st_mode & 0o777
        self.assertEqual(mode, 0o600)
        other = Node().start()
        try:
            self.assertNotEqual(key(node), key(other))
        finally:
            other.close()

    def test_passwords_only_under_tls(self):
        node.user("plainpass")
        with node.smtp("SUBMISSION") as s:
            s.ehlo("c.example")
            self.assertNotIn("auth", s.esmtp_features)
            self.assertEqual(s.docmd("MAIL FROM:<a@b.example>")[0], 530)
            s.starttls(context=node.tls())
            s.ehlo("c.example")
            self.assertIn("auth", s.esmtp_features)
            with self.assertRaises(smtplib.SMTPAuthenticationError):
                s.login(f"plainpass@{DOMAIN}", "wrong")
            s.login(f"plainpass@{DOMAIN}", "secret-1")
        client = node.imap(None, tls=False)
        self.assertIn("LOGINDISABLED", client.capabilities)
        client.starttls(node.tls())
        client.login(f"plainpass@{DOMAIN}", "secret-1")
        client.logout()

    def test_old_tls_is_refused(self):
        context = node.tls(verify=False)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with node.connect("IMAPS") as s, self.assertRaises((ssl.SSLError, OSError)):
            context.wrap_socket(s)


class Quota(unittest.TestCase):
    def test_US_03_full_box_is_refused_at_rcpt_and_zero_is_no_limit(self):
        node.user("us03", quota_bytes=1 << 20)
        big = "Subject: big\r\n\r\n" + ("x" * 70 + "\r\n") * 8000

        def rcpt(*options):
            with node.smtp() as s:
                s.ehlo("c.example")
                s.mail("a@outside.example", options)
                return s.rcpt(f"us03@{DOMAIN}")

        def send_without_size():
            with node.smtp() as s:
                s.ehlo("c.example")
                s.mail("a@outside.example")
                self.assertEqual(s.rcpt(f"us03@{DOMAIN}")[0], 250)
                return s.data(big)
        node.send(f"us03@{DOMAIN}", big)
        # It does not fit: said at RCPT to who says its size, and else after all of it has come.
        code, text = wait_for("a refusal", lambda: (lambda r: r if r[0] != 250 else None)(rcpt(f"SIZE={len(big)}")), 10)
        self.assertEqual((code, text[:5]), (452, b"4.2.2"))
        self.assertEqual(send_without_size()[0], 452)
        self.assertEqual(subjects("us03").count("big"), 1)
        # What fits is taken until nothing does: the box is full at RCPT then.
        code = 0
        for i in range(40):
            room = (1 << 20) - len(big) - 2000
            text = "Subject: small\r\n\r\n" + ("y" * 70 + "\r\n") * (room // 72 if i == 0 else 1)
            try:
                node.send(f"us03@{DOMAIN}", text)
            except smtplib.SMTPResponseException as error:
                code = error.smtp_code
            except smtplib.SMTPRecipientsRefused as error:
                code = next(iter(error.recipients.values()))[0]
            if code:
                break
        self.assertEqual(code, 452)
        wait_for("the warning mail", lambda: any("quota" in s.lower() for s in subjects("us03")), 10)
        node.api("PATCH", f"/api/v1/users/us03@{DOMAIN}", {"quota_bytes": 0})
        wait_for("room again", lambda: rcpt()[0] == 250, 5)


class Clients(unittest.TestCase):
    def test_swaks_delivers_and_submits_under_tls(self):
        node.user("swaks")
        ep = node.endpoints()
        host, port = ep["SMTP"].split(":")
        out = subprocess.run(["swaks", "--server", host, "--port", port, "--to", f"swaks@{DOMAIN}",
                              "--from", "x@outside.example", "--header", "Subject: by swaks"],
                             capture_output=True, text=True, timeout=60)
        self.assertEqual(out.returncode, 0, out.stdout + out.stderr)
        host, port = ep["SUBMISSION"].split(":")
        out = subprocess.run(["swaks", "--server", host, "--port", port, "--tls", "--auth", "PLAIN",
                              "--auth-user", f"swaks@{DOMAIN}", "--auth-password", "secret-1", "--to",
                              f"swaks@{DOMAIN}", "--from", f"swaks@{DOMAIN}", "--header",
                              "Subject: submitted"], capture_output=True, text=True, timeout=60)
        self.assertEqual(out.returncode, 0, out.stdout + out.stderr)
        wait_for("both", lambda: sorted(subjects("swaks")) == ["by swaks", "submitted"])

    def test_curl_reads_and_sends(self):
        node.user("curl")
        ep = node.endpoints()
        mail = os.path.join(node.base, "curl.eml")
        with open(mail, "w") as f:
            f.write("Subject: by curl\r\n\r\nbody of curl\r\n")
        out = subprocess.run(["curl", "-sS", f"smtp://{ep['SMTP']}", "--mail-from", "x@outside.example",
                              "--mail-rcpt", f"curl@{DOMAIN}", "-T", mail], capture_output=True, text=True)
        self.assertEqual(out.returncode, 0, out.stderr)
        auth = ["-u", f"curl@{DOMAIN}:secret-1", "--cacert", ep["CA_FILE"], "-k", "-sS"]
        wait_for("the message", lambda: "body of curl" in subprocess.run(
            ["curl", *auth, f"imaps://{ep['IMAPS']}/INBOX;MAILINDEX=1"], capture_output=True, text=True).stdout)
        out = subprocess.run(["curl", *auth, f"imaps://{ep['IMAPS']}/INBOX?SUBJECT%20curl"],
                             capture_output=True, text=True)
        self.assertIn("* SEARCH 1", out.stdout)

    def test_mbsync_syncs_both_ways(self):
        node.user("mbsync")
        for i in range(5):
            node.send(f"mbsync@{DOMAIN}", subject=f"m{i}")
        wait_for("all five", lambda: len(subjects("mbsync")) == 5)
        host, port = node.host_port("IMAPS")
        local = os.path.join(node.base, "maildir")
        os.makedirs(local)
        rc = os.path.join(node.base, "mbsyncrc")
        mbsync_settings(rc, f"""Host localhost
Port {port}
User mbsync@{DOMAIN}
SSLType IMAPS
CertificateFile {node.endpoints()['CA_FILE']}""", local)

        def sync():
            out = subprocess.run(["mbsync", "-c", rc, "-a"], capture_output=True, text=True, timeout=60)
            self.assertEqual(out.returncode, 0, out.stdout + out.stderr)
        sync()
        new = os.path.join(local, "INBOX", "new")
        cur = os.path.join(local, "INBOX", "cur")
        self.assertEqual(len(os.listdir(new)) + len(os.listdir(cur)), 5)
        name = sorted(os.listdir(new))[0]
        os.rename(os.path.join(new, name), os.path.join(cur, name.split(":")[0] + ":2,S"))
        with open(os.path.join(cur, "1.local.test:2,F"), "w") as f:
            f.write("Subject: made here\n\nlocal\n")
        sync()
        client = node.imap("mbsync")
        client.select()
        self.assertEqual(len(client.search(None, "SEEN")[1][0].split()), 1)
        self.assertEqual(client.search(None, "FLAGGED", "SUBJECT", "here")[1], [b"6"])
        client.logout()

    def test_mutt_reads_and_saves(self):
        node.user("mutt")
        node.send(f"mutt@{DOMAIN}", subject="for mutt")
        wait_for("the message", lambda: subjects("mutt") == ["for mutt"])
        copy = os.path.join(node.base, "mutt.mbox")
        settings = node.mutt_settings("mutt", 'set header_cache=""\n'
                                              f'push "<copy-message>{copy}<enter><flag-message><quit>"')
        out = node.mutt(settings)
        with open(copy) as f:
            self.assertIn("Subject: for mutt", f.read(), out.stdout[-500:])
        client = node.imap("mutt")
        client.select()
        wait_for("mutt's flag", lambda: client.noop() and client.search(None, "FLAGGED")[1] == [b"1"], 10)
        client.logout()


class Virus(unittest.TestCase):
    # Put together here, so that this file itself is not found by scanners.
    EICAR = ("X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*").encode()

    def refused(self, part_headers, content):
        node_user = "virus"
        message = (b"From: <x@outside.example>\r\nSubject: bad\r\nMIME-Version: 1.0\r\n"
                   b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
                   b"see this\r\n--b\r\n" + part_headers + b"\r\n" + content + b"\r\n--b--\r\n")
        with node.smtp() as s:
            s.ehlo("c.example")
            s.mail("x@outside.example")
            self.assertEqual(s.rcpt(f"{node_user}@{DOMAIN}")[0], 250)
            code, text = s.data(message)
            return code, text

    def test_eicar_plain_base64_and_zip_in_zip(self):
        import base64
        import io
        import zipfile
        node.user("virus")

        def zipped(name, data):
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
                z.writestr(name, data)
            return out.getvalue()
        b64 = b"Content-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n"
        cases = {
            "plain": (b"Content-Type: application/octet-stream\r\n", self.EICAR),
            "base64": (b64, base64.encodebytes(self.EICAR).replace(b"\n", b"\r\n")),
            "zip in zip": (b64, base64.encodebytes(zipped("in.zip", zipped("e.com", self.EICAR))).replace(
                b"\n", b"\r\n")),
        }
        for name, (headers, content) in cases.items():
            with self.subTest(name):
                code, text = self.refused(headers, content)
                self.assertEqual((code, text[:4]), (554, b"5.7."), text)
        code, text = self.refused(b64, base64.encodebytes(b"harmless" * 100).replace(b"\n", b"\r\n"))
        self.assertEqual(code, 250, text)
        self.assertEqual(subjects("virus"), ["bad"])

    def test_append_is_scanned(self):
        node.user("virusappend")
        client = node.imap("virusappend")
        typ, data = client.append("INBOX", "", None, b"Subject: x\r\n\r\n" + self.EICAR + b"\r\n")
        self.assertEqual(typ, "NO", data)
        typ, data = client.append("INBOX", r"(\Seen)", None, b"Subject: fine\r\n\r\nok\r\n")
        self.assertEqual(typ, "OK", data)
        client.logout()
        self.assertEqual(subjects("virusappend"), ["fine"])


if __name__ == "__main__":
    unittest.main()
