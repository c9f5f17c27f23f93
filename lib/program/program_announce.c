#include "program_announce.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "buf.h"
#include "coord.h"
#include "coord_lease.h"
#include "crew.h"
#include "endpoint.h"
#include "log.h"
#include "loop.h"
#include "program.h"
#include "program_monitor.h"
#include "timer.h"

enum { VALUE_BYTES = 1024 };

struct program_announce {
    struct program_announce_options options;
    struct roster_name name;
    struct roster_program row;
    char key_bytes[ROSTER_KEY_MAX_BYTES];
    struct buf key;
    struct crew *crew;
    struct coord_watch *watch;
    struct coord_lease *lease;
    struct timer timer;
    bool was_there, putting, stopped;
    bool said_failed, said_in_use;
};

static void look(void *holder);

static void announce_free(struct program_announce *announce)
{
    crew_free(announce->crew);
    free(announce);
}

static void look_again(struct program_announce *announce)
{
    timer_start(announce->options.loop, &announce->timer, PROGRAM_ANNOUNCE_RETRY_MS, look,
                announce);
}

static void say_failed(struct program_announce *announce, struct err err)
{
    if (!announce->said_failed) LOG(CLUSTER_STORE_FAILED, NULL, log_words(err_text(err)));
    announce->said_failed = true;
    look_again(announce);
}

static void on_put(void *holder, struct err err, uint64_t revision)
{
    struct program_announce *announce = holder;
    (void)revision;
    announce->putting = false;
    if (announce->stopped) {
        announce_free(announce);
        return;
    }
    if (err.code == ERR_OK) {
        announce->was_there = true;
        announce->said_failed = announce->said_in_use = false;
    } else if (err.code == ERR_CONFLICT) {
        look_again(announce);
    } else {
        say_failed(announce, err);
    }
}

static void put(struct program_announce *announce, uint64_t revision)
{
    char bytes[VALUE_BYTES];
    struct buf value;
    buf_init(&value, bytes, sizeof(bytes));
    roster_program_put(&value, &announce->row);
    struct coord_item item = { .key = buf_span(&announce->key), .value = buf_span(&value),
                               .revision = revision, .action = COORD_PUT,
                               .lease = announce->lease };
    struct coord_change change = { .items = &item, .count = 1 };
    struct err err = coord_change_start(announce->options.coord, announce->crew, &change, on_put,
                                        announce);
    if (err.code == ERR_OK) announce->putting = true;
    else say_failed(announce, err);
}

/* With the lease: sees to it that the row is there. */
static void keep(struct program_announce *announce)
{
    struct coord_row row = { .revision = 0 };
    struct roster_program other;
    bool there = coord_get(announce->options.coord, buf_span(&announce->key), &row);
    bool reads = there && roster_program_read(row.value, &other).code == ERR_OK;
    if (reads && roster_id_eq(&other.boot, &announce->row.boot)) {
        announce->was_there = true;
        return;
    }
    if (reads && announce->was_there) {
        if (!announce->said_in_use) {
            LOG(NODE_NAME_IN_USE, NULL, log_text(roster_name_span(&announce->name)));
        }
        announce->said_in_use = true;
        return; /* the watch tells when it goes */
    }
    put(announce, there ? row.revision : 0);
}

static void look(void *holder)
{
    struct program_announce *announce = holder;
    if (announce->lease != NULL && coord_lease_state(announce->lease) == COORD_LEASE_LOST) {
        coord_lease_stop(announce->lease);
        announce->lease = NULL;
        look_again(announce);
        return;
    }
    if (announce->lease == NULL) {
        struct err err = coord_lease_start(announce->options.coord, PROGRAM_ANNOUNCE_LEASE_S, look,
                                           announce, &announce->lease);
        if (err.code != ERR_OK) say_failed(announce, err);
        return;
    }
    if (coord_lease_state(announce->lease) == COORD_LEASE_HELD && !announce->putting) {
        keep(announce);
    }
}

/* ---- where it is */

/* An address of this machine that others may reach; the loopback's when it has none. */
static struct endpoint own_address(bool is_ip6)
{
    struct endpoint found = { .kind = ENDPOINT_IP4, .ip = { 127, 0, 0, 1 } };
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0) return found;
    for (const struct ifaddrs *at = all; at != NULL; at = at->ifa_next) {
        if (at->ifa_addr == NULL || (at->ifa_flags & IFF_LOOPBACK) || !(at->ifa_flags & IFF_UP)) {
            continue;
        }
        if (at->ifa_addr->sa_family == AF_INET) {
            struct sockaddr_in in;
            memcpy(&in, at->ifa_addr, sizeof(in));
            found = (struct endpoint){ .kind = ENDPOINT_IP4 };
            memcpy(found.ip, &in.sin_addr, sizeof(in.sin_addr));
            break;
        }
        if (is_ip6 && at->ifa_addr->sa_family == AF_INET6) {
            struct sockaddr_in6 in;
            memcpy(&in, at->ifa_addr, sizeof(in));
            if (IN6_IS_ADDR_LINKLOCAL(&in.sin6_addr)) continue;
            found = (struct endpoint){ .kind = ENDPOINT_IP6 };
            memcpy(found.ip, &in.sin6_addr, sizeof(found.ip));
        }
    }
    freeifaddrs(all);
    return found;
}

static bool is_any(const struct endpoint *endpoint)
{
    static const uint8_t zeros[16];
    return endpoint->kind != ENDPOINT_UNIX && memcmp(endpoint->ip, zeros, sizeof(zeros)) == 0;
}

static struct span written(const struct endpoint *endpoint, char text[ROSTER_ADDRESS_MAX_BYTES])
{
    char shown[ENDPOINT_TEXT_BYTES];
    struct span is = endpoint_text(endpoint, shown);
    memcpy(text, is.ptr, is.len);
    return span_of(text, is.len);
}

struct span program_announce_address(const char *chosen, const char *listens, uint16_t port,
                                     char text[ROSTER_ADDRESS_MAX_BYTES])
{
    struct span from = span_of(chosen, strlen(chosen));
    struct endpoint endpoint;
    if (from.len > 0) return from;
    if (endpoint_parse(span_of(listens, strlen(listens)), &endpoint).code != ERR_OK) {
        return SPAN("");
    }
    uint16_t at = endpoint.port != 0 ? endpoint.port : port;
    if (is_any(&endpoint)) endpoint = own_address(endpoint.kind == ENDPOINT_IP6);
    endpoint.port = at;
    return written(&endpoint, text);
}

struct span program_announce_inner(const char *chosen, const char *listens, uint16_t port,
                                   char text[ROSTER_ADDRESS_MAX_BYTES])
{
    struct span at = span_of(listens, strlen(listens));
    struct endpoint endpoint, outer;
    if (span_eq(span_head(at, 5), SPAN("unix:"))) return at;
    if (endpoint_parse(at, &endpoint).code != ERR_OK) return SPAN("");
    if (!is_any(&endpoint) ||
        endpoint_parse(span_of(chosen, strlen(chosen)), &outer).code != ERR_OK) {
        return program_announce_address("", listens, port, text);
    }
    outer.port = endpoint.port != 0 ? endpoint.port : port;
    return written(&outer, text);
}

/* ---- life */

static struct err prepare(struct program_announce *announce)
{
    const struct program_announce_options *options = &announce->options;
    struct roster_program *row = &announce->row;
    const char *version = program_version();
    struct endpoint endpoint;
    if (options->address.len > 0 && endpoint_parse(options->address, &endpoint).code != ERR_OK) {
        return err_make(ERR_SYNTAX, "--announce: allowed is ip:port");
    }
    if (options->admin.len > ROSTER_ADDRESS_MAX_BYTES) {
        return err_make(ERR_SYNTAX, "--admin-listen: too long");
    }
    TRY(roster_name_set(&announce->name, span_of(options->name, strlen(options->name))));
    TRY(roster_name_set(&row->version, span_of(version, strlen(version))));
    id_random(row->boot.bytes, sizeof(row->boot.bytes));
    row->address_len = (uint32_t)options->address.len;
    if (options->address.len > 0) memcpy(row->address, options->address.ptr, options->address.len);
    row->admin_len = (uint32_t)options->admin.len;
    if (options->admin.len > 0) memcpy(row->admin, options->admin.ptr, options->admin.len);
    buf_init(&announce->key, announce->key_bytes, sizeof(announce->key_bytes));
    roster_key_program(&announce->key, options->kind, roster_name_span(&announce->name));
    TRY(crew_new("announce", 1, PROGRAM_ANNOUNCE_CHANGES_MAX, &announce->crew));
    return coord_watch_start(options->coord, buf_span(&announce->key), look, announce,
                             &announce->watch);
}

struct err program_announce_start(const struct program_announce_options *options,
                                  struct program_announce **ret)
{
    struct program_announce *announce = calloc(1, sizeof(*announce));
    if (announce == NULL) return err_make(ERR_NOMEM, "announcement");
    announce->options = *options;
    struct err err = prepare(announce);
    if (err.code != ERR_OK) {
        announce_free(announce);
        return err;
    }
    *ret = announce;
    return err_ok();
}

struct err program_announce_boot(const struct boot *boot,
                                 const struct program_announce_monitor *options,
                                 struct program_announce **ret)
{
    char text[ROSTER_ADDRESS_MAX_BYTES];
    struct program_announce_options announce = { .loop = options->loop, .coord = options->coord,
                                                 .kind = options->kind,
                                                 .name = boot_text(boot, "name"),
                                                 .admin = options->admin };
    if (options->monitor != NULL) {
        announce.address = program_announce_address(boot_text(boot, "announce"),
                                                    boot_text(boot, "metrics"),
                                                    program_monitor_port(options->monitor), text);
    }
    return program_announce_start(&announce, ret);
}

void program_announce_stop(struct program_announce *announce)
{
    if (announce == NULL) return;
    announce->stopped = true;
    coord_watch_stop(announce->watch);
    coord_lease_stop(announce->lease);
    timer_stop(&announce->timer);
    if (!announce->putting) announce_free(announce);
}
