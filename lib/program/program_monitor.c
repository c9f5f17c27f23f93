#include "program_monitor.h"

#include <stdlib.h>

#include "buf.h"
#include "conn.h"
#include "http_session.h"
#include "list.h"
#include "listener.h"
#include "log.h"
#include "timer.h"

enum { OUT_BYTES = HTTP_HEAD_MAX_BYTES + 1024 };

struct program_monitor {
    struct loop *loop;
    struct listener *listener; /* NULL: closed */
    struct program_monitor_source source;
    struct list clients;
    unsigned clients_count;
};

/* Freed when its connection is closed. */
struct client {
    struct list link;
    struct program_monitor *monitor;
    struct conn *conn;
    struct http_session *session;
    struct timer idle;
};

/* ---- answers */

static unsigned answer_ready(const struct program_monitor_source *source, struct buf *body)
{
    struct span missing = source->missing(source->holder);
    buf_put(body, missing.len == 0 ? SPAN("ready") : missing);
    buf_put(body, SPAN("\n"));
    struct span detail = source->detail != NULL ? source->detail(source->holder) : SPAN("");
    buf_put(body, detail);
    if (detail.len > 0) buf_put(body, SPAN("\n"));
    return missing.len == 0 ? 200 : 503;
}

unsigned program_monitor_answer(const struct program_monitor_source *source,
                                const struct http_request *request, struct buf *body)
{
    bool health = span_eq(request->path, SPAN("/healthz"));
    bool ready = span_eq(request->path, SPAN("/readyz"));
    if (!health && !ready && !span_eq(request->path, SPAN("/metrics"))) {
        buf_put(body, SPAN("there are /healthz, /readyz and /metrics\n"));
        return 404;
    }
    if (!span_eq(request->method, SPAN("GET")) && !span_eq(request->method, SPAN("HEAD"))) {
        buf_put(body, SPAN("GET and HEAD are allowed\n"));
        return 405;
    }
    if (ready) return answer_ready(source, body);
    if (health) buf_put(body, SPAN("ok\n"));
    else program_metrics_put(source, body);
    if (!body->overflow) return 200;
    buf_init(body, body->bytes, body->size);
    buf_put(body, SPAN("more than fits into an answer\n"));
    return 500;
}

/* False: the connection is being broken. */
static bool client_answer(struct client *client)
{
    static const struct http_header allow = { SPAN_INIT("Allow"), SPAN_INIT("GET, HEAD") };
    char head[OUT_BYTES], *bytes = malloc(PROGRAM_METRICS_MAX_BYTES);
    struct buf out, body;
    if (bytes == NULL) {
        conn_abort(client->conn, err_make(ERR_NOMEM, "answer"));
        return false;
    }
    buf_init(&body, bytes, PROGRAM_METRICS_MAX_BYTES);
    buf_init(&out, head, sizeof(head));
    const struct http_request *request = http_session_request(client->session);
    struct http_response response = {
        .content_type = SPAN("text/plain; version=0.0.4; charset=utf-8"), .headers = &allow
    };
    response.status = program_monitor_answer(&client->monitor->source, request, &body);
    response.body = buf_span(&body);
    if (response.status == 405) response.headers_count = 1;
    bool is_head = http_session_is_head(client->session);
    http_session_answer(client->session, &response, &out);
    struct err err = conn_send(client->conn, buf_span(&out));
    if (err.code == ERR_OK && !is_head) err = conn_send(client->conn, response.body);
    /* Who asks and does not read is not waited for. */
    if (err.code == ERR_BUSY) conn_abort(client->conn, err);
    free(bytes);
    return err.code == ERR_OK;
}

/* ---- connections */

static void client_on_idle(void *holder)
{
    struct client *client = holder;
    conn_abort(client->conn, err_make(ERR_TIMEOUT, "client"));
}

static size_t client_on_bytes(void *user, struct conn *conn, struct span in)
{
    struct client *client = user;
    char bytes[OUT_BYTES];
    struct buf out;
    buf_init(&out, bytes, sizeof(bytes));
    timer_start(client->monitor->loop, &client->idle, PROGRAM_MONITOR_IDLE_MS, client_on_idle,
                client);
    size_t used = http_session_feed(client->session, in, &out);
    if (out.len > 0 && conn_send(conn, buf_span(&out)).code != ERR_OK) return used;
    enum http_wish wish = http_session_wish(client->session);
    if (wish == HTTP_WISH_ANSWER && !client_answer(client)) return used;
    if (http_session_wish(client->session) == HTTP_WISH_CLOSE) conn_close(conn);
    return used;
}

static void monitor_end(struct program_monitor *monitor)
{
    if (monitor->listener != NULL || monitor->clients_count > 0) return;
    free(monitor);
}

static void client_on_closed(void *user, struct err why)
{
    struct client *client = user;
    struct program_monitor *monitor = client->monitor;
    (void)why;
    timer_stop(&client->idle);
    http_session_free(client->session);
    list_remove(&client->link);
    free(client);
    monitor->clients_count--;
    monitor_end(monitor);
}

static const struct conn_user client_calls = { .bytes = client_on_bytes,
                                               .closed = client_on_closed };

static void on_connection(void *holder, struct listener *listener)
{
    struct program_monitor *monitor = holder;
    if (monitor->clients_count == PROGRAM_MONITOR_CLIENTS_MAX) return; /* it is closed */
    struct client *client = calloc(1, sizeof(*client));
    if (client == NULL) return;
    if (http_session_new(false, &client->session).code != ERR_OK ||
        conn_accept(listener, &client_calls, client, &client->conn).code != ERR_OK) {
        http_session_free(client->session);
        free(client);
        return;
    }
    client->monitor = monitor;
    list_add(&monitor->clients, &client->link);
    monitor->clients_count++;
    timer_start(monitor->loop, &client->idle, PROGRAM_MONITOR_IDLE_MS, client_on_idle, client);
}

struct err program_monitor_open(struct loop *loop, const char *address,
                                const struct program_monitor_source *source,
                                struct program_monitor **ret)
{
    struct program_monitor *monitor = calloc(1, sizeof(*monitor));
    if (monitor == NULL) return err_make(ERR_NOMEM, "monitor");
    monitor->loop = loop;
    monitor->source = *source;
    list_init(&monitor->clients);
    struct listener_options options = { .address = address, .ready = on_connection,
                                        .holder = monitor };
    struct err err = listener_open(loop, &options, &monitor->listener);
    if (err.code != ERR_OK) {
        LOG(SERVICE_FAILED, NULL, log_words("metrics"), log_words(address),
            log_words(err_text(err)));
        free(monitor);
        return err;
    }
    *ret = monitor;
    return err_ok();
}

uint16_t program_monitor_port(const struct program_monitor *monitor)
{
    return listener_port(monitor->listener);
}

void program_monitor_close(struct program_monitor *monitor)
{
    if (monitor == NULL) return;
    listener_close(monitor->listener);
    monitor->listener = NULL;
    for (struct list *at = monitor->clients.next; at != &monitor->clients; at = at->next) {
        conn_abort(LIST_ITEM(at, struct client, link)->conn, err_make(ERR_CANCELLED, "going down"));
    }
    monitor_end(monitor);
}
