/* front.h: what all sessions of one loop work with. main makes one for each loop; nothing in it is
 * shared between loops but snapshots and what says so. */
#ifndef MAIL_FRONT_H
#define MAIL_FRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "list.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct api;
struct body_budget;
struct conf;
struct directory_resolver;
struct directory_target;
struct door_limits;
struct imap_options;
struct intake_services;
struct login_cache;
struct login_sasl;
struct login_services;
struct loop;
struct meter;
struct pop3_options;
struct route;
struct tls_context;

/* Options as sessions use them: an immutable snapshot; a session refers to the one of its start. */
struct front_settings {
    unsigned references;       /* atomic */
    struct conf *conf;         /* what it was made from; spans below point into it */
    struct span hostname, banner;
    uint64_t size_max_bytes;
    uint32_t recipients_max, errors_max, auth_failures_max;
    uint64_t smtp_idle_ms, imap_idle_ms, imap_login_ms, http_idle_ms;
    uint64_t http_body_max_bytes, proxy_wait_ms;
    uint64_t pop3_idle_ms, pop3_login_ms, pop3_lease_ms;
    uint32_t connections_max, smtp_per_address_max, imap_per_address_max, http_per_address_max;
    uint32_t pop3_per_address_max;
    uint64_t failure_delay_ms, failure_delay_max_ms;
    bool local_sender_needs_auth;
    unsigned quota_warning_percent;
};

struct front {
    struct loop *loop;
    struct front_settings *settings;
    struct tls_context *tls;
    struct route *route;
    struct directory_resolver *resolver;
    struct login_services *login;
    struct meter *meter;           /* counters of the whole cluster; NULL: each frontend its own */
    struct login_sasl *sasl;
    struct imap_options *imap_options, *imap_open_options;
    struct pop3_options *pop3_options, *pop3_open_options;
    struct intake_services *intake;
    struct body_budget *budget;
    struct api *api;
    struct list connections;       /* struct door_conn */
    struct door_limits *limits;    /* of all loops: open connections, by client address too */
    uint32_t connections_count;    /* of this loop */
    bool draining;
    bool waiting;                  /* it can't serve yet: sessions are ended at their begin, with a
                                    * word, but for HTTP, which says for what */
    /* Whether the configuration is older than policy.age.max: no mail is taken then. */
    bool (*is_stale)(void *holder);
    void *stale_holder;
    /* A box was found to be nearly full, or full. May be NULL. */
    void (*warn)(void *holder, const struct directory_target *target);
    void *warn_holder;
};

struct front_settings *front_settings_ref(struct front_settings *settings);
/* The last one frees it with its conf. Takes NULL. Thread-safe. */
void front_settings_unref(struct front_settings *settings);

/* Whether a client of this address (IPv4 as ::ffff:a.b.c.d) may relay / speaks PROXY to us. */
bool front_is_relay_client(const struct front_settings *settings, const uint8_t ip[16]);
bool front_is_proxy(const struct front_settings *settings, const uint8_t ip[16]);
bool front_may_login_plain(const struct front_settings *settings, const uint8_t ip[16]);

#ifdef __cplusplus
}
#endif
#endif
