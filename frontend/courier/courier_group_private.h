/* courier_group_private.h: the recipients of an entry at one domain, and the hosts of it. */
#ifndef MAIL_COURIER_GROUP_PRIVATE_H
#define MAIL_COURIER_GROUP_PRIVATE_H

#include "courier_mx.h"
#include "courier_private.h"
#include "endpoint.h"
#include "smtp_client.h"

enum {
    COURIER_ADDRESSES_MAX = 4,  /* of a host, of each kind */
    COURIER_CONNECTS_MAX = 6,   /* addresses tried in a turn */
    COURIER_SESSIONS_MAX = 2,   /* servers that are asked, when the first defers */
    COURIER_RCPT_MAX = 100,     /* in one transaction (RFC 5321 4.5.3.1.8) */
    COURIER_DEAD_MS = 30 * 1000, /* nobody else tries a domain again that could not be reached */
};

/* A domain, while somebody sends there or it is known not to answer. */
struct courier_destination {
    unsigned open;          /* groups with a turn */
    uint64_t dead_until_ms; /* clock_boot_ms() */
    size_t answer_len, name_len;
    char answer[256], name[];
};

enum courier_hosts_step {
    COURIER_HOSTS_WAIT,    /* courier_group_go() is called when it goes on */
    COURIER_HOSTS_ADDRESS, /* `endpoint` and `host` are set */
    COURIER_HOSTS_END,
};

/* Where a domain's mail goes, found out as it is needed. */
struct courier_hosts {
    struct courier_mx *mx; /* in order; in the entry's arena */
    size_t mx_count, mx_at;
    struct endpoint addresses[2 * COURIER_ADDRESSES_MAX];
    size_t addresses_count, addresses_at;
    struct dns_query *queries[2];
    uint16_t port;
    bool is_asked;         /* for the hosts; then for the addresses of each */
    bool saw_address;
    bool is_trusted;       /* named by the administrator: loopback is allowed */
    enum courier_outcome_kind failure; /* of all recipients, when there is no address */
    struct span answer;                /* then */
    struct endpoint endpoint;
    struct span host;
};

struct courier_group {
    struct list link;        /* in courier->waiting or ->sending */
    struct courier_group *next; /* in entry->groups */
    struct courier_entry *entry;
    struct courier_destination *destination;
    struct courier_link *session;
    struct span domain;      /* canonical, or the host to go to */
    struct span key;         /* of its destination: the domain, or "=" and the host */
    bool is_smart;           /* `domain` is a host that an administrator named */
    bool has_login;          /* it is the smart host for all mail, which wants a name */
    size_t first, last;      /* recipients, chained by courier_recipient.next */
    size_t at;               /* the next one to be put into a message; SIZE_MAX: none */
    struct courier_hosts *hosts;
    unsigned connects, sessions;
    bool without_tls;        /* to the address of now */
    bool was_reached;        /* a server has answered EHLO */
    bool is_over;            /* no other host is to be tried */
    struct span answer;      /* of the last host, for those whom none took */
};

/* ---- courier_group.c */
void courier_groups_look(struct courier *courier); /* gives turns to those that wait */
void courier_groups_ask_again(struct courier *courier); /* of a new resolver */
void courier_groups_abort(struct courier_entry *entry);
void courier_group_go(struct courier_group *group);
void courier_destinations_free(struct courier *courier);

/* How a connection ended for its group. */
struct courier_session {
    bool was_ready;   /* EHLO (and TLS) was answered well */
    bool tls_failed;
    bool is_unsure;   /* the whole message was sent, and no reply came */
    struct span answer;
};
void courier_group_session_over(struct courier_group *group, const struct courier_session *session);

/* ---- courier_hosts.c */
bool courier_host_is_valid(struct span text); /* a name or an address, a port behind it or not */
enum courier_hosts_step courier_hosts_next(struct courier_group *group);
void courier_hosts_cancel(struct courier_group *group);
/* Asks again, when a question is open: there is another resolver. */
void courier_hosts_restart(struct courier_group *group);

#endif
