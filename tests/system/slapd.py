"""OpenLDAP's server for tests: a private directory and a private port, with TLS by an authority of its own."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from node import SLOW, wait_for

SLAPD = "/usr/sbin/slapd"
SUFFIX = "dc=example,dc=org"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{SUFFIX}", "admin-secret"
READER, READER_PASSWORD = f"cn=reader,{SUFFIX}", "reader-secret"
PEOPLE = f"ou=people,{SUFFIX}"

CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
TLSCACertificateFile {ca}
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
sizelimit unlimited
disallow bind_anon
database mdb
suffix "{suffix}"
rootdn "{admin}"
rootpw {admin_password}
directory {folder}/db
maxsize 33554432
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by anonymous auth by * none
"""


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60 * SLOW, **options)
    if done.returncode != 0:
        raise AssertionError(f"{words[0]}: {done.stdout}{done.stderr}")
    return done.stdout


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Authority:
    """Makes certificates of servers."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="godwit-ldap-ca-")
        self.file = os.path.join(self.folder, "ca.pem")
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test authority",
            "-keyout", os.path.join(self.folder, "ca.key"), "-out", self.file)

    def pem(self):
        with open(self.file) as f:
            return f.read()

    def issue(self, folder, names="DNS:localhost,IP:127.0.0.1"):
        request, key = os.path.join(folder, "server.csr"), os.path.join(folder, "server.key")
        run("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=directory", "-keyout", key,
            "-out", request)
        extensions = os.path.join(folder, "server.ext")
        with open(extensions, "w") as f:
            f.write(f"subjectAltName={names}\n")
        run("openssl", "x509", "-req", "-in", request, "-CA", self.file, "-CAkey",
            os.path.join(self.folder, "ca.key"), "-CAcreateserial", "-days", "2", "-extfile", extensions,
            "-out", os.path.join(folder, "server.pem"))

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def person(name, password="secret-1", mail=None, full_name=None):
    """The LDIF of an entry."""
    lines = [f"dn: uid={name},{PEOPLE}", "objectClass: inetOrgPerson", f"uid: {name}", f"sn: {name}",
             f"cn: {full_name or name.capitalize()}"]
    if password is not None:
        lines.append(f"userPassword: {password}")
    if mail is not None:
        lines.append(f"mail: {mail}")
    return "\n".join(lines) + "\n\n"


class Slapd:
    def __init__(self, authority, people=""):
        if not os.path.exists(SLAPD):
            raise AssertionError("slapd is not installed; deploy/test installs it")
        self.folder = tempfile.mkdtemp(prefix="godwit-slapd-")
        self.conf = os.path.join(self.folder, "slapd.conf")
        os.mkdir(os.path.join(self.folder, "db"))
        authority.issue(self.folder)
        with open(self.conf, "w") as f:
            f.write(CONFIGURATION.format(folder=self.folder, ca=authority.file, suffix=SUFFIX, admin=ADMIN,
                                         admin_password=ADMIN_PASSWORD, reader=READER))
        ldif = (f"dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: example\n\n"
                f"dn: {READER}\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject\ncn: reader\n"
                f"userPassword: {READER_PASSWORD}\n\n"
                f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n") + people
        run("/usr/sbin/slapadd", "-f", self.conf, input=ldif)
        self.port, self.tls_port = free_port(), free_port()
        self.process = None

    def url(self):
        return f"ldap://127.0.0.1:{self.port}"

    def host(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.output = open(os.path.join(self.folder, "slapd.log"), "ab")
        self.process = subprocess.Popen(
            [SLAPD, "-f", self.conf, "-h", f"{self.url()} ldaps://127.0.0.1:{self.tls_port}", "-d", "0"],
            stdout=self.output, stderr=self.output, stdin=subprocess.DEVNULL)

        def answers():
            if self.process.poll() is not None:
                with open(self.output.name, errors="replace") as f:
                    raise AssertionError("slapd ended:\n" + f.read())
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return True
            except OSError:
                return False
        wait_for("slapd answers", answers)
        return self

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(30 * SLOW)
        self.process = None
        self.output.close()

    def pause(self):
        """It takes connections and says nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _as_admin(self, program, *words, text=None):
        return run(program, "-x", "-H", self.url(), "-D", ADMIN, "-w", ADMIN_PASSWORD, *words, input=text)

    def add(self, ldif):
        self._as_admin("ldapadd", text=ldif)

    def remove(self, name):
        self._as_admin("ldapdelete", f"uid={name},{PEOPLE}")

    def modify(self, name, text):
        self._as_admin("ldapmodify", text=f"dn: uid={name},{PEOPLE}\nchangetype: modify\n{text}\n")
