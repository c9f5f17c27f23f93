/* TLS towards clients: one context for all loops, made anew when the certificate, the oldest
 * version (tls.min) or the keys of tickets change. All of it runs on the first loop. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "conf.h"
#include "coord.h"
#include "door_tickets.h"
#include "file.h"
#include "frontend_loop.h"
#include "id.h"
#include "loop.h"
#include "timer.h"
#include "tls.h"

enum {
    PEM_MAX_BYTES = 1024 * 1024,
    TURN_AGAIN_MS = 10 * 1000,     /* after a change that failed */
    TURN_LOOK_MS = 60 * 60 * 1000, /* at most until the next look: clocks are set */
};
#define TICKETS_KEY SPAN("tls/tickets")

struct pem {
    char *bytes;
    size_t len;
};

struct frontend_tls {
    struct frontend_loop *loop;
    struct pem chain, key;
    enum tls_min min;
    struct door_tickets tickets;
    struct timer timer;
    bool is_putting;
};

/* ---- files */

static void pem_free(struct pem *pem)
{
    if (pem->bytes != NULL) explicit_bzero(pem->bytes, pem->len);
    free(pem->bytes);
    *pem = (struct pem){ .bytes = NULL };
}

static struct err pem_read(const char *path, struct pem *ret)
{
    size_t len;
    char *bytes = malloc(PEM_MAX_BYTES);
    if (bytes == NULL) return err_make(ERR_NOMEM, path);
    struct err err = file_read(path, bytes, PEM_MAX_BYTES, &len);
    if (err.code != ERR_OK) {
        free(bytes);
        return err_make_detail(err.code, err.detail, path); /* of the options: it stays */
    }
    *ret = (struct pem){ bytes, len };
    return err_ok();
}

static struct err pems_read(const struct frontend *frontend, struct pem *chain, struct pem *key)
{
    TRY(pem_read(frontend->tls_cert, chain));
    struct err err = pem_read(frontend->tls_key, key);
    if (err.code != ERR_OK) pem_free(chain);
    return err;
}

/* ---- the context */

static struct err context_make(const struct frontend_tls *tls, struct tls_context **ret)
{
    struct tls_ticket_key keys[DOOR_TICKETS_MAX];
    struct tls_certificate certificate = { span_of(tls->chain.bytes, tls->chain.len),
                                           span_of(tls->key.bytes, tls->key.len) };
    for (unsigned i = 0; i < tls->tickets.count; i++) {
        memcpy(&keys[i], tls->tickets.tickets[i].key, sizeof(keys[i]));
    }
    struct tls_options options = { .certificates = &certificate, .certificates_count = 1,
                                   .ticket_keys = keys, .ticket_keys_count = tls->tickets.count,
                                   .min = tls->min };
    struct err err = tls_context_new(&options, ret);
    explicit_bzero(keys, sizeof(keys));
    return err;
}

/* What was before stays when it can't be made. */
static void context_renew(struct frontend_tls *tls)
{
    struct frontend *frontend = tls->loop->frontend;
    struct tls_context *made;
    struct err err = context_make(tls, &made);
    if (err.code != ERR_OK) {
        frontend_complain("TLS stays as it was", err.what);
        return;
    }
    tls_context_unref(frontend->tls);
    frontend->tls = made;
    for (unsigned i = 0; i < frontend->loops_count; i++) {
        if (frontend->loops[i] != NULL) frontend_loop_set_tls(frontend->loops[i], made);
    }
}

/* ---- keys of tickets */

static struct err seal(void *holder, struct span key, struct buf *to)
{
    return frontend_seal(holder, TICKETS_KEY, key, to);
}

static struct err unseal(void *holder, struct span text, struct buf *to)
{
    return frontend_unseal(holder, TICKETS_KEY, text, to);
}

static bool tickets_are_same(const struct door_tickets *a, const struct door_tickets *b)
{
    if (a->count != b->count || a->foreign_ms != b->foreign_ms) return false;
    for (unsigned i = 0; i < a->count; i++) {
        const struct door_ticket *of_a = &a->tickets[i], *of_b = &b->tickets[i];
        if (of_a->made_ms != of_b->made_ms) return false;
        if (memcmp(of_a->key, of_b->key, sizeof(of_a->key)) != 0) return false;
    }
    return true;
}

/* The keys as they are stored; what can't be read is as if there were none, and gets replaced.
 * False: they are those that are in use. */
static bool tickets_take(struct frontend_tls *tls)
{
    struct coord_row row = { .value = SPAN("") };
    struct door_tickets read = { 0 };
    (void)coord_get(tls->loop->coord, TICKETS_KEY, &row);
    struct err err = door_tickets_read(row.value, unseal, tls->loop->frontend, &read);
    if (err.code != ERR_OK) frontend_complain("keys of TLS tickets", err.what);
    bool is_same = tickets_are_same(&read, &tls->tickets);
    if (!is_same && read.foreign_ms > 0) {
        frontend_complain("keys of TLS tickets", "sealed with a key that is not in the key file");
    }
    tls->tickets = read;
    explicit_bzero(&read, sizeof(read));
    return !is_same;
}

static void tickets_look(void *holder);

static void tickets_wait(struct frontend_tls *tls, uint64_t wait_ms)
{
    if (wait_ms > TURN_LOOK_MS) wait_ms = TURN_LOOK_MS;
    timer_start(tls->loop->loop, &tls->timer, wait_ms, tickets_look, tls);
}

/* Success is heard of as a change of the configuration; a conflict too: another one was first. */
static void on_put(void *holder, struct err err)
{
    struct frontend_tls *tls = holder;
    tls->is_putting = false;
    if (err.code != ERR_OK) tickets_wait(tls, TURN_AGAIN_MS);
}

static struct err tickets_put(struct frontend_tls *tls, const struct door_tickets *next)
{
    struct frontend *frontend = tls->loop->frontend;
    struct coord_row row = { .revision = 0 };
    char text[DOOR_TICKETS_TEXT_MAX_BYTES];
    struct buf to;
    buf_init(&to, text, sizeof(text));
    TRY(door_tickets_write(next, seal, frontend, &to));
    (void)coord_get(tls->loop->coord, TICKETS_KEY, &row);
    struct coord_row put = { TICKETS_KEY, buf_span(&to), row.revision };
    return coord_put_start(tls->loop->coord, frontend->crew, &put, on_put, tls);
}

/* Makes a new key when it is time for one. */
static void tickets_look(void *holder)
{
    struct frontend_tls *tls = holder;
    uint64_t life_ms = conf_ms(tls->loop->front.settings->conf, CONF_TLS_TICKET_LIFE);
    uint64_t now_ms = clock_wall_ms();
    struct door_tickets next = tls->tickets;
    uint8_t fresh[DOOR_TICKET_KEY_BYTES];
    if (tls->is_putting) return;
    id_random(fresh, sizeof(fresh));
    if (door_tickets_turn(&next, now_ms, life_ms, fresh)) {
        tls->is_putting = tickets_put(tls, &next).code == ERR_OK;
        if (!tls->is_putting) tickets_wait(tls, TURN_AGAIN_MS);
    } else {
        tickets_wait(tls, door_tickets_wait_ms(&next, now_ms, life_ms));
    }
    explicit_bzero(fresh, sizeof(fresh));
    explicit_bzero(&next, sizeof(next));
}

/* ---- life */

static enum tls_min min_of(const struct frontend_loop *loop)
{
    uint64_t min = conf_number(loop->front.settings->conf, CONF_TLS_MIN);
    return min == CONF_TLS_1_3 ? TLS_MIN_1_3 : TLS_MIN_1_2;
}

struct err frontend_tls_open(struct frontend_loop *loop)
{
    struct frontend *frontend = loop->frontend;
    if (loop->number != 0 || frontend->tls_cert == NULL) return err_ok();
    struct frontend_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) return err_make(ERR_NOMEM, "TLS");
    tls->loop = loop;
    tls->min = min_of(loop);
    struct err err = pems_read(frontend, &tls->chain, &tls->key);
    if (err.code == ERR_OK) {
        (void)tickets_take(tls);
        err = context_make(tls, &frontend->tls);
    }
    if (err.code != ERR_OK) {
        free(tls);
        return err;
    }
    loop->tls = tls;
    return err_ok();
}

void frontend_tls_configure(struct frontend_loop *loop)
{
    struct frontend_tls *tls = loop->tls;
    if (tls == NULL) return;
    bool is_other = tickets_take(tls);
    if (tls->min != min_of(loop)) is_other = true;
    tls->min = min_of(loop);
    if (is_other) context_renew(tls);
    tickets_look(tls);
}

void frontend_tls_reload(struct frontend_loop *loop)
{
    struct frontend_tls *tls = loop->tls;
    struct pem chain, key, old_chain, old_key;
    struct tls_context *made = NULL;
    if (tls == NULL) return;
    struct err err = pems_read(loop->frontend, &chain, &key);
    if (err.code != ERR_OK) {
        frontend_complain("the certificate stays as it was", err.what);
        return;
    }
    old_chain = tls->chain;
    old_key = tls->key;
    tls->chain = chain;
    tls->key = key;
    err = context_make(tls, &made);
    if (err.code == ERR_OK) {
        tls_context_unref(made);
        context_renew(tls);
    } else {
        frontend_complain("the certificate stays as it was", err.what);
        tls->chain = old_chain;
        tls->key = old_key;
        old_chain = chain;
        old_key = key;
    }
    pem_free(&old_chain);
    pem_free(&old_key);
}
