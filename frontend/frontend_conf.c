/* The configuration of one loop, from the store: options, domains, the map of slots. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "buf.h"
#include "conf.h"
#include "coord.h"
#include "courier.h"
#include "frontend_loop.h"
#include "frontend_probe.h"
#include "log.h"
#include "loop.h"
#include "place_cluster.h"
#include "place_map.h"
#include "policy_group.h"
#include "program.h"
#include "route.h"
#include "slot.h"
#include "sync.h"

enum { SETTINGS_ARENA_BYTES = 4 * 1024 * 1024 };

void frontend_complain(const char *what, const char *why)
{
    char text[512];
    int len = snprintf(text, sizeof(text), "%s: %s", what, why);
    size_t used = len < 0 ? 0 : (size_t)len;
    LOG(CONFIG_REFUSED, NULL,
        log_text(span_of(text, used < sizeof(text) ? used : sizeof(text) - 1)));
}

/* ---- options */

/* The value as it is set; a secret out of its seal. One that can't be opened is as if it were not
 * set: what needs it fails then, and says so. */
static struct span option_value(struct frontend_loop *loop, struct span name, const json_t *value,
                                struct arena *arena)
{
    struct span text = span_of(json_string_value(value), json_string_length(value)), kept;
    enum conf_key key = conf_find(name);
    char bytes[FRONTEND_SECRET_MAX_BYTES];
    struct buf secret;
    if (key == CONF_KEYS_COUNT || !conf_is_secret(key) || text.len == 0) return text;
    buf_init(&secret, bytes, sizeof(bytes));
    struct err err = frontend_unseal(loop->frontend, name, text, &secret);
    if (err.code == ERR_OK) err = arena_copy(arena, buf_span(&secret), &kept);
    explicit_bzero(bytes, sizeof(bytes));
    if (err.code == ERR_OK) return kept;
    frontend_complain(conf_key_text(key), "the secret can't be opened; set it again");
    return SPAN("");
}

static struct err read_options(struct frontend_loop *loop, uint64_t revision, struct conf **ret)
{
    struct coord_row row;
    struct arena arena;
    struct conf_problem problem = { .text = "" };
    size_t count = 0, i = 0;
    const char *key;
    json_t *value, *object = NULL;
    if (coord_get(loop->coord, SPAN("policy/config"), &row)) {
        object = json_loadb(row.value.ptr, row.value.len, 0, NULL);
        count = json_object_size(object);
    }
    arena_init(&arena, SETTINGS_ARENA_BYTES);
    struct conf_setting *settings = arena_alloc(&arena, (count + 1) * sizeof(*settings));
    struct err err = settings == NULL ? err_make(ERR_NOMEM, "configuration") : err_ok();
    json_object_foreach(object, key, value) {
        if (settings == NULL) break;
        struct span name = span_of(key, strlen(key));
        settings[i++] = (struct conf_setting){
            .key = name, .value = option_value(loop, name, value, &arena)
        };
    }
    if (err.code == ERR_OK) err = conf_make(settings, count, revision, ret, &problem);
    if (err.code == ERR_SYNTAX) frontend_complain("options", problem.text);
    arena_clear(&arena);
    json_decref(object);
    return err;
}

/* ---- IP groups of the installation, which options name */

struct groups {
    struct conf_groups conf; /* first */
    struct policy_groups *policy;
};

static bool groups_has(const struct conf_groups *conf, struct span name, const uint8_t ip[16])
{
    const struct groups *groups = (const struct groups *)(const void *)conf;
    struct policy_ip address;
    memcpy(address.bytes, ip, sizeof(address.bytes));
    return policy_groups_match(groups->policy, name, &address);
}

static void groups_free(struct conf_groups *conf)
{
    struct groups *groups = (struct groups *)(void *)conf;
    policy_groups_free(groups->policy);
    free(groups);
}

static void group_row(void *holder, const struct coord_row *row)
{
    struct err err = policy_groups_add(holder, row->value);
    if (err.code != ERR_OK) frontend_complain("IP group", err_text(err));
}

static void complain_of_groups(const struct conf *conf, const struct policy_groups *groups)
{
    char text[128];
    for (unsigned key = 0; key < CONF_KEYS_COUNT; key++) {
        if (!conf_is_networks((enum conf_key)key)) continue;
        for (size_t i = 0;; i++) {
            struct span name = conf_group(conf, (enum conf_key)key, i);
            if (name.len == 0) break;
            if (policy_groups_has(groups, name)) continue;
            snprintf(text, sizeof(text), "there is no IP group %.*s", (int)name.len, name.ptr);
            frontend_complain(conf_key_text((enum conf_key)key), text);
        }
    }
}

static struct err add_groups(struct frontend_loop *loop, struct conf *conf)
{
    struct groups *groups = calloc(1, sizeof(*groups));
    if (groups == NULL) return err_make(ERR_NOMEM, "IP groups");
    struct err err = policy_groups_new(&groups->policy);
    if (err.code != ERR_OK) {
        free(groups);
        return err;
    }
    coord_list(loop->coord, SPAN("ipgroups/0/"), group_row, groups->policy);
    policy_groups_seal(groups->policy);
    groups->conf = (struct conf_groups){ .has = groups_has, .free = groups_free };
    conf_set_groups(conf, &groups->conf);
    complain_of_groups(conf, groups->policy);
    return err_ok();
}

static struct err make_settings(struct frontend_loop *loop, uint64_t revision,
                                struct front_settings **ret)
{
    struct conf *conf;
    TRY(read_options(loop, revision, &conf));
    struct front_settings *s = calloc(1, sizeof(*s));
    struct err err = s == NULL ? err_make(ERR_NOMEM, "settings") : add_groups(loop, conf);
    if (err.code != ERR_OK) {
        conf_unref(conf);
        free(s);
        return err;
    }
    s->references = 1;
    s->conf = conf;
    s->hostname = conf_text(conf, CONF_SERVER_HOSTNAME);
    if (s->hostname.len == 0) {
        s->hostname = span_of(loop->frontend->hostname, strlen(loop->frontend->hostname));
    }
    s->banner = conf_text(conf, CONF_SMTP_BANNER);
    s->size_max_bytes = conf_number(conf, CONF_SMTP_SIZE_MAX);
    s->recipients_max = (uint32_t)conf_number(conf, CONF_SMTP_RECIPIENTS_MAX);
    s->errors_max = (uint32_t)conf_number(conf, CONF_SMTP_ERRORS_MAX);
    s->auth_failures_max = (uint32_t)conf_number(conf, CONF_LOGIN_FAILURES_MAX);
    s->smtp_idle_ms = conf_ms(conf, CONF_SMTP_IDLE);
    s->imap_idle_ms = conf_ms(conf, CONF_IMAP_IDLE);
    s->imap_login_ms = conf_ms(conf, CONF_IMAP_LOGIN);
    s->pop3_idle_ms = conf_ms(conf, CONF_POP3_IDLE);
    s->pop3_login_ms = conf_ms(conf, CONF_POP3_LOGIN);
    s->pop3_lease_ms = conf_ms(conf, CONF_POP3_LOCK_LEASE);
    s->pop3_per_address_max = (uint32_t)conf_number(conf, CONF_POP3_CONNECTIONS_PER_ADDRESS);
    s->http_idle_ms = conf_ms(conf, CONF_HTTP_IDLE);
    s->http_body_max_bytes = conf_number(conf, CONF_HTTP_BODY_MAX);
    s->proxy_wait_ms = conf_ms(conf, CONF_PROXY_WAIT);
    s->connections_max = (uint32_t)conf_number(conf, CONF_SERVER_CONNECTIONS_MAX);
    s->smtp_per_address_max = (uint32_t)conf_number(conf, CONF_SMTP_CONNECTIONS_PER_ADDRESS);
    s->imap_per_address_max = (uint32_t)conf_number(conf, CONF_IMAP_CONNECTIONS_PER_ADDRESS);
    s->http_per_address_max = (uint32_t)conf_number(conf, CONF_HTTP_CONNECTIONS_PER_ADDRESS);
    s->failure_delay_ms = conf_ms(conf, CONF_LOGIN_FAILURE_DELAY);
    s->failure_delay_max_ms = conf_ms(conf, CONF_LOGIN_FAILURE_DELAY_MAX);
    s->local_sender_needs_auth = conf_bool(conf, CONF_SMTP_SENDER_LOCAL_AUTH);
    s->quota_warning_percent = (unsigned)conf_number(conf, CONF_QUOTA_WARNING_PERCENT);
    *ret = s;
    return err_ok();
}

static void use_settings(struct frontend_loop *loop, struct front_settings *settings)
{
    const struct conf *conf = settings->conf;
    struct intake_services *intake = &loop->intake;
    front_settings_unref(loop->front.settings);
    loop->front.settings = settings;
    intake->hostname = settings->hostname;
    intake->scan_enabled = conf_bool(conf, CONF_SCAN_ENABLED);
    intake->scan_append = conf_bool(conf, CONF_SCAN_APPEND);
    intake->remove_infected = conf_number(conf, CONF_SCAN_INFECTED) == CONF_INFECTED_REMOVE;
    intake->scan_deadline_ms = conf_ms(conf, CONF_SCAN_DEADLINE);
    intake->store_deadline_ms = conf_ms(conf, CONF_STORE_DEADLINE);
    /* A repeat is answered with the first answers, as long as they are kept. */
    intake->repeat_ms = conf_ms(conf, CONF_SMTP_REPEAT);
    uint64_t kept_ms = conf_ms(conf, CONF_STORE_OPERATION_KEEP);
    if (intake->repeat_ms > kept_ms) intake->repeat_ms = kept_ms;
    loop->resolver.deadline_ms = intake->store_deadline_ms;
    loop->imap.message_bytes_max = conf_number(conf, CONF_IMAP_LITERAL_MAX);
    loop->imap.line_bytes_max = (uint32_t)conf_number(conf, CONF_IMAP_LINE_MAX);
    loop->imap.login_failures_max = settings->auth_failures_max;
    loop->imap_open = loop->imap;
    loop->imap_open.login_without_tls = true;
    if (loop->number == 0) program_log_configure(conf); /* one log for all loops */
    if (loop->probe != NULL) frontend_say_ready(loop); /* scan.enabled may have changed */
}

/* ---- the map of slots */

static void on_map_row(void *holder, const struct coord_row *row)
{
    place_cluster_add(holder, row->key, row->value);
}

/* A frontend may be there before the cluster is: one shard that nobody leads, and it waits. */
static struct err map_none(struct place_map **ret)
{
    const struct place_shard_row all = { .first = 0, .end = SLOT_COUNT };
    return place_map_make(0, &all, 1, ret);
}

/* Why there is none, or NULL. */
static const char *map_missing(struct err err)
{
    if (err.code == ERR_NOT_FOUND) return "there is no map of slots yet";
    return err.code == ERR_CORRUPT ? "the map of slots is not whole" : NULL;
}

static struct err read_map(struct frontend_loop *loop)
{
    static const struct span prefixes[] = { SPAN_INIT("map/"), SPAN_INIT("shards/"),
                                            SPAN_INIT("live/") };
    struct place_cluster *cluster;
    struct place_map *map;
    uint64_t revision = 0;
    TRY(place_cluster_begin(&cluster));
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        revision = coord_list(loop->coord, prefixes[i], on_map_row, cluster);
    }
    struct err err = place_cluster_end(cluster, revision, &map);
    bool was_waiting = loop->front.waiting;
    const char *missing = map_missing(err);
    if (missing != NULL && (loop->map == NULL || was_waiting)) err = map_none(&map);
    if (err.code != ERR_OK) return err;
    loop->map_missing = missing;
    loop->front.waiting = missing != NULL;
    place_map_unref(loop->map);
    loop->map = map;
    if (loop->front.route != NULL) route_set_map(loop->front.route, map);
    if (loop->probe == NULL) return err_ok();
    frontend_probe_map(loop->probe);
    if (was_waiting) frontend_say_ready(loop);
    return err_ok();
}

/* The revision of the row of options, 0 when there is none. */
static uint64_t options_revision(struct frontend_loop *loop)
{
    struct coord_row row = { .revision = 0 };
    (void)coord_get(loop->coord, SPAN("policy/config"), &row);
    return row.revision;
}

static void group_mark(void *holder, const struct coord_row *row)
{
    uint64_t *mark = holder;
    *mark = *mark * 1000003 + row->revision + row->key.len;
}

/* Only when the row is another: it is told to each loop of many changes of other rows. */
static struct err read_settings(struct frontend_loop *loop)
{
    struct front_settings *settings = NULL;
    uint64_t revision = options_revision(loop), mark = revision;
    coord_list(loop->coord, SPAN("ipgroups/0/"), group_mark, &mark); /* options name them */
    if (loop->front.settings != NULL && mark == loop->options_seen) return err_ok();
    loop->options_seen = mark;
    TRY(make_settings(loop, revision, &settings));
    use_settings(loop, settings);
    return err_ok();
}

struct err frontend_conf_first(struct frontend_loop *loop)
{
    TRY(read_map(loop));
    TRY(read_settings(loop));
    TRY(frontend_domains_read(loop));
    atomic_store(&loop->options_revision, conf_version(loop->front.settings->conf));
    return err_ok();
}

void frontend_conf_read(struct frontend_loop *loop)
{
    struct err err = read_settings(loop);
    if (err.code == ERR_OK) err = frontend_domains_read(loop);
    if (err.code != ERR_OK) frontend_complain(err.what, err_text(err));
    /* A map that can't be read now is no reason to go by old options. */
    err = read_map(loop);
    if (err.code != ERR_OK) frontend_complain(err.what, err_text(err));
    frontend_courier_configure(loop);
    frontend_login_configure(loop);
    if (loop->sync != NULL) sync_configure(loop->sync);
    frontend_tls_configure(loop);
    atomic_store(&loop->options_revision, conf_version(loop->front.settings->conf));
}
