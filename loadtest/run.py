"""loadtest/run SCENARIO --endpoints DIR/endpoints.env [--peer PEER/endpoints.env] [--rounds 3] [--json]

Scenarios: smtp-in, corpus, imap-read, pop3-read, select, idle, mixed; directory and config-change (directory.py). With --peer, ours and the peer's runs
alternate, and medians and ratios are printed; the peer may be another of ours, such as a cluster beside one node. --parts shows
what each program has of smtp-in's and imap-read's CPU. etcd's CPU is no part of the sums and is told by itself. Figures: messages a second, p50 and p99, CPU-ms of the server per operation (process
trees with ended children, to the end of background work), bytes written per message, memory per connection.
What was sent is compared with what is stored. Loopback only; bounded in time and count."""
import argparse
import email.utils
import glob
import itertools
import json
import os
import smtplib
import socket
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from directory import config_change, directory  # noqa: E402
from imap import Imap, tls_context  # noqa: E402
from measure import percentile, tree  # noqa: E402
from target import Target, generate  # noqa: E402


def parts(target, arguments, name, scale=1.0):
    """What each program has in the last measurement."""
    return {f"{name}.{k}": v * scale for k, v in target.server.parts.items()} if arguments.parts else {}


def stored(target, prefix, users, tag):
    """How many messages of a run each number has been stored as: {number: copies}."""
    found = {}
    for i in range(users):
        client = target.imap(f"{prefix}{i}")
        client.do("SELECT INBOX")
        text = client.do("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        for line in text.split(b"\r\n"):
            if line.startswith(b"Subject: load " + tag.encode() + b" "):
                number = int(line.split()[-1])
                found[number] = found.get(number, 0) + 1
        client.do("LOGOUT")
        client.close()
    return found


def smtp_in(target, arguments, round_):
    """Accepts messages durably: scanner off at both."""
    prefix, users, tag = "load", arguments.users, f"r{os.getpid()}.{round_}"
    if round_ == 0:
        target.config("scan.enabled", "false")
        target.users(prefix, users)
        generate(target, prefix, users, 1, 2, 10, 40, arguments.size, "text:warm" + tag)
    body = ("random:" if arguments.random else "text:") + tag
    syncs = Syncs(target) if arguments.syncs else None
    delivered = Delivered(target, prefix, users) if arguments.delivered else None

    def work():
        done = generate(target, prefix, users, arguments.recipients, arguments.connections, 20, arguments.count,
                        arguments.size, body)
        if delivered:
            delivered.wait(arguments.count * arguments.recipients)
        return done
    result, cpu, written = target.server.measured(work, arguments.count)
    apart = parts(target, arguments, "cpu_ms")
    copies = stored(target, prefix, users, tag)
    want = arguments.recipients
    wrong = [n for n in range(arguments.count) if copies.get(n, 0) != want] if users >= want else []
    figures = {"accepted_per_s": result["per_second"], "p50_ms": result["p50_ms"], "p99_ms": result["p99_ms"],
               "cpu_ms": cpu, "written_per_byte": written / arguments.size, "failed": result["failed"],
               "stored_wrong": len(wrong)}
    figures.update(apart)
    if delivered:
        accepting = arguments.count / result["per_second"]
        figures["delivered_per_s"] = arguments.count / (accepting + delivered.seconds)
    if syncs:
        figures["fsync_per_message"] = syncs.stop() / arguments.count
    return figures


class Delivered:
    """The time until every box has its mail, asked by STATUS (which costs the server a little: use it for
    throughput, not for CPU)."""

    def __init__(self, target, prefix, users):
        self.clients = [target.imap(f"{prefix}{i}") for i in range(users)]
        self.before = self.stored()
        self.seconds = 0.0  # from the last 250 to the last message in its box

    def stored(self):
        return sum(int(c.do("STATUS INBOX (MESSAGES)").split(b"MESSAGES ")[1].split(b")")[0]) for c in self.clients)

    def wait(self, count):
        start = time.monotonic()
        until = start + 120
        while self.stored() - self.before < count and time.monotonic() < until:
            time.sleep(0.02)
        self.seconds = time.monotonic() - start
        for client in self.clients:
            client.close()


class Syncs:
    """Counts fsync and fdatasync calls of a server with perf's tracepoints, which hardly slow it."""

    CALLS = ("fsync", "fdatasync", "sync_file_range", "syncfs")

    def __init__(self, target):
        events = ",".join("syscalls:sys_enter_" + call for call in self.CALLS)
        pids = ",".join(str(pid) for pid in tree(target.server.roots))
        self.process = subprocess.Popen(["perf", "stat", "-x,", "-e", events, "-p", pids],
                                        stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        if self.process.poll() is not None:
            sys.exit("loadtest: --syncs needs perf and the right to use it: " + self.process.stderr.read())

    def stop(self):
        self.process.send_signal(2)
        _, lines = self.process.communicate()
        return sum(int(line.split(",")[0]) for line in lines.splitlines() if "sys_enter_" in line)


def corpus(target, arguments, round_):
    """Real mail from --mail DIR (*.eml, any depth): what is written for each byte accepted, CPU a message."""
    mails = []
    for name in sorted(glob.glob(arguments.mail + "/**/*.eml", recursive=True)):
        with open(name, "rb") as f:
            text = b"\r\n".join(f.read().splitlines()) + b"\r\n"
        mails.append((b"." if text.startswith(b".") else b"") + text.replace(b"\r\n.", b"\r\n.."))
    if not mails:
        sys.exit(f"corpus: no *.eml below {arguments.mail}")
    if round_ == 0:
        target.config("scan.enabled", "false")
        target.users("corpus", arguments.users)
    refused = []

    def send(part):
        host, port = target.values["SMTP"].split(":")
        with smtplib.SMTP(host, int(port), timeout=60) as s:
            s.ehlo()
            for i in part:
                s.mail("a@outside.example")
                s.rcpt(f"corpus{i % arguments.users}@{target.domain}")
                s.docmd("DATA")
                s.send(mails[i] + b".\r\n")
                if s.getreply()[0] != 250:
                    refused.append(i)

    def work():
        threads = [threading.Thread(target=send, args=(range(n, len(mails), arguments.connections),))
                   for n in range(arguments.connections)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    _, cpu, written = target.server.measured(work, len(mails))
    return {"messages": len(mails), "refused": len(refused), "cpu_ms": cpu,
            "written_per_byte": written * len(mails) / sum(map(len, mails))}


def message(i, size=4096):
    head = (f"From: Person {i} <p{i}@outside.example>\r\nTo: user@testdomain.lab\r\nSubject: message number {i} of "
            f"the test\r\nDate: {email.utils.formatdate(1700000000 + i)}\r\nMessage-ID: <{i}@outside.example>\r\n"
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=xx\r\n\r\n--xx\r\nContent-Type: "
            "text/plain; charset=utf-8\r\n\r\n")
    text = head + "".join(f"line {j} of message {i}\r\n" for j in range((size - len(head)) // 24))
    return (text + "--xx\r\nContent-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: "
            "base64\r\n\r\nAAAA\r\n--xx--\r\n").encode()


def fill(target, user, mailbox, count):
    """Puts `count` messages into a mailbox, unless they are there."""
    client = target.imap(user)
    try:
        client.do(f"CREATE {mailbox}")
    except OSError:
        pass
    have = int(client.do(f"STATUS {mailbox} (MESSAGES)").split(b"MESSAGES ")[1].split(b")")[0])
    tags = []
    for i in range(have, count):
        body = message(i)
        tags.append(client.send(b"APPEND %s () {%d+}" % (mailbox.encode(), len(body)), body))
        if len(tags) == 32:
            for tag in tags:
                client.until(tag)
            tags = []
    for tag in tags:
        client.until(tag)
    client.do("LOGOUT")
    client.close()


def imap_read(target, arguments, round_):
    """In steps, so that ours and the peer's runs take turns at each command."""
    user, count, bulk = "reader0", arguments.messages, f"Bulk{os.getpid()}-{round_}"
    if round_ == 0:
        target.config("scan.enabled", "false")
        target.users("reader", 1)
    fill(target, user, bulk, count)  # a mailbox of its own each round: what is read first is read for the first time
    target.server.settle()

    def op(name, work, operations, repeat=1):
        def many():
            for _ in range(repeat):
                work()
        _, cpu, _ = target.server.measured(many, operations * repeat)
        return {name + "_us": cpu * 1000, **parts(target, arguments, name + "_us", 1000)}
    client = target.imap(user)
    client.do(f"SELECT {bulk}")
    facts = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
    yield op("fetch_facts_first", lambda: client.do("FETCH 1:* " + facts), count)
    yield op("fetch_facts_again", lambda: client.do("FETCH 1:* " + facts), count, 20)
    yield op("fetch_flags", lambda: client.do("FETCH 1:* (UID FLAGS)"), count, 200)
    yield op("fetch_body", lambda: client.do("FETCH 1:* BODY.PEEK[]"), count, 6)
    yield op("search_subject", lambda: client.do('SEARCH SUBJECT "number 77 of"'), count, 60)
    for name in (f"Copied{round_}", f"Moved{round_}"):
        try:
            client.do(f"CREATE {name}")
        except OSError:
            pass
    yield op("copy", lambda: client.do(f"COPY 1:* Copied{round_}"), count)
    client.do(f"SELECT Copied{round_}")
    yield op("move", lambda: client.do(f"MOVE 1:* Moved{round_}"), count)
    client.do(f"SELECT {bulk}")
    bodies = [message(1000000 + i) for i in range(400)]

    def appends():
        for body in bodies:
            client.append(f"Moved{round_}", body)
    yield op("append", appends, len(bodies))
    client.do(f"DELETE Copied{round_}")
    client.do(f"DELETE Moved{round_}")
    client.do("LOGOUT")
    client.close()

    def session():
        c = target.imap(user, tls=target.peer is False and arguments.login_tls)
        c.do(f"SELECT {bulk}")
        c.do("LOGOUT")
        c.close()
    if target.peer or arguments.login_tls:
        yield op("login_select_logout", session, 1, 200)

    def handshake():
        Imap(target.values["IMAPS"], tls_context()).close()
    yield op("tls_handshake", handshake, 1, 200)
    client = target.imap(user)
    client.do(f"DELETE {bulk}")
    client.close()


def connections(target, count, tls):
    made = []
    for _ in range(count):
        c = target.imap("idle0", tls)
        c.do("SELECT INBOX")
        c.send("IDLE")
        c.line()
        made.append(c)
    return made


def idle(target, arguments, round_):
    if round_ == 0:
        target.config("scan.enabled", "false")
        target.config("imap.connections.per.address", "20000")
        if arguments.plain:
            target.config("login.without.tls", "127.0.0.0/8")
        target.users("idle", 1)
    figures = {}
    for tls in ((True,) if not target.peer and not arguments.plain else (False, True)):
        pids = target.frontends or None
        warm = connections(target, 20, tls)
        target.server.settle()
        before = target.server.pss_kb(pids)
        made = connections(target, arguments.connections, tls)
        target.server.settle()
        name = "tls" if tls else "plain"
        figures[f"idle_{name}_bytes"] = (target.server.pss_kb(pids) - before) * 1024 / arguments.connections
        for c in made + warm:
            c.close()
        target.server.settle()
    figures.update(idle_latency(target))
    return figures


def idle_latency(target):
    """From the final dot, and from its 250, to the untagged EXISTS."""
    watcher = target.imap("idle0", tls=True)
    watcher.do("SELECT INBOX")
    watcher.send("IDLE")
    watcher.line()
    host, port = target.values["LMTP" if target.peer else "SMTP"].split(":")
    dots, answers = [], []
    for i in range(100):
        with socket.create_connection((host, int(port))) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the dot must not wait for an ACK
            f = s.makefile("rb")

            def say(text, last=True):
                s.sendall(text)
                while last and f.readline()[3:4] == b"-":
                    pass
            say(b"")
            say(b"LHLO x.example\r\n" if target.peer else b"EHLO x.example\r\n")
            say(b"MAIL FROM:<a@outside.example>\r\n")
            say(b"RCPT TO:<idle0@%s>\r\n" % target.domain.encode())
            say(b"DATA\r\n")
            s.sendall(message(i))
            start = time.monotonic()
            s.sendall(b".\r\n")
            f.readline()
            answered = time.monotonic()
            while b"EXISTS" not in watcher.line():
                pass
            now = time.monotonic()
            dots.append((now - start) * 1000)
            answers.append((now - answered) * 1000)
    watcher.close()
    return {"dot_to_exists_p50_ms": percentile(dots, 0.5), "250_to_exists_p50_ms": percentile(answers, 0.5)}


def mixed(target, arguments, round_):
    """Mail comes in while clients read: what a busy hour looks like."""
    if round_ == 0:
        target.config("scan.enabled", "false")
        target.users("mix", 20)
    stop, reads = threading.Event(), []

    def reader(number):
        client = target.imap(f"mix{number}")
        while not stop.is_set():
            start = time.monotonic()
            client.do("SELECT INBOX")
            client.do("FETCH 1:* (UID FLAGS ENVELOPE)")
            reads.append((time.monotonic() - start) * 1000)
        client.close()
    threads = [threading.Thread(target=reader, args=(n,)) for n in range(8)]
    tag = f"m{os.getpid()}.{round_}"

    def work():
        for t in threads:
            t.start()
        result = generate(target, "mix", 20, 1, 10, 20, arguments.count, arguments.size, "text:" + tag)
        stop.set()
        for t in threads:
            t.join()
        return result
    result, cpu, written = target.server.measured(work, arguments.count)
    copies = stored(target, "mix", 20, tag)
    return {"accepted_per_s": result["per_second"], "p50_ms": result["p50_ms"], "p99_ms": result["p99_ms"],
            "read_p50_ms": percentile(reads, 0.5), "reads": len(reads), "cpu_ms": cpu,
            "stored_wrong": sum(1 for n in range(arguments.count) if copies.get(n, 0) != 1)}


def pop3_read(target, arguments, round_):
    """CPU of a mailbox of `--messages` read by POP3: listed, each message, and whole sessions."""
    user, count = "popreader0", arguments.messages
    if round_ == 0:
        target.config("scan.enabled", "false")
        target.users("popreader", 1)
        fill(target, user, "INBOX", count)
    figures = {}

    def op(name, work, operations, repeat=1):
        _, cpu, _ = target.server.measured(lambda: [work() for _ in range(repeat)], operations * repeat)
        figures[name + "_us"] = cpu * 1000

    def session():
        client = target.pop3(user)
        client.one("QUIT")
        client.close()
    op("session_of_mailbox", session, 1, 20)
    client = target.pop3(user)
    op("uidl", lambda: client.many("UIDL"), count, 20)
    op("top", lambda: [client.many(f"TOP {i} 0") for i in range(1, count + 1)], count)
    op("retr", lambda: [client.many(f"RETR {i}") for i in range(1, count + 1)], count)
    client.one("QUIT")
    client.close()
    return figures


def select(target, arguments, round_):
    """SELECT of a large mailbox: first (cold, after a restart of the server by hand) and warm."""
    user = "large0"
    if round_ == 0:
        target.config("scan.enabled", "false")
        target.users("large", 1)
        fill(target, user, "Source", 1000)
        client = target.imap(user)
        try:
            client.do("CREATE Large")
        except OSError:
            pass
        have = int(client.do("STATUS Large (MESSAGES)").split(b"MESSAGES ")[1].split(b")")[0])
        client.do("SELECT Source")
        for _ in range(max(0, (arguments.large - have) // 1000)):
            client.do("COPY 1:1000 Large")
        client.close()
    client = target.imap(user)
    frontend = target.server.pss_kb(target.frontends or None)
    times = []
    for _ in range(50):
        start = time.monotonic()
        client.do("SELECT Large")
        times.append((time.monotonic() - start) * 1000)
        client.do("UNSELECT")
    client.do("SELECT Large")
    grown = target.server.pss_kb(target.frontends or None) - frontend
    client.close()
    return {"select_first_ms": times[0], "select_p50_ms": percentile(times[1:], 0.5), "frontend_grown_kb": grown}


SCENARIOS = {"smtp-in": smtp_in, "corpus": corpus, "imap-read": imap_read, "pop3-read": pop3_read,
             "idle": idle, "mixed": mixed, "select": select, "directory": directory,
             "config-change": config_change}


def show(name, rounds, peer_rounds):
    print(f"{name}: medians of {len(rounds)}")
    for key in rounds[0]:
        ours = statistics.median(r[key] for r in rounds)
        line = f"  {key:26} {ours:12.3f}"
        theirs = [r[key] for r in peer_rounds if key in r]
        if theirs:
            peer = statistics.median(theirs)
            line += f"   peer {peer:12.3f}   ratio {ours / peer if peer else float('nan'):8.4f}"
        print(line)


def one_round(arguments, round_):
    """Figures of ours and, with --peer, of the peer."""
    targets = [Target(path) for path in (arguments.endpoints, arguments.peer) if path]
    found = [SCENARIOS[arguments.scenario](target, arguments, round_) for target in targets]
    if not isinstance(found[0], dict):  # it comes in steps
        steps = list(itertools.zip_longest(*found, fillvalue={}))
        found = [{key: value for step in each for key, value in step.items()} for each in zip(*steps)]
    for target, figures in zip(targets, found):
        if target.server.apart_percent() is not None:
            figures["etcd_core_percent"] = target.server.apart_percent()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", choices=sorted(SCENARIOS))
    parser.add_argument("--endpoints", required=True)
    parser.add_argument("--peer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--recipients", type=int, default=1)
    parser.add_argument("--connections", type=int)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--domains", type=int, default=20000, help="of the scenario directory")
    parser.add_argument("--accounts", type=int, default=1000000, help="of the scenario directory")
    parser.add_argument("--large", type=int, default=100000)
    parser.add_argument("--random", action="store_true", help="bodies that do not compress")
    parser.add_argument("--syncs", action="store_true", help="count fsync calls (with perf)")
    parser.add_argument("--delivered", action="store_true", help="also time until every box has its mail")
    parser.add_argument("--mail", default=".", help="directory of *.eml for the scenario corpus")
    parser.add_argument("--login-tls", action="store_true", default=True)
    parser.add_argument("--plain", action="store_true", help="also idle connections without TLS")
    parser.add_argument("--parts", action="store_true", help="also the CPU of each program")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.connections is None:
        arguments.connections = 5000 if arguments.scenario == "idle" else 10
    ours, peers = [], []
    for round_ in range(arguments.rounds):
        figures = one_round(arguments, round_)
        ours.append(figures[0])
        peers += figures[1:]
    if arguments.json:
        print(json.dumps({"ours": ours, "peer": peers}))
    else:
        show(arguments.scenario, ours, peers)
    sys.exit(1 if any(r.get("stored_wrong") or r.get("failed") for r in ours) else 0)


main()
