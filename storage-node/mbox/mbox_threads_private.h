/* mbox_threads_private.h: the nodes of THREAD, between who links them (mbox_threads_link.c) and who
 * makes threads of them (mbox_threads.c). */
#ifndef MAIL_MBOX_THREADS_PRIVATE_H
#define MAIL_MBOX_THREADS_PRIVATE_H

#include "mbox_sort_private.h"

#define THREAD_NONE UINT32_MAX

/* Two SipHashes of a text: who makes two texts of one hash joins two threads of a mailbox of their
 * own, which a References field does as well. Nothing of it is kept. */
struct thread_hash {
    uint64_t words[2];
};

/* A message found, or one that is only named: a "dummy". */
struct thread_node {
    uint32_t parent, children; /* THREAD_NONE: at the root; how many */
    uint32_t first, next;      /* child and sibling, once the lists are made */
    uint32_t uid;              /* 0: a dummy */
    bool is_reply, has_subject;
    int64_t date_ms;
    struct thread_hash subject; /* base subject, folded */
};

/* Where a hash leads to: open addressing, at most half full. */
struct thread_slot {
    struct thread_hash hash;
    uint32_t node; /* THREAD_NONE: free */
};
struct thread_table {
    struct thread_slot *slots;
    size_t size, count;
};

struct threading {
    bool references; /* the algorithm; else ORDEREDSUBJECT */
    struct thread_node *nodes;
    size_t count, size;
    size_t messages;
    struct thread_table ids;
    uint64_t steps; /* in search of loops */
};

struct thread_hash mbox_thread_hash(struct span text);
/* The slot of the hash; `node` is THREAD_NONE when it is new. ERR_NOMEM, ERR_TOO_BIG. */
struct err mbox_thread_slot(struct thread_table *table, struct thread_hash hash,
                            struct thread_slot **ret);
/* ERR_NOMEM, ERR_TOO_BIG */
struct err mbox_thread_node(struct threading *threading, uint32_t *ret);

/* Step 1 of REFERENCES for one message; its node has only its UID. */
struct err mbox_thread_link(struct threading *threading, const struct mbox_sort_mail *mail,
                            uint32_t *ret);

#endif
