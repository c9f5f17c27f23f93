/* api_private.h: a call of the API under way, and what its handlers use.
 *
 * A handler is a list of steps (loop/flow.h). A step starts one thing that answers later and leads
 * to one flow_next(), or refuses. The last step leaves the answer in `out`. */
#ifndef MAIL_API_PRIVATE_H
#define MAIL_API_PRIVATE_H

#include <jansson.h>
#include <stdbool.h>

#include "api.h"
#include "api_token.h"
#include "arena.h"
#include "crew.h"
#include "flow.h"
#include "http_session.h"
#include "route.h"
#include "store_msg.h"

enum {
    API_ARENA_MAX_BYTES = 16 * 1024 * 1024,
    API_DETAIL_BYTES = 400,
    API_ADDRESS_BYTES = 512,
    API_LIST_DEFAULT = 100,
    API_LIST_MAX = 1000,
    API_HEADERS_MAX = 4,
    API_KEY_BYTES = 300, /* of the configuration, with a NUL */
    API_LINK_MAX_BYTES = 1024,
    API_CALL_MS = 15 * 1000,
};

struct api_cluster;
struct api_logs;

/* Of a list, as the request's query says (api_page.c). */
struct api_page {
    struct span after, prefix, filter;
    uint64_t limit;
};

/* A request with an Idempotency-Key (api_repeat.c). */
struct api_repeat {
    uint8_t scope[32];               /* hash of token and key */
    char request[64], nonce[32];     /* digits */
    uint32_t hour;                   /* since 1970, in which it was begun */
    unsigned attempt;
    uint64_t since_ms;
    json_t *kept;
    bool is_ours, is_kept;
};

struct api_call {
    struct flow flow; /* first */
    struct api *api;
    const struct http_request *request;
    api_answered *done;
    void *holder;
    struct arena arena;
    json_t *in, *out;       /* the request's JSON object, and the answer's */
    struct span text;       /* an answer that is no JSON */
    struct span argument;   /* {} of the path, decoded */
    struct api_token token; /* who asks; in the arena */
    uint32_t tenant;        /* of the token; 0: all (operator) */
    uint8_t client_ip[16];
    unsigned status;        /* of the answer */
    bool is_problem;        /* `out` is a problem document */
    struct api_repeat repeat;
    const struct flow_step *route_steps;
    char title[64], detail[API_DETAIL_BYTES];
    struct http_header headers[API_HEADERS_MAX]; /* of the answer */
    size_t headers_count;
    /* What the helpers below have under way. */
    struct route_call *route;
    void (*on_reply)(struct api_call *, const void *reply);
    bool (*is_wanted)(struct api_call *, const json_t *row);
    union {
        struct store_address_get_request address_get;
        struct store_address_put_request address_put;
        struct store_domain_index_put_request index_put;
        struct store_domain_list_request domain_list;
        struct store_grant_put_request grant_put;
        struct store_answer_keep_request answer_keep;
        struct store_account_create_request account_create;
        struct store_account_get_request account_get;
        struct store_account_set_request account_set;
        struct store_account_delete_request account_delete;
        struct store_queue_list_request queue_list;
        struct store_queue_report_request queue_report;
        struct store_node_status_request node_status;
        struct store_tally_request tally;
    } ask;
    struct crew_job job;
    /* Scratch of the handlers. */
    struct span address, local, domain; /* canonical */
    const struct directory_domain *known_domain;
    struct directory *directory;        /* a reference while known_domain is used */
    struct store_address_reply found;   /* of the address row */
    struct store_account account;
    struct store_account_usage usage;
    struct store_grant_reply grants;    /* of a tenant */
    struct store_domain_entry *entries;
    size_t entries_count, at;
    struct span *texts;                 /* targets, members, addresses */
    size_t texts_count;
    uint64_t old_quota_bytes;
    uint32_t hash_memory_kib, hash_passes;
    uint64_t revision;                  /* of a configuration row that was read */
    json_t *row;                        /* its JSON */
    struct span key;
    uint32_t group_tenant;              /* whose IP groups are meant; 0: the installation's */
    struct api_page page;
    struct span last;                   /* where the next page goes on, when there is `more` */
    unsigned shard;
    bool more, made;
    enum err_code may;      /* of api_ask_may() */
    bool met;
    struct api_import *import; /* of many rows, under way */
    bool is_row;               /* of an import: it is not logged by itself */
    bool is_own;               /* the program's own, for a domain's directory (api_start_own()) */
    const struct span *old_texts;       /* further addresses that an account had */
    size_t old_texts_count;
    size_t further_count;               /* of account.addresses, to be looked at and written */
    uint32_t further;                   /* bit i: address i is new */
    bool further_taken, asked;
    struct store_queue_entry entry;     /* of the queue, in the arena */
    struct directory_resolve *resolve;
    char *put_text;         /* a row under way to the configuration */
    struct api_cluster *cluster; /* of api_cluster.c */
    struct api_logs *logs;       /* of api_logs.c */
};

struct api_route {
    const char *method, *path;
    const struct flow_step *steps;
    enum api_role role;
    const char *members, *text;
};
extern const struct api_route api_routes[];
extern const size_t api_routes_count;

static inline struct api_call *api_of(struct flow *flow)
{
    return (struct api_call *)(void *)flow;
}

/* Ends a step with a problem document. */
void api_refuse(struct api_call *call, unsigned status, const char *title, const char *detail, ...)
    __attribute__((format(printf, 4, 5)));
/* Ends a step with the error of a call to the store or the configuration. */
void api_fail(struct api_call *call, struct err err);

/* ---- who asks (api_auth.c) */

/* Takes the token of the request. False: `detail` says why, for 401. */
bool api_authorize(struct api_call *call);
/* Whether the caller may do this to an account of the domain, and to its role there (a number of
 * store.proto). False: refused. */
bool api_may_account(struct api_call *call, const char *what, uint32_t account_role);

/* Whether a domain is one of the caller's: others are as if they were not there. */
bool api_is_own(const struct api_call *call, const struct directory_domain *domain);

/* The steps of a call, or those that an Idempotency-Key asks for before them. NULL: the key is bad
 * and `detail` says why. */
const struct flow_step *api_repeat_begin(struct api_call *call, const struct flow_step *steps);
/* Keeps the answer of a call that is over. */
extern const struct flow_step api_repeat_end[];

/* ---- input */

/* Reads a body that is one JSON object with none but `members` (words with spaces between). False:
 * `detail` says what is wrong, and `*ret` is untouched. */
bool api_body_read(struct span body, const char *members, json_t **ret,
                   char detail[API_DETAIL_BYTES]);
/* The same of an object that was read. */
bool api_members_are_known(json_t *object, const char *members, char detail[API_DETAIL_BYTES]);

/* A text member of the request; false, and refused, when it is no text or too long. A missing one
 * leaves `*ret` as it is. */
bool api_in_text(struct api_call *call, const char *member, size_t bytes_max, struct span *ret);
bool api_in_number(struct api_call *call, const char *member, uint64_t *ret);
/* An array of addresses, made canonical; sets texts. A missing member: texts_count 0 and *there
 * false. */
bool api_in_addresses(struct api_call *call, const char *member, bool *there);
/* Percent-decoded into the arena. */
struct span api_decode(struct api_call *call, struct span text);
/* A query parameter, decoded; empty when it is not there. */
struct span api_query(struct api_call *call, const char *name);
/* Takes `text` as an address of a domain of ours and of the caller's tenant: sets address, local,
 * domain, known_domain. False: refused. A pattern is allowed to hold * and ?. */
bool api_take_address(struct api_call *call, struct span text);
/* An empty name is that of the tenant's first domain. */
bool api_take_domain(struct api_call *call, struct span name);
/* Whether each of the texts is an address of this tenant, and none stands there twice. */
bool api_texts_are_of_tenant(struct api_call *call, const char *member, uint32_t tenant);

/* ---- asking */

/* A call to the store with `call->ask` as request; `on_reply` may be NULL. Leads to flow_next. */
void api_ask(struct api_call *call, unsigned method, unsigned slot,
             void (*on_reply)(struct api_call *, const void *reply));
/* As api_ask; the answer `met` is no error, and sets call->met. */
void api_ask_may(struct api_call *call, unsigned method, unsigned slot, enum err_code met,
                 void (*on_reply)(struct api_call *, const void *reply));
/* As api_ask; whatever comes of it, the call goes on as it is. */
void api_ask_quietly(struct api_call *call, unsigned method, unsigned slot);
void api_ask_address(struct api_call *call); /* sets found */
void api_ask_account(struct api_call *call); /* of found.account; sets account and usage */
/* The request that api_put_address() asks, into call->ask. */
void api_address_ask(struct api_call *call, unsigned kind, unsigned state, uint64_t if_version);
void api_keep_address(struct api_call *call, const void *reply); /* sets found */
void api_put_address(struct api_call *call, unsigned kind, unsigned state, uint64_t if_version);
void api_remove_address(struct api_call *call, struct span address);
void api_put_index(struct api_call *call, unsigned kind, uint64_t account, bool remove);
void api_ask_grants(struct api_call *call, uint32_t tenant); /* sets grants */
/* Takes the account's quota into its tenant's, or out of it, by the tenant's quotas. */
void api_put_grant(struct api_call *call, bool remove);
void api_grant_ask(struct api_call *call, bool remove); /* its request, into call->ask */
/* Whether the account must have a quota and has none. True: refused. */
bool api_quota_is_missing(struct api_call *call);
/* Steps around the change of an account from old_quota_bytes. */
void api_grant_more(struct flow *flow);
void api_grant_less(struct flow *flow);
/* How many rows under a prefix say that they are this tenant's, as far as is known here. */
size_t api_rows_of_tenant(struct api_call *call, const char *prefix, uint32_t tenant);
void api_list_domain(struct api_call *call, unsigned kind); /* a page: sets entries, more, last */
/* A fresh operation id, in the arena. */
struct span api_operation(struct api_call *call);
struct err api_copy_account(struct api_call *call, const struct store_account *from);

/* The key of a tenant's row. False: refused. */
bool api_tenant_key(struct api_call *call, struct span name, char key[API_KEY_BYTES]);
/* Configuration rows. Lead to flow_next. */
void api_row_get(struct api_call *call, const char *key); /* sets row (NULL: none) and revision */
void api_row_put(struct api_call *call);                  /* writes row at key if at revision */
void api_row_delete(struct api_call *call);
/* The same for the row of a domain, which is made or deleted: its tenant never has more of them
 * than it may (api_domain_count.c). */
void api_domain_change(struct api_call *call, uint32_t tenant, bool remove);
/* A page of the rows that `is_wanted` too: sets row, an array of objects; more, last. */
typedef bool api_row_wanted(struct api_call *call, const json_t *row);
void api_rows_list(struct api_call *call, const char *prefix, api_row_wanted *is_wanted);
/* A step that shows it. */
void api_rows_show(struct flow *flow);
/* A step that shows the row that was read, with its version; 404 without one. */
void api_row_show(struct flow *flow);

/* The options of the installation as they are set in the store now, a reference; NULL: none is, or
 * they can't be read. */
struct conf *api_conf_now(struct api_call *call);
/* A step that hashes the password of the request, when there is one, into call->account. */
void api_step_password(struct flow *flow);

/* ---- pages and versions */

/* False: refused. */
bool api_page_take(struct api_call *call, unsigned limit_default);
bool api_page_wants(const struct api_call *call, struct span name);
/* Says in `out` where to go on, if there is more. */
void api_page_next(struct api_call *call);
/* The version of what is answered; 0: none. */
void api_tag(struct api_call *call, uint64_t version);
/* Whether If-Match, when it is there, means this version. False: refused. */
bool api_match(struct api_call *call, uint64_t version);

/* A whole number of a query parameter from `min` to `max`; a missing one leaves `*ret` as it is.
 * False: refused. */
bool api_query_number(struct api_call *call, const char *name, const uint64_t bounds[2],
                      uint64_t *ret);

/* api_cluster.c, api_logs.c: what a call has of them. Take NULL. */
void api_cluster_free(struct api_cluster *cluster);
void api_logs_free(struct api_logs *logs);

/* ---- api_user_mail.c: how a user's mail goes. Takes those members of the request into account,
 * whose address is call->address (false: refused); puts them into the answer. */
bool api_user_mail_take(struct api_call *call);
void api_user_mail_show(const struct store_account *account, json_t *user);

/* ---- api_domains.c: a step that reads the row of the domain that the path names (NULL: none); a
 * wish of api_rows_list(): a domain that the caller may see. */
void api_domain_find(struct flow *flow);
bool api_row_is_own(struct api_call *call, const json_t *row);

/* ---- api_domain_mail.c: takes what is done with a domain's mail into its row. False: refused. */
bool api_domain_mail_take(struct api_call *call, json_t *row);

/* ---- api_domain_directory.c: takes the LDAP directory of a domain's users into its row. False:
 * refused. */
bool api_domain_directory_take(struct api_call *call, json_t *row);
/* A domain's row as it is shown: a copy without its secret; NULL: no memory. */
json_t *api_domain_shown(const json_t *row);

/* ---- api_user_directory.c: what the request says of a user of the directory (false: refused);
 * puts it into the answer; whether he can't be removed for it (true: refused). */
bool api_user_directory_take(struct api_call *call);
void api_user_directory_show(const struct store_account *account, json_t *user);
bool api_user_directory_keeps(struct api_call *call);

/* Whether it is "host" or "host:port". */
bool api_is_host(struct span text);

/* ---- output */

json_t *api_json_text(struct span text);
json_t *api_json_time(uint64_t ms); /* a date; null: 0 */
/* A header of the answer; `value` lives as long as the call. */
void api_header(struct api_call *call, const char *name, struct span value);
void api_set(json_t *object, const char *member, json_t *value);
void api_set_text(json_t *object, const char *member, struct span text);

/* A step that writes what has changed into the operations log. */
void api_audit(struct flow *flow);

#endif
