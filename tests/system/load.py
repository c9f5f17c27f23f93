"""Clients that go on whatever dies: senders that send again until a message was taken, and readers that hold what
they saw against what they see. What was taken has to be there once, and nowhere else."""
import imaplib
import itertools
import poplib
import re
import signal
import smtplib
import threading
import time
from collections import Counter

from node import SLOW, wait_for
from whole import FRONTENDS, tls

TAKEN_S = 120   # a message is taken at last
PAUSE_S = 0.05  # between two messages, sessions or tries of a client: the programs are to have the processor
LOST = (OSError, EOFError, smtplib.SMTPException, imaplib.IMAP4.error, poplib.error_proto, ValueError)


class Stop(Exception):
    pass


def text_of(name, to):
    return (f"From: <load@outside.example>\r\nSubject: {name}\r\nMessage-ID: <{name}@outside.example>\r\n"
            f"X-To: {' '.join(to)}\r\n\r\n" + f"body of {name}\r\n" * 40)


class Load:
    """`users` are addresses; a message goes to one, or to two neighbours of the list."""

    def __init__(self, whole, users, senders=4, reads=True):
        self.whole, self.users = whole, users
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.accepted = []  # (name, recipients)
        self.faults = []    # what must not be
        self.refusals = {}  # first digit or exception: how often, for who reads the report
        self.reconnects = 0
        self.run_id = f"{time.monotonic_ns():x}"
        self.seen = {user: {} for user in users}  # UID: subject
        self.validity = {}
        self.threads = [threading.Thread(target=self.guard, args=(self.send, n), daemon=True) for n in range(senders)]
        if reads:
            self.threads += [threading.Thread(target=self.guard, args=(self.read, n), daemon=True) for n in range(2)]
            self.threads.append(threading.Thread(target=self.guard, args=(self.pop, 0), daemon=True))

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def guard(self, run, number):
        try:
            run(number)
        except Stop:
            pass
        except Exception as error:  # a thread must not die unheard
            self.fault(f"{run.__name__}: {error!r}")

    def fault(self, text):
        with self.lock:
            self.faults.append(text)

    def count(self):
        with self.lock:
            return len(self.accepted)

    def pause(self, seconds=PAUSE_S):
        """Also while the load is being stopped, so that nobody spins."""
        signal.sigtimedwait([], seconds)

    # -- sending

    def send(self, number):
        order = itertools.cycle(FRONTENDS[number % 2:] + FRONTENDS[:number % 2])
        frontend = next(order)
        for i in itertools.count():
            if self.stopping.is_set():
                return
            first = (number * 7 + i) % len(self.users)
            to = self.users[first:first + 1 + i % 2]
            name = f"{self.run_id}-{number}-{i}"
            until = time.monotonic() + TAKEN_S * SLOW
            while not self.attempt(frontend, name, to):
                frontend = next(order)
                if time.monotonic() > until:
                    self.fault(f"message {name} to {to} was never taken")
                    return
                self.pause()
            with self.lock:
                self.accepted.append((name, to))
            self.pause()

    def attempt(self, frontend, name, to):
        """Whether all of it was taken. A recipient that is refused for now is sent to again later, with all."""
        try:
            with self.whole.smtp(frontend, 60) as s:
                s.ehlo()
                code, text = s.mail("load@outside.example")
                for recipient in to if code == 250 else ():
                    code, text = s.rcpt(recipient)
                    if code != 250:
                        break
                if code == 250:
                    code, text = s.data(text_of(name, to))
                if code == 250:
                    return True
        except LOST as error:
            code, text = type(error).__name__, str(error)
        if isinstance(code, int) and code // 100 != 4:
            self.fault(f"{name} to {to}: {code} {text}")
        with self.lock:
            key = f"{code} {text[:60]}"
            self.refusals[key] = self.refusals.get(key, 0) + 1
        return False

    # -- reading

    def read(self, number):
        order = itertools.cycle(FRONTENDS[number:] + FRONTENDS[:number])
        while not self.stopping.is_set():
            for user in self.users[number::2]:
                if self.stopping.is_set():
                    return
                try:
                    client = self.whole.imap(user, next(order), 30)
                    try:
                        self.compare(user, client)
                    finally:
                        client.shutdown()
                except LOST:
                    with self.lock:
                        self.reconnects += 1
                self.pause(4 * PAUSE_S)

    def compare(self, user, client):
        typ, _ = client.select("INBOX", readonly=True)
        if typ != "OK":
            return
        validity = client.response("UIDVALIDITY")[1][0]
        typ, data = client.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        if typ != "OK":
            return
        uids, found = [], {}
        for part in data or []:
            if isinstance(part, tuple):
                uid = int(re.search(rb"UID (\d+)", part[0]).group(1))
                uids.append(uid)
                found[uid] = part[1].decode().split(":", 1)[1].strip()
        with self.lock:
            seen = self.seen[user]
            if self.validity.setdefault(user, validity) != validity:
                self.faults.append(f"{user}: UIDVALIDITY was {self.validity[user]} and is {validity}")
            if uids != sorted(set(uids)):
                self.faults.append(f"{user}: UIDs {uids}")
            for uid in seen:
                if found.get(uid) != seen[uid]:
                    self.faults.append(f"{user}: UID {uid} was {seen[uid]} and is {found.get(uid)}")
            if seen and any(uid <= max(seen) and uid not in seen for uid in found):
                self.faults.append(f"{user}: a new message has an old UID: {uids}, seen {sorted(seen)}")
            seen.update(found)

    def pop(self, number):
        order = itertools.cycle(FRONTENDS)
        user = self.users[-1]
        known = {}
        while not self.stopping.is_set():
            try:
                host, port = self.whole.host_port("POP3S" + next(order))
                client = poplib.POP3_SSL(host, port, context=tls(), timeout=30 * SLOW)
                try:
                    client.user(user)
                    client.pass_("secret-1")
                    uidl = [line.split()[1] for line in client.uidl()[1]]
                    if list(known) != uidl[:len(known)]:
                        self.fault(f"{user}: UIDL was {list(known)} and is {uidl}")
                    known = dict.fromkeys(uidl)
                    client.quit()
                finally:
                    client.close()
            except LOST:
                with self.lock:
                    self.reconnects += 1
            self.pause(4 * PAUSE_S)

    # -- what has come of it

    def progress(self, test, count=4, seconds=60):
        """Waits until so many more messages were taken."""
        want = self.count() + count
        wait_for(f"{count} more messages ({self.refusals})", lambda: self.count() >= want or self.faults, seconds)
        test.assertEqual([], self.faults)

    def stop(self, test):
        self.stopping.set()
        for thread in self.threads:
            thread.join(2 * TAKEN_S * SLOW)
            test.assertFalse(thread.is_alive())
        test.assertEqual([], self.faults)

    def check(self, test):
        """Each message is in its boxes once, and in no other."""
        want = {user: [] for user in self.users}
        for name, to in self.accepted:
            for user in to:
                want[user].append(name)
        for user in self.users:
            def look(user=user):
                client = self.whole.imap(user)
                self.compare(user, client)
                client.logout()
                return len(self.mine(user)) >= len(want[user])
            try:
                wait_for("all mail", look, 60)
            except AssertionError:
                pass  # what is missing is said below
            test.assertEqual([], self.faults)
            lost, more = Counter(want[user]), Counter(self.mine(user))
            lost, more = lost - more, more - lost
            test.assertEqual(({}, {}), (dict(lost), dict(more)), f"{user}: lost, and there too often")
            self.check_bodies(test, user)

    def mine(self, user):
        """What came by this load."""
        return [s for s in self.seen[user].values() if s.startswith(self.run_id)]

    def check_bodies(self, test, user):
        """Nothing of another's: each message names its recipients, and is whole."""
        client = self.whole.imap(user)
        client.select("INBOX", readonly=True)
        _, data = client.uid("FETCH", "1:*", "(BODY.PEEK[])")
        client.logout()
        for raw in (part[1] for part in data if isinstance(part, tuple)):
            name = re.search(rb"^Subject: (.*)\r$", raw, re.MULTILINE).group(1).decode()
            if not name.startswith(self.run_id):
                continue
            to = re.search(rb"^X-To: (.*)\r$", raw, re.MULTILINE).group(1).decode().split()
            test.assertIn(user, to)
            test.assertTrue(raw.endswith(text_of(name, to).encode()), name)
