/* Leases. We choose the number, so that a grant whose answer was lost is asked for again as the
 * same one; its time counts from the first request. Whatever is heard, a lease is held only
 * until its time after the last request that was answered well. */
#include <stdlib.h>

#include "buf.h"
#include "clock.h"
#include "coord_etcd_private.h"
#include "id.h"
#include "loop.h"

struct etcd_lease {
    struct coord_lease *lease;
    struct etcd *etcd;
    struct etcd_call call;
    uint64_t asked_ms; /* the first request for it, */
    uint64_t sent_ms;  /* and the last for it or its renewal: clock_boot_ms() */
    unsigned tries;
};

/* A lease that is given back. Freed at its answer, or at the end of the store. */
struct etcd_revoke {
    struct list link;
    struct etcd_call call;
};

static void lease_plan(struct etcd_lease *held, uint64_t wait_ms);

static void lease_lose(struct etcd_lease *held)
{
    etcd_call_cancel(&held->call);
    coord_lease_set(held->lease, COORD_LEASE_LOST);
}

static uint64_t until_of(const struct etcd_lease *held, uint64_t sent_ms, uint64_t seconds)
{
    if (seconds > held->lease->seconds) seconds = held->lease->seconds;
    return sent_ms + seconds * 1000;
}

static void lease_answered(struct etcd_call *call, const struct etcd_answer *answer)
{
    struct etcd_lease *held = LIST_ITEM(call, struct etcd_lease, call);
    struct coord_lease *lease = held->lease;
    bool asked = lease->state == COORD_LEASE_ASKED;
    if (answer->outcome == ETCD_ANSWER && answer->reply->seconds == 0) {
        lease_lose(held);
        return;
    }
    if (answer->outcome == ETCD_ANSWER) {
        lease->until_ms = until_of(held, held->sent_ms, answer->reply->seconds);
    } else if (asked && answer->outcome == ETCD_REFUSED && answer->err.code == ERR_EXISTS) {
        lease->until_ms = until_of(held, held->asked_ms, lease->seconds); /* ours after all */
    } else if (asked && answer->outcome == ETCD_REFUSED) {
        lease_lose(held);
        return;
    } else {
        lease_plan(held, etcd_retry_ms(held->tries++));
        return;
    }
    held->tries = 0;
    coord_lease_set(lease, COORD_LEASE_HELD);
    lease_plan(held, lease->seconds * 1000u / COORD_LEASE_RENEWALS);
}

static char *lease_body(const struct coord_lease *lease, size_t *len)
{
    struct buf out;
    char *body = malloc(COORD_REQUEST_SMALL_BYTES);
    buf_init(&out, body, body == NULL ? 0 : (size_t)COORD_REQUEST_SMALL_BYTES);
    if (body != NULL && lease->state == COORD_LEASE_ASKED) {
        coord_request_grant(&out, lease->id, lease->seconds);
    } else if (body != NULL) {
        coord_request_lease(&out, lease->id);
    }
    *len = out.len;
    return body;
}

static void lease_send(struct etcd_lease *held)
{
    size_t len;
    bool asked = held->lease->state == COORD_LEASE_ASKED;
    char *body = lease_body(held->lease, &len);
    held->sent_ms = clock_boot_ms();
    held->call.path = asked ? "/v3/lease/grant" : "/v3/lease/keepalive";
    held->call.kind = COORD_REPLY_LEASE;
    held->call.done = lease_answered;
    etcd_call_start(held->etcd, &held->call, body, len);
}

static void on_lease_timer(void *holder)
{
    struct etcd_lease *held = holder;
    if (clock_boot_ms() >= held->lease->until_ms) {
        lease_lose(held);
        return;
    }
    if (held->call.etcd == NULL) lease_send(held);
    lease_plan(held, UINT64_MAX);
}

/* Goes on in `wait_ms`, and at the latest when its time is over. */
static void lease_plan(struct etcd_lease *held, uint64_t wait_ms)
{
    uint64_t now_ms = clock_boot_ms(), until_ms = held->lease->until_ms;
    uint64_t left_ms = until_ms > now_ms ? until_ms - now_ms : 0;
    timer_start(held->etcd->loop, &held->lease->timer, wait_ms < left_ms ? wait_ms : left_ms,
                on_lease_timer, held);
}

struct err etcd_lease_start(struct coord_back *back, struct coord_lease *lease)
{
    struct etcd_lease *held = calloc(1, sizeof(*held));
    if (held == NULL) return err_make(ERR_NOMEM, "lease");
    held->lease = lease;
    held->etcd = LIST_ITEM(back, struct etcd, back);
    lease->held = held;
    do {
        id_random(&lease->id, sizeof(lease->id));
        lease->id >>= 1; /* etcd's numbers are signed */
    } while (lease->id == 0);
    held->asked_ms = clock_boot_ms();
    lease->until_ms = held->asked_ms + COORD_WAIT_MS; /* to get it at all */
    lease_send(held);
    lease_plan(held, UINT64_MAX);
    return err_ok();
}

/* ---- giving it back */

static void revoke_answered(struct etcd_call *call, const struct etcd_answer *answer)
{
    struct etcd_revoke *revoke = LIST_ITEM(call, struct etcd_revoke, call);
    (void)answer; /* otherwise its time will end it */
    list_remove(&revoke->link);
    free(revoke);
}

static void revoke_start(struct etcd *etcd, const struct coord_lease *lease)
{
    struct etcd_revoke *revoke = calloc(1, sizeof(*revoke));
    struct buf out;
    char *body = malloc(COORD_REQUEST_SMALL_BYTES);
    if (revoke == NULL || body == NULL) {
        free(revoke);
        free(body);
        return;
    }
    buf_init(&out, body, COORD_REQUEST_SMALL_BYTES);
    coord_request_lease(&out, lease->id);
    revoke->call.path = "/v3/lease/revoke";
    revoke->call.kind = COORD_REPLY_LEASE;
    revoke->call.done = revoke_answered;
    list_add(&etcd->revokes, &revoke->link);
    etcd_call_start(etcd, &revoke->call, body, out.len);
}

void etcd_lease_stop(struct coord_lease *lease)
{
    struct etcd_lease *held = lease->held;
    timer_stop(&lease->timer);
    etcd_call_cancel(&held->call);
    if (lease->state != COORD_LEASE_LOST) revoke_start(held->etcd, lease);
    free(held);
    lease->held = NULL;
}

void etcd_revokes_close(struct etcd *etcd)
{
    while (!list_is_empty(&etcd->revokes)) {
        struct etcd_revoke *revoke = LIST_ITEM(etcd->revokes.next, struct etcd_revoke, link);
        etcd_call_cancel(&revoke->call);
        list_remove(&revoke->link);
        free(revoke);
    }
}
