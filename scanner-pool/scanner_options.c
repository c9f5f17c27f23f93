#include "scanner_options.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin_serve.h"
#include "boot.h"
#include "coord_boot.h"
#include "engines.h"
#include "member.h"
#include "program.h"

static const struct boot_option table[] = {
    PROGRAM_OPTIONS("scanner"),
    { "listen", BOOT_LIST, NULL, "where it takes calls: unix:/path; ip:port, with --rpc-certs" },
    MEMBER_OPTIONS,
    ADMIN_SERVE_OPTIONS,
    { "advertise", BOOT_TEXT, "",
      "address of this scanner for frontends, ip:port, name:port or unix:/path; given: it joins "
      "the pool in the configuration store under --name" },
    { "data", BOOT_TEXT, NULL, "folder for messages and workers, of this scanner alone" },
    { "signatures", BOOT_TEXT, NULL, "folder of the virus signatures" },
    COORD_BOOT_OPTIONS(""),
    { "metrics", BOOT_TEXT, "", "ip:port of health and metrics; empty: not served" },
    { "updater", BOOT_TEXT, "",
      "program that brings new signatures into the folder that is its one argument; it is run "
      "every scan.signatures.update. Empty: none" },
    { "user", BOOT_TEXT, "nobody", "user to become when started as root" },
    { "workers", BOOT_NUMBER, "0", "processes that scan; 0: as scan.workers says" },
    { "waiting", BOOT_NUMBER, "256", "messages that may wait for a worker, 1 to 4096" },
    { "scan-ms", BOOT_NUMBER, "30000", "how long a scan may take, 100 to 600000 ms" },
    { "poll-ms", BOOT_NUMBER, "60000",
      "how often the folder of signatures is looked at, up to 86400000 ms; 0: never" },
    { "sandbox", BOOT_TEXT, "require", "require, or best: scan also where a worker can't be "
                                       "shut in whole" },
};
const struct program_info scanner_info = { "godwit-scanner", table,
                                           sizeof(table) / sizeof(table[0]) };

/* One row a number: where it goes, its bounds. */
struct number_row {
    const char *name;
    size_t offset;
    unsigned min, max;
};
#define AT(member) offsetof(struct scanner_options, member)
static const struct number_row numbers[] = {
    { "workers", AT(workers), 0, ENGINES_WORKERS_MAX },
    { "waiting", AT(waiting_max), 1, SCANNER_WAITING_MAX },
    { "scan-ms", AT(scan_ms), 100, 600000 },
    { "poll-ms", AT(poll_ms), 0, 86400000 },
};

static struct err read_numbers(const struct boot *boot, struct scanner_options *options,
                               char problem[SCANNER_PROBLEM_BYTES])
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const struct number_row *row = &numbers[i];
        uint64_t number = boot_number(boot, row->name);
        if (number < row->min || number > row->max) {
            snprintf(problem, SCANNER_PROBLEM_BYTES, "%s: %llu is refused; allowed: %u to %u",
                     row->name, (unsigned long long)number, row->min, row->max);
            return err_make(ERR_SYNTAX, "options of the program");
        }
        unsigned small = (unsigned)number;
        memcpy((char *)options + row->offset, &small, sizeof(small));
    }
    return err_ok();
}

static struct err find_user(const char *name, struct scanner_options *options,
                            char problem[SCANNER_PROBLEM_BYTES])
{
    if (geteuid() != 0) return err_ok();
    const struct passwd *found = getpwnam(name);
    if (found == NULL || found->pw_uid == 0) {
        snprintf(problem, SCANNER_PROBLEM_BYTES, "user: \"%.100s\" is refused; allowed: one that "
                                                 "is there, and not root", name);
        return err_make(found == NULL ? ERR_NOT_FOUND : ERR_SYNTAX, "options of the program");
    }
    options->uid = found->pw_uid;
    options->gid = found->pw_gid;
    return err_ok();
}

struct err scanner_options_read(const struct boot *boot, struct scanner_options *ret,
                                char problem[SCANNER_PROBLEM_BYTES])
{
    const char *sandbox = boot_text(boot, "sandbox");
    struct scanner_options options = {
        .certs = boot_text(boot, "rpc-certs"),
        .advertise = boot_text(boot, "advertise"),
        .data_dir = boot_text(boot, "data"),
        .signature_dir = boot_text(boot, "signatures"),
        .metrics = boot_text(boot, "metrics"),
        .updater = boot_text(boot, "updater"),
        .sandbox_required = strcmp(sandbox, "require") == 0,
    };
    if (!options.sandbox_required && strcmp(sandbox, "best") != 0) {
        snprintf(problem, SCANNER_PROBLEM_BYTES,
                 "sandbox: \"%.100s\" is refused; allowed: require, best", sandbox);
        return err_make(ERR_SYNTAX, "options of the program");
    }
    if (member_addresses_read(boot, "listen", &options.listen).code != ERR_OK) {
        snprintf(problem, SCANNER_PROBLEM_BYTES, "listen: too many addresses; allowed: %d",
                 (int)MEMBER_ADDRESSES_MAX);
        return err_make(ERR_SYNTAX, "options of the program");
    }
    if (program_store_read(boot, ROSTER_SCANNER, &options.coord).code != ERR_OK) {
        snprintf(problem, SCANNER_PROBLEM_BYTES, "etcd: too many endpoints; allowed: %d",
                 (int)COORD_ENDPOINTS_MAX);
        return err_make(ERR_SYNTAX, "options of the program");
    }
    const struct coord_options *coord = &options.coord;
    bool has_store = coord->endpoints_count > 0 ||
                     (coord->directory != NULL && coord->directory[0] != '\0');
    if (options.advertise[0] != '\0' && !has_store) {
        snprintf(problem, SCANNER_PROBLEM_BYTES,
                 "advertise: \"%.100s\" is refused without --coord or --etcd: the pool's list is "
                 "there", options.advertise);
        return err_make(ERR_SYNTAX, "options of the program");
    }
    TRY(read_numbers(boot, &options, problem));
    TRY(find_user(boot_text(boot, "user"), &options, problem));
    *ret = options;
    return err_ok();
}
