"""Equal shares of the processor for programs under test: a control group with a quota for each of them.

Version 2 of cgroups (`cpu.max`) where it has the controller of the processor, else version 1
(`cpu.cfs_quota_us`). A group holds a program with all its processes, those it starts later too."""
import os
import sys

from measure import tree

PERIOD_US = 20000  # short, for a program that has used its part up is soon let go on


def has_v2():
    try:
        with open("/sys/fs/cgroup/cgroup.controllers") as f:
            return "cpu" in f.read().split()
    except OSError:
        return False


class Share:
    def __init__(self, name, pid, percent):
        self.v2 = has_v2()
        self.root = "/sys/fs/cgroup" if self.v2 else "/sys/fs/cgroup/cpu"
        self.path = os.path.join(self.root, f"godwit-loadtest-{os.getpid()}-{name}")
        quota = PERIOD_US * percent // 100
        if quota < 1000:
            sys.exit(f"a share of {percent} % of a processor is refused; allowed: {100000 // PERIOD_US} and more")
        try:
            if self.v2:
                self.write(os.path.join(self.root, "cgroup.subtree_control"), "+cpu")
            os.makedirs(self.path)
            if self.v2:
                self.set("cpu.max", f"{quota} {PERIOD_US}")
            else:
                self.set("cpu.cfs_period_us", PERIOD_US)
                self.set("cpu.cfs_quota_us", quota)
            for each in tree([pid]):
                self.set("cgroup.procs", each)
        except OSError as error:
            self.close()
            sys.exit(f"no share of the processor can be given here: {error}; it takes root and a control group "
                     f"with the controller `cpu` in {self.root}")

    @staticmethod
    def write(path, value):
        with open(path, "w") as f:
            f.write(str(value))

    def set(self, name, value):
        self.write(os.path.join(self.path, name), value)

    def close(self):
        """The processes go back to where everybody is."""
        try:
            with open(os.path.join(self.path, "cgroup.procs")) as f:
                pids = f.read().split()
            for pid in pids:
                try:
                    self.write(os.path.join(self.root, "cgroup.procs"), pid)
                except ProcessLookupError:
                    pass
            os.rmdir(self.path)
        except OSError:
            pass
