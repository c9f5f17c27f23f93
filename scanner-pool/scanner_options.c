#include "scanner_options.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines.h"

enum { OPTION_TEXT, OPTION_NUMBER, OPTION_SANDBOX };

/* One row an option: its flag, its variable, where it goes, its bounds. */
struct option_row {
    const char *name, *variable;
    int kind;
    size_t offset;
    unsigned min, max;
};
#define AT(member) offsetof(struct scanner_options, member)
static const struct option_row option_rows[] = {
    { "listen", "GODWIT_SCAN_LISTEN", OPTION_TEXT, AT(listen), 0, 0 },
    { "data", "GODWIT_SCAN_DATA", OPTION_TEXT, AT(data_dir), 0, 0 },
    { "signatures", "GODWIT_SCAN_SIGNATURES", OPTION_TEXT, AT(signature_dir), 0, 0 },
    { "user", "GODWIT_USER", OPTION_TEXT, AT(user), 0, 0 },
    { "workers", "GODWIT_SCAN_WORKERS", OPTION_NUMBER, AT(workers), 0, ENGINES_WORKERS_MAX },
    { "waiting", "GODWIT_SCAN_WAITING", OPTION_NUMBER, AT(waiting_max), 1, SCANNER_WAITING_MAX },
    { "scan-ms", "GODWIT_SCAN_TIME_MS", OPTION_NUMBER, AT(scan_ms), 100, 600000 },
    { "poll-ms", "GODWIT_SCAN_POLL_MS", OPTION_NUMBER, AT(poll_ms), 0, 86400000 },
    { "sandbox", "GODWIT_SCAN_SANDBOX", OPTION_SANDBOX, AT(sandbox_required), 0, 0 },
};
enum { OPTION_ROWS = sizeof(option_rows) / sizeof(option_rows[0]) };

static struct err option_set(const struct option_row *row, const char *value,
                             struct scanner_options *options)
{
    void *at = (char *)options + row->offset;
    if (row->kind == OPTION_TEXT) {
        memcpy(at, &value, sizeof(value));
        return err_ok();
    }
    if (row->kind == OPTION_SANDBOX) {
        bool required = strcmp(value, "require") == 0;
        if (!required && strcmp(value, "best") != 0) return err_make(ERR_SYNTAX, row->name);
        memcpy(at, &required, sizeof(required));
        return err_ok();
    }
    char *end = NULL;
    errno = 0;
    unsigned long number = strtoul(value, &end, 10);
    if (errno != 0 || end == value || *end != 0 || *value == '-' || number < row->min ||
        number > row->max) {
        return err_make(ERR_SYNTAX, row->name);
    }
    unsigned small = (unsigned)number;
    memcpy(at, &small, sizeof(small));
    return err_ok();
}

static struct err option_find_user(struct scanner_options *options)
{
    if (geteuid() != 0) return err_ok();
    const char *name = options->user == NULL ? "nobody" : options->user;
    const struct passwd *found = getpwnam(name);
    if (found == NULL) return err_make(ERR_NOT_FOUND, "user");
    if (found->pw_uid == 0) return err_make(ERR_SYNTAX, "user");
    options->uid = found->pw_uid;
    options->gid = found->pw_gid;
    return err_ok();
}

struct err scanner_options_read(int count, char *const *arguments, struct scanner_options *ret)
{
    struct scanner_options options = { .waiting_max = 256, .scan_ms = 30000, .poll_ms = 60000,
                                       .sandbox_required = true };
    struct option flags[OPTION_ROWS + 1] = { 0 };
    for (int i = 0; i < OPTION_ROWS; i++) {
        flags[i] = (struct option){ option_rows[i].name, required_argument, NULL, i };
        const char *value = getenv(option_rows[i].variable);
        if (value != NULL) TRY(option_set(&option_rows[i], value, &options));
    }
    optind = 1;
    opterr = 0;
    for (int found; (found = getopt_long(count, arguments, "", flags, NULL)) != -1;) {
        if (found < 0 || found >= OPTION_ROWS) return err_make(ERR_SYNTAX, "unknown option");
        TRY(option_set(&option_rows[found], optarg, &options));
    }
    if (optind < count) return err_make(ERR_SYNTAX, "argument that is no option");
    if (options.listen == NULL) return err_make(ERR_SYNTAX, "listen");
    if (options.data_dir == NULL) return err_make(ERR_SYNTAX, "data");
    if (options.signature_dir == NULL) return err_make(ERR_SYNTAX, "signatures");
    TRY(option_find_user(&options));
    if (options.workers == 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        options.workers = online < 1 ? 1 : (unsigned)online;
        if (options.workers > ENGINES_WORKERS_MAX) options.workers = ENGINES_WORKERS_MAX;
    }
    *ret = options;
    return err_ok();
}
