#include "door.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "door_private.h"
#include "listener.h"
#include "loop.h"
#include "meter.h"
#include "metrics.h"
#include "proxy.h"
#include "store_msg.h"

struct door {
    struct front *front;
    struct listener *listener;
    enum door_service service;
};

static const struct {
    const struct door_protocol *protocol;
    bool tls;
} services[DOOR_SERVICES] = {
    [DOOR_SMTP] = { &door_smtp, false },  [DOOR_SUBMISSION] = { &door_smtp, false },
    [DOOR_SMTPS] = { &door_smtp, true },  [DOOR_LMTP] = { &door_smtp, false },
    [DOOR_IMAP] = { &door_imap, false },  [DOOR_IMAPS] = { &door_imap, true },
    [DOOR_POP3] = { &door_pop3, false },  [DOOR_POP3S] = { &door_pop3, true },
    [DOOR_HTTP] = { &door_http, false },  [DOOR_HTTPS] = { &door_http, true },
};

/* ---- what shells use */

void door_send(struct door_conn *door, struct span out)
{
    if (door->conn == NULL || out.len == 0) return;
    if (conn_send(door->conn, out).code == ERR_OK || door->conn == NULL) return;
    conn_abort(door->conn, err_make(ERR_BUSY, "send"));
}

void door_hang_up(struct door_conn *door)
{
    timer_stop(&door->timer);
    if (door->conn != NULL) conn_close(door->conn);
}

void door_client_ip(const struct door_conn *door, uint8_t ip[16])
{
    memset(ip, 0, 16);
    if (door->peer.kind == ENDPOINT_IP6) {
        memcpy(ip, door->peer.ip, 16);
    } else if (door->peer.kind == ENDPOINT_IP4) {
        ip[10] = ip[11] = 0xff;
        memcpy(ip + 12, door->peer.ip, 4);
    }
}

static void door_on_idle(void *holder)
{
    struct door_conn *door = holder;
    if (door->stage == DOOR_IN_SESSION) {
        door->protocol->idle(door);
    } else if (door->conn != NULL) {
        conn_abort(door->conn, err_make(ERR_TIMEOUT, "handshake"));
    }
}

void door_idle(struct door_conn *door, uint64_t idle_ms)
{
    door->idle_ms = idle_ms;
    timer_start(door->front->loop, &door->timer, idle_ms, door_on_idle, door);
}

static enum door_kind door_kind_of(const struct door_conn *door)
{
    if (door->protocol == &door_smtp) return DOOR_KIND_SMTP;
    if (door->protocol == &door_pop3) return DOOR_KIND_POP3;
    return door->protocol == &door_imap ? DOOR_KIND_IMAP : DOOR_KIND_HTTP;
}

/* How many connections of this kind one address may have open. */
static uint32_t door_address_max(const struct door_conn *door)
{
    const struct front_settings *settings = door->front->settings;
    const uint32_t max[DOOR_KINDS] = { [DOOR_KIND_SMTP] = settings->smtp_per_address_max,
                                       [DOOR_KIND_IMAP] = settings->imap_per_address_max,
                                       [DOOR_KIND_POP3] = settings->pop3_per_address_max,
                                       [DOOR_KIND_HTTP] = settings->http_per_address_max };
    return max[door_kind_of(door)];
}

void door_conn_free(struct door_conn *door)
{
    CHECK(door->conn == NULL);
    timer_stop(&door->timer);
    free(door);
}

/* ---- a connection */

static bool door_must_end(const struct door_conn *door)
{
    const struct front *front = door->front;
    return front->draining || (front->waiting && door_kind_of(door) != DOOR_KIND_HTTP);
}

static void door_session(struct door_conn *door)
{
    door->stage = DOOR_IN_SESSION;
    if (door->protocol->start(door).code != ERR_OK) {
        conn_abort(door->conn, err_make(ERR_NOMEM, "session"));
    } else if (door_must_end(door) && door->conn != NULL) {
        door->protocol->end(door);
    }
}

static void door_tls(struct door_conn *door, enum door_stage stage)
{
    door->stage = (uint8_t)stage;
    door_idle(door, door->front->draining ? DOOR_LEAVING_MS : DOOR_HANDSHAKE_MS);
    struct err err = conn_start_tls(door->conn, door->front->tls, NULL);
    if (err.code != ERR_OK) conn_abort(door->conn, err);
}

void door_start_tls(struct door_conn *door) { door_tls(door, DOOR_IN_STARTTLS); }

static void door_begin(struct door_conn *door)
{
    if (services[door->service].tls) door_tls(door, DOOR_IN_HANDSHAKE);
    else door_session(door);
}

static void door_refuse(struct door_conn *door, struct err err)
{
    metric_add(METRIC_CONNECTIONS_REFUSED, 0, 1);
    door_log_refused(door, door_address_max(door));
    conn_abort(door->conn, err);
}

/* The leader of the client's address has been heard, or not in time. */
static void door_on_counted(void *holder, struct err err)
{
    struct door_conn *door = holder;
    if (err.code != ERR_OK) {
        door->seat = NULL;
        door_refuse(door, err);
        return;
    }
    door_begin(door);
    if (door->conn != NULL) conn_pause(door->conn, false);
}

/* The client's real address is known: it is counted in this frontend, then in the whole cluster;
 * then TLS or the session. HTTP is counted here only: a probe or a call of the API must not wait
 * for a storage node. */
static void door_enter(struct door_conn *door)
{
    static const unsigned kinds[DOOR_KINDS] = {
        [DOOR_KIND_SMTP] = STORE_TALLY_CONNECTIONS_SMTP,
        [DOOR_KIND_IMAP] = STORE_TALLY_CONNECTIONS_IMAP,
        [DOOR_KIND_POP3] = STORE_TALLY_CONNECTIONS_POP3,
    };
    struct front *front = door->front;
    enum door_kind kind = door_kind_of(door);
    struct meter_place place = { .kind = kinds[kind], .limit = door_address_max(door) };
    uint8_t ip[16];
    door_client_ip(door, ip);
    meter_network(ip, place.ip);
    struct err err = door_limits_enter(front->limits, place.ip, kind, place.limit, &door->address);
    if (err.code != ERR_OK) {
        door_refuse(door, err);
        return;
    }
    if (front->meter == NULL || kind == DOOR_KIND_HTTP || front->waiting ||
        meter_enter(front->meter, &place, door_on_counted, door, &door->seat).code != ERR_OK) {
        door_begin(door);
        return;
    }
    door->stage = DOOR_IN_COUNT;
    timer_stop(&door->timer);
    conn_pause(door->conn, true);
}

/* Reads a PROXY header (v1 or v2), which only trusted addresses may and must send. */
static size_t door_proxy(struct door_conn *door, struct span in)
{
    struct proxy_header header;
    size_t used = 0;
    switch (proxy_take(in, &header, &used)) {
    case PROXY_MORE:
        return 0;
    case PROXY_BAD:
        conn_abort(door->conn, err_make(ERR_SYNTAX, "PROXY header"));
        return in.len;
    case PROXY_OK:
        break;
    }
    if (header.family == PROXY_IP4 || header.family == PROXY_IP6) {
        door->peer.kind = header.family == PROXY_IP4 ? ENDPOINT_IP4 : ENDPOINT_IP6;
        door->peer.port = header.source_port;
        memcpy(door->peer.ip, header.source, 16);
    }
    door_enter(door);
    return used;
}

static size_t door_on_bytes(void *user, struct conn *conn, struct span in)
{
    struct door_conn *door = user;
    (void)conn;
    switch ((enum door_stage)door->stage) {
    case DOOR_IN_PROXY:
        return door_proxy(door, in);
    case DOOR_IN_SESSION:
        return door->protocol->bytes(door, in);
    case DOOR_IN_COUNT:
    case DOOR_IN_HANDSHAKE:
    case DOOR_IN_STARTTLS:
        return 0;
    }
    return 0;
}

static void door_on_ready(void *user, struct conn *conn)
{
    struct door_conn *door = user;
    (void)conn;
    door->tls_active = true;
    timer_stop(&door->timer);
    if (door->stage == DOOR_IN_STARTTLS) {
        door->stage = DOOR_IN_SESSION;
        door->protocol->tls_up(door);
        if (door_must_end(door) && door->conn != NULL) door->protocol->end(door);
    } else {
        door_session(door);
    }
}

static void door_on_drained(void *user, struct conn *conn)
{
    struct door_conn *door = user;
    (void)conn;
    if (door->stage == DOOR_IN_SESSION) door->protocol->drained(door);
}

static void door_on_closed(void *user, struct err why)
{
    struct door_conn *door = user;
    (void)why;
    door->conn = NULL;
    timer_stop(&door->timer);
    list_remove(&door->link);
    door->front->connections_count--;
    metric_add(METRIC_CONNECTIONS_OPEN, 0, -1);
    door_limits_leave(door->front->limits, door->address, door_kind_of(door));
    door_limits_close(door->front->limits);
    door->address = NULL;
    meter_leave(door->seat);
    door->seat = NULL;
    front_settings_unref(door->settings);
    door->settings = NULL;
    door->protocol->closed(door);
}

static const struct conn_user door_calls = {
    .bytes = door_on_bytes,
    .closed = door_on_closed,
    .ready = door_on_ready,
    .drained = door_on_drained,
};

/* Takes the connection that waits, counted already. An error: it is closed. */
static struct err door_take(struct door *door, struct listener *listener, struct door_conn **ret)
{
    struct front *front = door->front;
    const struct door_protocol *protocol = services[door->service].protocol;
    struct door_conn *new_conn = calloc(1, protocol->size);
    if (new_conn == NULL) return err_make(ERR_NOMEM, "connection");
    new_conn->front = front;
    new_conn->protocol = protocol;
    new_conn->service = (uint8_t)door->service;
    list_init(&new_conn->link);
    struct err err = conn_accept(listener, &door_calls, new_conn, &new_conn->conn);
    if (err.code != ERR_OK) {
        free(new_conn);
        return err;
    }
    new_conn->settings = front_settings_ref(front->settings);
    list_add(&front->connections, &new_conn->link);
    front->connections_count++;
    metric_add(METRIC_CONNECTIONS, 0, 1);
    metric_add(METRIC_CONNECTIONS_OPEN, 0, 1);
    new_conn->peer = conn_peer(new_conn->conn);
    *ret = new_conn;
    return err_ok();
}

static void door_on_connection(void *holder, struct listener *listener)
{
    struct door *door = holder;
    struct front *front = door->front;
    struct door_conn *new_conn = NULL;
    uint8_t ip[16];
    if (door_limits_open(front->limits, front->settings->connections_max).code != ERR_OK) {
        metric_add(METRIC_CONNECTIONS_REFUSED, 0, 1);
        return; /* it is closed */
    }
    if (door_take(door, listener, &new_conn).code != ERR_OK) {
        door_limits_close(front->limits);
        return;
    }
    door_client_ip(new_conn, ip);
    if (front_is_proxy(front->settings, ip)) {
        new_conn->stage = DOOR_IN_PROXY;
        door_idle(new_conn, front->settings->proxy_wait_ms);
    } else {
        door_enter(new_conn);
    }
}

struct err door_open(struct front *front, enum door_service service, const char *address,
                     struct door **ret)
{
    struct door *door = calloc(1, sizeof(*door));
    if (door == NULL) return err_make(ERR_NOMEM, "door");
    door->front = front;
    door->service = service;
    struct listener_options options = { .address = address, .share_port = true,
                                        .ready = door_on_connection, .holder = door };
    struct err err = listener_open(front->loop, &options, &door->listener);
    if (err.code != ERR_OK) {
        free(door);
        return err;
    }
    *ret = door;
    return err_ok();
}

uint16_t door_port(const struct door *door) { return listener_port(door->listener); }

void door_close(struct door *door)
{
    if (door == NULL) return;
    listener_take_waiting(door->listener);
    listener_close(door->listener);
    free(door);
}

void door_drain(struct front *front)
{
    front->draining = true;
    /* end() may close a connection, but never takes another out of the list. */
    for (struct list *at = front->connections.next, *next; at != &front->connections; at = next) {
        next = at->next;
        struct door_conn *door = LIST_ITEM(at, struct door_conn, link);
        if (door->stage == DOOR_IN_SESSION) door->protocol->end(door);
        else door_idle(door, DOOR_LEAVING_MS);
    }
}
