/* Which hosts take the mail of a domain (RFC 5321 5.1, RFC 7505): MX records in order, or the
 * domain's own addresses without any; IPv4 addresses of a host before IPv6, since hosts that can't
 * send by IPv6 or are not welcome there are still many. */
#include "check.h"
#include "courier_group_private.h"
#include "dns.h"
#include "place_address.h"
#include "smtp_params.h"

/* ---- addresses as text */

/* "[ip4]" and "[IPv6:...]" (RFC 5321 4.1.3), and without brackets. */
static bool literal_parse(struct span text, uint16_t port, struct endpoint *ret)
{
    struct endpoint parsed;
    struct buf buf;
    char bytes[64];
    if (text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']') {
        text = span_of(text.ptr + 1, text.len - 2);
    }
    if (span_starts_nocase(text, SPAN("IPv6:"))) text = span_skip(text, 5);
    bool is_ip6 = text.len > 0 && memchr(text.ptr, ':', text.len) != NULL;
    buf_init(&buf, bytes, sizeof(bytes));
    if (is_ip6) buf_put(&buf, SPAN("["));
    buf_put(&buf, text);
    buf_put(&buf, is_ip6 ? SPAN("]:25") : SPAN(":25"));
    if (buf.overflow || endpoint_parse(buf_span(&buf), &parsed).code != ERR_OK) return false;
    parsed.port = port;
    *ret = parsed;
    return true;
}

/* "host", "host:port", "ip", "ip:port", "[ip6]", "[ip6]:port". `*port` stays without one. */
static void smart_split(struct span text, struct span *host, uint16_t *port)
{
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':') colon--;
    struct span head = span_head(text, colon > 0 ? colon - 1 : 0);
    bool is_bare_ip6 = head.len > 0 && memchr(head.ptr, ':', head.len) != NULL &&
                       head.ptr[head.len - 1] != ']';
    uint64_t number;
    *host = text;
    if (head.len == 0 || is_bare_ip6) return;
    if (smtp_number_parse(span_skip(text, colon), &number).code != ERR_OK) return;
    if (number == 0 || number > UINT16_MAX) return;
    *host = head;
    *port = (uint16_t)number;
}

bool courier_host_is_valid(struct span text)
{
    struct span host;
    struct endpoint endpoint;
    uint16_t port = 25;
    char bytes[PLACE_ADDRESS_MAX_BYTES];
    struct buf canonical;
    smart_split(text, &host, &port);
    if (literal_parse(host, port, &endpoint)) return true;
    buf_init(&canonical, bytes, sizeof(bytes));
    return host.len > 0 && host.ptr[0] != '[' && place_domain(host, &canonical).code == ERR_OK;
}

/* What is nobody's address, and with port 25 what is our own: a domain that names it would have us
 * talk to ourselves. */
static bool address_is_good(const struct courier_hosts *hosts, const struct endpoint *address)
{
    const uint8_t *ip = address->ip;
    bool is_loopback;
    if (address->kind == ENDPOINT_IP4) {
        if (ip[0] == 0 || ip[0] >= 224) return false; /* this network, multicast, reserved */
        is_loopback = ip[0] == 127;
    } else {
        static const uint8_t none[16], loopback[16] = { [15] = 1 };
        if (memcmp(ip, none, sizeof(none)) == 0 || ip[0] == 0xff) return false;
        is_loopback = memcmp(ip, loopback, sizeof(loopback)) == 0;
    }
    return !is_loopback || hosts->is_trusted || hosts->port != 25;
}

static void address_add(struct courier_hosts *hosts, struct endpoint address)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    size_t max = sizeof(hosts->addresses) / sizeof(hosts->addresses[0]);
    if (address.kind == ENDPOINT_IP6 && memcmp(address.ip, mapped, sizeof(mapped)) == 0) {
        struct endpoint ip4 = { .kind = ENDPOINT_IP4 };
        memcpy(ip4.ip, address.ip + sizeof(mapped), 4);
        address = ip4;
    }
    address.port = hosts->port;
    if (hosts->addresses_count == max || !address_is_good(hosts, &address)) return;
    hosts->addresses[hosts->addresses_count++] = address;
    hosts->saw_address = true;
}

/* ---- answers */

static const struct span no_answer = SPAN_INIT("451 4.4.3 No answer from the DNS");
static const struct span not_authentic =
    SPAN_INIT("451 4.7.5 The answer of the DNS is not authentic");

static void hosts_fail(struct courier_hosts *hosts, enum courier_outcome_kind kind,
                       struct span answer)
{
    /* That a host could not be found now outweighs that another one is not there at all. */
    if (hosts->failure == COURIER_DEFERRED) return;
    hosts->failure = kind;
    hosts->answer = answer;
}

static void on_addresses(struct courier_group *group, const struct dns_answer *answer, bool is_ip6)
{
    struct courier_hosts *hosts = group->hosts;
    size_t most = hosts->addresses_count + COURIER_ADDRESSES_MAX;
    hosts->queries[is_ip6] = NULL;
    for (size_t i = 0; i < answer->count && hosts->addresses_count < most; i++) {
        struct endpoint address = { .kind = is_ip6 ? ENDPOINT_IP6 : ENDPOINT_IP4 };
        memcpy(address.ip, answer->items[i].ip, is_ip6 ? 16 : 4);
        address_add(hosts, address);
    }
    if (answer->status == DNS_TEMPORARY) {
        hosts_fail(hosts, COURIER_DEFERRED, no_answer);
    } else if (answer->status == DNS_BOGUS) {
        hosts_fail(hosts, COURIER_DEFERRED, not_authentic);
    }
    if (hosts->queries[0] != NULL || hosts->queries[1] != NULL) return;
    /* IPv4 first, whichever came first. */
    for (size_t i = 1; i < hosts->addresses_count; i++) {
        for (size_t k = i; k > 0; k--) {
            struct endpoint *before = &hosts->addresses[k - 1], kept = *before;
            if (before->kind <= hosts->addresses[k].kind) break;
            *before = hosts->addresses[k];
            hosts->addresses[k] = kept;
        }
    }
    courier_group_go(group);
}

static void on_ip4(void *holder, const struct dns_answer *answer)
{
    on_addresses(holder, answer, false);
}

static void on_ip6(void *holder, const struct dns_answer *answer)
{
    on_addresses(holder, answer, true);
}

/* The domain itself, as with one MX record (RFC 5321 5.1). */
static void hosts_implicit(struct courier_group *group)
{
    group->hosts->mx[0] = (struct courier_mx){ 0, group->domain };
    group->hosts->mx_count = 1;
}

static void hosts_order(struct courier_group *group, const struct dns_answer *answer)
{
    struct courier_hosts *hosts = group->hosts;
    struct courier *courier = group->entry->courier;
    uint64_t random;
    size_t count = 0;
    for (size_t i = 0; i < answer->count && count < COURIER_MX_MAX; i++) {
        struct courier_mx *mx = &hosts->mx[count];
        mx->preference = answer->items[i].preference;
        struct err err = arena_copy(&group->entry->arena, answer->items[i].text, &mx->host);
        if (err.code == ERR_OK) count++;
    }
    id_random(&random, sizeof(random));
    switch (courier_mx_order(hosts->mx, &count, &courier->options.hostname, 1, random)) {
    case COURIER_MX_OK: hosts->mx_count = count; break;
    case COURIER_MX_NULL:
        hosts_fail(hosts, COURIER_FAILED, SPAN("556 5.1.10 The domain takes no mail (null MX)"));
        break;
    case COURIER_MX_LOOP:
        hosts_fail(hosts, COURIER_FAILED, SPAN("554 5.4.6 Mail for the domain loops back to us"));
        break;
    case COURIER_MX_IMPLICIT: /* records came, and none can be used */
        hosts_fail(hosts, COURIER_DEFERRED, SPAN("451 4.4.4 No MX record can be used"));
        break;
    }
}

static void on_mx(void *holder, const struct dns_answer *answer)
{
    struct courier_group *group = holder;
    struct courier_hosts *hosts = group->hosts;
    hosts->queries[0] = NULL;
    switch (answer->status) {
    case DNS_OK: hosts_order(group, answer); break;
    case DNS_NODATA: hosts_implicit(group); break;
    case DNS_NXDOMAIN:
        hosts_fail(hosts, COURIER_FAILED, SPAN("550 5.1.2 There is no such domain"));
        break;
    case DNS_TEMPORARY:
        hosts_fail(hosts, COURIER_DEFERRED, no_answer);
        break;
    case DNS_BOGUS:
        hosts_fail(hosts, COURIER_DEFERRED, not_authentic);
        break;
    }
    courier_group_go(group);
}

/* ---- questions */

static void hosts_ask(struct courier_group *group, enum dns_type type, struct span name,
                      dns_done *done)
{
    struct courier_hosts *hosts = group->hosts;
    struct err err = dns_query_start(group->entry->courier->options.dns, type, name, done, group,
                                     &hosts->queries[type == DNS_AAAA]);
    if (err.code == ERR_OK) return;
    hosts->queries[type == DNS_AAAA] = NULL;
    if (err.code == ERR_SYNTAX) {
        hosts_fail(hosts, COURIER_FAILED, SPAN("550 5.1.2 The domain's name is malformed"));
    } else {
        hosts_fail(hosts, COURIER_DEFERRED, SPAN("451 4.4.3 The DNS can't be asked for now"));
    }
}

/* The hosts, or a question for them. */
static void hosts_begin(struct courier_group *group)
{
    struct courier_hosts *hosts = group->hosts;
    struct span name = group->domain;
    struct endpoint endpoint;
    hosts->is_asked = true;
    hosts->is_trusted = group->is_smart;
    hosts->port = group->entry->courier->options.port;
    if (group->is_smart) smart_split(group->domain, &name, &hosts->port);
    bool may_be_literal = group->is_smart || (name.len > 0 && name.ptr[0] == '[');
    if (may_be_literal && literal_parse(name, hosts->port, &endpoint)) {
        hosts->host = name;
        address_add(hosts, endpoint);
    } else if (group->is_smart) {
        hosts->mx[0] = (struct courier_mx){ 0, name };
        hosts->mx_count = 1;
    } else {
        hosts_ask(group, DNS_MX, name, on_mx);
    }
}

static enum courier_hosts_step hosts_end(struct courier_hosts *hosts)
{
    if (!hosts->saw_address && hosts->failure == COURIER_NOT_TRIED) {
        hosts_fail(hosts, COURIER_FAILED, SPAN("550 5.4.4 No mail host has an address"));
    }
    return COURIER_HOSTS_END;
}

enum courier_hosts_step courier_hosts_next(struct courier_group *group)
{
    struct courier_hosts *hosts = group->hosts;
    if (!hosts->is_asked) hosts_begin(group);
    for (;;) {
        if (hosts->queries[0] != NULL || hosts->queries[1] != NULL) return COURIER_HOSTS_WAIT;
        if (hosts->addresses_at < hosts->addresses_count) {
            hosts->endpoint = hosts->addresses[hosts->addresses_at++];
            return COURIER_HOSTS_ADDRESS;
        }
        if (hosts->mx_at == hosts->mx_count) return hosts_end(hosts);
        hosts->host = hosts->mx[hosts->mx_at++].host;
        hosts->addresses_count = hosts->addresses_at = 0;
        hosts_ask(group, DNS_A, hosts->host, on_ip4);
        hosts_ask(group, DNS_AAAA, hosts->host, on_ip6);
    }
}

void courier_hosts_cancel(struct courier_group *group)
{
    struct courier_hosts *hosts = group->hosts;
    for (int i = 0; hosts != NULL && i < 2; i++) {
        if (hosts->queries[i] != NULL) dns_query_cancel(hosts->queries[i]);
        hosts->queries[i] = NULL;
    }
}

void courier_hosts_restart(struct courier_group *group)
{
    struct courier_hosts *hosts = group->hosts;
    if (hosts == NULL || (hosts->queries[0] == NULL && hosts->queries[1] == NULL)) return;
    courier_hosts_cancel(group);
    *hosts = (struct courier_hosts){ .mx = hosts->mx };
    courier_group_go(group);
}
