/* Log-in of a loop: its cache, and what a password hash costs now. */
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "crew.h"
#include "digest.h"
#include "frontend_loop.h"
#include "id.h"
#include "login_cache.h"
#include "login_remake.h"
#include "meter.h"
#include "password.h"

static struct err mac(struct span key, struct span bytes, uint8_t ret[LOGIN_MAC_BYTES])
{
    return digest_hmac(key, bytes, ret);
}

struct err frontend_hash(struct span password, const struct login_cost *cost, char *ret,
                         size_t *len)
{
    const struct password_cost as = { cost->memory_kib, cost->passes };
    _Static_assert((int)LOGIN_STORED_MAX_BYTES >= (int)PASSWORD_MADE_MAX_BYTES, "room for a hash");
    return password_make(password, &as, ret, len);
}

static bool is_stale(struct span stored, const struct login_cost *cost)
{
    const struct password_cost as = { cost->memory_kib, cost->passes };
    return password_needs_rehash(stored, &as);
}

struct login_cost frontend_cost(const struct frontend_loop *loop)
{
    const struct conf *conf = loop->front.settings->conf;
    return (struct login_cost){
        .memory_kib = (uint32_t)(conf_number(conf, CONF_PASSWORD_ARGON2_MEMORY) / 1024),
        .passes = (uint32_t)conf_number(conf, CONF_PASSWORD_ARGON2_PASSES),
    };
}

/* ---- the decoy: to check a name that nobody has takes as long as to check a new hash */

static void decoy_run(struct crew_job *job)
{
    struct frontend_decoy *decoy = LIST_ITEM(job, struct frontend_decoy, job);
    char random[32];
    id_random(random, sizeof(random));
    struct err err = frontend_hash(span_of(random, sizeof(random)), &decoy->cost, decoy->text,
                                   &decoy->len);
    if (err.code != ERR_OK) decoy->len = 0;
}

static void decoy_begin(struct frontend_loop *loop);

static void decoy_done(struct crew_job *job)
{
    struct frontend_decoy *decoy = LIST_ITEM(job, struct frontend_decoy, job);
    struct frontend_loop *loop = decoy->loop;
    decoy->is_under_way = false;
    if (decoy->len > 0) {
        memcpy(loop->decoy_text, decoy->text, decoy->len);
        loop->login.decoy = span_of(loop->decoy_text, decoy->len);
    }
    decoy_begin(loop); /* if the cost has changed again */
}

static void decoy_begin(struct frontend_loop *loop)
{
    struct frontend_decoy *decoy = &loop->decoy;
    const struct login_cost *cost = &loop->login.cost;
    if (decoy->is_under_way) return;
    if (decoy->cost.memory_kib == cost->memory_kib && decoy->cost.passes == cost->passes) return;
    decoy->loop = loop;
    decoy->cost = *cost;
    decoy->job = (struct crew_job){ .run = decoy_run, .done = decoy_done, .loop = loop->loop };
    /* A full queue: the decoy stays as it was until the options change again. */
    decoy->is_under_way = crew_run(loop->frontend->hash_crew, &decoy->job).code == ERR_OK;
}

/* ---- life */

struct err frontend_login_crew(struct frontend_loop *loop)
{
    struct frontend *frontend = loop->frontend;
    uint64_t threads = conf_number(loop->front.settings->conf, CONF_LOGIN_HASH_THREADS);
    if (frontend->hash_crew != NULL) return err_ok();
    return crew_new("password", (unsigned)threads, FRONTEND_HASHES_MAX, &frontend->hash_crew);
}

struct err frontend_login_open(struct frontend_loop *loop)
{
    const struct frontend *frontend = loop->frontend;
    const struct conf *conf = loop->front.settings->conf;
    uint64_t entries = conf_number(conf, CONF_LOGIN_CACHE_ENTRIES);
    struct login_cache_options cache = {
        .mac = mac, .life_ms = conf_ms(conf, CONF_LOGIN_CACHE_LIFE),
        .entries_max = (entries + frontend->loops_count - 1) / frontend->loops_count,
    };
    id_random(cache.key, sizeof(cache.key));
    loop->login.loop = loop->loop;
    loop->login.resolver = &loop->resolver;
    loop->login.crew = frontend->hash_crew;
    loop->login.decoy = span_of(frontend->decoy, strlen(frontend->decoy));
    loop->login.remakes = &loop->remakes;
    loop->login.meter = loop->meter;
    loop->login.mapping = frontend->mapping;
    loop->login.dns = &loop->dns;
    loop->login.verify = password_verify;
    loop->login.is_stale = is_stale;
    loop->login.make = frontend_hash;
    loop->decoy.cost = frontend->decoy_cost;
    TRY(login_cache_new(&cache, &loop->login.cache));
    frontend_login_configure(loop);
    return err_ok();
}

/* Clients that are neither counted nor refused. */
static bool is_exempt(void *holder, const uint8_t ip[16])
{
    const struct frontend_loop *loop = holder;
    return conf_has_address(loop->front.settings->conf, CONF_LOGIN_LOCKOUT_EXEMPT, ip);
}

static void configure_lockout(struct frontend_loop *loop)
{
    const struct conf *conf = loop->front.settings->conf;
    loop->login.lockout = (struct login_lockout_options){
        .user_failures = (uint32_t)conf_number(conf, CONF_LOGIN_LOCKOUT_USER_FAILURES),
        .user_window_ms = conf_ms(conf, CONF_LOGIN_LOCKOUT_USER_WINDOW),
        .user_hold_ms = conf_ms(conf, CONF_LOGIN_LOCKOUT_USER_TIME),
        .address_failures = (uint32_t)conf_number(conf, CONF_LOGIN_LOCKOUT_ADDRESS_FAILURES),
        .address_window_ms = conf_ms(conf, CONF_LOGIN_LOCKOUT_ADDRESS_WINDOW),
        .address_hold_ms = conf_ms(conf, CONF_LOGIN_LOCKOUT_ADDRESS_TIME),
        .is_exempt = is_exempt,
        .holder = loop,
    };
}

void frontend_login_configure(struct frontend_loop *loop)
{
    const struct conf *conf = loop->front.settings->conf;
    if (loop->login.cache == NULL) return;
    meter_set_lease(loop->meter, conf_ms(conf, CONF_SERVER_CONNECTIONS_LEASE));
    configure_lockout(loop);
    login_cache_life(loop->login.cache, conf_ms(conf, CONF_LOGIN_CACHE_LIFE));
    loop->login.cost = frontend_cost(loop);
    decoy_begin(loop);
}
