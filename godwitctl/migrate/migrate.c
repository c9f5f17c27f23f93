#include "migrate.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"
#include "buf.h"
#include "client.h"
#include "coord_boot.h"
#include "coord_migrate.h"

enum { USAGE_BYTES = 8 * 1024 };

extern char **environ;

static const struct boot_option options[] = {
    { "data", BOOT_TEXT, "", "directory of the installation, whose store is in DATA/coord" },
    COORD_BOOT_OPTIONS(""),
};

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "godwitctl cluster coord migrate: %s: %s\n", what, why);
    return CLIENT_USAGE;
}

/* Programs find these files by the names that are written down, from wherever they were started. */
static bool make_absolute(const char **name, char to[PATH_MAX])
{
    if (*name == NULL || (*name)[0] == '\0') return true;
    if (realpath(*name, to) == NULL) {
        complain(*name, strerror(errno));
        return false;
    }
    *name = to;
    return true;
}

static int tell_failure(struct err err)
{
    fprintf(stderr, "godwitctl cluster coord migrate: %s: %s%s%s\n", err.what, err_text(err),
            err.code == ERR_IO && err.detail > 0 ? ": " : "",
            err.code == ERR_IO && err.detail > 0 ? strerror(err.detail) : "");
    if (err.code == ERR_SYNTAX || err.code == ERR_TOO_BIG) return CLIENT_USAGE;
    return err.code == ERR_UNREACHABLE || err.code == ERR_TIMEOUT ? CLIENT_UNREACHABLE
                                                                  : CLIENT_REFUSED;
}

static int move(const char *directory, struct coord_options *to, bool json)
{
    static char files[4][PATH_MAX];
    char data[PATH_MAX + 8];
    struct coord_migrated done;
    const char **names[] = { &to->password_file, &to->ca_file, &to->cert_file, &to->key_file };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!make_absolute(names[i], files[i])) return CLIENT_USAGE;
    }
    snprintf(data, sizeof(data), "%s/data", directory);
    if (access(data, R_OK | W_OK) != 0) return complain(data, strerror(errno));
    struct err err = coord_migrate(directory, to, &done);
    if (err.code != ERR_OK) return tell_failure(err);
    if (json) {
        printf("{\"moved\":%s,\"rows\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"refused_ms\":%u}\n",
               done.was_moved ? "false" : "true", done.rows, done.bytes, done.locked_ms);
    } else if (done.was_moved) {
        printf("%s was moved before\n", directory);
    } else {
        printf("%s moved: %" PRIu64 " rows copied; changes waited for %u ms\n", directory,
               done.rows, done.locked_ms);
    }
    return CLIENT_OK;
}

static int move_as_told(const struct boot *boot, bool json)
{
    char directory[PATH_MAX];
    struct coord_options to;
    const char *data = boot_text(boot, "data"), *coord = boot_text(boot, "coord");
    if ((data[0] == '\0') == (coord[0] == '\0')) {
        return complain("--data or --coord", "one of them says which store is to move");
    }
    if (boot_list_count(boot, "etcd") == 0) return complain("--etcd", "has to be given");
    struct err err = coord_boot_read(boot, &to);
    if (err.code != ERR_OK) return tell_failure(err);
    snprintf(directory, sizeof(directory), "%s%s", data[0] == '\0' ? coord : data,
             data[0] == '\0' ? "" : "/coord");
    return move(directory, &to, json);
}

int migrate_run(int count, char **words, bool json)
{
    static char usage[USAGE_BYTES];
    char problem[BOOT_PROBLEM_BYTES] = "out of memory";
    struct boot_input input = { options, sizeof(options) / sizeof(options[0]), count, words,
                                environ };
    struct boot *boot;
    struct err err = boot_read(&input, &boot, problem);
    if (err.code == ERR_NOT_FOUND) {
        struct buf out;
        buf_init(&out, usage, sizeof(usage));
        boot_usage(&input, &out);
        printf("%.*s", (int)out.len, usage);
        return CLIENT_OK;
    }
    if (err.code != ERR_OK) return complain("options", problem);
    int exit = move_as_told(boot, json);
    boot_free(boot);
    return exit;
}
