#include "frontend_loop.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "conf.h"
#include "coord.h"
#include "courier.h"
#include "digest.h"
#include "directory.h"
#include "dns.h"
#include "id.h"
#include "login_cache.h"
#include "login_sasl.h"
#include "log.h"
#include "loop.h"
#include "password.h"
#include "place_map.h"
#include "route.h"
#include "scan_call.h"
#include "timer.h"
#include "tls.h"

enum {
    LOGIN_CACHE_ENTRIES = 100000,
    HEDGE_MS = 5000,
    TELL_LOOK_MS = 20,
    TELL_LOOKS_MAX = 50,
};

/* ---- what rooms ask of the program */

static struct err mac(struct span key, struct span bytes, uint8_t ret[LOGIN_MAC_BYTES])
{
    return digest_hmac(key, bytes, ret);
}

static struct err hash_password(struct span password, char ret[API_PASSWORD_HASH_BYTES])
{
    static const struct password_cost cost = { 19456, 2 };
    size_t len;
    TRY(password_make(password, &cost, ret, &len));
    ret[len] = '\0';
    return err_ok();
}

static const struct conf *conf_now(void *holder)
{
    return ((struct frontend_loop *)holder)->front.settings->conf;
}

/* What is missing to serve mail; nothing when all is there. */
static struct span missing(void *holder)
{
    const struct frontend_loop *loop = holder;
    if (loop->front.draining) return SPAN("going down");
    if (!frontend_probe_ok(loop->probe)) return SPAN("the storage node does not answer");
    if (loop->intake.scan_enabled && scan_pool_ready(loop->scan) == 0) {
        return SPAN("no scanner is ready");
    }
    return SPAN("");
}

static void audit(void *holder, struct span method, struct span target, unsigned role,
                  unsigned status)
{
    static const char *const roles[] = { "nobody",   "user",  "auditor",
                                         "accounts", "admin", "operator" };
    const char *name = roles[role < sizeof(roles) / sizeof(roles[0]) ? role : 0];
    (void)holder;
    LOG(CONFIG_CHANGED, NULL, log_text(span_of(name, strlen(name))), log_text(SPAN("-")),
        log_text(method), log_text(target), log_number(status));
}

static void operation_id(void *holder, uint64_t wall_ms, uint8_t id[16])
{
    (void)holder;
    id_operation(wall_ms, id);
}

/* ---- making it */

static struct err open_front(struct frontend_loop *loop)
{
    struct front *front = &loop->front;
    struct frontend *frontend = loop->frontend;
    front->loop = loop->loop;
    front->tls = frontend->tls == NULL ? NULL : tls_context_ref(frontend->tls);
    front->resolver = &loop->resolver;
    front->login = &loop->login;
    front->intake = &loop->intake;
    front->imap_options = &loop->imap;
    front->imap_open_options = &loop->imap_open;
    front->budget = frontend->budget;
    list_init(&front->connections);
    map_init(&front->addresses, 1000000);
    TRY(route_new(loop->loop, loop->map, NULL, &front->route));
    TRY(login_sasl_new(&front->sasl));
    loop->resolver.loop = loop->loop;
    loop->resolver.route = front->route;
    loop->resolver.cache_ms = 2000;
    TRY(directory_resolver_init(&loop->resolver));
    struct api_options api = { .loop = loop->loop, .route = front->route,
                               .resolver = &loop->resolver, .coord = loop->coord,
                               .crew = frontend->crew, .holder = loop,
                               .hash_password = hash_password, .conf = conf_now,
                               .missing = missing, .metrics = frontend_metrics, .audit = audit };
    return api_new(&api, &front->api);
}

static struct err open_login(struct frontend_loop *loop)
{
    struct frontend *frontend = loop->frontend;
    const struct conf *conf = loop->front.settings->conf;
    struct login_cache_options cache = { .mac = mac,
                                         .life_ms = conf_ms(conf, CONF_LOGIN_CACHE_LIFE),
                                         .entries_max = LOGIN_CACHE_ENTRIES };
    id_random(cache.key, sizeof(cache.key));
    loop->login.loop = loop->loop;
    loop->login.resolver = &loop->resolver;
    loop->login.crew = frontend->crew;
    loop->login.decoy = span_of(frontend->decoy, strlen(frontend->decoy));
    loop->login.verify = password_verify;
    return login_cache_new(&cache, &loop->login.cache);
}

static struct err open_intake(struct frontend_loop *loop)
{
    struct frontend *frontend = loop->frontend;
    struct intake_services *intake = &loop->intake;
    struct scan_pool_options scan = { .addresses = frontend->scanners,
                                      .addresses_count = frontend->scanners_count,
                                      .hedge_ms = HEDGE_MS };
    intake->loop = loop->loop;
    intake->route = loop->front.route;
    intake->crew = frontend->crew;
    intake->budget = frontend->budget;
    TRY(intake_transactions_new(loop->loop, loop->front.route, &intake->transactions));
    TRY(scan_pool_new(loop->loop, &scan, &loop->scan));
    intake->scan = loop->scan;
    return frontend_courier_open(loop);
}

static void on_coord(void *holder) { frontend_conf_read(holder); }

static struct err open_all(struct frontend_loop *loop)
{
    struct frontend *frontend = loop->frontend;
    TRY(loop_new(&loop->loop));
    TRY(coord_open(loop->loop, frontend->coord, &loop->coord));
    loop->imap = (struct imap_options){ .operation_id = operation_id,
                                        .body_open = frontend_body_open,
                                        .body_close = frontend_body_close,
                                        .budget = frontend->budget,
                                        .name = SPAN("Godwit"),
                                        .version = SPAN("0.1"),
                                        .starttls = frontend->tls != NULL };
    TRY(frontend_conf_first(loop));
    TRY(open_front(loop));
    TRY(open_login(loop));
    TRY(open_intake(loop));
    TRY(frontend_probe_new(loop, &loop->probe));
    TRY(frontend_warn_new(loop, &loop->warn));
    for (unsigned i = 0; i < DOOR_SERVICES; i++) {
        if (frontend->addresses[i] == NULL) continue;
        struct err err = door_open(&loop->front, (enum door_service)i, frontend->addresses[i],
                                   &loop->doors[i]);
        if (err.code != ERR_OK) {
            fprintf(stderr, "godwit-frontend: cannot listen at %s: %s\n", frontend->addresses[i],
                    err_text(err));
            return err;
        }
    }
    return coord_watch_start(loop->coord, SPAN(""), on_coord, loop, &loop->watch);
}

struct err frontend_loop_open(struct frontend *frontend, unsigned number,
                              struct frontend_loop **ret)
{
    struct frontend_loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL) return err_make(ERR_NOMEM, "loop");
    loop->frontend = frontend;
    loop->number = number;
    struct err err = open_all(loop);
    if (err.code == ERR_OK) *ret = loop; /* else the program ends */
    return err;
}

void frontend_loop_run(struct frontend_loop *loop)
{
    loop_hold(loop->loop);
    loop_run(loop->loop);
}

/* ---- stopping */

static void stop_now(void *holder)
{
    struct frontend_loop *loop = holder;
    loop_stop(loop->loop);
}

/* What a client has heard is told to the store, so that the next frontend knows. */
static void tell_look(void *holder)
{
    struct frontend_loop *loop = holder;
    bool is_told = intake_transactions_are_told(loop->intake.transactions);
    if (is_told || ++loop->tell_looks > TELL_LOOKS_MAX) stop_now(loop);
    else timer_start(loop->loop, &loop->drain, TELL_LOOK_MS, tell_look, loop);
}

static void drain_look(void *holder)
{
    struct frontend_loop *loop = holder;
    uint64_t wait = conf_ms(loop->front.settings->conf, CONF_SERVER_DRAIN);
    if (loop->front.connections_count == 0 || !loop->stopping) {
        tell_look(loop);
        return;
    }
    loop->stopping = false; /* the next look is the last */
    timer_start(loop->loop, &loop->drain, wait < 3000 ? wait : 3000, tell_look, loop);
}

static void stop_run(struct wake *wake)
{
    struct frontend_loop *loop = LIST_ITEM(wake, struct frontend_loop, stop_wake);
    for (unsigned i = 0; i < DOOR_SERVICES; i++) {
        door_close(loop->doors[i]);
        loop->doors[i] = NULL;
    }
    loop->stopping = true;
    door_drain(&loop->front);
    timer_start(loop->loop, &loop->drain, 100, drain_look, loop);
}

void frontend_loop_stop(struct frontend_loop *loop)
{
    wake_post(loop->loop, &loop->stop_wake, stop_run);
}

static void tls_run(struct wake *wake)
{
    struct frontend_loop *loop = LIST_ITEM(wake, struct frontend_loop, tls_wake);
    tls_context_unref(loop->front.tls);
    loop->front.tls = loop->new_tls;
    loop->new_tls = NULL;
}

void frontend_loop_set_tls(struct frontend_loop *loop, struct tls_context *tls)
{
    if (loop->new_tls != NULL) return; /* the one before is on its way still */
    loop->new_tls = tls_context_ref(tls);
    wake_post(loop->loop, &loop->tls_wake, tls_run);
}
