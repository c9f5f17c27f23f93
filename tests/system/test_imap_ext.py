"""IMAP extensions on a real node, by imaplib, byte by byte, and by mutt with QRESYNC."""
import base64
import os
import random
import re
import subprocess
import time
import unittest
import zlib

from node import DOMAIN, Node, wait_for

node = None
# Put together here, so that this file itself is not found by scanners.
EICAR = ("X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*").encode()


def setUpModule():
    global node
    node = Node().start()


def tearDownModule():
    node.close()


def message(subject, body=b"hello\r\n", sender="a@outside.example", date=1, number=0, refs="", more=""):
    head = (f"From: {sender}\r\nTo: b@{DOMAIN}\r\nSubject: {subject}\r\nMessage-ID: <{number}@x.example>\r\n"
            f"Date: {date} Jan 2024 10:00:00 +0000\r\n{more}")
    if refs:
        head += f"References: {refs}\r\n"
    return head.encode() + b"\r\n" + body


class Wire:
    """A client that sees each line; literals stand in it behind their number."""

    def __init__(self, user):
        self.client = node.imap(user)
        self.sock = self.client.sock
        self.packer = self.unpacker = None
        self.waiting = b""
        self.tags = 0
        self.raw_in = 0

    def send(self, data):
        self.raw_send(data if self.packer is None else self.packer.compress(data) + self.packer.flush(zlib.Z_SYNC_FLUSH))

    def raw_send(self, data):
        self.sock.sendall(data)

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.raw_in += len(data)
        self.waiting += data if self.unpacker is None else self.unpacker.decompress(data)

    def take(self, count):
        while len(self.waiting) < count:
            self.more()
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    def line(self):
        line = b""
        while True:
            while b"\r\n" not in self.waiting:
                self.more()
            line += self.take(self.waiting.index(b"\r\n") + 2)
            literal = re.search(rb"~?\{(\d+)\}\r\n$", line)
            if not literal:
                return line[:-2]
            line += self.take(int(literal.group(1)))

    def say(self, command, *rest):
        """Lines before the tagged one, and that. Each of `rest` follows a "+"."""
        self.tags += 1
        tag = b"w%d" % self.tags
        self.send(tag + b" " + (command.encode() if isinstance(command, str) else command) + b"\r\n")
        lines = []
        for part in rest:
            line = self.line()
            while not line.startswith(b"+"):
                if line.startswith(tag + b" "):
                    return lines, line[len(tag) + 1:]
                lines.append(line)
                line = self.line()
            self.send(part)
        while True:
            line = self.line()
            if line.startswith(tag + b" "):
                return lines, line[len(tag) + 1:]
            lines.append(line)

    def ok(self, command, *rest):
        lines, end = self.say(command, *rest)
        if not end.startswith(b"OK"):
            raise AssertionError(f"{command}: {end}")
        return lines

    def compress(self):
        self.ok("COMPRESS DEFLATE")
        self.packer, self.unpacker = zlib.compressobj(6, zlib.DEFLATED, -15), zlib.decompressobj(-15)
        waiting, self.waiting = self.waiting, b""
        self.waiting = self.unpacker.decompress(waiting)

    def close(self):
        self.ok("LOGOUT")
        self.sock.close()


def some(user, texts, mailbox="INBOX"):
    """A user with these messages, and a client that has opened their mailbox."""
    node.user(user)
    wire = Wire(user)
    for text in texts:
        wire.ok(f"APPEND {mailbox} {{{len(text)}+}}".encode() + b"\r\n" + text)
    wire.ok("SELECT INBOX")
    return wire


class Account(unittest.TestCase):
    def test_capability_names_each(self):
        node.user("caps")
        client = node.imap("caps")
        words = client.capability()[1][0].decode().split()
        for word in ("QRESYNC CONDSTORE SORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES STATUS=SIZE QUOTA QUOTA=RES-STORAGE "
                     "QUOTA=RES-MESSAGE LIST-EXTENDED LIST-STATUS SEARCHRES WITHIN COMPRESS=DEFLATE BINARY OBJECTID PREVIEW "
                     "SAVEDATE MULTIAPPEND ESEARCH").split():
            self.assertIn(word, words)
        self.assertTrue(any(word.startswith("APPENDLIMIT=") for word in words))
        client.logout()

    def test_quota(self):
        node.user("quota", quota_bytes=100 * 1024, quota_items=3)
        client = node.imap("quota")
        self.assertEqual(client.append("INBOX", None, None, message("one", b"x" * 3000))[0], "OK")
        typ, (roots, quotas) = client.getquotaroot("INBOX")
        self.assertEqual((typ, roots), ("OK", [b'"INBOX" ""']))
        self.assertEqual(quotas, [b'"" (STORAGE 4 100 MESSAGE 1 3)'])
        self.assertEqual(client.getquota('""'), ("OK", [b'"" (STORAGE 4 100 MESSAGE 1 3)']))
        self.assertEqual(client.getquota("other")[0], "NO")
        typ, text = client.setquota('""', "(STORAGE 1000000)")
        self.assertEqual((typ, text[0][:8]), ("NO", b"[NOPERM]"))
        typ, text = client.append("INBOX", None, None, message("big", b"x" * 110000))
        self.assertEqual((typ, text[0][:11]), ("NO", b"[OVERQUOTA]"))
        client.select()
        client.store("1", "+FLAGS", r"(\Deleted)")
        typ, text = client.status("INBOX", "(MESSAGES SIZE DELETED DELETED-STORAGE APPENDLIMIT)")
        size = int(re.search(rb"SIZE (\d+)", text[0]).group(1))
        self.assertGreater(size, 3000)
        self.assertIn(b"MESSAGES 1 SIZE %d DELETED 1 DELETED-STORAGE %d APPENDLIMIT " % (size, size), text[0])
        client.logout()

    def test_quota_holds_for_all_of_several(self):
        node.user("quotamany", quota_items=2)
        wire = Wire("quotamany")
        text = message("one")
        literal = b" {%d+}\r\n" % len(text) + text
        lines, end = wire.say(b"APPEND INBOX" + 3 * literal)
        self.assertTrue(end.startswith(b"NO [OVERQUOTA]"), end)
        self.assertIn(b"MESSAGES 0", wire.ok("STATUS INBOX (MESSAGES)")[0])
        self.assertIn(b"[APPENDUID", wire.say(b"APPEND INBOX" + 2 * literal)[1])
        wire.close()

    def test_list_extended(self):
        node.user("list")
        wire = Wire("list")
        for name in ("A", "A/B", "A/B/C", "D"):
            wire.ok(f"CREATE {name}")
        wire.ok("SUBSCRIBE A/B/C")
        wire.ok("SUBSCRIBE D")
        wire.ok("SUBSCRIBE gone")
        lines = wire.ok('LIST (SUBSCRIBED) "" (D gone "A/*") RETURN (CHILDREN STATUS (MESSAGES SIZE))')
        self.assertEqual(sorted(lines), [
            b'* LIST (\\HasNoChildren \\Subscribed) "/" "A/B/C"', b'* LIST (\\HasNoChildren \\Subscribed) "/" "D"',
            b'* LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" "gone"',
            b'* STATUS "A/B/C" (MESSAGES 0 SIZE 0)', b'* STATUS "D" (MESSAGES 0 SIZE 0)'])
        self.assertIn(b'* LIST (\\HasChildren) "/" "A" ("CHILDINFO" ("SUBSCRIBED"))',
                      wire.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN (CHILDREN)'))
        self.assertTrue(wire.say('LIST (RECURSIVEMATCH) "" %')[1].startswith(b"BAD"))
        wire.close()


class Append(unittest.TestCase):
    def uid(self, end):
        return re.search(rb"\[APPENDUID \d+ ([0-9:,]+)\]", end).group(1)

    def test_several_at_once(self):
        node.user("many")
        wire = Wire("many")
        texts = [message(f"n{i}", b"x" * (1 << 4 * i)) for i in range(6)]
        command = b"APPEND INBOX"
        for i, text in enumerate(texts):
            command += (b" (\\Seen $Word)", b" (\\Flagged)", b"", b"", b"", b"")[i] + b' "01-Feb-2020 10:00:00 +0000" {%d+}\r\n' % len(text) + text
        lines, end = wire.say(command)
        self.assertEqual(self.uid(end), b"1:6")
        wire.ok("SELECT INBOX")
        got = [line for line in wire.ok("FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])") if b" FETCH " in line]
        for i, text in enumerate(texts):
            self.assertTrue(got[i].endswith(text + b")"), got[i][:200])
            self.assertIn(b'INTERNALDATE " 1-Feb-2020 10:00:00 +0000"', got[i])
        self.assertIn(b"\\Seen", got[0])
        self.assertIn(b"$Word", got[0])
        self.assertIn(b"\\Flagged", got[1])
        wire.close()

    def test_one_with_a_virus_and_none_is_stored(self):
        node.user("manyvirus")
        wire = Wire("manyvirus")
        good = message("good")
        bad = message("bad", EICAR + b"\r\n")
        for texts in ((good, bad), (bad, good), (good, good, bad), (bad,)):
            lines, end = wire.say(b"APPEND INBOX" + b"".join(b" {%d+}\r\n" % len(text) + text for text in texts))
            self.assertTrue(end.startswith(b"NO"), end)
            self.assertIn(b"MESSAGES 0", wire.ok("STATUS INBOX (MESSAGES)")[0])
        self.assertIn(b"APPENDUID", wire.say(b"APPEND INBOX {%d+}\r\n" % len(good) + good)[1])
        wire.close()

    def test_broken_off_and_none_is_stored(self):
        node.user("cut")
        for rest in (b" {1000+}\r\nx", b" {1000+", b""):
            wire = Wire("cut")
            good = message("good")
            wire.send(b"w APPEND INBOX {%d+}\r\n" % len(good) + good + rest)
            wire.sock.close()
        wire = Wire("cut")
        self.assertIn(b"MESSAGES 0", wire.ok("STATUS INBOX (MESSAGES)")[0])
        for bad, word in ((b" {999999999+}\r\n", b"TOOBIG"), (b" {0+}\r\n", b""), (b" x {1+}\r\nx", b"")):
            wire = Wire("cut")
            try:
                lines, end = wire.say(b"APPEND INBOX {%d+}\r\n" % len(good) + good + bad)
                self.assertFalse(end.startswith(b"OK"), end)
                self.assertIn(word, end)
            except EOFError:
                pass # what follows a literal that is too long can't be told from commands
            self.assertIn(b"MESSAGES 0", Wire("cut").ok("STATUS INBOX (MESSAGES)")[0])

    def test_binary(self):
        node.user("binary")
        wire = Wire("binary")
        plain = bytes(range(256)) * 40
        text = (b"Subject: b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n"
                b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=C3=A4=\r\nb\r\n--q\r\n"
                b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                + base64.encodebytes(plain).replace(b"\n", b"\r\n") + b"--q\r\nContent-Type: x/y\r\n"
                b"Content-Transfer-Encoding: x-odd\r\n\r\nodd\r\n--q--\r\n")
        self.assertEqual(self.uid(wire.say(b"APPEND INBOX ~{%d+}\r\n" % len(text) + text)[1]), b"1")
        wire.ok("SELECT INBOX")
        got = wire.ok("FETCH 1 (BINARY.SIZE[2] BINARY.PEEK[1] BINARY.PEEK[2] BINARY.PEEK[2]<1.3> FLAGS)")[0]
        self.assertIn(b"BINARY.SIZE[2] 10240 ", got)
        self.assertIn(b"BINARY[1] {4}\r\na\xc3\xa4b ", got)
        self.assertIn(b"BINARY[2] ~{10240}\r\n" + plain + b" ", got)
        self.assertIn(b"BINARY[2]<1> {3}\r\n\x01\x02\x03 ", got)
        self.assertNotIn(b"\\Seen", got)
        self.assertTrue(wire.say("FETCH 1 BINARY.PEEK[3]")[1].startswith(b"NO [UNKNOWN-CTE]"))
        self.assertIn(b"BINARY[9] NIL", wire.ok("FETCH 1 BINARY.PEEK[9]")[0])
        self.assertIn(b"\\Seen", b"".join(wire.ok("FETCH 1 BINARY[1]")))
        wire.close()


class Order(unittest.TestCase):
    def test_sort_and_thread(self):
        texts = [message("Beta", date=5, number=1, sender="zoe@x.example"),
                 message("=?utf-8?q?Re:_=C3=84pfel?=", date=2, number=2, sender="adam@x.example"),
                 message("Re: beta", date=3, number=3, refs="<1@x.example>", sender="Bert@x.example"),
                 message("\xc4PFEL".encode("utf-8").decode("latin-1"), date=1, number=4, sender="carl@x.example"),
                 message("alone", date=4, number=5, body=b"x" * 5000, sender="dora@x.example"),
                 message("[list] Fwd: beta (fwd)", date=6, number=6, refs="<1@x.example> <3@x.example>", sender="emil@x.example")]
        texts[3] = texts[3].replace(b"Subject: \xc3\x84PFEL", b"Subject: =?iso-8859-1?q?=C4PFEL?=")
        texts[3] = re.sub(rb"Subject: .*\r\n", b"Subject: =?iso-8859-1?q?=E4PFEL?=\r\n", texts[3])
        some("sort", texts).close()
        client = node.imap("sort")
        client.select()
        for criteria, want in (("(DATE)", b"4 2 3 5 1 6"), ("(REVERSE DATE)", b"6 1 5 3 2 4"), ("(SUBJECT DATE)", b"5 4 2 3 1 6"),
                               ("(FROM)", b"2 3 4 5 6 1"), ("(REVERSE SIZE ARRIVAL)", None), ("(ARRIVAL)", b"1 2 3 4 5 6")):
            typ, found = client.sort(criteria, "UTF-8", "ALL")
            self.assertEqual(typ, "OK")
            if want is not None:
                self.assertEqual(found, [want], criteria)
            else:
                self.assertTrue(found[0].startswith(b"5 "), found)
        self.assertEqual(client.sort("(DATE)", "US-ASCII", "FROM", "x.example", "SMALLER", "4000"), ("OK", [b"4 2 3 1 6"]))
        self.assertEqual(client.uid("SORT", "(REVERSE DATE)", "UTF-8", "2:4"), ("OK", [b"3 2 4"]))
        self.assertEqual(client.thread("REFERENCES", "UTF-8", "ALL"), ("OK", [b"(4 2)(5)(1 3 6)"]))
        self.assertEqual(client.thread("ORDEREDSUBJECT", "UTF-8", "ALL"), ("OK", [b"(4 2)(3 (1)(6))(5)"]))
        self.assertEqual(client.uid("THREAD", "REFERENCES", "UTF-8", "3:6"), ("OK", [b"(4)(3 6)(5)"]))
        for bad in (lambda: client.sort("()", "UTF-8", "ALL"), lambda: client.sort("(NONE)", "UTF-8", "ALL"),
                    lambda: client.sort("(REVERSE)", "UTF-8", "ALL"), lambda: client.thread("NONE", "UTF-8", "ALL")):
            with self.assertRaises(client.error):
                bad()
        typ, text = client.sort("(DATE)", "x-none", "ALL")
        self.assertEqual((typ, text[0][:12]), ("NO", b"[BADCHARSET "))
        client.logout()

    def test_search_extensions(self):
        texts = [message(f"s{i}", number=i) for i in range(5)]
        wire = some("search", texts)
        wire.ok(b'APPEND INBOX "01-Feb-2020 10:00:00 +0000" {%d+}\r\n' % len(texts[0]) + texts[0])
        wire.ok("NOOP")
        self.assertEqual(wire.ok("SEARCH YOUNGER 3600"), [b"* SEARCH 1 2 3 4 5"])
        self.assertEqual(wire.ok("SEARCH OLDER 3600"), [b"* SEARCH 6"])
        self.assertTrue(wire.say("SEARCH OLDER 0")[1].startswith(b"BAD"))
        today = time.strftime("%d-%b-%Y", time.gmtime(time.time() - 86400))
        self.assertEqual(wire.ok(f"SEARCH SAVEDSINCE {today}"), [b"* SEARCH 1 2 3 4 5 6"])
        self.assertEqual(wire.ok("SEARCH RETURN (SAVE) SUBJECT s1"), [])
        self.assertEqual(wire.ok("FETCH $ (UID)"), [b"* 2 FETCH (UID 2)"])
        self.assertEqual(wire.ok("UID SEARCH OR UID $ UID 4"), [b"* SEARCH 2 4"])
        wire.ok("UID STORE $ +FLAGS.SILENT (\\Deleted)")
        wire.ok("EXPUNGE")
        self.assertEqual(wire.ok("FETCH $ (UID)"), [])
        self.assertTrue(wire.say("SEARCH RETURN (SAVE) BAD")[1].startswith(b"BAD"))
        wire.close()

    def test_object_identifiers(self):
        wire = some("object", [message("one", number=1), message("two", number=2)])
        wire.ok("CREATE Other")
        ids = [re.search(rb"MAILBOXID \((F[^)]+)\)", wire.ok(f"STATUS {name} (MAILBOXID)")[0]).group(1) for name in ("INBOX", "Other")]
        self.assertNotEqual(*ids)
        self.assertTrue(any(b"[MAILBOXID (" + ids[0] + b")]" in line for line in wire.ok("SELECT INBOX")))
        texts = [message("begins", number=31), message("Re: begins", number=32, refs="<31@x.example>"), message("another", number=33)]
        for text in texts:
            wire.ok(b"APPEND INBOX {%d+}\r\n" % len(text) + text)
        threads = [re.search(rb"THREADID \((\w+)\)", line).group(1) for line in wire.ok("FETCH 3:5 (THREADID)") if b"THREADID" in line]
        self.assertEqual((threads[0] == threads[1], threads[0] == threads[2]), (True, False), threads)
        self.assertEqual(wire.ok(b"SEARCH THREADID " + threads[0]), [b"* SEARCH 3 4"])
        email = re.search(rb"EMAILID \((\w+)\)", wire.ok("FETCH 2 (EMAILID THREADID)")[0]).group(1)
        self.assertEqual(wire.ok(b"SEARCH EMAILID " + email), [b"* SEARCH 2"])
        wire.ok("COPY 2 Other")
        wire.ok("RENAME Other Renamed")
        self.assertTrue(any(b"[MAILBOXID (" + ids[1] + b")]" in line for line in wire.ok("SELECT Renamed")))
        got = wire.ok("FETCH 1 (EMAILID SAVEDATE PREVIEW (LAZY))")[0]
        self.assertIn(b"EMAILID (" + email + b")", got)
        self.assertRegex(got, rb'SAVEDATE "[ 0-9][0-9]-')
        self.assertRegex(got, rb'PREVIEW (\{5\}\r\n|")hello')
        wire.close()


class Resync(unittest.TestCase):
    def state(self, wire):
        lines = wire.ok("SELECT INBOX")
        return [int(re.search(rb"\[%s (\d+)\]" % word, b"".join(lines)).group(1)) for word in (b"UIDVALIDITY", b"HIGHESTMODSEQ")]

    def test_reconnect(self):
        a = some("resync", [message(f"q{i}", number=i) for i in range(10)])
        validity, modseq = self.state(a)
        b = Wire("resync")
        b.ok("SELECT INBOX")
        b.ok("STORE 2 +FLAGS (\\Flagged)")
        b.ok("STORE 3:5,9 +FLAGS.SILENT (\\Deleted)")
        b.ok("EXPUNGE")
        b.ok(b"APPEND INBOX {3+}\r\nnew")
        c = Wire("resync")
        self.assertTrue(c.say(f"SELECT INBOX (QRESYNC ({validity} {modseq}))")[1].startswith(b"BAD"))
        c.ok("ENABLE QRESYNC")
        lines = c.ok(f"SELECT INBOX (QRESYNC ({validity} {modseq}))")
        self.assertIn(b"* VANISHED (EARLIER) 3:5,9", lines)
        fetches = [line for line in lines if b" FETCH " in line]
        self.assertEqual(len(fetches), 2)
        self.assertRegex(fetches[0], rb"^\* 2 FETCH \(UID 2 FLAGS \(\\Flagged.*\) MODSEQ \(\d+\)\)$")
        self.assertRegex(fetches[1], rb"^\* 7 FETCH \(UID 11 ")
        lines = c.ok(f"SELECT INBOX (QRESYNC ({validity} {modseq} 1:4))")
        self.assertIn(b"* OK [CLOSED] ", b"".join(lines))
        self.assertIn(b"* VANISHED (EARLIER) 3:4", lines)
        lines = c.ok(f"SELECT INBOX (QRESYNC ({validity + 1} {modseq}))")
        self.assertFalse(any(b"VANISHED" in line or b" FETCH " in line for line in lines), lines)
        # While it is open: VANISHED in place of EXPUNGE, at the other client too.
        b.ok("UID STORE 6 +FLAGS.SILENT (\\Deleted)")
        self.assertIn(b"* 3 EXPUNGE", b.ok("EXPUNGE"))
        self.assertIn(b"* VANISHED 6", c.ok("NOOP"))
        c.ok("UID STORE 7,8 +FLAGS.SILENT (\\Deleted)")
        lines, end = c.say("UID EXPUNGE 1:*")
        self.assertIn(b"* VANISHED 7:8", lines)
        self.assertRegex(end, rb"^OK \[HIGHESTMODSEQ \d+\]")
        self.assertIn(b"* VANISHED (EARLIER) 3:9", c.ok(f"UID FETCH 1:9 (FLAGS) (CHANGEDSINCE {modseq} VANISHED)"))
        for bad in (f"SELECT INBOX (QRESYNC ({validity}))", f"SELECT INBOX (QRESYNC ({validity} 0))", "SELECT INBOX (QRESYNC)",
                    f"SELECT INBOX (QRESYNC ({validity} 1 *))", "FETCH 1 (FLAGS) (CHANGEDSINCE 1 VANISHED)", "UID FETCH 1 (FLAGS) (VANISHED)"):
            self.assertTrue(c.say(bad)[1].startswith(b"BAD"), bad)
        for wire in (a, b, c):
            wire.close()

    def test_what_one_knows_is_what_there_is(self):
        """A client that comes back again and again has the UIDs and flags that the node has."""
        r = random.Random(5)
        other = some("churn", [message(f"q{i}", number=i) for i in range(30)])
        validity, modseq = self.state(other)
        known = {uid: set() for uid in range(1, 31)}
        text = message("more")
        for _ in range(15):
            for _ in range(r.randrange(6)):
                low = r.randrange(1, 60)
                change = r.randrange(4)
                if change == 0:
                    other.ok(b"APPEND INBOX {%d+}\r\n" % len(text) + text)
                elif change == 1:
                    other.ok(f"UID STORE {low}:{low + 3} +FLAGS.SILENT (\\Flagged)")
                elif change == 2:
                    other.ok(f"UID STORE {low}:{low + 9} -FLAGS.SILENT (\\Flagged)")
                else:
                    other.ok(f"UID STORE {low}:{low + 1} +FLAGS.SILENT (\\Deleted)")
                    other.ok("EXPUNGE")
            wire = Wire("churn")
            wire.ok("ENABLE QRESYNC")
            for line in wire.ok(f"SELECT INBOX (QRESYNC ({validity} {modseq}))"):
                gone = re.match(rb"\* VANISHED \(EARLIER\) (.*)", line)
                changed = re.match(rb"\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\)", line)
                highest = re.search(rb"\[HIGHESTMODSEQ (\d+)\]", line)
                if gone:
                    for part in gone.group(1).decode().split(","):
                        first, _, last = part.partition(":")
                        for uid in range(int(first), int(last or first) + 1):
                            known.pop(uid, None)
                if changed:
                    known[int(changed.group(1))] = set(changed.group(2).split()) - {b"\\Recent"}
                if highest:
                    modseq = int(highest.group(1))
            there = {}
            for line in wire.ok("UID FETCH 1:* (FLAGS)"):
                found = re.match(rb"\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\)", line)
                if found:
                    there[int(found.group(1))] = set(found.group(2).split()) - {b"\\Recent"}
            self.assertEqual(there, known)
            wire.close()
        other.close()

    def test_mutt_with_qresync(self):
        """mutt keeps what it knows in a file and asks for what has vanished the second time."""
        wire = some("muttq", [message(f"m{i}", number=i) for i in range(6)])
        copy = os.path.join(node.base, "muttq.mbox")
        settings = node.mutt_settings(
            "muttq", f'set header_cache="{node.base}/muttq.cache" imap_qresync=yes imap_condstore=yes')

        def run(keys):
            out = node.mutt(settings, "-d 4", f"-e 'push \"{keys}\"'")
            with open(os.path.join(node.base, ".muttdebug0"), errors="replace") as f:
                spoken = "".join(line for line in f if re.search(r"\d[<>] |VANISHED|^a\d+ ", line))
            return spoken + out.stdout[-300:].decode(errors="replace")
        first = run("<quit>")
        self.assertIn("ENABLE QRESYNC", first)
        wire.ok("STORE 2 +FLAGS (\\Flagged)")
        wire.ok("STORE 4 +FLAGS (\\Deleted)")
        wire.ok("EXPUNGE")
        wire.ok(b"APPEND INBOX {%d+}\r\n" % len(message("seventh")) + message("seventh"))
        second = run(f"<tag-pattern>~A<enter><tag-prefix><copy-message>{copy}<enter><quit>")
        self.assertRegex(second, r"UID FETCH 1:6 \(FLAGS\) \(CHANGEDSINCE \d+ VANISHED\)")
        self.assertIn("VANISHED (EARLIER) 4", second)
        with open(copy) as f:
            subjects = [line[9:-1] for line in f if line.startswith("Subject: ")]
        self.assertEqual(sorted(subjects), ["m0", "m1", "m2", "m4", "m5", "seventh"])
        wire.close()


class Compress(unittest.TestCase):
    def test_a_whole_session(self):
        texts = [message(f"c{i}", b"the same line again\r\n" * 500, number=i) for i in range(20)]
        wire = some("compress", texts)
        wire.compress()
        before = wire.raw_in
        got = wire.ok("FETCH 1:* (FLAGS BODY.PEEK[])")
        self.assertEqual(sum(text in line for line, text in zip(got, texts)), 20)
        self.assertLess(wire.raw_in - before, sum(map(len, texts)) / 10)
        self.assertNotIn(b"COMPRESS", b"".join(wire.ok("CAPABILITY")))
        self.assertTrue(wire.say("COMPRESS DEFLATE")[1].startswith(b"BAD"))
        wire.ok(b"APPEND INBOX {%d+}\r\n" % len(texts[0]) + texts[0])
        # Byte by byte, and many commands in one piece.
        packed = wire.packer.compress(b"x1 NOOP\r\n") + wire.packer.flush(zlib.Z_SYNC_FLUSH)
        for byte in packed:
            wire.raw_send(bytes([byte]))
        while not wire.line().startswith(b"x1 OK"):
            pass
        wire.send(b"".join(b"y%d NOOP\r\n" % i for i in range(300)))
        for i in range(300):
            line = wire.line()
            self.assertTrue(line.startswith(b"y%d OK" % i), line)
        # News of IDLE comes at once, after a while without a word too.
        wire.send(b"z IDLE\r\n")
        self.assertTrue(wire.line().startswith(b"+"))
        other = Wire("compress")
        for _ in range(2):
            other.ok(b"APPEND INBOX {%d+}\r\n" % len(texts[0]) + texts[0])
            line = wire.line()
            while not line.endswith(b"EXISTS"):
                line = wire.line()
        wire.send(b"DONE\r\n")
        while not wire.line().startswith(b"z OK"):
            pass
        wire.close()
        other.close()

    def test_bytes_behind_the_command_are_compressed(self):
        node.user("pipelined")
        wire = Wire("pipelined")
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        wire.raw_send(b"a COMPRESS DEFLATE\r\n" + packer.compress(b"b NOOP\r\n") + packer.flush(zlib.Z_SYNC_FLUSH))
        while b"\r\n" not in wire.waiting:
            wire.more()
        self.assertTrue(wire.take(wire.waiting.index(b"\r\n") + 2).startswith(b"a OK"))
        wire.unpacker = zlib.decompressobj(-15)
        wire.waiting = wire.unpacker.decompress(wire.waiting)
        self.assertTrue(wire.line().startswith(b"b OK"))
        wire.sock.close()

    def test_what_is_no_deflate_ends_the_connection(self):
        node.user("garbage")
        for garbage in (b"a NOOP\r\n", b"\xff" * 100, zlib.compress(b"a NOOP\r\n"), b"\x00\x00\x00\x00\x01"):
            wire = Wire("garbage")
            wire.compress()
            wire.raw_send(garbage)
            with self.assertRaises((EOFError, OSError)):
                while True:
                    wire.line()
            wire.sock.close()
        Wire("garbage").close()

    def test_a_bomb_meets_the_limits_of_lines_and_literals(self):
        node.user("bomb")

        def memory():
            with open(f"/proc/{node.pid('frontend-1')}/status") as f:
                return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
        Wire("bomb").close()
        before = memory()
        for start in (b"a NOOP ", b"a APPEND INBOX {200000000+}\r\n", b"a LOGIN {999999999+}\r\n"):
            wire = Wire("bomb")
            wire.compress()
            block = wire.packer.compress(start) + wire.packer.flush(zlib.Z_SYNC_FLUSH)
            try:
                wire.raw_send(block)
                for _ in range(16):
                    wire.raw_send(wire.packer.compress(b"x" * (8 << 20)) + wire.packer.flush(zlib.Z_SYNC_FLUSH))
                wire.sock.settimeout(20)
                while True:
                    line = wire.line()
                    self.assertFalse(line.startswith(b"a OK"), line)
                    if line.startswith(b"* BYE"):
                        break
            except (EOFError, OSError):
                pass
            wire.sock.close()
        self.assertLess(memory() - before, 60000)
        Wire("bomb").close()

    def test_literals_by_and_by(self):
        node.user("literal")
        wire = Wire("literal")
        wire.compress()
        text = message("by and by", bytes(random.Random(1).randrange(32, 127) for _ in range(300000)).replace(b"x", b"\r\n"))
        lines, end = wire.say(f"APPEND INBOX {{{len(text)}}}", text + b"\r\n")
        self.assertTrue(end.startswith(b"OK"), end)
        wire.ok("SELECT INBOX")
        self.assertTrue(wire.ok("FETCH 1 BODY.PEEK[]")[0].endswith(text + b")"))
        wire.close()


if __name__ == "__main__":
    unittest.main()
