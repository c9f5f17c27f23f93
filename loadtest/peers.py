"""Debian's Postfix + Dovecot on private ports: LMTP delivery into sdbox with fsync.

    loadtest/peers up --data DIR [--port-offset N]     writes DIR/endpoints.env
    loadtest/peers down --data DIR
"""
import argparse
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time

PACKAGES = ["postfix", "dovecot-imapd", "dovecot-pop3d", "dovecot-lmtpd", "dovecot-core", "openssl"]


def install():
    missing = [p for p in PACKAGES if subprocess.run(
        ["dpkg-query", "-W", "-f=${db:Status-Status}", p], capture_output=True, text=True).stdout != "installed"]
    if missing:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        policy = "/usr/sbin/policy-rc.d"  # nothing is started by the installation
        made = not os.path.exists(policy)
        if made:
            with open(policy, "w") as f:
                f.write("#!/bin/sh\nexit 101\n")
            os.chmod(policy, 0o755)
        try:
            subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True,
                           env=environment, stdout=subprocess.DEVNULL)
        finally:
            if made:
                os.unlink(policy)


def write(path, text, mode=0o644):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def dovecot(data, ports):
    base = f"{data}/dovecot"
    for d in (base, f"{data}/mail", f"{base}/run"):
        os.makedirs(d, exist_ok=True)
    owner = pwd.getpwnam("nobody")
    shutil.chown(f"{data}/mail", owner.pw_uid, owner.pw_gid)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", f"{base}/key.pem", "-out", f"{base}/cert.pem", "-days", "30", "-subj", "/CN=peer"],
                   check=True, capture_output=True)
    write(f"{base}/dovecot.conf", f"""
base_dir = {base}/run
state_dir = {base}/run
log_path = {base}/log
protocols = imap lmtp pop3
ssl = yes
ssl_cert = <{base}/cert.pem
ssl_key = <{base}/key.pem
disable_plaintext_auth = no
mail_location = sdbox:{data}/mail/%u
mail_fsync = optimized
mail_max_userip_connections = 10000
first_valid_uid = 1
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
default_process_limit = 1000
default_client_limit = 12000
auth_cache_size = 10M
passdb {{
  driver = static
  args = password=secret-1
}}
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={data}/mail/%u allow_all_users=yes
}}
service imap-login {{
  chroot =
  service_count = 0
  client_limit = 6000
  inet_listener imap {{
    address = 127.0.0.1
    port = {ports['IMAP']}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {ports['IMAPS']}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  service_count = 0
  inet_listener pop3 {{
    port = 0
  }}
  inet_listener pop3s {{
    address = 127.0.0.1
    port = {ports['POP3S']}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 6000
}}
service anvil {{
  chroot =
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {ports['LMTP']}
  }}
}}
""")
    return subprocess.Popen(["dovecot", "-F", "-c", f"{base}/dovecot.conf"], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, start_new_session=True)


def postfix(data, ports, domain):
    base = f"{data}/postfix"
    for d in (base, f"{base}/spool", f"{base}/lib"):
        os.makedirs(d, exist_ok=True)
    shutil.chown(f"{base}/lib", "postfix")
    write(f"{base}/main.cf", f"""
compatibility_level = 3.6
queue_directory = {base}/spool
data_directory = {base}/lib
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = peer.example
mydestination =
alias_maps =
alias_database =
virtual_mailbox_domains = {domain}
virtual_transport = lmtp:inet:127.0.0.1:{ports['LMTP']}
virtual_mailbox_maps = static:all
virtual_destination_recipient_limit = 100
smtpd_recipient_restrictions = reject_unauth_destination
smtpd_client_connection_rate_limit = 0
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
maillog_file = {base}/log
maillog_file_prefixes = {base}
""")
    with open("/usr/share/postfix/master.cf.dist") as f:
        lines = f.read().split("\n")
    lines = [f"127.0.0.1:{ports['SMTP']} inet n - n - 100 smtpd" if line.startswith("smtp      inet") else line
             for line in lines]
    write(f"{base}/master.cf", "\n".join(lines) + "\npostlog   unix-dgram n  -  n  -  1  postlogd\n")
    shutil.copy("/etc/postfix/dynamicmaps.cf", base) if os.path.exists("/etc/postfix/dynamicmaps.cf") else None
    subprocess.run(["postfix", "-c", base, "start"], check=True, capture_output=True)
    with open(f"{base}/spool/pid/master.pid") as f:
        return int(f.read())


def up(arguments):
    install()
    data = os.path.abspath(arguments.data)
    os.makedirs(data, exist_ok=True)
    os.chmod(data, 0o755)
    ports = {name: port + arguments.port_offset for name, port in
             (("SMTP", 25), ("LMTP", 24), ("IMAP", 143), ("IMAPS", 993), ("POP3S", 995))}
    dove = dovecot(data, ports)
    post = postfix(data, ports, arguments.domain)
    with open(f"{data}/endpoints.env", "w") as f:
        for name, port in ports.items():
            f.write(f"{name}=127.0.0.1:{port}\n")
        f.write(f"PID_postfix_1={post}\nPID_dovecot_1={dove.pid}\nPEER=1\nDOMAIN={arguments.domain}\n")
    print(f"{data}/endpoints.env")


def down(arguments):
    with open(f"{arguments.data}/endpoints.env") as f:
        values = dict(line.strip().split("=", 1) for line in f)
    subprocess.run(["postfix", "-c", f"{os.path.abspath(arguments.data)}/postfix", "stop"], capture_output=True)
    try:
        os.kill(int(values["PID_dovecot_1"]), signal.SIGTERM)
    except OSError:
        pass
    time.sleep(1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["up", "down"])
    parser.add_argument("--data", required=True)
    parser.add_argument("--port-offset", type=int, default=9000)
    parser.add_argument("--domain", default="testdomain.lab")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("loadtest/peers: Postfix and Dovecot want to be started as root")
    {"up": up, "down": down}[arguments.command](arguments)


if __name__ == "__main__":
    main()
