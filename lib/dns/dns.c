#include "dns.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound.h>

#include "arena.h"
#include "check.h"
#include "dns_record.h"
#include "later.h"
#include "list.h"
#include "loop.h"
#include "loop_poll.h"
#include "timer.h"

enum { RESOLVER_MAX_BYTES = 64, CLASS_IN = 1, RCODE_NO_NAME = 3 };

/* A context of libunbound: its settings can't change once it has been asked something, so a new
 * resolver gets a new one. Freed when it is no longer `dns->now` and nothing is asked of it. */
struct dns_context {
    struct list link;
    struct ub_ctx *ub;
    struct loop_poll *poll;
    struct later end;
    struct dns *dns;
    unsigned queries;
};

struct dns {
    struct loop *loop;
    struct dns_context *now;
    const char *anchor_file;
    struct list queries, contexts;
    unsigned queries_count;
    char resolver[RESOLVER_MAX_BYTES]; /* as given, with a NUL */
};

/* Freed in query_end() and nowhere else. */
struct dns_query {
    struct list link;
    struct timer deadline;
    struct dns_context *context;
    struct arena *arena;
    enum dns_type type;
    int id; /* libunbound's */
    dns_answered *done;
    void *holder;
};

/* ---- contexts */

/* "192.0.2.1:53" or "[2001:db8::1]:53" to libunbound's "192.0.2.1@53". */
static bool resolver_address(struct span resolver, char to[RESOLVER_MAX_BYTES])
{
    unsigned char ip[16];
    char host[RESOLVER_MAX_BYTES];
    size_t colon = resolver.len, port = 0;
    if (resolver.len >= RESOLVER_MAX_BYTES) return false;
    while (colon > 0 && resolver.ptr[colon - 1] != ':') colon--;
    if (colon < 2 || resolver.len - colon > 5) return false;
    for (size_t i = colon; i < resolver.len; i++) {
        if (resolver.ptr[i] < '0' || resolver.ptr[i] > '9') return false;
        port = port * 10 + (size_t)(resolver.ptr[i] - '0');
    }
    struct span name = span_head(resolver, colon - 1);
    bool is_ipv6 = name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']';
    if (is_ipv6) name = span_of(name.ptr + 1, name.len - 2);
    memcpy(host, name.ptr, name.len);
    host[name.len] = '\0';
    if (strlen(host) != name.len || port == 0 || port > 65535) return false;
    if (inet_pton(is_ipv6 ? AF_INET6 : AF_INET, host, ip) != 1) return false;
    snprintf(to, RESOLVER_MAX_BYTES, "%.45s@%zu", host, port);
    return true;
}

static struct err ub_err(int number)
{
    return err_make_detail(number == UB_NOMEM ? ERR_NOMEM : ERR_IO, number, "resolver");
}

static struct err context_set(struct ub_ctx *ub)
{
    static const struct { const char *name, *value; } settings[] = {
        { "do-not-query-localhost:", "no" }, /* a resolver on this machine is one like others */
        { "unblock-lan-zones:", "yes" },     /* whose answers about private addresses we want */
        { "insecure-lan-zones:", "yes" },
        /* One name that is not answered must not have its server taken for dead. */
        { "infra-keep-probing:", "yes" },
        { "infra-host-ttl:", "60" },
        { "cache-max-ttl:", "86400" },
        { "cache-max-negative-ttl:", "300" },
        { "msg-cache-size:", "4m" },
        { "rrset-cache-size:", "8m" },
    };
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        int number = ub_ctx_set_option(ub, settings[i].name, settings[i].value);
        if (number != 0) return ub_err(number);
    }
    return err_ok();
}

/* Names that libunbound answers by itself unless they are taken out; tests have names in "test.".
 * This comes last: no setting is taken after it. */
static struct err context_zones(struct ub_ctx *ub)
{
    static const char *const zones[] = { "test.", "127.in-addr.arpa." };
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        int number = ub_ctx_zone_remove(ub, zones[i]);
        if (number != 0) return ub_err(number);
    }
    return err_ok();
}

static struct err context_servers(struct ub_ctx *ub, const char *anchor_file,
                                  struct span resolver)
{
    char address[RESOLVER_MAX_BYTES];
    int number = 0;
    if (resolver.len == 0) {
        number = ub_ctx_resolvconf(ub, NULL);
    } else if (resolver_address(resolver, address)) {
        number = ub_ctx_set_fwd(ub, address);
    } else {
        return err_make(ERR_SYNTAX, "resolver");
    }
    if (number == 0 && anchor_file != NULL) number = ub_ctx_add_ta_file(ub, anchor_file);
    /* A thread, not a process. */
    if (number == 0) number = ub_ctx_async(ub, 1);
    return number == 0 ? err_ok() : ub_err(number);
}

static void context_free(struct dns_context *context)
{
    if (context == NULL) return;
    CHECK(context->queries == 0);
    later_cancel(&context->end);
    loop_poll_close(context->poll);
    if (context->ub != NULL) ub_ctx_delete(context->ub); /* joins its thread */
    list_remove(&context->link);
    free(context);
}

static void context_end_run(struct later *later)
{
    context_free(LIST_ITEM(later, struct dns_context, end));
}

/* Not at once: we may be in one of its callbacks. */
static void context_end(struct dns_context *context)
{
    if (context == context->dns->now || context->queries > 0) return;
    if (later_is_posted(&context->end)) return;
    later_post(loop_later(context->dns->loop), &context->end, context_end_run);
}

static void on_readable(void *holder)
{
    struct dns_context *context = holder;
    ub_process(context->ub);
}

static struct err context_new(struct dns *dns, struct span resolver, struct dns_context **ret)
{
    struct dns_context *context = calloc(1, sizeof(*context));
    if (context == NULL) return err_make(ERR_NOMEM, "resolver");
    context->dns = dns;
    list_add(&dns->contexts, &context->link);
    context->ub = ub_ctx_create();
    struct err err = context->ub == NULL ? err_make(ERR_NOMEM, "resolver") : err_ok();
    if (err.code == ERR_OK) err = context_set(context->ub);
    if (err.code == ERR_OK) err = context_servers(context->ub, dns->anchor_file, resolver);
    if (err.code == ERR_OK) err = context_zones(context->ub);
    if (err.code == ERR_OK) {
        err = loop_poll_open(dns->loop, ub_fd(context->ub), on_readable, context, &context->poll);
    }
    if (err.code != ERR_OK) {
        context_free(context);
        return err;
    }
    *ret = context;
    return err_ok();
}

struct err dns_configure(struct dns *dns, struct span resolver)
{
    struct dns_context *made = NULL, *before = dns->now;
    if (resolver.len >= RESOLVER_MAX_BYTES) return err_make(ERR_SYNTAX, "resolver");
    if (before != NULL && span_eq(resolver, span_of(dns->resolver, strlen(dns->resolver)))) {
        return err_ok();
    }
    TRY(context_new(dns, resolver, &made));
    if (resolver.len > 0) memcpy(dns->resolver, resolver.ptr, resolver.len);
    dns->resolver[resolver.len] = '\0';
    dns->now = made;
    if (before != NULL) context_end(before);
    return err_ok();
}

struct err dns_new(const struct dns_options *options, struct dns **ret)
{
    struct dns *dns = calloc(1, sizeof(*dns));
    if (dns == NULL) return err_make(ERR_NOMEM, "resolver");
    dns->loop = options->loop;
    dns->anchor_file = options->anchor_file;
    list_init(&dns->queries);
    list_init(&dns->contexts);
    struct err err = dns_configure(dns, options->resolver);
    if (err.code != ERR_OK) {
        free(dns);
        return err;
    }
    *ret = dns;
    return err_ok();
}

void dns_free(struct dns *dns)
{
    if (dns == NULL) return;
    CHECK(list_is_empty(&dns->queries));
    while (!list_is_empty(&dns->contexts)) {
        context_free(LIST_ITEM(dns->contexts.next, struct dns_context, link));
    }
    free(dns);
}

/* ---- answers */

static int mx_order(const void *a, const void *b)
{
    const struct dns_record *first = a, *second = b;
    return (int)first->as.mx.preference - (int)second->as.mx.preference;
}

static struct err read_records(const struct dns_query *query, const struct ub_result *result,
                               struct dns_answer *answer)
{
    size_t count = 0;
    while (result->data[count] != NULL && count < DNS_RECORDS_MAX) count++;
    struct dns_record *records = arena_alloc(query->arena, (count + 1) * sizeof(*records));
    if (records == NULL) return err_make(ERR_NOMEM, "answer of the DNS");
    for (size_t i = 0; i < count; i++) {
        struct span data = span_of(result->data[i], (size_t)result->len[i]);
        struct err err = dns_record_read(query->type, data, query->arena,
                                         &records[answer->count]);
        if (err.code == ERR_NOMEM) return err;
        if (err.code == ERR_OK) answer->count++;
    }
    if (query->type == DNS_MX) qsort(records, answer->count, sizeof(*records), mx_order);
    answer->records = records;
    return err_ok();
}

static struct err read_canonical(const struct dns_query *query, const char *name,
                                 struct dns_answer *answer)
{
    char checked[DNS_NAME_MAX_BYTES + 1];
    if (name == NULL || !dns_name_check(span_of(name, strlen(name)), checked)) return err_ok();
    return arena_copy(query->arena, span_of(checked, strlen(checked)), &answer->canonical);
}

static struct err read_answer(const struct dns_query *query, const struct ub_result *result,
                              struct dns_answer *answer)
{
    if (result->bogus) return err_make(ERR_CORRUPT, "answer of the DNS fails DNSSEC");
    if (result->rcode != 0 && result->rcode != RCODE_NO_NAME) {
        return err_make_detail(ERR_UNREACHABLE, result->rcode, "no answer of the DNS");
    }
    answer->security = result->secure ? DNS_SECURE : DNS_INSECURE;
    answer->ttl_seconds = result->ttl < 0 ? 0 : (uint32_t)result->ttl;
    answer->status = result->nxdomain ? DNS_NO_NAME : DNS_NO_DATA;
    TRY(read_canonical(query, result->canonname, answer));
    if (!result->havedata) return err_ok();
    TRY(read_records(query, result, answer));
    if (answer->count > 0) answer->status = DNS_FOUND;
    return err_ok();
}

/* ---- queries */

/* Takes the query out of everything and frees it. */
static void query_end(struct dns_query *query)
{
    struct dns_context *context = query->context;
    timer_stop(&query->deadline);
    list_remove(&query->link);
    context->dns->queries_count--;
    context->queries--;
    context_end(context);
    free(query);
}

/* By ub_process(): on the loop, and never within ub_resolve_async(). */
static void on_answer(void *mydata, int number, struct ub_result *result)
{
    struct dns_query *query = mydata;
    struct dns_answer answer = { 0 };
    struct err err = number == 0 ? read_answer(query, result, &answer) : ub_err(number);
    ub_resolve_free(result);
    dns_answered *done = query->done;
    void *holder = query->holder;
    query_end(query);
    done(holder, err, err.code == ERR_OK ? &answer : NULL);
}

static void on_deadline(void *holder)
{
    struct dns_query *query = holder;
    dns_answered *done = query->done;
    void *asker = query->holder;
    dns_query_cancel(query);
    done(asker, err_make(ERR_TIMEOUT, "answer of the DNS"), NULL);
}

void dns_query_cancel(struct dns_query *query)
{
    if (query == NULL) return;
    ub_cancel(query->context->ub, query->id);
    query_end(query);
}

struct err dns_query_start(struct dns *dns, const struct dns_question *question,
                           dns_answered *done, void *holder, struct dns_query **ret)
{
    char name[DNS_NAME_MAX_BYTES + 2];
    if (!dns_name_check(question->name, name)) return err_make(ERR_SYNTAX, "name for the DNS");
    if (dns->queries_count >= DNS_QUERIES_MAX) return err_make(ERR_BUSY, "questions to the DNS");
    struct dns_query *query = calloc(1, sizeof(*query));
    if (query == NULL) return err_make(ERR_NOMEM, "question to the DNS");
    query->context = dns->now;
    query->arena = question->arena;
    query->type = question->type;
    query->done = done;
    query->holder = holder;
    int number = ub_resolve_async(dns->now->ub, name, (int)question->type, CLASS_IN, query,
                                  on_answer, &query->id);
    if (number != 0) {
        free(query);
        return ub_err(number);
    }
    list_add(&dns->queries, &query->link);
    dns->queries_count++;
    query->context->queries++;
    timer_start(dns->loop, &query->deadline, question->deadline_ms, on_deadline, query);
    *ret = query;
    return err_ok();
}
