/* slog_thread.h: the thread that writes the log: everything queued as one group, one write and one
 * fdatasync, then the callbacks. */
#ifndef MAIL_SLOG_THREAD_H
#define MAIL_SLOG_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "list.h"
#include "slog_format.h"

#ifdef __cplusplus
extern "C" {
#endif

struct slog;
struct slog_thread;

enum { SLOG_IDLE_MS = 100 };

/* One record on its way into the log, embedded in what the caller keeps of it. The caller fills
 * `record` and what follows; entry and payload bytes stay untouched until `durable` is called.
 *
 *   DATA, EPOCH  index = the shard's last + 1, epoch >= that entry's and >= 1
 *   TRUNC        index <= the last, >= every COMMIT before; epoch = that of the entry `index`
 *   COMMIT       index <= the last
 *   INSTALL      index >= every COMMIT before
 *
 * A record that does not continue its shard so gets ERR_CONFLICT: also every entry behind one that
 * was refused, until the owner begins again at last + 1. */
struct slog_entry {
    struct list link; /* the log's */
    struct slog_record record;
    bool lazy;         /* goes along with the next group, within SLOG_IDLE_MS: COMMIT */
    bool into_reserve; /* is written though space is short: what frees space, and all but DATA */
    struct err result; /* the log's */
    /* On the log thread, never inside slog_submit; must not block. The entry may be freed in it.
     * OK: durable. ERR_FULL, ERR_CONFLICT, ERR_BUSY, ERR_NOMEM: not in the log. ERR_IO: the log
     * is broken, and whether it is there is unknown. */
    void (*durable)(struct slog_entry *entry, struct err err);
};

struct slog_thread_options {
    size_t queued_bytes_max, queued_max; /* of entries that wait; BUSY beyond */
    /* The log is broken (a failed write or fdatasync): the program exits, since what is on the
     * disk is unknown until it is opened again. On the log thread, before any ERR_IO. */
    void (*failed)(void *holder, struct err err);
    void *holder;
};

/* `log` lives longer; while the thread runs nobody else appends. */
MUST_USE struct err slog_thread_start(struct slog *log, const struct slog_thread_options *options,
                                      struct slog_thread **ret);

/* Writes what is queued, calls its callbacks and ends the thread. Whoever submits from then on, on
 * any thread, gets ERR_CANCELLED. NULL is fine. */
void slog_thread_end(struct slog_thread *thread);

/* The same, and frees: no other thread submits any more. NULL is fine. */
void slog_thread_stop(struct slog_thread *thread);

/* Queues the entry; any thread, never blocks on the disk. Entries of a shard are written in the
 * order of the calls. ERR_BUSY: the queue is full; ERR_TOO_BIG: over SLOG_PAYLOAD_MAX_BYTES;
 * ERR_IO: the log is broken. After an error the entry is the caller's and nothing is called. */
MUST_USE struct err slog_submit(struct slog_thread *thread, struct slog_entry *entry);

/* Until slog_give_wakes(), what the calling thread submits does not wake the log's thread: what is
 * submitted in one go becomes one group, with one fdatasync. Both for a moment at most:
 * others' entries wait along. One log per calling thread. */
void slog_hold_wakes(void);
void slog_give_wakes(void);

/* Bytes that wait to be written: for a node's flow control. Any thread. */
size_t slog_thread_queued_bytes(struct slog_thread *thread);

/* How long the group under way has been at the disk, at clock_boot_ms() `now_ms`; 0: there is none.
 * Any thread. */
uint64_t slog_thread_writing_ms(struct slog_thread *thread, uint64_t now_ms);

#ifdef __cplusplus
}
#endif
#endif
