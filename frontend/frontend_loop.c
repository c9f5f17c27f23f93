#include "frontend_loop.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_token.h"
#include "check.h"
#include "conf.h"
#include "coord.h"
#include "courier.h"
#include "directory.h"
#include "dns.h"
#include "endpoint.h"
#include "frontend_probe.h"
#include "id.h"
#include "login_sasl.h"
#include "log.h"
#include "loop.h"
#include "meter.h"
#include "place_map.h"
#include "route.h"
#include "scan_call.h"
#include "timer.h"
#include "tls.h"

enum { AUDIT_WHO_BYTES = 80, AUDIT_TOKEN_BYTES = 32, HEDGE_MS = 5000 };

/* ---- what rooms ask of the program */

static struct err hash_password(struct span password, uint32_t memory_kib, uint32_t passes,
                                char ret[API_PASSWORD_HASH_BYTES])
{
    const struct login_cost cost = { memory_kib, passes };
    size_t len;
    TRY(frontend_hash(password, &cost, ret, &len));
    ret[len] = '\0';
    return err_ok();
}

static struct err seal(void *holder, struct span whose, struct span secret, struct buf *to)
{
    return frontend_seal(((struct frontend_loop *)holder)->frontend, whose, secret, to);
}

static struct err unseal(void *holder, struct span whose, struct span text, struct buf *to)
{
    return frontend_unseal(((struct frontend_loop *)holder)->frontend, whose, text, to);
}

static struct conf *conf_now(void *holder)
{
    return ((struct frontend_loop *)holder)->front.settings->conf;
}

/* With the reason, when one end refuses the other: nobody has to look for it in logs. */
static struct span missing_why(struct frontend_loop *loop, const char *what, struct span why)
{
    if (why.len == 0) return span_of(what, strlen(what));
    int len = snprintf(loop->missing, sizeof(loop->missing), "%s: refused: %.*s", what,
                       (int)why.len, why.ptr);
    size_t size = sizeof(loop->missing) - 1;
    return span_of(loop->missing, len < 0 ? 0 : (size_t)len < size ? (size_t)len : size);
}

/* Stale is: no contact with the configuration's store for policy.age.max. */
static bool is_stale(void *holder)
{
    const struct frontend_loop *loop = holder;
    uint64_t now = loop_now_ms(loop->loop), current = coord_current_ms(loop->coord);
    return now - current >= conf_ms(loop->front.settings->conf, CONF_POLICY_AGE_MAX);
}

/* What is missing to serve mail; nothing when all is there. */
static struct span missing(void *holder)
{
    struct frontend_loop *loop = holder;
    if (loop->probe == NULL) return SPAN("it is starting");
    if (frontend_is_leaving(loop)) return SPAN("going down");
    if (loop->front.waiting) return span_of(loop->map_missing, strlen(loop->map_missing));
    if (is_stale(holder)) return SPAN("the configuration can't be reached");
    struct span store = frontend_probe_missing(loop->probe);
    if (store.len > 0) return store;
    if (loop->intake.scan_enabled && scan_pool_ready(loop->scan) == 0) {
        return missing_why(loop, "no scanner is ready", scan_pool_refusal(loop->scan));
    }
    return SPAN("");
}

/* What is missing though mail is served. */
static struct span lacking(void *holder)
{
    struct frontend_loop *loop = holder;
    return loop->probe == NULL ? SPAN("") : frontend_probe_lacking(loop->probe);
}

static void audit(void *holder, const struct api_change *change)
{
    struct endpoint client = endpoint_of_ip(change->client_ip);
    char ip[ENDPOINT_TEXT_BYTES], who[AUDIT_WHO_BYTES];
    struct span token = span_head(change->token, AUDIT_TOKEN_BYTES);
    (void)holder;
    snprintf(who, sizeof(who), "%s%s%.*s", api_role_text(change->role), token.len > 0 ? ":" : "",
             (int)token.len, token.ptr);
    LOG(CONFIG_CHANGED, NULL, log_words(who),
        log_text(endpoint_ip_text(&client, ip)), log_text(change->method),
        log_text(change->target), log_number(change->status));
}

void frontend_say_ready(struct frontend_loop *loop)
{
    if (loop->number != 0 || frontend_is_leaving(loop)) return; /* all loops see the same */
    struct span why = missing(loop);
    struct span said = span_of(loop->said_missing, strlen(loop->said_missing));
    if (loop->said_ready && span_eq(why, said)) return;
    loop->said_ready = true;
    snprintf(loop->said_missing, sizeof(loop->said_missing), "%.*s", (int)why.len, why.ptr);
    if (why.len == 0) LOG0(PROGRAM_READY, NULL);
    else LOG(PROGRAM_NOT_READY, NULL, log_text(why));
}

static void on_scanners(void *holder) { frontend_say_ready(holder); }

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
    front->limits = frontend->limits;
    front->is_stale = is_stale;
    front->stale_holder = loop;
    list_init(&front->connections);
    TRY(route_new(loop->loop, loop->map, frontend->self, &front->route));
    char owner[ID_BYTES];
    id_random(owner, sizeof(owner));
    TRY(meter_new(loop->loop, front->route, owner, &loop->meter));
    front->meter = loop->meter;
    TRY(login_sasl_new(&front->sasl));
    frontend_pop3_options(loop);
    loop->resolver.loop = loop->loop;
    loop->resolver.route = front->route;
    loop->resolver.cache_ms = 2000;
    TRY(directory_resolver_init(&loop->resolver));
    struct api_options api = { .loop = loop->loop, .route = front->route,
                               .resolver = &loop->resolver, .coord = loop->coord,
                               .crew = frontend->crew,
                               .hash_crew = frontend->hash_crew, .holder = loop,
                               .hash_password = hash_password, .seal = seal,
                               .unseal = unseal, .conf = conf_now,
                               .missing = missing, .lacking = lacking,
                               .metrics = frontend_metrics, .audit = audit,
                               .name = frontend->name, .self = frontend->self };
    return api_new(&api, &front->api);
}

static struct err open_intake(struct frontend_loop *loop)
{
    struct frontend *frontend = loop->frontend;
    struct intake_services *intake = &loop->intake;
    struct scan_pool_options scan = { .addresses = frontend->scanners,
                                      .addresses_count = frontend->scanners_count,
                                      .self = frontend->self,
                                      .hedge_ms = HEDGE_MS,
                                      .changed = on_scanners,
                                      .holder = loop };
    intake->loop = loop->loop;
    intake->route = loop->front.route;
    intake->crew = frontend->crew;
    intake->budget = frontend->budget;
    TRY(intake_transactions_new(loop->loop, loop->front.route, &intake->transactions));
    TRY(scan_pool_new(loop->loop, &scan, &loop->scan));
    intake->scan = loop->scan;
    TRY(frontend_scanners_open(loop));
    return frontend_courier_open(loop);
}

static void on_coord(void *holder) { frontend_conf_read(holder); }

static struct err open_all(struct frontend_loop *loop)
{
    struct frontend *frontend = loop->frontend;
    TRY(loop_new(&loop->loop));
    TRY(coord_open_options(loop->loop, &frontend->coord, &loop->coord));
    loop->imap = (struct imap_options){ .holder = loop,
                                        .operation_id = operation_id,
                                        .body_open = frontend_body_open,
                                        .body_close = frontend_body_close,
                                        .budget = frontend->budget,
                                        .name = SPAN("Godwit"),
                                        .version = SPAN("0.1"),
                                        .starttls = frontend->tls_cert != NULL };
    TRY(frontend_conf_first(loop));
    TRY(frontend_tls_open(loop));
    TRY(frontend_login_crew(loop));
    TRY(open_front(loop));
    TRY(frontend_login_open(loop));
    TRY(open_intake(loop));
    TRY(frontend_probe_new(loop, &loop->probe));
    TRY(frontend_warn_new(loop, &loop->warn));
    TRY(frontend_sync_open(loop));
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
    if (err.code == ERR_OK) *ret = loop;
    else frontend->half_open = loop;
    return err;
}

void frontend_loop_run(struct frontend_loop *loop)
{
    if (loop->front.waiting) frontend_say_ready(loop);
    loop_hold(loop->loop);
    loop_run(loop->loop);
}

static void tls_run(struct wake *wake)
{
    struct frontend_loop *loop = LIST_ITEM(wake, struct frontend_loop, tls_wake);
    struct tls_context *tls = atomic_exchange(&loop->new_tls, NULL);
    tls_context_unref(loop->front.tls);
    loop->front.tls = tls;
}

void frontend_loop_set_tls(struct frontend_loop *loop, struct tls_context *tls)
{
    struct tls_context *waiting = atomic_exchange(&loop->new_tls, tls_context_ref(tls));
    if (waiting == NULL) wake_post(loop->loop, &loop->tls_wake, tls_run);
    else tls_context_unref(waiting); /* what is on its way takes the newer one along */
}
