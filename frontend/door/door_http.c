/* The shell of HTTP: requests go to the API, one at a time a connection. */
#include <stdlib.h>

#include "api.h"
#include "door_private.h"
#include "http_session.h"

enum { HTTP_OUT_BYTES = HTTP_HEAD_MAX_BYTES + 1024 };

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

static void http_answered(void *holder, const struct api_answer *answer)
{
    struct door_http_conn *http = holder;
    char bytes[HTTP_OUT_BYTES];
    struct buf out;
    http->call = NULL;
    if (http->door.conn == NULL) {
        http_session_free(http->session);
        door_conn_free(&http->door);
        return;
    }
    struct http_response response = { .status = answer->status,
                                      .content_type = answer->content_type,
                                      .body = answer->body,
                                      .headers = answer->headers,
                                      .headers_count = answer->headers_count };
    buf_init(&out, bytes, sizeof(bytes));
    bool head = http_session_is_head(http->session);
    http_session_answer(http->session, &response, &out);
    door_send(&http->door, buf_span(&out));
    if (!head) door_send(&http->door, answer->body);
    if (http->door.conn == NULL) return;
    http_close_if_wished(http);
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
    if (err.code != ERR_OK) {
        struct api_answer busy = { .status = 503, .content_type = SPAN("application/problem+json"),
                                   .body = SPAN("{\"title\":\"busy\",\"status\":503}\n") };
        http_answered(http, &busy);
    }
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
