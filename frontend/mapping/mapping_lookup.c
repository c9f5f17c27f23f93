#include "mapping_lookup_private.h"

#include <arpa/inet.h>
#include <string.h>

#include "dns.h"

enum { LITERAL_BYTES = INET6_ADDRSTRLEN };

bool mapping_lookup_literal(struct span host, struct mapping_visit *visit)
{
    char text[LITERAL_BYTES];
    struct mapping_address address = { .is_ip6 = memchr(host.ptr, ':', host.len) != NULL };
    if (host.len >= sizeof(text)) return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (inet_pton(address.is_ip6 ? AF_INET6 : AF_INET, text, address.ip) != 1) return false;
    visit->addresses[0] = address;
    visit->addresses_count = 1;
    return true;
}

/* ---- answers */

static void lookup_end(void *holder)
{
    struct mapping_lookup *lookup = holder;
    timer_stop(&lookup->timer);
    for (int i = 0; i < 2; i++) {
        if (lookup->queries[i] != NULL) dns_query_cancel(lookup->queries[i]);
        lookup->queries[i] = NULL;
    }
    lookup->done(lookup->holder);
}

static void on_late(void *holder)
{
    struct mapping_lookup *lookup = holder;
    lookup->failure = "no answer of the DNS in time";
    lookup_end(lookup);
}

static void on_answer(struct mapping_lookup *lookup, const struct dns_answer *answer, bool is_ip6)
{
    lookup->queries[is_ip6] = NULL;
    for (size_t i = 0; i < answer->count && lookup->count[is_ip6] < MAPPING_LOOKUP_EACH_MAX; i++) {
        struct mapping_address *to = &lookup->found[is_ip6][lookup->count[is_ip6]++];
        to->is_ip6 = is_ip6;
        memcpy(to->ip, answer->items[i].ip, is_ip6 ? 16 : 4);
    }
    if (answer->status == DNS_TEMPORARY) lookup->failure = "no answer of the DNS";
    if (answer->status == DNS_BOGUS) lookup->failure = "the answer of the DNS is not authentic";
    if (lookup->queries[0] == NULL && lookup->queries[1] == NULL) lookup_end(lookup);
}

static void on_ip4(void *holder, const struct dns_answer *answer)
{
    on_answer(holder, answer, false);
}

static void on_ip6(void *holder, const struct dns_answer *answer)
{
    on_answer(holder, answer, true);
}

/* ---- questions */

static void lookup_ask(struct mapping_lookup *lookup, struct span host, bool is_ip6)
{
    struct err err = dns_query_start(lookup->dns, is_ip6 ? DNS_AAAA : DNS_A, host,
                                     is_ip6 ? on_ip6 : on_ip4, lookup, &lookup->queries[is_ip6]);
    if (err.code == ERR_OK) return;
    lookup->queries[is_ip6] = NULL;
    lookup->failure = err.code == ERR_SYNTAX ? "that is no host" : "the DNS can't be asked for now";
}

void mapping_lookup_start(struct mapping_lookup *lookup, struct span host)
{
    lookup->count[0] = lookup->count[1] = 0;
    lookup->failure = lookup->dns == NULL ? "there is no DNS to ask" : NULL;
    for (int i = 0; i < 2 && lookup->dns != NULL; i++) lookup_ask(lookup, host, i == 1);
    bool is_asked = lookup->queries[0] != NULL || lookup->queries[1] != NULL;
    if (is_asked) timer_start(lookup->loop, &lookup->timer, lookup->wait_ms, on_late, lookup);
    else timer_start(lookup->loop, &lookup->timer, TIMER_WAIT_MIN_MS, lookup_end, lookup);
}

const char *mapping_lookup_take(const struct mapping_lookup *lookup, struct mapping_visit *visit)
{
    visit->addresses_count = 0;
    for (int kind = 0; kind < 2; kind++) {
        for (size_t i = 0; i < lookup->count[kind]; i++) {
            visit->addresses[visit->addresses_count++] = lookup->found[kind][i];
        }
    }
    if (visit->addresses_count > 0) return NULL;
    return lookup->failure != NULL ? lookup->failure : "no address of that name";
}
