/* wire_private.h: what the scanner, a zygote and a worker of one program say to each other.
 *
 * Records of fixed size over SOCK_SEQPACKET socket pairs, one record a packet, in the host's
 * layout: both ends are the same program file. A worker that was taken over can send anything, so
 * the scanner checks every field of what comes (wire_answer_is_sound). */
#ifndef MAIL_WIRE_PRIVATE_H
#define MAIL_WIRE_PRIVATE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engines.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    WIRE_FDS_MAX = 3,
    WIRE_SLOT_BYTES = 1024 * 1024, /* messages up to this lie in the worker's slot */
    WIRE_TEXT_BYTES = 256,
};

/* scanner -> zygote, first of all */
struct wire_settings {
    struct engines_limits limits;
    uint32_t user, group;
    char signature_dir[PATH_MAX];
};

enum wire_order_kind { WIRE_BEAR = 1, WIRE_KILL = 2 };
/* scanner -> zygote. BEAR comes with the worker's socket, its slot (a memfd) and its folder. */
struct wire_order {
    uint32_t kind, worker;
};

enum wire_news_kind {
    WIRE_LOADED = 1, WIRE_REFUSED = 2, WIRE_SAID = 3, WIRE_BORN = 4, WIRE_DIED = 5,
};
/* zygote -> scanner */
struct wire_news {
    uint32_t kind, worker;
    int32_t pid, status;          /* BORN, DIED (as of waitpid); REFUSED: an err_code */
    uint32_t signatures;          /* LOADED ... */
    uint32_t sandbox, reach_before;
    uint64_t signatures_ms;
    uint32_t text_len;            /* version; reason; libclamav's words */
    char text[WIRE_TEXT_BYTES];
};

/* scanner -> worker: look at the first `size` bytes of the slot, or of the memfd that comes with
 * this, as far as `reach`. */
struct wire_work {
    uint64_t serial, size;
    struct engines_reach reach;
};

/* worker -> scanner. The first has serial 0 and says how it is shut in. */
struct wire_answer {
    uint64_t serial;
    uint32_t sandbox, reach_after;
    struct engines_result result;
};

/* Sends one record, with descriptors; false: the other end is gone or slow. Never blocks. */
bool wire_send(int fd, const void *record, size_t size, const int *fds, unsigned fds_count);

enum wire_got { WIRE_GOT, WIRE_NOTHING, WIRE_CLOSED };
/* Takes one record of exactly `size` bytes; descriptors that come along are put in `fds`, which may
 * be NULL, and the rest is closed. CLOSED also for a record of another size. */
enum wire_got wire_take(int fd, void *record, size_t size, int *fds, unsigned *fds_count);

/* Every number within its bounds. */
bool wire_answer_is_sound(const struct wire_answer *answer);

/* The worker's whole life, in the child; does not return. */
struct clam;
struct wire_worker {
    struct clam *clam;
    const struct wire_settings *settings;
    int socket, slot, folder, parent;
    uint32_t prepared;
};
__attribute__((noreturn)) void worker_run(const struct wire_worker *worker);

#ifdef __cplusplus
}
#endif
#endif
