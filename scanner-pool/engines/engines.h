/* engines.h: libclamav in sandboxed processes, as seen from the scanner's loop.
 *
 * A zygote (the same program, exec'd with ENGINES_ZYGOTE_ARGUMENT) loads the signatures and forks
 * workers that share its memory; each serves one message at a time. A set of signatures is a zygote
 * with its workers. A new set goes live only after a worker of it found EICAR in a mail and nothing
 * in a harmless one; then the workers of the old set are replaced one by one, between messages.
 * Never more than ENGINES_SETS_MAX sets are there, those that go away included: that many times the
 * memory of an engine, and for each of `workers` at most limits.memory_bytes, is what a scanner
 * needs. A load beyond that waits until an old set is gone.
 *
 * A worker that dies or takes too long costs its message ENGINES_LOST or ENGINES_NO_TIME, and is
 * replaced, more slowly the more often that happens. Whoever asked decides whether to ask again. */
#ifndef MAIL_ENGINES_H
#define MAIL_ENGINES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body;
struct loop;

#define ENGINES_ZYGOTE_ARGUMENT "--zygote"
/* What findings are signed with in replies. */
#define ENGINES_CLAMAV_NAME "clamav"

enum {
    ENGINES_WORKERS_MAX = 256,
    ENGINES_SETS_MAX = 2,
    ENGINES_WHY_MAX_BYTES = 96,       /* longer ones are cut */
    ENGINES_FINDINGS_MAX = 8,         /* of one message; a worker stops there */
    ENGINES_NAME_MAX_BYTES = 128,     /* longer ones are cut */
    ENGINES_PART_MAX_BYTES = 256,
    ENGINES_FILE_NAME_MAX_BYTES = 160,
    ENGINES_VERSION_MAX_BYTES = 64,
    ENGINES_FILE_BYTES_MAX = 200 << 20, /* of one file that is looked into, at most */
};

/* How far a worker got with a message. What it found counts in any case. */
enum engines_outcome {
    ENGINES_DONE = 0,      /* all of it was looked at, if no finding says otherwise */
    ENGINES_LIMIT = 1,     /* it is larger or deeper than the limits allow */
    ENGINES_BROKEN = 2,    /* something in it can't be unpacked */
    ENGINES_NO_TIME = 3,
    ENGINES_NO_MEMORY = 4, /* or no temporary space */
    ENGINES_FAILED = 5,    /* the engine itself failed */
    ENGINES_LOST = 6,      /* the worker died */
    ENGINES_OUTCOMES = 7,
};

struct engines_finding {
    uint16_t name_len, part_len, file_name_len;
    char name[ENGINES_NAME_MAX_BYTES];           /* as the engine says it */
    char part[ENGINES_PART_MAX_BYTES];           /* IMAP part number; empty: the whole message */
    char file_name[ENGINES_FILE_NAME_MAX_BYTES]; /* as it came, not checked */
};

struct engines_result {
    enum engines_outcome outcome;
    uint32_t micros;
    uint64_t signatures_ms; /* date of the set that looked, 1970 UTC */
    uint32_t version_len;
    uint32_t findings_count;
    char version[ENGINES_VERSION_MAX_BYTES];
    struct engines_finding findings[ENGINES_FINDINGS_MAX];
};

/* How far a message is looked into. */
struct engines_reach {
    uint64_t scan_bytes_max;   /* of all that one message unpacks to */
    uint64_t file_bytes_max;   /* of one file in it */
    uint32_t files_max;        /* in it */
    uint32_t recursion_max;
};

struct engines_limits {
    struct engines_reach reach;
    uint32_t scan_ms;          /* of one message; it is ended a little later if it goes on */
    uint64_t memory_bytes;     /* of a worker beyond what it shares; 0: no limit (sanitizers) */
    uint64_t temp_bytes;       /* of a worker's temporary files */
};

struct engines_options {
    int program;               /* descriptor of the program to exec; stays the caller's */
    const char *signature_dir;
    const char *work_dir;      /* exists; temporary folders of workers are made in it */
    unsigned workers;          /* 1 to ENGINES_WORKERS_MAX */
    struct engines_limits limits;
    /* True: a worker that can't be shut in as sandbox.h demands is not used. False: it is used
     * all the same, and what is missing is logged. */
    bool sandbox_required;
    uid_t user;                /* what the zygote and its workers become when we are root */
    gid_t group;
};

/* Sensible limits and one worker; no folders. */
void engines_options_init(struct engines_options *options);

enum engines_level { ENGINES_INFO, ENGINES_WARNING, ENGINES_ERROR };

struct engines_user {
    /* The number of workers, of free ones, readiness or the set has changed. */
    void (*changed)(void *holder);
    /* `event` is a fixed word like "set-live"; `text` dies on return. */
    void (*log)(void *holder, enum engines_level level, const char *event, struct span text);
};

struct engines;
struct engines_worker;

/* Stands in its owner. */
struct engines_job {
    struct body *body; /* sealed; the owner's, kept until done() */
    /* Once, on the loop, never within engines_scan(); `result` dies on return. */
    void (*done)(struct engines_job *job, const struct engines_result *result);
    struct engines_worker *worker; /* private; NULL when it is not under way */
    uint64_t filled;               /* private */
};

struct engines_status {
    unsigned workers, busy; /* alive and proved; of them at work or being replaced */
    unsigned starting, idle, at_work, dying; /* processes of all sets by what they do */
    bool ready;             /* a set is live and has a worker */
    struct span version;    /* of the live set; valid until the next turn */
    uint64_t signatures_ms;
    uint32_t signatures;
    unsigned sets;          /* in memory */
    bool is_loading;        /* one is being loaded or proved, or will be when there is room */
    bool is_replacing;      /* one that was live is still there */
    uint64_t live_stamp;    /* engines_folder_stamp() of the live set; 0: not known, or none */
    uint64_t sets_proved;   /* went live, since the start */
    unsigned sets_refused;  /* corrupt or failing their canary, since the start */
    uint64_t refused_stamp; /* of the last of these; 0: not known */
    bool refused_is_bad;    /* for what is in it, not for want of memory or the like */
    struct span refused_why; /* valid until the next turn */
    unsigned workers_lost;
    uint32_t sandbox;       /* SANDBOX_* bits that hold in all workers alive */
    uint32_t reach_before;  /* SANDBOX_REACH_* that a worker had before and ... */
    uint32_t reach_after;   /* ... after it was shut in, any worker */
};

/* Starts loading. ERR_NOMEM; ERR_IO: no process can be started. `user` and strings are kept by
 * reference. */
MUST_USE struct err engines_open(struct loop *loop, const struct engines_options *options,
                                 const struct engines_user *user, void *holder,
                                 struct engines **ret);

/* For messages that are given to a worker from now on. */
void engines_set_reach(struct engines *engines, const struct engines_reach *reach);

/* Gives a message to a free worker. ERR_BUSY: there is none, nothing is called. ERR_IO, ERR_NOMEM:
 * the message can't be handed over (no memory for it). */
MUST_USE struct err engines_scan(struct engines *engines, struct engines_job *job);

/* Gives up: done() is not called. The worker is ended, since it can't be asked to stop. */
void engines_cancel(struct engines *engines, struct engines_job *job);

/* Loads the folder again, also when nothing in it changed. One load at a time; asking during one
 * has another follow. */
void engines_reload(struct engines *engines);

/* Names, sizes and dates of a folder's files in one number, never 0: it changes when they do. */
uint64_t engines_folder_stamp(const char *signature_dir);
/* Names and contents in one number, never 0: the same on every machine. Reads all; blocks. */
uint64_t engines_folder_digest(const char *signature_dir);

void engines_status(const struct engines *engines, struct engines_status *ret);

/* For tests: the process ids of workers alive, at most `size`; returns how many. */
unsigned engines_pids(const struct engines *engines, pid_t *to, unsigned size);

/* Ends all processes, waits for that, and frees; done() is not called. Takes NULL. */
void engines_close(struct engines *engines);

/* The body of the program when it was started with ENGINES_ZYGOTE_ARGUMENT and a descriptor.
 * Returns the exit code. */
int engines_zygote_main(int control);

#ifdef __cplusplus
}
#endif
#endif
