/* The shell of HTTP: requests go to the API, one at a time a connection. */
#include <stdlib.h>

#include "api.h"
#include "body.h"
#include "door_private.h"
#include "http_session.h"

enum {
    HTTP_OUT_BYTES = HTTP_HEAD_MAX_BYTES + 1024,
    HTTP_COPY_MAX_BYTES = 64 * 1024, /* larger answers wait by reference: see conn_send() */
};


struct door_http_conn {
    struct door_conn door;
    struct http_session *session;
    struct api_call *call; /* under way */
};

static struct door_http_conn *http_of(struct door_conn *door)
{
    return (struct door_http_conn *)door;
}

static void http_close_if_wished(struct door_http_conn *http)
{
    if (http_session_wish(http->session) == HTTP_WISH_CLOSE) door_hang_up(&http->door);
}

static const struct api_answer http_busy = {
    .status = 503, .content_type = SPAN_INIT("application/problem+json"),
    .body = SPAN_INIT("{\"title\":\"busy\",\"status\":503}\n")
};

static struct err http_body(struct door_http_conn *http, struct span bytes, struct body **ret)
{
    struct body *body;
    TRY(body_new(http->door.front->budget, &body));
    struct err err = body_put(body, bytes);
    if (err.code == ERR_OK) err = body_seal(body);
    if (err.code == ERR_OK) *ret = body;
    else body_unref(body);
    return err;
}

/* The body of an answer, behind its head. */
static void http_send(struct door_http_conn *http, struct span bytes, struct body *body)
{
    struct conn *conn = http->door.conn;
    if (body == NULL) door_send(&http->door, bytes);
    else if (conn != NULL && conn_send_body(conn, body, 0, bytes.len).code != ERR_OK) {
        conn_abort(conn, err_make(ERR_NOMEM, "answer"));
    }
}

static void http_answered(void *holder, const struct api_answer *answer)
{
    struct door_http_conn *http = holder;
    char bytes[HTTP_OUT_BYTES];
    struct buf out;
    struct body *body = NULL;
    http->call = NULL;
    if (http->door.conn == NULL) {
        http_session_free(http->session);
        door_conn_free(&http->door);
        return;
    }
    bool head = http_session_is_head(http->session);
    if (!head && answer->body.len > HTTP_COPY_MAX_BYTES &&
        http_body(http, answer->body, &body).code != ERR_OK) {
        answer = &http_busy;
    }
    struct http_response response = { .status = answer->status,
                                      .content_type = answer->content_type,
                                      .body = answer->body,
                                      .headers = answer->headers,
                                      .headers_count = answer->headers_count };
    buf_init(&out, bytes, sizeof(bytes));
    http_session_answer(http->session, &response, &out);
    door_send(&http->door, buf_span(&out));
    if (!head) http_send(http, answer->body, body);
    body_unref(body);
    if (http->door.conn == NULL) return;
    http_close_if_wished(http);
    if (http->door.front->draining) {
        door_hang_up(&http->door);
        return;
    }
    door_idle(&http->door, http->door.settings->http_idle_ms);
    conn_pause(http->door.conn, false);
}

static struct err http_start(struct door_conn *door)
{
    door_idle(door, door->settings->http_idle_ms);
    return http_session_new(door->tls_active, &http_of(door)->session);
}

static size_t http_bytes(struct door_conn *door, struct span in)
{
    struct door_http_conn *http = http_of(door);
    char bytes[HTTP_OUT_BYTES];
    struct buf out;
    buf_init(&out, bytes, sizeof(bytes));
    http_session_body_max(http->session, door->front->settings->http_body_max_bytes);
    size_t used = http_session_feed(http->session, in, &out);
    door_send(door, buf_span(&out));
    if (door->conn == NULL) return used;
    door_idle(door, door->settings->http_idle_ms);
    http_close_if_wished(http);
    if (http_session_wish(http->session) != HTTP_WISH_ANSWER) return used;
    conn_pause(door->conn, true);
    uint8_t ip[16];
    door_client_ip(door, ip);
    struct err err = api_start(door->front->api, http_session_request(http->session), ip,
                               http_answered, http, &http->call);
    if (err.code != ERR_OK) http_answered(http, &http_busy);
    return used;
}

static void http_nothing(struct door_conn *door) { (void)door; }

static void http_end(struct door_conn *door)
{
    if (http_of(door)->call == NULL) door_hang_up(door);
}

static void http_closed(struct door_conn *door)
{
    struct door_http_conn *http = http_of(door);
    if (http->call != NULL) return; /* http_answered() frees */
    http_session_free(http->session);
    door_conn_free(door);
}

const struct door_protocol door_http = {
    .size = sizeof(struct door_http_conn),
    .start = http_start,
    .bytes = http_bytes,
    .tls_up = http_nothing,
    .drained = http_nothing,
    .idle = http_end,
    .end = http_end,
    .closed = http_closed,
};
