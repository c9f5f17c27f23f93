"""loadtest/scale storage-nodes|frontends|scanners --data DIR [--counts 1,2,4] [--share 8] [--rounds 3]

How a tier grows: for each count a cluster is started (deploy/cluster) with so many programs of that tier and one of each other
kind. Each program of the tier gets the same share of one processor (a quota of its control group, shares.py), small enough
that neither the rest of the cluster nor the load's own programs are the limit; the same number of connections for each
program of the tier then sends mail as fast as it is taken. Printed: accepted messages a second, how much of its share the
tier used (near 100: it was the limit), how much of the machine was used (below 100: that was not), and the ratio to as
many times what one does. The scanners' mail is scanned; for the other tiers scanning is off.
What was sent is compared with what is stored."""
import argparse
import os
import shutil
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
COUNT_MIN, COUNT_MAX = 200, 100000


class Cluster:
    """A cluster with `count` programs of the tier; it ends with the block."""

    def __init__(self, arguments, count):
        self.arguments, self.count = arguments, count
        self.data = os.path.join(os.path.abspath(arguments.data), f"{arguments.tier}-{count}")

    def script(self, command, *words):
        done = subprocess.run([os.path.join(HERE, "../deploy/cluster"), command, "--data", self.data, *words],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise OSError(f"deploy/cluster {command}: {done.stderr}")

    def __enter__(self):
        counts = {"storage-nodes": 1, "frontends": 1, "scanners": 1, "routers": 1, "etcd": 1,
                  self.arguments.tier: self.count}
        try:
            self.script("up", "--port-offset", str(self.arguments.port_offset), "--domain", DOMAIN,
                        *(word for kind, n in counts.items() for word in ("--" + kind, str(n))))
            return Target(os.path.join(self.data, "endpoints.env"))
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        if os.path.exists(os.path.join(self.data, "cluster.json")):
            self.script("down")
        shutil.rmtree(self.data, ignore_errors=True)


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


def send(target, arguments, count, tag):
    """`count` messages over all frontends at the same time; how many were acknowledged, and seconds."""
    doors = [key for key in target.values if key == "SMTP" or key.startswith("SMTP_")]
    connections = max(1, arguments.connections * arguments.count_now // len(doors))
    results = [None] * len(doors)

    def one(i):
        results[i] = generate(target, PREFIX, arguments.users, 1, connections, 100, max(1, count // len(doors)),
                              arguments.size, f"text:{tag}.{i}", name=doors[i])
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


def delivered(target, users):
    """Messages in the boxes of some users."""
    total = 0
    for i in users:
        client = target.imap(f"{PREFIX}{i}")
        total += int(client.do("STATUS INBOX (MESSAGES)").split(b"MESSAGES ")[1].split(b")")[0])
        client.close()
    return total


def measure(target, arguments, tag):
    """One round with the shares given: figures."""
    kind = TIERS[arguments.tier]
    pids = target.server.kinds[kind]
    # How fast it is, first: what is measured then lasts --seconds.
    sent, seconds = send(target, arguments, COUNT_MIN * arguments.count_now, tag + "w")
    count = min(COUNT_MAX, max(COUNT_MIN, int(sent / seconds * arguments.seconds)))
    before, (busy, whole) = target.server.cpu_ms(pids), machine_ms()
    started = time.monotonic()
    sent, seconds = send(target, arguments, count, tag)
    wall = time.monotonic() - started
    used = target.server.cpu_ms(pids) - before
    busy_now, whole_now = machine_ms()
    return {"per_second": sent / seconds, "tier_percent": used / (wall * 10 * arguments.share * len(pids)) * 100,
            "machine_percent": (busy_now - busy) / (whole_now - whole) * 100, "tier_cpu_ms": used / sent}


def rounds(arguments, count):
    arguments.count_now = count
    with Cluster(arguments, count) as target:
        prepare(target, arguments)
        kind = TIERS[arguments.tier]
        send(target, arguments, arguments.users, "warm")
        shares = []
        try:
            for number, pid in enumerate(target.server.kinds[kind], 1):
                shares.append(Share(f"{kind}-{number}", pid, arguments.share))
            found = [measure(target, arguments, f"r{n}") for n in range(arguments.rounds)]
        finally:
            for share in shares:
                share.close()
        tag, some = "last", range(0, arguments.users, max(1, arguments.users // 100))
        had = delivered(target, some)
        send(target, arguments, arguments.users * len(target.frontends), tag)
        target.server.settle()
        stored = delivered(target, some) - had
        if stored != len(some) * len(target.frontends):
            raise OSError(f"{stored} messages are stored for {len(some)} users, and not one from each frontend")
    return {key: statistics.median(r[key] for r in found) for key in found[0]}


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
    print(f"{arguments.tier}, {arguments.share} % of a processor each: medians of {arguments.rounds}")
    first = None
    for count in counts:
        f = rounds(arguments, count)
        one = f["per_second"] / count
        first = first or one
        print(f"  {count:3}   {f['per_second']:8.1f}/s   {f['tier_cpu_ms']:6.3f} ms of the tier a message   "
              f"share used {f['tier_percent']:5.1f} %   machine {f['machine_percent']:5.1f} %   "
              f"ratio to linear {one / first:6.3f}", flush=True)


main()
