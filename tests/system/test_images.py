"""deploy/images: a Containerfile for each image that the chart names, with the libraries that its program needs, and
as the chart runs it. Building them takes minutes: deploy/images/build does, and runs each once."""
import os
import re
import subprocess
import tempfile
import unittest

from chart import Objects, SOURCE, Tools, containers
from node import BUILD

IMAGES = os.path.join(SOURCE, "deploy/images")
PROGRAMS = {"frontend": "frontend/godwit-frontend", "router": "router/godwit-router",
            "scanner": "scanner-pool/godwit-scanner", "storage-node": "storage-node/godwit-storage-node",
            "ctl": "godwitctl/godwitctl"}


def containerfile(name):
    """[(instruction, arguments)]."""
    with open(os.path.join(IMAGES, name, "Containerfile")) as f:
        text = re.sub(r"\\\n\s*", "", f.read())
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line and not line.startswith("#")]


def one(name, instruction):
    found = [a for i, a in containerfile(name) if i == instruction]
    assert len(found) == 1, (name, instruction, found)
    return found[0]


def packages(name):
    return set(re.search(r"--no-install-recommends ([^&]*)&&", one(name, "RUN"))[1].split())


def package_of(library):
    """The Debian package of a shared library, by its file."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    path = next(line.split()[-1] for line in listed.splitlines() if line.split()[:1] == [library])
    for file in (os.path.realpath(path), path, os.path.realpath(path).replace("/usr/lib/", "/lib/", 1)):
        done = subprocess.run(["dpkg", "-S", file], capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout.split(":")[0]
    raise AssertionError(f"{library}: of no package")


class Images(unittest.TestCase):
    def setUp(self):
        done = Tools().template()
        self.assertEqual(done.returncode, 0, done.stderr)
        with tempfile.TemporaryDirectory(prefix="godwit-chart-") as folder:
            path = os.path.join(folder, "default.yaml")
            with open(path, "w") as f:
                f.write(done.stdout)
            self.objects = Objects(Tools().check(path)[0][path])

    def test_every_image_of_the_chart_has_a_containerfile(self):
        images = {c["image"].split("/")[-1].split(":")[0] for _, t in self.objects.workloads() for c in containers(t)}
        self.assertEqual(images, {"godwit-" + name for name in (*PROGRAMS, "etcd")})
        there = {n for n in os.listdir(IMAGES) if os.path.exists(os.path.join(IMAGES, n, "Containerfile"))}
        self.assertEqual(there, {*PROGRAMS, "etcd"})

    def test_each_has_the_libraries_of_its_program_and_no_others(self):
        usual = {"libc6", "libstdc++6", "libgcc-s1", "zlib1g", "libcrypt1"}  # every Debian has them
        for name, path in PROGRAMS.items():
            text = subprocess.run(["objdump", "-p", os.path.join(BUILD, path)], capture_output=True, text=True,
                                  check=True).stdout
            libraries = re.findall(r"NEEDED\s+(\S+)", text)
            sanitizers = {n for n in libraries if n.startswith(("libasan", "libubsan", "libtsan"))}
            needed = {package_of(n) for n in libraries if n not in sanitizers} - usual
            there = {p for p in packages(name) if p.startswith("lib")}
            # With a sanitizer the compiler has the linker keep libraries that nothing uses.
            (self.assertLessEqual if sanitizers else self.assertEqual)(there, needed, name)

    def test_each_runs_as_the_chart_runs_it(self):
        for name in (*PROGRAMS, "etcd"):
            self.assertEqual(one(name, "USER"), "10001:10001")
            self.assertIn("--uid 10001", one(name, "RUN"))
        for _, template in self.objects.workloads():
            security = template["spec"]["securityContext"]
            self.assertEqual((security["runAsUser"], security["runAsGroup"]), (10001, 10001))
            for c in containers(template):
                name = c["image"].split(":")[0].split("-", 1)[1]
                if "ports" in c:
                    exposed = set(map(int, one(name, "EXPOSE").split()))
                    self.assertLessEqual({p["containerPort"] for p in c["ports"]}, exposed, name)
                if "command" not in c:
                    self.assertTrue(c["args"])
                    self.assertRegex(one(name, "ENTRYPOINT"), r'^\["/usr/bin/[a-z-]+"\]$')

    def test_what_the_scripts_call_is_in_their_image(self):
        self.assertLessEqual({"curl", "openssl", "ca-certificates"}, packages("ctl"))

    def test_scripts_are_shell(self):
        for path, shell in (("deploy/images/build", "bash"), ("deploy/images/files/godwit-health", "bash"),
                            ("deploy/images/files/godwit-freshclam", "sh"), ("k8s/godwit/scripts/bootstrap.sh", "sh"),
                            ("k8s/godwit/scripts/setup.sh", "sh")):
            done = subprocess.run([shell, "-n", os.path.join(SOURCE, path)], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_what_build_refuses(self):
        build = os.path.join(IMAGES, "build")
        for words, text in ((["nothing"], "nothing: no such image; there are frontend"), (["--tag"], "--tag needs a value"),
                            (["--what"], "deploy/images/build [--tag TAG]")):
            done = subprocess.run([build, *words], capture_output=True, text=True)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(text, done.stderr)


if __name__ == "__main__":
    unittest.main()
