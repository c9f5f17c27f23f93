/* dns.h: questions to the DNS. libunbound, which also caches and validates, stays behind it.
 *
 * It resolves on a thread of its own; questions are asked and answered on the loop. While none is
 * open nothing runs. */
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

struct dns;
struct dns_query;
struct loop;

enum {
    DNS_NAME_MAX_BYTES = 253,   /* as text, without the root's dot (RFC 1035 2.3.4) */
    DNS_ITEMS_MAX = 64,         /* of an answer; more are left out */
    DNS_TEXT_MAX_BYTES = 4096,  /* of a TXT record, its strings put together; longer: left out */
    DNS_QUERIES_MAX = 1024,     /* open at once; BUSY beyond */
    DNS_DEADLINE_MS = 20 * 1000, /* of a query, when the options name none */
};

/* Numbers of the IANA registry. */
enum dns_type {
    DNS_A = 1, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_TLSA = 52,
};

enum dns_status {
    DNS_OK,        /* at least one record of the type was there */
    DNS_NXDOMAIN,  /* there is no such name */
    DNS_NODATA,    /* the name is there, a record of this type is not */
    DNS_TEMPORARY, /* nobody answered in time, or only with an error */
    DNS_BOGUS,     /* signatures are wrong or missing (RFC 4033 section 5): do not use */
};

/* A record. Which fields count depends on the type. */
struct dns_item {
    uint8_t ip[16];               /* A: the first 4, AAAA */
    uint16_t preference;          /* MX */
    uint8_t usage, selector, matching; /* TLSA (RFC 6698 2.1) */
    struct span text; /* MX, PTR: a host name without the root's dot, "" for the root; TXT; TLSA:
                       * the association data */
};

struct dns_answer {
    enum dns_status status;
    bool secure;  /* validated from a trust anchor, also that there is nothing */
    size_t count; /* 0 unless OK; OK with 0: there were records, but none that can be used */
    const struct dns_item *items; /* with what they point to until the callback returns */
};

typedef void dns_done(void *holder, const struct dns_answer *answer);

struct dns_options {
    struct span resolver;     /* "ip:port" or "[ip6]:port": every question goes there, about any
                               * name; empty: the servers of resolv.conf, or from the root on */
    const char *anchors_path; /* a file of DS or DNSKEY records to validate by; NULL: nothing is
                               * validated */
    uint64_t deadline_ms;     /* of a query; 0: DNS_DEADLINE_MS */
};

/* ERR_SYNTAX: the resolver's address, or the file of anchors. ERR_NOMEM, ERR_IO. */
MUST_USE struct err dns_new(struct loop *loop, const struct dns_options *options, struct dns **ret);

/* Of queries that begin later; 0: DNS_DEADLINE_MS. */
void dns_deadline(struct dns *dns, uint64_t deadline_ms);

/* Queries that are open are not called back. Not from within a callback. Takes NULL. */
void dns_free(struct dns *dns);
/* No question comes any more. Those that are open are answered as ever, and then it is freed, on a
 * later turn. */
void dns_retire(struct dns *dns);

/* Asks for the records of `type` at `name` (letters, digits, "-", "_" and dots; with or without
 * the root's dot). `done` comes once, on a later turn, at the deadline at the latest; `*ret` is
 * valid until then. ERR_SYNTAX: not such a name; ERR_BUSY; then nothing is called. */
MUST_USE struct err dns_query_start(struct dns *dns, enum dns_type type, struct span name,
                                    dns_done *done, void *holder, struct dns_query **ret);

/* Nobody waits for it any more: its `done` is not called. */
void dns_query_cancel(struct dns_query *query);

#ifdef __cplusplus
}
#endif
#endif
