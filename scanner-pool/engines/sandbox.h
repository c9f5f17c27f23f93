/* sandbox.h: shuts a worker in before it sees mail. No clamav and no mail in here.
 *
 * What holds afterwards: no network, no new process or program, no file but those in one private
 * temporary folder, no right of any kind, bounded memory, processor time, files. Each layer is
 * tried and reported; then the worker tries to get out (sandbox_reach) and reports that too, so
 * that what is claimed has been seen. */
#ifndef MAIL_SANDBOX_H
#define MAIL_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Layers that hold. */
enum {
    SANDBOX_NAMESPACES = 1,   /* no network, no IPC objects of others */
    SANDBOX_PRIVATE_ROOT = 2, /* the root folder is an empty file system in memory */
    SANDBOX_LIMITS = 4,
    SANDBOX_NO_RIGHTS = 8,    /* no capabilities, no new privileges, not root */
    SANDBOX_LANDLOCK = 16,
    SANDBOX_SECCOMP = 32,
};

/* What a process could do when it tried. */
enum {
    SANDBOX_REACH_NETWORK = 1,  /* make an internet or unix socket */
    SANDBOX_REACH_PROGRAM = 2,  /* execute one */
    SANDBOX_REACH_PROCESS = 4,  /* make one */
    SANDBOX_REACH_FILE = 8,     /* open /etc/passwd */
    SANDBOX_REACH_SIGNAL = 16,   /* signal its parent */
    SANDBOX_REACH_CODE = 32,    /* get memory that can be executed */
    SANDBOX_REACH_WRITE = 64,   /* write outside: make a file in /tmp */
};

struct sandbox_options {
    int folder;             /* the private folder; used when there is no private root */
    uint64_t memory_bytes;  /* beyond what is mapped already; 0: no limit */
    uint64_t temp_bytes;
    uint64_t cpu_seconds;   /* of the whole life */
    pid_t parent;           /* with whom it dies */
};

/* In the zygote, once: becomes `user` when it is root, then leaves the namespaces of network, IPC
 * and mounts if the kernel lets it. Returns SANDBOX_NAMESPACES or 0. ERR_IO: is root and can't
 * become `user`. */
MUST_USE struct err sandbox_prepare(uid_t user, gid_t group, uint32_t *ret);

/* In a worker: shuts it in, for ever. The working directory is then the temporary folder. `*ret`
 * are the layers that hold; errors are those of the private folder only (ERR_IO). */
MUST_USE struct err sandbox_enter(const struct sandbox_options *options, uint32_t prepared,
                                  uint32_t *ret);

/* Whether these layers are what scan.sandbox = require asks for: seccomp, limits, no rights, and
 * files out of reach by landlock or by a private root. */
bool sandbox_is_enough(uint32_t layers);

/* Tries everything above. Harmless where it succeeds. */
uint32_t sandbox_reach(void);

/* "seccomp landlock ..." for logs. */
void sandbox_layers_text(uint32_t layers, struct buf *to);
void sandbox_reach_text(uint32_t reach, struct buf *to);

#ifdef __cplusplus
}
#endif
#endif
