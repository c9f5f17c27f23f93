"""What the chart makes is run: its etcd, its bootstrap and setup Jobs against a stand-in of the API server, and its
pods as processes of this machine with the options, files and environment that the chart gives them."""
import imaplib
import json
import os
import re
import shutil
import signal
import smtplib
import ssl
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

from chart import KubeApi, Machine, NAMESPACE, Objects, Tools, VALUES, wait_said
from node import BUILD, SANITIZERS, SLOW, wait_for

DOMAIN = "example.org"
NAME = "rel-godwit"
PROGRAMS = {"frontend": ["frontend/godwit-frontend"], "router": ["router/godwit-router"],
            "scanner": ["scanner-pool/godwit-scanner"], "storage-node": ["storage-node/godwit-storage-node"]}
MADE = {NAME + end for end in ("-authority", "-kek", "-token", "-tls", "-admin", "-certs-frontend", "-certs-scanner",
                               "-certs-storage-node", "-certs-router")}


class ChartRun(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for program in ("etcd", "curl", "openssl"):
            if shutil.which(program) is None:
                raise AssertionError(program + " is not installed; deploy/test installs it")
        cls.tools = Tools()
        cls.objects = cls.render()
        role = cls.objects.one("Role", NAME + "-bootstrap")
        allowed = {n for rule in role["rules"] for n in rule.get("resourceNames", [])}
        cls.api = KubeApi("a-token", allowed)
        cls.addClassCleanup(cls.api.close)
        cls.machine = Machine(cls.objects, cls.api.secrets)
        cls.addClassCleanup(cls.machine.close)
        cls.machine.renames = [
            (rf"({NAME}-[a-z0-9-]+)\.{NAME}-[a-z-]+(?=:\d)", lambda m: cls.machine.host(m[1])),
            (rf"{NAME}-api(?=:\d)", lambda m: cls.machine.host(NAME + "-frontend-x1"))]
        cls.account = cls.machine.folder("account")
        with open(os.path.join(cls.account, "token"), "w") as f:
            f.write("a-token")
        cls.up()

    @classmethod
    def render(cls):
        folder = tempfile.mkdtemp(prefix="godwit-chart-")
        try:
            done = cls.tools.template("-f", os.path.join(VALUES, "small.yaml"), "--set", "storageNode.replicas=2")
            assert done.returncode == 0, done.stderr
            path = os.path.join(folder, "run.yaml")
            with open(path, "w") as f:
                f.write(done.stdout)
            objects, problems, _ = cls.tools.check(path)
            assert problems == [], problems
            return Objects(objects[path])
        finally:
            shutil.rmtree(folder)

    @classmethod
    def template(cls, kind, of="Deployment"):
        return next(t for o, t in cls.objects.component(kind) if o["kind"] == of)

    @classmethod
    def bootstrap(cls, pod, **extra):
        return cls.machine.once(pod, cls.template("bootstrap", "Job"), path=os.path.join(BUILD, "godwitctl") + ":",
                                extra={"KUBE_API": cls.api.url, "KUBE_ACCOUNT": cls.account, **extra})

    @classmethod
    def setup(cls, pod):
        return cls.machine.once(pod, cls.template("setup", "Job"), path=os.path.join(BUILD, "godwitctl") + ":")

    @classmethod
    def start(cls, kind, pod):
        cls.machine.start(pod, cls.template(kind, "StatefulSet" if kind == "storage-node" else "Deployment"),
                          [os.path.join(BUILD, PROGRAMS[kind][0])])

    @classmethod
    def get(cls, pod, path, port=9464):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{cls.machine.host(pod)}:{port}{path}", timeout=10 * SLOW) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    @classmethod
    def wait_ready(cls, pod, kind=None):
        """With a kind: one that came before the router had made the map of the slots ended with that word, and is
        started again, as the kubelet does."""
        port = 8080 if "frontend" in pod else 9464

        def ready():
            if (kind is not None and cls.machine.pods[pod].poll() == 1
                    and cls.machine.said(pod).endswith("cannot start: map of the slots: no such thing\n")):
                cls.start(kind, pod)
            return cls.machine.alive(pod) and cls.get(pod, "/readyz", port)[0] == 200
        wait_for(pod + " is ready", ready, 60)

    @classmethod
    def up(cls):
        etcd = NAME + "-etcd-0"
        cls.machine.start(etcd, cls.template("etcd", "StatefulSet"), ["etcd"])
        wait_for("etcd", lambda: cls.machine.alive(etcd) and cls.get(etcd, "/health", 2379)[0] == 200, 60)
        # Nothing but Secrets holds it up: it is there before the cluster is.
        cls.start("router", NAME + "-router-x1")
        cls.found()
        for kind, end in (("storage-node", "0"), ("storage-node", "1"), ("scanner", "x1"), ("frontend", "x1")):
            cls.machine.host(f"{NAME}-{kind}-{end}")
        signatures = cls.machine.folder(NAME + "-scanner-x1", "volumes", "signatures")
        shutil.copytree(os.path.join(os.path.dirname(VALUES), "../deploy/signatures"), signatures, dirs_exist_ok=True)
        for kind, end in (("storage-node", "0"), ("storage-node", "1"), ("scanner", "x1"), ("frontend", "x1")):
            cls.start(kind, f"{NAME}-{kind}-{end}")
        for pod in list(cls.machine.pods):
            if pod != etcd:
                cls.wait_ready(pod, "frontend" if "-frontend-" in pod else None)
        done = cls.setup("setup-1")
        assert done.returncode == 0, done.stdout + done.stderr

    @classmethod
    def found(cls):
        """An attempt that ends half way, then two at once, of which one may have to be tried again."""
        cls.api.refuse = NAME + "-token"
        done = cls.bootstrap("bootstrap-1")
        assert done.returncode != 0 and "Secret rel-godwit-token: 500" in done.stderr, done.stdout + done.stderr
        cls.api.refuse = None
        cls.early = cls.api.value(NAME + "-authority", "keys")
        words = [(pod, cls.machine.words(pod, cls.template("bootstrap", "Job"),
                                         cls.template("bootstrap", "Job")["spec"]["containers"][0],
                                         {"KUBE_API": cls.api.url, "KUBE_ACCOUNT": cls.account}))
                 for pod in ("bootstrap-2", "bootstrap-3")]
        path = os.path.join(BUILD, "godwitctl") + ":" + os.environ["PATH"]
        both = [subprocess.Popen(w, env={**e, **SANITIZERS, "PATH": path}, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, user="nobody" if os.geteuid() == 0 else None)
                for _, (w, e) in words]
        said = [(p.communicate(timeout=120 * SLOW)[1], p.returncode) for p in both]
        assert 0 in [code for _, code in said], said
        done = cls.bootstrap("bootstrap-4")
        assert done.returncode == 0, done.stdout + done.stderr

    def imap(self, password=None):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        client = imaplib.IMAP4_SSL(self.machine.host(NAME + "-frontend-x1"), 2993, ssl_context=context,
                                   timeout=30 * SLOW)
        client.login("admin@" + DOMAIN, password or self.api.value(NAME + "-admin", "password").decode())
        return client

    def send(self, subject):
        def sent():
            with smtplib.SMTP(self.machine.host(NAME + "-frontend-x1"), 2525, timeout=30 * SLOW) as s:
                try:
                    s.sendmail("a@outside.example", ["admin@" + DOMAIN], f"Subject: {subject}\r\n\r\nx\r\n")
                    return True
                except smtplib.SMTPResponseException as error:
                    self.assertEqual(error.smtp_code // 100, 4)
                except smtplib.SMTPRecipientsRefused as error:
                    self.assertEqual({c // 100 for c, _ in error.recipients.values()}, {4})
                return False
        wait_for("a message is taken", sent, 30)

    def found_once(self, subject):
        client = self.imap()
        try:
            client.select(readonly=True)
            return client.search(None, "SUBJECT", f'"{subject}"')[1][0].split()
        finally:
            client.logout()

    def test_mail_goes_in_and_out(self):
        self.send("by the chart")
        self.assertEqual(len(self.found_once("by the chart")), 1)

    def test_secrets_are_those_that_pods_mount(self):
        self.assertEqual(set(self.api.secrets), MADE)
        for name, secret in self.api.secrets.items():
            self.assertEqual(secret["metadata"]["labels"]["app.kubernetes.io/instance"], "rel", name)
            self.assertEqual(secret["type"], "kubernetes.io/tls" if name.endswith("-tls") else "Opaque")
        self.assertEqual(self.api.value(NAME + "-authority", "keys"), self.early, "the first one stays")
        self.assertNotEqual(self.api.value(NAME + "-kek", "keys"), self.early)

    def test_the_certificate_has_the_names_of_the_installation(self):
        path = os.path.join(self.machine.folder("look"), "tls.crt")
        with open(path, "wb") as f:
            f.write(self.api.value(NAME + "-tls", "tls.crt"))
        text = subprocess.run(["openssl", "x509", "-in", path, "-noout", "-ext", "subjectAltName"],
                              capture_output=True, text=True).stdout
        for name in ("mail.example.org", "example.org", f"{NAME}-mail.{NAMESPACE}.svc"):
            self.assertIn("DNS:" + name, text)

    def test_again_changes_nothing(self):
        before = json.dumps(self.api.secrets)
        done = self.bootstrap("bootstrap-again")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("made", done.stdout.replace(": made, good until", ""))
        self.assertEqual(json.dumps(self.api.secrets), before)
        done = self.setup("setup-again")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.imap().logout()

    def test_settings_are_in_force(self):
        with smtplib.SMTP(timeout=30 * SLOW) as s:
            code, text = s.connect(self.machine.host(NAME + "-frontend-x1"), 2525)
            self.assertEqual((code, text.split()[0]), (220, b"mail.example.org"))

    def test_a_renewed_certificate_is_taken_without_a_restart(self):
        """Of each role: the Secret gets new files, the pod sees them as the kubelet shows them."""
        pids = {pod: p.pid for pod, p in self.machine.pods.items()}
        for role, pods in (("storage-node", ["storage-node-0", "storage-node-1"]), ("scanner", ["scanner-x1"]),
                           ("frontend", ["frontend-x1"])):
            secret = f"{NAME}-certs-{role}"
            old = self.api.value(secret, "cert.pem")
            del self.api.secrets[secret]["data"]["key.pem"]  # what is not whole is made anew
            done = self.bootstrap("renew-" + role)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertNotEqual(self.api.value(secret, "cert.pem"), old)
            counts = {pod: self.machine.said(f"{NAME}-{pod}").count("certificates-taken") for pod in pods}
            self.machine.renew(secret)
            for pod in pods:
                wait_said(self.machine, f"{NAME}-{pod}", "certificates-taken", counts[pod] + 1)
        self.send("with new certificates")
        self.assertEqual(len(self.found_once("with new certificates")), 1)
        self.assertEqual(pids, {pod: p.pid for pod, p in self.machine.pods.items()})

    def test_what_bootstrap_refuses(self):
        for text, extra in (("the API server can't be reached", {"KUBE_API": "http://127.0.0.1:9"}),
                            ("401", {"KUBE_ACCOUNT": self.machine.folder("stranger")}),
                            ("Secret none-such: it has to be there, with keys",
                             {"SECRET_AUTHORITY": "none-such", "FIXED": "none-such"}),
                            ("403", {"SECRET_AUTHORITY": "of-somebody-else"})):
            with open(os.path.join(self.machine.folder("stranger"), "token"), "w") as f:
                f.write("another-token")
            self.api.allowed.add("none-such")
            done = self.bootstrap("bad-" + re.sub(r"\W", "", text)[:12], **extra)
            self.assertNotEqual(done.returncode, 0, text)
            self.assertIn(text, done.stderr)
        self.assertEqual(set(self.api.secrets), MADE)

    def test_a_pod_that_is_told_to_end_does_so_cleanly(self):
        """Within the time that the chart gives it, with exit status 0; the next one finds all mail."""
        self.send("before the restart")
        for kind, pod in (("router", "router-x1"), ("scanner", "scanner-x1"), ("storage-node", "storage-node-1"),
                          ("frontend", "frontend-x1")):
            template = self.template(kind, "StatefulSet" if kind == "storage-node" else "Deployment")
            pod = f"{NAME}-{pod}"
            process = self.machine.pods.pop(pod)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(template["spec"]["terminationGracePeriodSeconds"] * SLOW), 0, pod)
            self.start(kind, pod)
            self.wait_ready(pod)
        self.wait_ready(NAME + "-frontend-x1")
        self.assertEqual(len(self.found_once("before the restart")), 1)


if __name__ == "__main__":
    unittest.main()
