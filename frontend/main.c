/* godwit-frontend: SMTP, submission, LMTP, IMAP, POP3 and the API, without state of its own.
 *
 * On one machine:    godwit-frontend --data DIR --coord DIR --scanner unix:/run/godwit/scan-1.sock
 *                        --smtp 0.0.0.0:25 --imap 0.0.0.0:143 --http 127.0.0.1:8080 ...
 * In a cluster:      the same with --name frontend-1 --rpc-certs DIR --etcd https://etcd-1:2379
 *                        --cluster NAME, without --scanner
 * DIR of --rpc-certs is what `godwitctl cluster cert issue --role frontend` writes. The storage
 * nodes' addresses come from the map in the configuration store, the scanners' from its list of
 * them, unless --scanner names them. Every option may come as GODWIT_NAME from the environment or
 * as "name = value" from the file of --config. */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin_serve.h"
#include "body.h"
#include "boot.h"
#include "conf.h"
#include "coord_boot.h"
#include "crew.h"
#include "door_limits.h"
#include "frontend_loop.h"
#include "id.h"
#include "log.h"
#include "loop.h"
#include "mapping_pool.h"
#include "member.h"
#include "password.h"
#include "program.h"
#include "program_announce.h"
#include "rpc_name.h"
#include "signals.h"
#include "tls.h"

enum {
    CREW_QUEUE_MAX = 10000,
};

static const struct boot_option table[] = {
    PROGRAM_OPTIONS("frontend"),
    { "data", BOOT_TEXT, "/var/lib/godwit", "folder for temporary files" },
    COORD_BOOT_OPTIONS("/var/lib/godwit/coord"),
    { "kek-file", BOOT_TEXT, "/var/lib/godwit/keys", "file with the key-encryption keys" },
    { "scanner", BOOT_LIST, "",
      "scanners: unix:/path; ip:port or name:port, with --rpc-certs; none: those that the "
      "configuration store lists (--advertise of a scanner)" },
    MEMBER_OPTIONS,
    ADMIN_SERVE_OPTIONS,
    { "tls-cert", BOOT_TEXT, "", "certificate chain, PEM" },
    { "tls-key", BOOT_TEXT, "", "its key, PEM" },
    { "smtp", BOOT_TEXT, "", "address to listen on, ip:port; empty: not served" },
    { "submission", BOOT_TEXT, "", "" },
    { "smtps", BOOT_TEXT, "", "submission with TLS from the first byte" },
    { "lmtp", BOOT_TEXT, "", "" },
    { "imap", BOOT_TEXT, "", "" },
    { "imaps", BOOT_TEXT, "", "" },
    { "pop3", BOOT_TEXT, "", "" },
    { "pop3s", BOOT_TEXT, "", "" },
    { "http", BOOT_TEXT, "", "API, health, metrics" },
    { "https", BOOT_TEXT, "", "" },
    { "loops", BOOT_NUMBER, "0", "threads; 0: one for each core" },
    { "uid", BOOT_NUMBER, "0", "user to change to once the ports are open" },
    { "gid", BOOT_NUMBER, "0", "" },
};
static const struct program_info info = { "godwit-frontend", table,
                                          sizeof(table) / sizeof(table[0]) };

static const char *const services[DOOR_SERVICES] = {
    [DOOR_SMTP] = "smtp", [DOOR_SUBMISSION] = "submission", [DOOR_SMTPS] = "smtps",
    [DOOR_LMTP] = "lmtp", [DOOR_IMAP] = "imap",             [DOOR_IMAPS] = "imaps",
    [DOOR_POP3] = "pop3", [DOOR_POP3S] = "pop3s",
    [DOOR_HTTP] = "http", [DOOR_HTTPS] = "https",
};

struct program {
    struct frontend frontend;
    struct body_budget budget;
    struct boot *boot;
    struct member *member;
    struct program_announce *announce;
    struct admin_serve *admin;
    struct frontend_loop *loops[FRONTEND_LOOPS_MAX];
    unsigned loops_count;
};

static struct err prepare(struct program *program)
{
    struct frontend *frontend = &program->frontend;
    const struct boot *boot = program->boot;
    char random[32], hash[PASSWORD_MADE_MAX_BYTES];
    const struct password_cost cost = { 19456, 2 };
    size_t len;
    TRY(member_open(info.program, RPC_ROLE_FRONTEND, boot_text(boot, "rpc-certs"),
                    &program->member));
    frontend->self = member_self(program->member);
    frontend->name = boot_text(boot, "name");
    TRY(program_store_read(boot, ROSTER_FRONTEND, &frontend->coord));
    program->budget = (struct body_budget){ .spill_dir = boot_text(boot, "data") };
    TRY(sealed_keys_load(boot_text(boot, "kek-file"), &frontend->keys));
    frontend->budget = &program->budget;
    for (unsigned i = 0; i < DOOR_SERVICES; i++) {
        const char *address = boot_text(boot, services[i]);
        if (address[0] != '\0') frontend->addresses[i] = address;
    }
    for (size_t i = 0; i < boot_list_count(boot, "scanner") && i < FRONTEND_SCANNERS_MAX; i++) {
        frontend->scanners[frontend->scanners_count++] = boot_list(boot, "scanner", i);
    }
    if (gethostname(frontend->hostname, sizeof(frontend->hostname) - 1) != 0) {
        snprintf(frontend->hostname, sizeof(frontend->hostname), "localhost");
    }
    id_random(random, sizeof(random));
    TRY(password_make(span_of(random, sizeof(random)), &cost, hash, &len));
    frontend->decoy_cost = (struct login_cost){ cost.memory_kib, cost.passes };
    snprintf(frontend->decoy, sizeof(frontend->decoy), "%.*s", (int)len, hash);
    if (boot_text(boot, "tls-cert")[0] != '\0') {
        frontend->tls_cert = boot_text(boot, "tls-cert");
        frontend->tls_key = boot_text(boot, "tls-key");
    }
    struct tls_options client = { .client = true };
    TRY(tls_context_new(&client, &frontend->client_tls));
    client.verify = TLS_VERIFY_REQUIRED;
    TRY(tls_context_new(&client, &frontend->verify_tls));
    TRY(door_limits_new(&frontend->limits));
    mapping_ldap_init();
    TRY(mapping_pool_new(&mapping_calls_ldap, &frontend->mapping));
    return crew_new("frontend", 2, CREW_QUEUE_MAX, &frontend->crew);
}

static struct err open_loops(struct program *program)
{
    unsigned count = (unsigned)boot_number(program->boot, "loops");
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (count == 0) count = cores > 0 ? (unsigned)cores : 1;
    if (count > FRONTEND_LOOPS_MAX) count = FRONTEND_LOOPS_MAX;
    program->frontend.loops_count = count;
    for (unsigned i = 0; i < count; i++) {
        TRY(frontend_loop_open(&program->frontend, i, &program->loops[i]));
        program->frontend.loops[i] = program->loops[i];
        program->loops_count++;
    }
    return admin_serve_boot(program->boot, program->loops[0]->loop, program->frontend.self,
                            &program->admin);
}

static int drop_root(const struct boot *boot)
{
    uid_t uid = (uid_t)boot_number(boot, "uid");
    gid_t gid = (gid_t)boot_number(boot, "gid");
    if (uid == 0) return 0;
    if (setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0) {
        fprintf(stderr, "godwit-frontend: cannot change to user %u: %s\n", (unsigned)uid,
                strerror(errno));
        return 1;
    }
    return 0;
}

static void on_signal(void *holder, int number)
{
    struct program *program = holder;
    if (number == SIGHUP) {
        log_reopen();
        member_reload(program->member);
    } else {
        program_announce_stop(program->announce);
        program->announce = NULL;
        for (unsigned i = 0; i < program->loops_count; i++) frontend_loop_stop(program->loops[i]);
        return;
    }
    frontend_tls_reload(program->loops[0]);
}

static void *run_thread(void *loop)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    frontend_loop_run(loop);
    return NULL;
}

/* Where the others ask: the first loop's store has the row. */
static struct err announce(struct program *program)
{
    char text[ROSTER_ADDRESS_MAX_BYTES], admin[ROSTER_ADDRESS_MAX_BYTES];
    const struct frontend *frontend = &program->frontend;
    const char *listens = frontend->addresses[DOOR_HTTP];
    struct program_announce_options options = { .loop = program->loops[0]->loop,
                                                .coord = program->loops[0]->coord,
                                                .kind = ROSTER_FRONTEND,
                                                .name = frontend->name };
    options.address = program_announce_address(boot_text(program->boot, "announce"),
                                               listens != NULL ? listens : "", 0, text);
    options.admin = admin_serve_announced(program->admin, program->boot, admin);
    return program_announce_start(&options, &program->announce);
}

/* As the configuration was when it was first read, before anybody is let in. */
static void take_conf(struct program *program)
{
    const struct conf *conf = program->loops[0]->front.settings->conf;
    program->budget.memory_bytes_max = conf_number(conf, CONF_SERVER_BODIES_MEMORY);
    program->budget.file_bytes_max = conf_number(conf, CONF_SERVER_BODIES_FILES);
    program_log_configure(conf);
}

static int run(struct program *program)
{
    struct signals *signals;
    struct err err = signals_open(program->loops[0]->loop, on_signal, program, &signals);
    if (err.code != ERR_OK) return program_fail(info.program, "signals", err);
    err = member_start(program->member, program->loops[0]->loop, program->loops[0]->coord);
    if (err.code != ERR_OK) return program_fail(info.program, "membership of the cluster", err);
    err = announce(program);
    if (err.code != ERR_OK) return program_fail(info.program, "its row in the cluster", err);
    for (unsigned i = 1; i < program->loops_count; i++) {
        struct frontend_loop *loop = program->loops[i];
        if (pthread_create(&loop->thread, NULL, run_thread, loop) != 0) return 1;
    }
    frontend_loop_run(program->loops[0]);
    for (unsigned i = 1; i < program->loops_count; i++) {
        pthread_join(program->loops[i]->thread, NULL);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct program program;
    int status;
    if (!program_boot(&info, argc, argv, &program.boot, &status)) return status;
    struct err err = prepare(&program);
    if (err.code == ERR_OK) err = open_loops(&program);
    if (err.code != ERR_OK) return program_fail(info.program, "cannot start", err);
    if (drop_root(program.boot) != 0) return 1;
    err = program_log_start(program.boot);
    if (err.code != ERR_OK) return program_fail(info.program, "log", err);
    take_conf(&program);
    LOG(PROGRAM_STARTED, NULL, log_words(program_version()),
        log_words(boot_text(program.boot, "data")));
    status = run(&program);
    LOG(PROGRAM_STOPPED, NULL, log_words("asked to"));
    log_stop();
    return status;
}
