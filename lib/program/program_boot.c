#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "boot.h"
#include "buf.h"
#include "program.h"

enum { USAGE_BYTES = 16 * 1024 };

extern char **environ;

const char *program_version(void) { return GODWIT_VERSION; }

/* As many descriptors as we may have: each client is one. */
static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

bool program_boot(const struct program_info *info, int argc, char **argv, struct boot **ret,
                  int *status)
{
    char problem[BOOT_PROBLEM_BYTES] = "", usage[USAGE_BYTES];
    const struct boot_input input = { info->options, info->options_count, argc, argv, environ };
    struct err err = boot_read(&input, ret, problem);
    if (err.code == ERR_OK) {
        raise_limits();
        return true;
    }
    *status = 2;
    if (err.code == ERR_NOT_FOUND) {
        struct buf out;
        buf_init(&out, usage, sizeof(usage));
        boot_usage(&input, &out);
        printf("%s %s\n%.*s", info->program, program_version(), (int)out.len, usage);
        *status = 0;
    } else if (problem[0] != '\0') {
        fprintf(stderr, "%s: %s\n", info->program, problem);
    } else {
        program_complain(info->program, "cannot start", err);
    }
    return false;
}

void program_complain(const char *program, const char *what, struct err err)
{
    fprintf(stderr, "%s: %s: %s: %s%s%s\n", program, what, err.what, err_text(err),
            err.detail > 0 ? ": " : "", err.detail > 0 ? strerror(err.detail) : "");
}
