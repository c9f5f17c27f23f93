/* roster_scanner.h: the rows of lib/coord about scanners and their virus signatures. Pure; readers
 * and values as in roster.h.
 *
 *   scanners/<name>    {"boot": id, "address": "host:port", "workers": n, "set": set,
 *                       "version": text, "date_ms": n, "refused": set}   on a lease
 *                      one for each scanner of the pool: frontends give messages to those that have
 *                      one. `set` is what it scans with, `version` that of engine and set for
 *                      people, `date_ms` the date of the set (since 1970, 0 or missing: unknown),
 *                      `refused` what it tried last and does not use
 *   signatures/reload  {"scanner": name, "boot": id, "set": set}   on the lease of its holder
 *                      the one scanner that may load another set now; who has it gives it back
 *   signatures/bad     {"sets": [{"set": set, "by": name, "why": text} ...]}
 *                      what failed its test, newest last, at most ROSTER_BAD_MAX of them. Nobody
 *                      who has a set in use tries one of these
 *
 * A set is named by a digest of its files' names and contents: 16 hexadecimal digits, so that it
 * has one name on all machines; "" is none. A text is printable ASCII without '"' and '\'. */
#ifndef MAIL_ROSTER_SCANNER_H
#define MAIL_ROSTER_SCANNER_H

#include "roster.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    ROSTER_TEXT_MAX_BYTES = 96,
    ROSTER_SET_BYTES = 16,     /* of a set's name */
    ROSTER_BAD_MAX = 8,        /* the oldest makes place */
    ROSTER_WORKERS_MAX = 4096, /* of one scanner */
};

struct roster_text {
    uint8_t len;
    char text[ROSTER_TEXT_MAX_BYTES];
};

/* Cuts what is too long; other bytes than those allowed become '?'. */
void roster_text_set(struct roster_text *text, struct span from);
struct span roster_text_span(const struct roster_text *text);

/* The name of a set, 0: of none. */
void roster_set_text(uint64_t set, char to[ROSTER_SET_BYTES + 1]);

struct roster_scanner {
    struct roster_id boot; /* random with each start of the process */
    uint32_t address_len;
    char address[ROSTER_ADDRESS_MAX_BYTES];
    uint32_t workers;
    uint64_t set, refused; /* 0: none */
    uint64_t signatures_ms; /* 0: not known */
    struct roster_text version;
};

struct roster_reload {
    struct roster_name scanner;
    struct roster_id boot;
    uint64_t set;
};

struct roster_bad_set {
    uint64_t set;
    struct roster_name by;
    struct roster_text why;
};

struct roster_bad {
    uint32_t count;
    struct roster_bad_set sets[ROSTER_BAD_MAX]; /* distinct */
};

/* NULL when it is not among them. */
const struct roster_bad_set *roster_bad_find(const struct roster_bad *bad, uint64_t set);
/* Puts it last, in place of what was said of it before. */
void roster_bad_add(struct roster_bad *bad, const struct roster_bad_set *set);
void roster_bad_remove(struct roster_bad *bad, uint64_t set);

MUST_USE struct err roster_scanner_read(struct span value, struct roster_scanner *ret);
MUST_USE struct err roster_reload_read(struct span value, struct roster_reload *ret);
MUST_USE struct err roster_bad_read(struct span value, struct roster_bad *ret);

void roster_scanner_put(struct buf *out, const struct roster_scanner *scanner);
void roster_reload_put(struct buf *out, const struct roster_reload *reload);
void roster_bad_put(struct buf *out, const struct roster_bad *bad);

#ifdef __cplusplus
}
#endif
#endif
