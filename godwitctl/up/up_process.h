/* up_process.h: a child process that is started again when it ends by itself. */
#ifndef MAIL_UP_PROCESS_H
#define MAIL_UP_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "up.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { UP_RESTART_FIRST_MS = 100, UP_RESTART_MAX_MS = 5000, UP_STABLE_MS = 10000 };

struct up_process {
    const char *name;                        /* "frontend-1" */
    char text[UP_ARGUMENTS_MAX][UP_PATH_MAX_BYTES]; /* the words of its command line */
    unsigned count;
    char log_path[UP_PATH_MAX_BYTES];
    pid_t pid;                               /* 0: not running */
    uint64_t started_ms, restart_at_ms, wait_ms;
    uid_t uid;                               /* to change to before exec; 0: none */
    gid_t gid;
};

/* Adds a word to its command line; the first one is the program. */
void up_process_word(struct up_process *process, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Forks and executes it, standard output and error into its log. It dies with its parent. */
MUST_USE struct err up_process_start(struct up_process *process, uint64_t now_ms);

/* It has ended: plans when to start it again, at once at first and slower while it keeps ending. */
void up_process_ended(struct up_process *process, uint64_t now_ms);

#ifdef __cplusplus
}
#endif
#endif
