"""What a server costs: CPU of process trees with ended children, bytes written, memory."""
import os
import time

TICK = os.sysconf("SC_CLK_TCK")


def thread_ns(pid):
    """CPU of a process's living threads, to the nanosecond (ticks of 10 ms are too coarse for one command)."""
    total = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as f:
                total += int(f.read().split()[0])
    except (OSError, ValueError):
        pass
    return total


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
    """The processes of one server under test."""

    def __init__(self, roots):
        self.roots = list(roots)
        self.written_before = {}

    def cpu_ms(self):
        table = processes()
        return sum(max(thread_ns(pid) / 1e6, table[pid][1] - 2000.0 / TICK) + table[pid][2]
                   for pid in tree(self.roots, table))

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
        cpu, written = self.cpu_ms(), self.written()
        result = work()
        self.settle()
        return result, (self.cpu_ms() - cpu) / count, (self.written() - written) / count


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0
