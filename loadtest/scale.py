"""loadtest/scale storage-nodes|frontends|scanners --data DIR [--counts 1,2,4] [--share 8] [--rounds 3]

How a tier grows: for each count a cluster is started (deploy/cluster) with so many programs of that tier and one of each other
kind; their rounds alternate. Each program of the tier gets the same share of one processor (a quota of its control group, shares.py), small enough
that neither the rest of the cluster nor the load's own programs are the limit; the same number of connections for each
program of the tier then sends mail as fast as it is taken. Printed: accepted messages a second, how much of its share the
tier used (near 100: it was the limit), how much of the machine was used (below 100: that was not), and the ratio to as
many times what one does. The scanners' mail is scanned; for the other tiers scanning is off.
What was sent is compared with what is stored."""
import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from directory import cheap_hash  # noqa: E402
from shares import Share  # noqa: E402
from target import Target, generate  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
TIERS = {"storage-nodes": "storage_node", "frontends": "frontend", "scanners": "scanner"}
PREFIX, DOMAIN = "scale", "testdomain.lab"
COUNT_MIN, COUNT_MAX = 200, 100000  # messages of a round
PORTS_APART = 100  # of the clusters
SESSION = 100  # messages of a connection


class Cluster:
    """A cluster with `count` programs of the tier, and then with their shares of a processor."""

    def __init__(self, arguments, place, count):
        self.arguments, self.count = arguments, count
        self.offset = arguments.port_offset + PORTS_APART * place
        self.data = os.path.join(os.path.abspath(arguments.data), f"{arguments.tier}-{count}")
        self.kind = TIERS[arguments.tier]
        self.target, self.shares, self.found = None, [], []

    def script(self, command, *words):
        done = subprocess.run([os.path.join(HERE, "../deploy/cluster"), command, "--data", self.data, *words],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise OSError(f"deploy/cluster {command}: {done.stderr}")

    def start(self):
        counts = {"storage-nodes": 1, "frontends": 1, "scanners": 1, "routers": 1, "etcd": 1,
                  self.arguments.tier: self.count}
        self.script("up", "--port-offset", str(self.offset), "--domain", DOMAIN,
                    *(word for kind, n in counts.items() for word in ("--" + kind, str(n))))
        self.target = Target(os.path.join(self.data, "endpoints.env"))
        prepare(self.target, self.arguments)
        self.send(self.arguments.users, "warm")

    def share(self):
        for number, pid in enumerate(self.target.server.kinds[self.kind], 1):
            self.shares.append(Share(f"{self.kind}-{self.count}-{number}", pid, self.arguments.share))

    def unshare(self):
        while self.shares:
            self.shares.pop().close()

    def end(self):
        self.unshare()
        if os.path.exists(os.path.join(self.data, "cluster.json")):
            self.script("down")
        shutil.rmtree(self.data, ignore_errors=True)

    def send(self, count, tag):
        """So many messages over all frontends at the same time; how many were acknowledged, and seconds."""
        doors = [key for key in self.target.values if key == "SMTP" or key.startswith("SMTP_")]
        connections = max(1, self.arguments.connections * self.count // len(doors))
        results = [None] * len(doors)

        def one(i):
            results[i] = generate(self.target, PREFIX, self.arguments.users, 1, connections, SESSION,
                                  max(1, count // len(doors)), self.arguments.size, f"text:{tag}.{i}", name=doors[i])
        threads = [threading.Thread(target=one, args=(i,)) for i in range(len(doors))]
        started = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        seconds = time.monotonic() - started
        if any(r is None or r["failed"] for r in results):
            raise OSError(f"mail was refused: {results}")
        return sum(r["acknowledged"] for r in results), seconds

    def measure(self, tag):
        pids, arguments = self.target.server.kinds[self.kind], self.arguments
        # How fast it is, first: what is measured then lasts --seconds.
        sent, seconds = self.send(COUNT_MIN * self.count, tag + "w")
        count = min(COUNT_MAX, max(COUNT_MIN, int(sent / seconds * arguments.seconds)))
        before, (busy, whole) = self.target.server.cpu_ms(pids), machine_ms()
        sent, seconds = self.send(count, tag)
        used = self.target.server.cpu_ms(pids) - before
        busy_now, whole_now = machine_ms()
        self.found.append({
            "per_second": sent / seconds, "tier_percent": used / (seconds * 10 * arguments.share * len(pids)) * 100,
            "machine_percent": (busy_now - busy) / (whole_now - whole) * 100, "tier_cpu_ms": used / sent})

    def check(self):
        """One message from each frontend for each user, and each of some users has them."""
        some = range(0, self.arguments.users, max(1, self.arguments.users // 100))
        had = self.delivered(some)
        doors = len(self.target.frontends)
        self.send(self.arguments.users * doors, "last")
        self.target.server.settle()
        stored = self.delivered(some) - had
        if stored != len(some) * doors:
            raise OSError(f"{stored} messages are stored for {len(some)} users, and not one from each of {doors} frontends")

    def delivered(self, users):
        total = 0
        for i in users:
            client = self.target.imap(f"{PREFIX}{i}")
            total += int(client.do("STATUS INBOX (MESSAGES)").split(b"MESSAGES ")[1].split(b")")[0])
            client.close()
        return total


def prepare(target, arguments):
    target.config("scan.enabled", "true" if arguments.tier == "scanners" else "false")
    target.config("smtp.connections.per.address", "1000")
    target.config("password.argon2.memory", "8192")
    target.config("password.argon2.passes", "1")
    path = os.path.join(os.path.dirname(target.path), "users.csv")
    hashed = cheap_hash()
    with open(path, "w") as f:
        f.write("address,password_hash\n")
        f.writelines(f'{PREFIX}{i}@{target.domain},"{hashed}"\n' for i in range(arguments.users))
    done = subprocess.run([os.environ["LOADTEST_GODWITCTL"], "--endpoints-file", target.path, "user", "import", path],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"user import: {done.stdout} {done.stderr[-500:]}")


def machine_ms():
    """Used of all processors: (busy, all)."""
    with open("/proc/stat") as f:
        fields = [int(v) for v in f.readline().split()[1:9]]
    idle = fields[3] + fields[4]
    tick = 1000 / os.sysconf("SC_CLK_TCK")
    return (sum(fields) - idle) * tick, sum(fields) * tick


def run(arguments, clusters):
    for cluster in clusters:
        cluster.start()
        cluster.share()
    for n in range(arguments.rounds):
        for cluster in clusters:
            cluster.measure(f"r{n}")
    print(f"{arguments.tier}, {arguments.share} % of a processor each: medians of {arguments.rounds}")
    first = None
    for cluster in clusters:
        f = {key: statistics.median(r[key] for r in cluster.found) for key in cluster.found[0]}
        one = f["per_second"] / cluster.count
        first = first or one
        print(f"  {cluster.count:3}   {f['per_second']:8.1f}/s   {f['tier_cpu_ms']:6.3f} ms of the tier a message   "
              f"share used {f['tier_percent']:5.1f} %   machine {f['machine_percent']:5.1f} %   "
              f"ratio to linear {one / first:6.3f}", flush=True)
    for cluster in clusters:
        cluster.unshare()
        cluster.check()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tier", choices=list(TIERS))
    parser.add_argument("--data", required=True, help="a directory for the clusters, which are gone in the end")
    parser.add_argument("--port-offset", type=int, default=23000)
    parser.add_argument("--counts", default="1,2,4")
    parser.add_argument("--share", type=int, default=8, help="percent of one processor for each program of the tier")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6, help="of a round")
    parser.add_argument("--users", type=int, default=4000)
    parser.add_argument("--connections", type=int, default=16, help="for each program of the tier")
    parser.add_argument("--size", type=int, default=4096)
    arguments = parser.parse_args()
    try:
        counts = [int(n) for n in arguments.counts.split(",")]
    except ValueError:
        counts = []
    if not counts or not all(1 <= n <= 16 for n in counts):
        sys.exit(f"--counts: {arguments.counts} is refused; allowed: numbers from 1 to 16 with commas between")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    clusters = [Cluster(arguments, place, count) for place, count in enumerate(counts)]
    try:
        run(arguments, clusters)
    finally:
        for cluster in clusters:
            cluster.end()


main()
