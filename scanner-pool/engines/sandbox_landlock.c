/* Landlock (Linux 5.13 and later): files only below one folder; from ABI 4 on no TCP, from ABI 6 on
 * no abstract sockets and signals to the outside. By system calls, since there is no library; the
 * numbers of later ABIs than Debian 12's headers know stand here. */
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox_private.h"

enum {
    SANDBOX_FS_TRUNCATE = 1 << 14,  /* ABI 3 */
    SANDBOX_FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
    SANDBOX_NET_TCP = 3,            /* ABI 4: bind, connect */
    SANDBOX_SCOPED = 3,             /* ABI 6: abstract unix sockets, signals */
};

struct sandbox_ruleset {
    uint64_t fs, net, scoped;
};

bool sandbox_landlock(int folder)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1) return false;
    struct sandbox_ruleset rules = { .fs = LANDLOCK_ACCESS_FS_REFER - 1 }; /* all of ABI 1 */
    size_t size = offsetof(struct sandbox_ruleset, net);
    if (abi >= 2) rules.fs |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3) rules.fs |= SANDBOX_FS_TRUNCATE;
    if (abi >= 4) {
        rules.net = SANDBOX_NET_TCP;
        size = offsetof(struct sandbox_ruleset, scoped);
    }
    if (abi >= 5) rules.fs |= SANDBOX_FS_IOCTL_DEV;
    if (abi >= 6) {
        rules.scoped = SANDBOX_SCOPED;
        size = sizeof(rules);
    }
    int set = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (set < 0) return false;
    uint64_t allowed = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                       LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                       LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                       LANDLOCK_ACCESS_FS_MAKE_REG | SANDBOX_FS_TRUNCATE;
    struct landlock_path_beneath_attr below = { .allowed_access = allowed & rules.fs,
                                                .parent_fd = folder };
    bool good = syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &below, 0) == 0 &&
                prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                syscall(SYS_landlock_restrict_self, set, 0) == 0;
    close(set);
    return good;
}
