/* dns.h: questions to the DNS, answered on the loop; with a cache, and DNSSEC where there are trust
 * anchors. libunbound stays behind it.
 *
 * Each `struct dns` belongs to a loop and has a thread and a cache of its own. */
#ifndef MAIL_DNS_H
#define MAIL_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct arena;
struct dns;
struct dns_query;
struct loop;

enum {
    DNS_NAME_MAX_BYTES = 253, /* as text, without the last dot */
    DNS_QUERIES_MAX = 1024,   /* outstanding, of one loop */
    DNS_RECORDS_MAX = 100,    /* of an answer; the rest is left out */
    DNS_REVERSE_MAX_BYTES = 80,
};

/* The numbers of RFC 1035, 3596 and 6698. */
enum dns_type {
    DNS_A = 1,
    DNS_PTR = 12,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_TLSA = 52,
};

struct dns_options {
    struct loop *loop;
    /* "192.0.2.1:53" or "[2001:db8::1]:53": all questions go there. Empty: to the servers that the
     * system names in /etc/resolv.conf. */
    struct span resolver;
    /* A file of DS or DNSKEY records that answers are checked against. NULL: nothing is checked,
     * and every answer is DNS_INSECURE. */
    const char *anchor_file;
};

/* ERR_SYNTAX: the resolver is no address; ERR_IO, ERR_NOMEM. */
MUST_USE struct err dns_new(const struct dns_options *options, struct dns **ret);
/* Questions asked from now on go to another resolver; those under way are answered by the old one.
 * The cache begins anew. Does nothing when it is the same. Errors as above; the old one stays. */
MUST_USE struct err dns_configure(struct dns *dns, struct span resolver);
/* All queries have ended or been cancelled (CHECK). Takes NULL. */
void dns_free(struct dns *dns);

enum dns_status {
    DNS_FOUND,   /* there are records */
    DNS_NO_DATA, /* the name is there, but has no record of the type */
    DNS_NO_NAME, /* NXDOMAIN: neither it nor anything under it is there */
};

enum dns_security {
    DNS_INSECURE, /* not signed, or nothing to check it with */
    DNS_SECURE,   /* signed up to a trust anchor; a status other than DNS_FOUND too */
};

/* By the type of the question. Names are lower-case text without the last dot. */
struct dns_record {
    union {
        uint8_t ip[16]; /* A (as ::ffff:a.b.c.d), AAAA */
        struct {
            uint16_t preference;
            struct span host; /* empty: the domain takes no mail (RFC 7505) */
        } mx;
        struct span text; /* TXT: its strings put together, any bytes (RFC 7208 3.3) */
        struct span host; /* PTR */
        struct {
            uint8_t usage, selector, matching;
            struct span data;
        } tlsa;
    } as;
};

/* Records that are not well formed are left out. MX are in order of preference. */
struct dns_answer {
    enum dns_status status;
    enum dns_security security;
    uint32_t ttl_seconds;
    struct span canonical; /* the name at the end of the CNAMEs; empty: the one asked for */
    const struct dns_record *records;
    size_t count;
};

/* ERR_OK with an answer, which lies in the arena of the question. Temporary errors: ERR_TIMEOUT,
 * ERR_UNREACHABLE (no server answers, or SERVFAIL), ERR_CORRUPT (the answer fails DNSSEC),
 * ERR_NOMEM (the arena is full). */
typedef void dns_answered(void *holder, struct err err, const struct dns_answer *answer);

struct dns_question {
    struct span name; /* in ASCII (A-labels); one dot at its end is allowed */
    enum dns_type type;
    uint64_t deadline_ms; /* from now */
    struct arena *arena;  /* outlives the query */
};

/* `done` comes once, on a later turn, unless the query is cancelled before. ERR_SYNTAX: no name;
 * ERR_BUSY: DNS_QUERIES_MAX; ERR_NOMEM. Then nothing is called. */
MUST_USE struct err dns_query_start(struct dns *dns, const struct dns_question *question,
                                    dns_answered *done, void *holder, struct dns_query **ret);
/* `done` is not called. Only before it was; the query is gone after either. Takes NULL. */
void dns_query_cancel(struct dns_query *query);

/* The name whose PTR records name the host of an address (IPv4 as ::ffff:a.b.c.d), with a NUL. */
void dns_reverse_name(const uint8_t ip[16], char ret[DNS_REVERSE_MAX_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
