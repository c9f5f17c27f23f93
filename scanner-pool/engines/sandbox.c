#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox_private.h"

enum { SANDBOX_FILES_MAX = 256, SANDBOX_TMPFS_INODES = 65536 };

static bool sandbox_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = write(fd, text, strlen(text));
    close(fd);
    return n == (ssize_t)strlen(text);
}

/* The ids stay what they are, seen from inside. */
static bool sandbox_map_ids(uid_t user, gid_t group)
{
    char users[48], groups[48];
    snprintf(users, sizeof(users), "%u %u 1", (unsigned)user, (unsigned)user);
    snprintf(groups, sizeof(groups), "%u %u 1", (unsigned)group, (unsigned)group);
    return sandbox_write("/proc/self/setgroups", "deny") &&
           sandbox_write("/proc/self/uid_map", users) &&
           sandbox_write("/proc/self/gid_map", groups);
}

/* Tried in a child first: a user namespace whose ids can't be mapped could not be left again. */
static bool sandbox_try_namespaces(uid_t user, gid_t group, int flags)
{
    pid_t child = fork();
    if (child < 0) return false;
    if (child == 0) _exit(unshare(flags) == 0 && sandbox_map_ids(user, group) ? 0 : 1);
    int status = 1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status == 0;
}

struct err sandbox_prepare(uid_t user, gid_t group, uint32_t *ret)
{
    if (geteuid() == 0) {
        if (user == 0 || setgroups(0, NULL) != 0 || setresgid(group, group, group) != 0 ||
            setresuid(user, user, user) != 0) {
            return err_make_detail(ERR_IO, errno, "becoming the unprivileged user");
        }
    }
    /* Changing the user made /proc/self root's; the maps below are written there. */
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    user = geteuid();
    group = getegid();
    const int flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    bool left = sandbox_try_namespaces(user, group, flags) && unshare(flags) == 0 &&
                sandbox_map_ids(user, group);
    *ret = left ? SANDBOX_NAMESPACES : 0;
    return err_ok();
}

/* A file system in memory that is attached nowhere; -1 when the kernel does not let us. */
static int sandbox_tmpfs(uint64_t bytes)
{
    int made = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (made < 0) return -1;
    char size[32], inodes[32];
    snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);
    snprintf(inodes, sizeof(inodes), "%d", SANDBOX_TMPFS_INODES);
    int mount = -1;
    if (fsconfig(made, FSCONFIG_SET_STRING, "size", size, 0) == 0 &&
        fsconfig(made, FSCONFIG_SET_STRING, "nr_inodes", inodes, 0) == 0 &&
        fsconfig(made, FSCONFIG_SET_STRING, "mode", "0700", 0) == 0 &&
        fsconfig(made, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) {
        mount = fsmount(made, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
                                                   MOUNT_ATTR_NOSUID);
    }
    close(made);
    return mount;
}

/* Goes to the folder for temporary files: `*folder` is then it. */
static struct err sandbox_folder(const struct sandbox_options *options, bool may_mount,
                                 uint32_t *layers, int *folder)
{
    int mount = may_mount ? sandbox_tmpfs(options->temp_bytes) : -1;
    if (mount >= 0 && fchdir(mount) == 0 && chroot(".") == 0) {
        *layers |= SANDBOX_PRIVATE_ROOT;
        *folder = mount;
        return err_ok();
    }
    if (mount >= 0) close(mount);
    if (fchdir(options->folder) != 0) {
        return err_make_detail(ERR_IO, errno, "the private folder of a worker");
    }
    *folder = options->folder;
    return err_ok();
}

static bool sandbox_limit(int what, uint64_t value)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)what, &now) != 0) return false;
    rlim_t most = value < now.rlim_max ? (rlim_t)value : now.rlim_max;
    struct rlimit limit = { most, most };
    return setrlimit((__rlimit_resource_t)what, &limit) == 0;
}

/* Bytes of address space in use. */
static uint64_t sandbox_mapped(void)
{
    char text[64] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    return n > 0 ? strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static bool sandbox_limits(const struct sandbox_options *options, uint64_t mapped)
{
    bool good = sandbox_limit(RLIMIT_CORE, 0) && sandbox_limit(RLIMIT_NPROC, 0) &&
                sandbox_limit(RLIMIT_NOFILE, SANDBOX_FILES_MAX) &&
                sandbox_limit(RLIMIT_FSIZE, options->temp_bytes) &&
                sandbox_limit(RLIMIT_CPU, options->cpu_seconds);
    if (options->memory_bytes == 0) return good;
    return good && mapped > 0 && sandbox_limit(RLIMIT_AS, mapped + options->memory_bytes);
}

static bool sandbox_drop_rights(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
    for (unsigned long right = 0; right <= CAP_LAST_CAP; right++) {
        prctl(PR_CAPBSET_DROP, right, 0, 0, 0); /* fails without the right to; then it is moot */
    }
    return syscall(SYS_capset, &head, none) == 0 &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 &&
           geteuid() != 0;
}

struct err sandbox_enter(const struct sandbox_options *options, uint32_t prepared, uint32_t *ret)
{
    uint32_t layers = prepared;
    uint64_t mapped = sandbox_mapped();
    int folder = -1;
    TRY(sandbox_folder(options, (prepared & SANDBOX_NAMESPACES) != 0, &layers, &folder));
    if (sandbox_limits(options, mapped)) layers |= SANDBOX_LIMITS;
    if (sandbox_drop_rights()) layers |= SANDBOX_NO_RIGHTS;
    if (sandbox_landlock(folder)) layers |= SANDBOX_LANDLOCK;
    close(folder);
    if (folder != options->folder) close(options->folder);
    /* After the last change of rights, which takes it back. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != options->parent) return err_make(ERR_CANCELLED, "zygote");
    if (sandbox_seccomp()) layers |= SANDBOX_SECCOMP;
    *ret = layers;
    return err_ok();
}

bool sandbox_is_enough(uint32_t layers)
{
    const uint32_t needed = SANDBOX_SECCOMP | SANDBOX_LIMITS | SANDBOX_NO_RIGHTS;
    return (layers & needed) == needed &&
           (layers & (SANDBOX_LANDLOCK | SANDBOX_PRIVATE_ROOT)) != 0;
}
