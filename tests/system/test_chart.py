"""The chart of k8s/godwit: lint, three sets of values against the schemas of Kubernetes' objects, values that are
refused, and that what it makes fits together and fits the programs: references, selectors, ports, options."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from chart import CHART, Objects, Tools, VALUES, component, config_values, containers, selects
from node import BUILD

SETS = ("small", "production", "external")
PROGRAMS = {"frontend": "frontend/godwit-frontend", "router": "router/godwit-router",
            "scanner": "scanner-pool/godwit-scanner", "storage-node": "storage-node/godwit-storage-node"}

tools = folder = None
sets = {}


def setUpModule():
    global tools, folder
    tools = Tools()
    folder = tempfile.mkdtemp(prefix="godwit-chart-")
    unittest.addModuleCleanup(shutil.rmtree, folder, ignore_errors=True)
    files = {}
    for name in (*SETS, "default"):
        done = tools.template(*(("-f", os.path.join(VALUES, name + ".yaml")) if name != "default" else ()))
        assert done.returncode == 0, (name, done.stderr)
        files[name] = os.path.join(folder, name + ".yaml")
        with open(files[name], "w") as f:
            f.write(done.stdout)
    objects, problems, unknown = tools.check(*files.values())
    sets.update({name: Objects(objects[path]) for name, path in files.items()}, problems=problems, unknown=unknown)


def each():
    for name in (*SETS, "default"):
        yield name, sets[name]


class Lint(unittest.TestCase):
    def test_helm_lint(self):
        for words in ((), *(("-f", os.path.join(VALUES, name + ".yaml")) for name in SETS)):
            done = tools.lint(*words)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertNotIn("[WARNING]", done.stdout)

    def test_objects_fit_the_schemas(self):
        self.assertEqual(sets["problems"], [])
        self.assertEqual(sorted(sets["unknown"]), ["monitoring.coreos.com/v1/PrometheusRule", "monitoring.coreos.com/v1/ServiceMonitor"])
        for name, objects in each():
            self.assertGreater(len(objects.all), 15, name)

    def test_the_same_values_make_the_same_objects(self):
        for name in SETS:
            again = tools.template("-f", os.path.join(VALUES, name + ".yaml")).stdout
            with open(os.path.join(folder, name + ".yaml")) as f:
                self.assertEqual(again, f.read())

    def test_the_check_finds_what_it_is_for(self):
        pod = "spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {%s}}}"
        deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n" + pod
        cases = (
            ("replicaz", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicaz: 1, selector: "
             "{}, template: {metadata: {}, spec: {containers: []}}}"),
            ("imagePullPolicyy", deployment % "containers: [{name: x, image: y, imagePullPolicyy: Always}]"),
            ("must be integer", deployment % "containers: [{name: x, image: y, ports: [{containerPort: '80'}]}]"),
            ("port", "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{name: x}]}"),
            ("unique", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s, name: t}"),
            ("memory", deployment % "containers: [{name: x, image: y, resources: {limits: {memory: lots}}}]"),
        )
        for text, yaml in cases:
            path = os.path.join(folder, "planted.yaml")
            with open(path, "w") as f:
                f.write(yaml + "\n")
            problems = tools.check(path)[1]
            self.assertTrue(any(text in p for p in problems), (text, problems))


class Values(unittest.TestCase):
    def refused(self, text, *words):
        done = tools.template(*words)
        self.assertNotEqual(done.returncode, 0, words)
        self.assertIn(text, done.stderr, words)

    def test_bad_values_are_refused_by_name(self):
        for text, value in (
                ("additional properties 'replica' not allowed", "frontend.replica=3"),
                ("additional properties 'frontends' not allowed", "frontends.replicas=3"),
                ("/frontend/replicas", "frontend.replicas=0"), ("/frontend/replicas", "frontend.replicas=two"),
                ("/frontend/replicas", "frontend.replicas=65"), ("/frontend/loops", "frontend.loops=-1"),
                ("/frontend/protocols/smtp", "frontend.protocols.smtp=sometimes"),
                ("additional properties 'ldap' not allowed", "frontend.protocols.ldap=true"),
                ("/frontend/service/type", "frontend.service.type=Loadbalancer"),
                ("/frontend/service/nodePorts/smtp", "frontend.service.nodePorts.smtp=25"),
                ("/frontend/proxyProtocol/networks", "frontend.proxyProtocol.enabled=true"),
                ("/frontend/proxyProtocol/networks/0", "frontend.proxyProtocol.networks={10.0.0.0}"),
                ("/frontend/proxyProtocol/networks/0", "frontend.proxyProtocol.networks={10.0.0.0/33}"),
                ("/frontend/scratchSize", "frontend.scratchSize=5 GB"),
                ("/frontend/resources/limits/memory", "frontend.resources.limits.memory=1 Gi"),
                ("additional properties 'mem' not allowed", "frontend.resources.limits.mem=1Gi"),
                ("/storageNode/podDisruptionBudget/maxUnavailable", "storageNode.podDisruptionBudget.maxUnavailable=2"),
                ("/storageNode/zones/0", "storageNode.zones[0].name=a"),
                ("/storageNode/storage/size", "storageNode.storage.size=big"),
                ("/scanner/sandbox", "scanner.sandbox=none"), ("/scanner/workers", "scanner.workers=257"),
                ("/scanner/signatures/updater", "scanner.signatures.updater=freshclam"),
                ("/router/replicas", "router.replicas=8"),
                ("/cluster/shards", "cluster.shards=257"), ("/cluster/copies", "cluster.copies=0"),
                ("/cluster/name", "cluster.name=My_Cluster"),
                ("/image/tag", "image.tag=latest"), ("/image/registry", "image.registry=https://r.example.org/"),
                ("/image/pullPolicy", "image.pullPolicy=Sometimes"),
                ("/etcd/replicas", "etcd.replicas=2"), ("/etcd/external/endpoints", "etcd.enabled=false"),
                ("/etcd/external/endpoints/0", "etcd.external.endpoints={etcd-1:2379}"),
                ("/bootstrap/schedule", "bootstrap.schedule=daily"),
                ("/bootstrap/certificateDays", "bootstrap.certificateDays=6"),
                ("/secrets/kek", "bootstrap.enabled=false"), ("/secrets/kek", "secrets.kek=UPPER"),
                ("/setup/domain", "setup.domain=example"), ("/setup/domain", "setup.domain=Example.org"),
                ("'/setup/settings': additional properties 'hostname' not allowed", "setup.settings.hostname=x"),
                ("/listenAddress", "listenAddress=10.0.0.1"), ("/networkPolicy/clients/0", "networkPolicy.clients={all}"),
                ("/serviceMonitor/interval", "serviceMonitor.interval=30"), ("/fullnameOverride", "fullnameOverride=9mail")):
            with self.subTest(value):
                self.refused(text, "--set", value)

    def test_values_that_do_not_fit_each_other_are_refused(self):
        for text, value in (
                ("cluster.copies: 4 copies need as many storage nodes, and there are 3", "cluster.copies=4"),
                ("cluster.minIsr: 2 is more than cluster.copies, 1", "cluster.minIsr=2"),
                ("storageNode.zones: two are called a", "storageNode.zones[0].name=a,storageNode.zones[0].zone=x,"
                 "storageNode.zones[0].replicas=1,storageNode.zones[1].name=a,storageNode.zones[1].zone=y,"
                 "storageNode.zones[1].replicas=1"),
                ("frontend.autoscaling: minReplicas 9 is more", "frontend.autoscaling.enabled=true,"
                 "frontend.autoscaling.minReplicas=9"),
                ("frontend.terminationGracePeriodSeconds: 60 is too short", "frontend.drainNoticeSeconds=45"),
                ("updater", "scanner.signatures.existingClaim=c,scanner.signatures.updater=/bin/x")):
            with self.subTest(value):
                self.refused(text, "--set", value)
        self.refused("setup.admin: its Secret is made by bootstrap", "-f", os.path.join(VALUES, "external.yaml"),
                     "--set", "setup.enabled=true,setup.domain=example.org")

    def test_names_are_as_long_as_they_may_be(self):
        """Pods of StatefulSets and their revisions have names of a label's length at most."""
        done = tools.run("template", "a" * 40, CHART, "-f", os.path.join(VALUES, "production.yaml"), "--set",
                              "storageNode.zones[0].name=abcdefghijkl,storageNode.zones[0].zone=z,"
                              "storageNode.zones[0].replicas=1")
        self.assertEqual(done.returncode, 0, done.stderr)
        path = os.path.join(folder, "long.yaml")
        with open(path, "w") as f:
            f.write(done.stdout)
        read, problems, _ = tools.check(path)
        self.assertEqual(problems, [])
        for o in Objects(read[path]).kind("StatefulSet"):
            self.assertLessEqual(len(o["metadata"]["name"]) + 11, 63)


class References(unittest.TestCase):
    GIVEN = {"external": {"etcd-ca", "etcd-client", "etcd-frontend", "etcd-router", "etcd-scanner",
                          "etcd-storage-node", "mail-keys", "mail-operator", "mail-example-org", "mail-frontend-certs",
                          "mail-scanner-certs", "mail-store-certs", "mail-router-certs"}}

    def test_what_is_mounted_is_there(self):
        for name, objects in each():
            maps = {o["metadata"]["name"]: o["data"] for o in objects.kind("ConfigMap")}
            made = self.made(objects) | self.GIVEN.get(name, set())
            for o, template in objects.workloads():
                volumes = {v["name"]: v for v in template["spec"].get("volumes", [])}
                claims = {c["metadata"]["name"] for c in o["spec"].get("volumeClaimTemplates", [])}
                mounted = set()
                for c in containers(template):
                    for mount in c.get("volumeMounts", []):
                        self.assertTrue(mount["name"] in volumes or mount["name"] in claims, (name, mount))
                        mounted.add(mount["name"])
                    for row in c.get("env", []):
                        ref = row.get("valueFrom", {}).get("secretKeyRef")
                        self.assertTrue(ref is None or ref["name"] in made, (name, row))
                self.assertEqual(mounted, set(volumes) | claims, (name, o["metadata"]["name"]))
                for v in volumes.values():
                    if "configMap" in v:
                        self.assertIn(v["configMap"]["name"], maps)
                        for item in v["configMap"].get("items", []):
                            self.assertIn(item["key"], maps[v["configMap"]["name"]])
                    if "secret" in v:
                        self.assertIn(v["secret"]["secretName"], made, (name, o["metadata"]["name"]))

    def made(self, objects):
        """Names of the Secrets that bootstrap makes or is given, by its environment."""
        names = set()
        for o, template in objects.component("bootstrap"):
            for row in template["spec"]["containers"][0]["env"]:
                if row["name"].startswith(("SECRET_", "CERTS_")) and row["value"]:
                    names.add(row["value"])
        return names

    def test_selectors_find_their_pods_and_only_them(self):
        kinds = {"frontend", "router", "scanner", "storage-node"}
        for name, objects in each():
            pods = [(component(t), t["metadata"]["labels"]) for _, t in objects.workloads()]
            for o in objects.kind("Deployment", "StatefulSet"):
                found = [p for p in pods if selects(o["spec"]["selector"], p[1])]
                self.assertEqual(len(found), 1, (name, o["metadata"]["name"]))
            for o in objects.kind("Service", "PodDisruptionBudget"):
                selector = o["spec"]["selector"]
                found = {c for c, labels in pods if selects(selector, labels)}
                self.assertEqual(len(found), 1, (name, o["metadata"]["name"], found))
            budgets = {c for o in objects.kind("PodDisruptionBudget") for c, labels in pods
                       if selects(o["spec"]["selector"], labels)}
            self.assertLessEqual(kinds, budgets)
            for o in objects.kind("StatefulSet"):
                service = objects.one("Service", o["spec"]["serviceName"])
                self.assertEqual(service["spec"]["clusterIP"], "None")
            for o in objects.kind("HorizontalPodAutoscaler"):
                target = objects.one(o["spec"]["scaleTargetRef"]["kind"], o["spec"]["scaleTargetRef"]["name"])
                self.assertNotIn("replicas", target["spec"])
            for o in objects.kind("ServiceMonitor"):
                found = [s for s in objects.kind("Service")
                         if selects(o["spec"]["selector"], s["metadata"]["labels"])]
                self.assertEqual(len(found), 1, o["metadata"]["name"])
                self.assertIn(o["spec"]["endpoints"][0]["port"], [p["name"] for p in found[0]["spec"]["ports"]])
        self.assertEqual(len(sets["production"].kind("HorizontalPodAutoscaler")), 2)
        self.assertEqual(len(sets["production"].kind("ServiceMonitor")), 4)
        self.assertEqual(len(sets["production"].component("storage-node")), 3)

    def test_alerts_are_of_metrics_that_there_are(self):
        """Each is of the service that ServiceMonitor reads, and of a row of the router's metrics."""
        with open(os.path.join(os.path.dirname(CHART), "..", "router", "main.c")) as f:
            rows = set(re.findall(r'^ +{ "([a-z_]+)", "gauge"', f.read(), re.MULTILINE))
        self.assertIn("shards_without_leader", rows)
        for name, objects in each():
            for o in objects.kind("PrometheusRule"):
                rules = [rule for group in o["spec"]["groups"] for rule in group["rules"]]
                for rule in rules:
                    asked = re.findall(r'godwit_router_([a-z_]+){job="([-a-z0-9]+)"}', rule["expr"])
                    self.assertTrue(asked, rule["expr"])
                    for metric, job in asked:
                        self.assertIn(metric, rows)
                        objects.one("Service", job)
                self.assertEqual(len({rule["alert"] for rule in rules}), len(rules))
        self.assertEqual([len(sets[name].kind("PrometheusRule")) for name in ("default", "production")], [0, 1])

    def test_ports_are_named_where_they_are_used(self):
        for name, objects in each():
            ports = {}
            for o, template in objects.workloads():
                names = {p["name"]: p["containerPort"] for c in containers(template) for p in c.get("ports", [])}
                self.assertEqual(len(set(names.values())), len(names))
                self.assertTrue(all(p >= 1024 for p in names.values()), "without root")
                ports[component(template)] = names
                for c in containers(template):
                    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                        for how in ("httpGet", "tcpSocket"):
                            if how in c.get(probe, {}):
                                self.assertIn(c[probe][how]["port"], names)
            for o in objects.kind("Service"):
                for port in o["spec"]["ports"]:
                    which = o["spec"]["selector"]["app.kubernetes.io/component"]
                    self.assertIn(port["targetPort"], ports[which], (name, o["metadata"]["name"]))
            for o in objects.kind("NetworkPolicy"):
                own = o["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
                for rule in o["spec"].get("ingress", []):
                    for port in rule.get("ports", []):
                        self.assertIn(port["port"], ports[own], (name, o["metadata"]["name"]))

    def test_the_world_has_the_protocols_that_are_on(self):
        ports = {name: {p["name"]: p["port"] for o in objects.kind("Service") if o["metadata"]["name"].endswith("-mail")
                        for p in o["spec"]["ports"]} for name, objects in each()}
        self.assertEqual(ports["default"], {"smtp": 25, "submission": 587, "smtps": 465, "imap": 143, "imaps": 993,
                                            "pop3": 110, "pop3s": 995, "https": 443})
        self.assertEqual(ports["external"], {"smtp": 25, "smtps": 465, "imaps": 993, "https": 443})
        self.assertEqual(ports["production"]["lmtp"], 24)


class Options(unittest.TestCase):
    """Every option that the chart gives is one of the program, and is one that it reads."""

    @classmethod
    def setUpClass(cls):
        cls.known = {}
        for kind, path in PROGRAMS.items():
            text = subprocess.run([os.path.join(BUILD, path), "--help"], capture_output=True, text=True).stdout
            cls.known[kind] = dict(re.findall(r"^  --([a-z0-9-]+)( VALUE)?$", text, re.M))
            assert len(cls.known[kind]) > 5, text
        ctl = os.path.join(BUILD, "godwitctl/godwitctl")
        cls.known["bootstrap"] = {}
        for words in (("cluster", "init"), ("cluster", "cert", "issue")):
            text = subprocess.run([ctl, *words, "--help"], capture_output=True, text=True).stdout
            cls.known[words[1]] = dict(re.findall(r"^  --([a-z0-9-]+)( VALUE)?$", text, re.M))

    def test_files_and_flags(self):
        for name, objects in each():
            options = objects.one("ConfigMap", self.of(objects, "options"))["data"]
            self.assertEqual(set(options), {"bootstrap.conf", *(k + ".conf" for k in PROGRAMS)})
            for kind, known in ((k, self.known[k]) for k in PROGRAMS):
                rows = config_values(options[kind + ".conf"])
                for key, value in rows:
                    self.assertIn(key, known, (name, kind))
                    self.assertNotEqual(value, "", (name, kind, key))
                for _, template in objects.component(kind):
                    flags = [re.fullmatch(r"--([a-z-]+)=(.+)", a) for a in template["spec"]["containers"][0]["args"]]
                    self.assertNotIn(None, flags)
                    self.assertEqual({f[1] for f in flags} - set(known), {"config"}, (name, kind))
                    self.assertEqual({f[1] for f in flags} & {k for k, _ in rows}, set(), "each in one place")
                    given = {f[1] for f in flags} | {k for k, _ in rows}
                    self.assertLessEqual({"name", "etcd", "cluster"}, given)
            for key, _ in config_values(options["bootstrap.conf"]):
                self.assertIn(key, self.known["init"])
                self.assertIn(key, self.known["cert"])

    def of(self, objects, end):
        return next(o["metadata"]["name"] for o in objects.kind("ConfigMap") if o["metadata"]["name"].endswith(end))

    def test_environment(self):
        for name, objects in each():
            for kind, known in ((k, self.known[k]) for k in PROGRAMS):
                names = {"GODWIT_" + k.upper().replace("-", "_") for k in known}
                for _, template in objects.component(kind):
                    self.assertIs(template["spec"]["enableServiceLinks"], False, "GODWIT_... of Services")
                    for row in template["spec"]["containers"][0]["env"]:
                        self.assertTrue(row["name"] in names or row["name"] in ("POD_NAME", "POD_IP"), row)

    def test_paths_are_mounted(self):
        """Every path of an options file lies in a mount, and what is written into is no read-only one."""
        for name, objects in each():
            options = objects.one("ConfigMap", self.of(objects, "options"))["data"]
            for kind in PROGRAMS:
                for _, template in objects.component(kind):
                    mounts = {m["mountPath"]: m.get("readOnly", False)
                              for m in template["spec"]["containers"][0]["volumeMounts"]}
                    for key, value in config_values(options[kind + ".conf"]):
                        if not value.startswith("/") or key == "updater":
                            continue
                        under = [p for p in mounts if value == p or value.startswith(p + "/")]
                        self.assertEqual(len(under), 1, (name, kind, key, value))
                        if key == "data":
                            self.assertFalse(mounts[under[0]])

    def test_etcd_takes_its_flags(self):
        help_text = subprocess.run(["etcd", "--help"], capture_output=True, text=True)
        known = set(re.findall(r"^\s+--([a-z0-9-]+)", help_text.stdout + help_text.stderr, re.M))
        for name, objects in each():
            for _, template in objects.component("etcd"):
                for word in template["spec"]["containers"][0]["args"]:
                    self.assertIn(re.match(r"--([a-z-]+)", word)[1], known)


class Pods(unittest.TestCase):
    def test_every_container_is_bounded_and_without_rights(self):
        for name, objects in each():
            for o, template in objects.workloads():
                spec = template["spec"]
                self.assertIs(spec["securityContext"]["runAsNonRoot"], True)
                self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                self.assertIs(spec["automountServiceAccountToken"], component(template) == "bootstrap")
                for key in ("hostNetwork", "hostPID", "hostIPC"):
                    self.assertNotIn(key, spec)
                for c in containers(template):
                    what = (name, o["metadata"]["name"], c["name"])
                    self.assertEqual(c["securityContext"], {
                        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]}}, what)
                    self.assertIn("memory", c["resources"]["limits"], what)
                    self.assertIn("cpu", c["resources"]["requests"], what)
                    self.assertRegex(c["image"], r"^[a-z0-9./-]+:[0-9.]+$", what)
                for v in spec.get("volumes", []):
                    self.assertNotIn("hostPath", v)
                    if "emptyDir" in v:
                        self.assertIn("sizeLimit", v["emptyDir"], (name, v))

    def test_every_program_is_probed(self):
        for name, objects in each():
            for kind in PROGRAMS:
                for _, template in objects.component(kind):
                    c = template["spec"]["containers"][0]
                    self.assertEqual([c[p]["httpGet"]["path"] for p in ("startupProbe", "livenessProbe",
                                                                         "readinessProbe")],
                                     ["/healthz", "/healthz", "/readyz"])
                    # One slow answer does not take a program out of use, let alone end it.
                    self.assertGreater(c["readinessProbe"]["failureThreshold"], 1)
                    self.assertGreaterEqual(c["livenessProbe"]["failureThreshold"], 6)

    def test_secrets_are_with_those_who_need_them(self):
        """A scanner sees no certificate but its own, and nobody mounts what opens the authority."""
        for name, objects in each():
            seen = {}
            for o, template in objects.workloads():
                mine = {v["secret"]["secretName"] for v in template["spec"].get("volumes", []) if "secret" in v}
                seen.setdefault(component(template), set()).update(m for m in mine if not re.search(r"(^|-)etcd-", m))
                if component(template) == "etcd":
                    self.assertTrue(all(m.endswith("-etcd-member") for m in mine), mine)
                elif name != "external":  # a client's certificate of its own etcd, and no other
                    self.assertLessEqual({m for m in mine if "-etcd-" in m}, {m for m in mine if m.endswith("-etcd-client") or m.endswith("-etcd-user-" + component(template))})
            self.assertEqual(len(seen["scanner"]), 1, name)
            self.assertEqual(len(seen["storage-node"]), 1, name)
            self.assertEqual(len(seen["frontend"]), 3, name)
            self.assertEqual(len(seen["router"]), 1, name)
            self.assertEqual(seen["scanner"] & (seen["frontend"] | seen["storage-node"] | seen["router"]), set())
            self.assertEqual(seen.get("bootstrap", set()), set(), "it asks the API server")
            self.assertFalse(any("authority" in s for names in seen.values() for s in names))

    def test_copies_of_data_are_on_machines_of_their_own(self):
        for name, objects in each():
            for o in objects.kind("StatefulSet"):
                template = o["spec"]["template"]
                rule, = template["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
                self.assertEqual(rule["topologyKey"], "kubernetes.io/hostname")
                self.assertTrue(selects(rule["labelSelector"], template["metadata"]["labels"]))
                self.assertEqual(o["spec"]["podManagementPolicy"], "Parallel")
                self.assertEqual(o["spec"]["persistentVolumeClaimRetentionPolicy"],
                                 {"whenDeleted": "Retain", "whenScaled": "Retain"})
        for o, template in sets["production"].component("storage-node"):
            zone = template["spec"]["nodeSelector"]["topology.kubernetes.io/zone"]
            self.assertIn("--zone=" + zone, template["spec"]["containers"][0]["args"])
            self.assertEqual(template["spec"]["nodeSelector"]["example.org/disk"], "local")

    def test_the_first_map_waits_for_all_nodes(self):
        for name, count in (("small", 1), ("production", 6), ("external", 3)):
            objects = sets[name]
            nodes = sum(o["spec"]["replicas"] for o, _ in objects.component("storage-node"))
            self.assertEqual(nodes, count)
            options = next(o["data"] for o in objects.kind("ConfigMap") if o["metadata"]["name"].endswith("-options"))
            self.assertIn(("nodes", str(count)), config_values(options["router.conf"]))


class Networks(unittest.TestCase):
    def may(self, objects, source, target, port):
        """Whether the policies let pods of one component reach a port of another's."""
        labels = {component(t): t["metadata"]["labels"] for _, t in objects.workloads()}
        ports = {component(t): {p["name"]: p["containerPort"] for c in containers(t) for p in c.get("ports", [])}
                 for _, t in objects.workloads()}

        def passes(direction, own, other):
            policies = [p for p in objects.kind("NetworkPolicy") if selects(p["spec"]["podSelector"], labels[own])]
            if not policies:
                return True
            key, peers = ("ingress", "from") if direction == "in" else ("egress", "to")
            for policy in policies:
                for rule in policy["spec"].get(key, []):
                    numbers = [p["port"] for p in rule.get("ports", [])]
                    if numbers and port not in numbers and ports[target].get(port) not in numbers:
                        continue
                    if peers not in rule or any(selects(p["podSelector"], labels[other]) for p in rule[peers]
                                                if "podSelector" in p):
                        return True
            return False
        return passes("in", target, source) and passes("out", source, target)

    def test_who_reaches_whom(self):
        everybody = ("frontend", "scanner", "storage-node", "router", "bootstrap", "setup")
        allowed = {("storage-node", "store"): {"frontend", "router", "storage-node"},
                   ("scanner", "scan"): {"frontend"},
                   **{(kind, "admin"): {"frontend"} for kind in PROGRAMS}, ("frontend", "http"): {"setup", "frontend"},
                   ("etcd", "client"): {"frontend", "scanner", "storage-node", "router", "bootstrap"},
                   ("etcd", "peer"): set()}
        for name in ("production", "default"):
            objects = sets[name]
            for (target, port), sources in allowed.items():
                got = {s for s in everybody if self.may(objects, s, target, port)}
                self.assertEqual(got - {"frontend"}, sources - {"frontend"}, (name, target, port))
                if target != "frontend":
                    self.assertEqual("frontend" in got, "frontend" in sources, (name, target, port))

    def test_off_means_none(self):
        self.assertEqual(sets["small"].kind("NetworkPolicy"), [])
        self.assertEqual(sets["external"].one("NetworkPolicy", "mail-frontend")["spec"]["ingress"][0]["from"],
                         [{"ipBlock": {"cidr": "192.0.2.0/24"}}, {"ipBlock": {"cidr": "2001:db8::/32"}}])


if __name__ == "__main__":
    unittest.main()
