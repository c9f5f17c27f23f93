"""What a server costs: CPU of process trees with ended children, bytes written, memory."""
import os
import time

TICK = os.sysconf("SC_CLK_TCK")


def process_ms(pid, otherwise):
    """CPU of a process with the threads of it that have ended, to the nanosecond, by its own clock (clock_getcpuclockid;
    ticks of 10 ms are too coarse for one command)."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2) / 1e6
    except OSError:
        return otherwise


def processes():
    """pid -> (parent, CPU in ms of itself in ticks, CPU in ms of its ended children in ticks)."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks = [int(fields[i]) * 1000.0 / TICK for i in (11, 12, 13, 14)]
        found[int(name)] = (int(fields[1]), ticks[0] + ticks[1], ticks[2] + ticks[3])
    return found


def tree(roots, table=None):
    table = table or processes()
    inside = set(r for r in roots if r in table)
    grew = True
    while grew:
        grew = False
        for pid, (parent, _, _) in table.items():
            if parent in inside and pid not in inside:
                inside.add(pid)
                grew = True
    return inside


class Server:
    """The processes of one server under test; `kinds` has the roots of each program, those of etcd too,
    which are not the server's own and are counted apart."""

    def __init__(self, roots, kinds=None):
        self.roots = list(roots)
        self.kinds = kinds or {}
        self.parts = {}  # of the last measurement: CPU-ms per operation of each program
        self.apart_ms = self.apart_seconds = 0.0
        self.written_before = {}

    def cpu_ms(self, roots=None, table=None):
        table = table or processes()
        return sum(process_ms(pid, table[pid][1]) + table[pid][2]
                   for pid in tree(self.roots if roots is None else roots, table))

    def cpu_by_kind(self):
        table = processes()
        return {kind: self.cpu_ms(roots, table) for kind, roots in self.kinds.items()}

    def apart_percent(self):
        """Of a core, of etcd, while something was measured; None without an etcd."""
        return self.apart_ms / self.apart_seconds / 10 if "etcd" in self.kinds and self.apart_seconds else None

    def written(self):
        total = 0
        for pid in tree(self.roots):
            try:
                with open(f"/proc/{pid}/io") as f:
                    self.written_before[pid] = next(
                        int(line.split()[1]) for line in f if line.startswith("write_bytes"))
            except (OSError, StopIteration):
                pass
        total = sum(self.written_before.values())  # also of those that have ended since
        return total

    def pss_kb(self, pids=None):
        """Proportional memory with page tables."""
        total = 0
        for pid in pids or tree(self.roots):
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    total += next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
                with open(f"/proc/{pid}/status") as f:
                    total += next(int(line.split()[1]) for line in f if line.startswith("VmPTE"))
            except (OSError, StopIteration):
                pass
        return total

    def settle(self, seconds=20.0):
        """Waits until background work is over: half a second with less than 2 % of a core."""
        until = time.monotonic() + seconds
        last = self.cpu_ms()
        while time.monotonic() < until:
            time.sleep(0.5)
            now = self.cpu_ms()
            if now - last <= 10:
                return
            last = now

    def measured(self, work, count):
        """Runs `work` and returns its result, CPU-ms per operation and bytes written per operation."""
        self.settle(5)
        started, kinds = time.monotonic(), self.cpu_by_kind()
        cpu, written = self.cpu_ms(), self.written()
        result = work()
        self.settle()
        cpu, written = self.cpu_ms() - cpu, self.written() - written
        spent = {kind: ms - kinds[kind] for kind, ms in self.cpu_by_kind().items()}
        self.apart_ms += spent.get("etcd", 0.0)
        self.apart_seconds += time.monotonic() - started
        self.parts = {kind: ms / count for kind, ms in spent.items()}
        return result, cpu / count, written / count


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0
