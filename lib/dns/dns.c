#include "dns.h"

#include <stdio.h>
#include <stdlib.h>
#include <unbound.h>

#include "arena.h"
#include "check.h"
#include "dns_rdata.h"
#include "endpoint.h"
#include "list.h"
#include "loop.h"
#include "loop_poll.h"
#include "timer.h"

enum {
    DNS_ARENA_BYTES = DNS_ITEMS_MAX * (DNS_TEXT_MAX_BYTES + 64),
    DNS_CLASS_IN = 1,
    DNS_RCODE_NOERROR = 0,
    DNS_RCODE_NXDOMAIN = 3,
    DNS_SERVER_BYTES = 80,
};

struct dns {
    struct loop *loop;
    struct ub_ctx *context;
    struct loop_poll *poll;
    struct list queries;
    unsigned count;        /* in `queries` */
    unsigned awaited;      /* of them: somebody waits for the answer */
    bool in_callback;
    bool is_retired;
    struct timer end;      /* once it is retired and nobody waits */
    uint64_t deadline_ms;
    struct arena arena;    /* of the answer that is being handed out */
};

/* Freed when the resolver has answered, also when nobody waits any more: it knows the address. So
 * what is given up counts as open until then, which the resolver's own patience bounds. */
struct dns_query {
    struct list link;
    struct dns *dns;
    struct timer timer;
    dns_done *done; /* NULL: told, or given up */
    void *holder;
    enum dns_type type;
};

static void dns_on_end(void *holder) { dns_free(holder); }

static void dns_awaited_less(struct dns *dns)
{
    dns->awaited--;
    if (!dns->is_retired || dns->awaited > 0) return;
    timer_start(dns->loop, &dns->end, TIMER_WAIT_MIN_MS, dns_on_end, dns);
}

/* ---- answers */

static void query_tell(struct dns_query *query, const struct dns_answer *answer)
{
    dns_done *done = query->done;
    struct dns *dns = query->dns;
    timer_stop(&query->timer);
    query->done = NULL;
    if (done == NULL) return;
    dns->in_callback = true;
    done(query->holder, answer);
    dns->in_callback = false;
    dns_awaited_less(dns);
}

static void query_on_deadline(void *holder)
{
    const struct dns_answer answer = { .status = DNS_TEMPORARY };
    query_tell(holder, &answer);
}

static enum dns_status answer_status(int error, const struct ub_result *result)
{
    if (error != 0 || result == NULL) return DNS_TEMPORARY;
    if (result->bogus) return DNS_BOGUS;
    if (result->havedata) return DNS_OK;
    if (result->nxdomain || result->rcode == DNS_RCODE_NXDOMAIN) return DNS_NXDOMAIN;
    return result->rcode == DNS_RCODE_NOERROR ? DNS_NODATA : DNS_TEMPORARY;
}

/* Reads what can be read; a record that is malformed is left out. */
static size_t answer_items(struct dns_query *query, const struct ub_result *result,
                           struct dns_item items[DNS_ITEMS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; result->data[i] != NULL && count < DNS_ITEMS_MAX; i++) {
        if (result->len[i] < 0) continue;
        struct span rdata = span_of(result->data[i], (size_t)result->len[i]);
        struct err err = dns_rdata_read((int)query->type, rdata, &query->dns->arena, &items[count]);
        if (err.code == ERR_OK) count++;
    }
    return count;
}

static void dns_on_result(void *holder, int error, struct ub_result *result)
{
    struct dns_query *query = holder;
    struct dns *dns = query->dns;
    struct dns_item items[DNS_ITEMS_MAX];
    struct dns_answer answer = { .status = answer_status(error, result), .items = items };
    if (result != NULL) answer.secure = result->secure != 0;
    if (query->done != NULL && answer.status == DNS_OK) {
        answer.count = answer_items(query, result, items);
    }
    query_tell(query, &answer);
    ub_resolve_free(result);
    arena_reset(&dns->arena);
    list_remove(&query->link);
    dns->count--;
    free(query);
}

static void dns_on_readable(void *holder)
{
    struct dns *dns = holder;
    /* An error of the pipe: deadlines say TEMPORARY to whoever waits. */
    (void)ub_process(dns->context);
}

/* ---- life */

static struct err dns_set(struct dns *dns, const char *option, const char *value)
{
    int ub = ub_ctx_set_option(dns->context, option, value);
    return ub == 0 ? err_ok() : err_make_detail(ERR_IO, ub, "option of the resolver");
}

/* Its notation is "ip@port". */
static struct err dns_forward(struct dns *dns, struct span resolver)
{
    struct endpoint endpoint;
    char ip[ENDPOINT_TEXT_BYTES], server[DNS_SERVER_BYTES];
    TRY(endpoint_parse(resolver, &endpoint));
    struct span text = endpoint_ip_text(&endpoint, ip);
    (void)snprintf(server, sizeof(server), "%.*s@%u", (int)text.len, text.ptr,
                   (unsigned)endpoint.port);
    int ub = ub_ctx_set_fwd(dns->context, server);
    if (ub != 0) return err_make_detail(ERR_SYNTAX, ub, "DNS server");
    TRY(dns_set(dns, "do-not-query-localhost:", "no"));
    /* Zones that libunbound answers by itself (RFC 6761, RFC 7686): the one who names a resolver
     * may know such names. Removing one that is not there is no error; the first call has all
     * settings read, so that they come before. */
    static const char *const zones[] = { "test.", "invalid.", "onion.", "localhost.",
                                         "127.in-addr.arpa." };
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        ub = ub_ctx_zone_remove(dns->context, zones[i]);
        if (ub != 0) return err_make_detail(ERR_SYNTAX, ub, "settings of the resolver");
    }
    return err_ok();
}

static struct err dns_set_up(struct dns *dns, const struct dns_options *options)
{
    static const char *const settings[][2] = {
        { "msg-cache-size:", "4m" },
        { "rrset-cache-size:", "8m" },
        { "outgoing-range:", "128" },
        { "unblock-lan-zones:", "yes" },
        /* A server that was away for a while is asked again after a minute, not a quarter hour. */
        { "infra-host-ttl:", "60" },
        { "infra-keep-probing:", "yes" },
    };
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        TRY(dns_set(dns, settings[i][0], settings[i][1]));
    }
    (void)ub_ctx_debugout(dns->context, NULL); /* it would write to stderr */
    if (options->anchors_path != NULL) {
        int ub = ub_ctx_add_ta_file(dns->context, options->anchors_path);
        if (ub != 0) return err_make_detail(ERR_SYNTAX, ub, "trust anchors");
    }
    int ub = ub_ctx_async(dns->context, 1); /* a thread, not a process */
    if (ub != 0) return err_make_detail(ERR_IO, ub, "thread of the resolver");
    if (options->resolver.len > 0) {
        TRY(dns_forward(dns, options->resolver));
    } else {
        /* Without such a file it asks from the root on. */
        (void)ub_ctx_resolvconf(dns->context, NULL);
    }
    /* As unblock-lan-zones. This is also what makes it read all of the above, so that an error in
     * it is told now. */
    ub = ub_ctx_zone_remove(dns->context, "home.arpa.");
    return ub == 0 ? err_ok() : err_make_detail(ERR_SYNTAX, ub, "settings of the resolver");
}

void dns_deadline(struct dns *dns, uint64_t deadline_ms)
{
    dns->deadline_ms = deadline_ms > 0 ? deadline_ms : (uint64_t)DNS_DEADLINE_MS;
}

struct err dns_new(struct loop *loop, const struct dns_options *options, struct dns **ret)
{
    struct dns *dns = calloc(1, sizeof(*dns));
    if (dns == NULL) return err_make(ERR_NOMEM, "resolver");
    dns->loop = loop;
    dns_deadline(dns, options->deadline_ms);
    list_init(&dns->queries);
    arena_init(&dns->arena, DNS_ARENA_BYTES);
    dns->context = ub_ctx_create();
    struct err err = dns->context == NULL ? err_make(ERR_NOMEM, "resolver")
                                          : dns_set_up(dns, options);
    if (err.code == ERR_OK) {
        err = loop_poll_open(loop, ub_fd(dns->context), dns_on_readable, dns, &dns->poll);
    }
    if (err.code != ERR_OK) {
        dns_free(dns);
        return err;
    }
    *ret = dns;
    return err_ok();
}

void dns_free(struct dns *dns)
{
    if (dns == NULL) return;
    CHECK(!dns->in_callback);
    timer_stop(&dns->end);
    loop_poll_close(dns->poll);
    if (dns->context != NULL) ub_ctx_delete(dns->context); /* it calls nobody back */
    while (!list_is_empty(&dns->queries)) {
        struct dns_query *query = LIST_ITEM(dns->queries.next, struct dns_query, link);
        timer_stop(&query->timer);
        list_remove(&query->link);
        free(query);
    }
    arena_clear(&dns->arena);
    free(dns);
}

void dns_retire(struct dns *dns)
{
    dns->is_retired = true;
    dns->awaited++;
    dns_awaited_less(dns);
}

/* ---- questions */

struct err dns_query_start(struct dns *dns, enum dns_type type, struct span name, dns_done *done,
                           void *holder, struct dns_query **ret)
{
    char text[DNS_NAME_MAX_BYTES + 2];
    if (!dns_name_is_valid(name)) return err_make(ERR_SYNTAX, "DNS name");
    if (dns->count >= DNS_QUERIES_MAX) return err_make(ERR_BUSY, "DNS queries");
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    struct dns_query *query = calloc(1, sizeof(*query));
    if (query == NULL) return err_make(ERR_NOMEM, "DNS query");
    query->dns = dns;
    query->type = type;
    query->done = done;
    query->holder = holder;
    int ub = ub_resolve_async(dns->context, text, (int)type, DNS_CLASS_IN, query, dns_on_result,
                              NULL);
    if (ub != 0) {
        free(query);
        return err_make_detail(ERR_BUSY, ub, "DNS query");
    }
    list_add(&dns->queries, &query->link);
    dns->count++;
    dns->awaited++;
    timer_start(dns->loop, &query->timer, dns->deadline_ms, query_on_deadline, query);
    *ret = query;
    return err_ok();
}

void dns_query_cancel(struct dns_query *query)
{
    timer_stop(&query->timer);
    if (query->done != NULL) dns_awaited_less(query->dns);
    query->done = NULL;
}
