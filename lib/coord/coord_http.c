/* libcurl's multi interface on a loop: it says which sockets it waits for and when it wants to
 * be called; loop_poll and a timer do that. What has ended is looked at behind every call into
 * it, never within its callbacks, so a call's end may start and cancel others. */
#include "coord_http_private.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "coord.h"
#include "later.h"
#include "list.h"
#include "loop.h"
#include "loop_poll.h"
#include "timer.h"

enum {
    KEEPALIVE_IDLE_S = 5,   /* a peer that is gone without a word is noticed */
    KEEPALIVE_STEP_S = 2,
    UNACKED_MAX_MS = 5000,
    CA_CACHE_S = 30,
    BODY_FIRST_BYTES = 16 * 1024,
};

struct coord_http {
    struct loop *loop;
    const struct coord_options *options;
    CURLM *multi;
    struct timer timer;
    struct later soon;
    struct list calls, sockets;
    unsigned calls_count;
};

struct http_socket {
    struct list link;
    struct coord_http *http;
    struct loop_poll *poll;
    curl_socket_t fd;
};

/* Freed when it has ended or was cancelled. */
struct coord_http_call {
    struct list link;
    struct coord_http *http;
    CURL *easy;
    struct curl_slist *headers;
    struct coord_http_request request;
    size_t body_sent;
    char *reply;
    size_t reply_len, reply_size;
    struct err err; /* why a callback ended it */
};

/* ---- calls */

static void call_free(struct coord_http_call *call)
{
    struct coord_http *http = call->http;
    if (call->easy != NULL) curl_multi_remove_handle(http->multi, call->easy);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    free(call->reply);
    list_remove(&call->link);
    http->calls_count--;
    free(call);
}

void coord_http_cancel(struct coord_http_call *call)
{
    if (call != NULL) call_free(call);
}

/* What libcurl's end of a transfer says about the request. */
static struct coord_http_result result_of(const struct coord_http_call *call, CURLcode code)
{
    struct coord_http_result result = { .outcome = COORD_HTTP_LOST };
    long status = 0, sent = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent);
    if (code == CURLE_OK) {
        result.outcome = COORD_HTTP_ANSWERED;
        result.status = (unsigned)status;
        result.body = span_of(call->reply, call->reply_len);
    } else if (call->err.code != ERR_OK) {
        result.err = call->err;
    } else {
        if (sent == 0) result.outcome = COORD_HTTP_UNSENT;
        result.err = err_make_detail(code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT
                                                                     : ERR_UNREACHABLE,
                                     (int)code, "etcd");
        if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR ||
            code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE) {
            result.err = err_make_detail(ERR_UNREACHABLE, (int)code, "TLS with etcd");
        }
    }
    return result;
}

static void call_end(struct coord_http_call *call, CURLcode code)
{
    struct coord_http_result result = result_of(call, code);
    void (*done)(void *holder, const struct coord_http_result *result) = call->request.done;
    void *holder = call->request.holder;
    char *reply = call->reply;
    call->reply = NULL;
    call_free(call);
    done(holder, &result);
    free(reply);
}

/* Tells the ends of all that has ended; their callbacks may start and cancel calls. */
static void look(struct coord_http *http)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        struct coord_http_call *call = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        call_end(call, code);
    }
}

/* ---- what libcurl asks of the loop */

static void on_socket(void *holder, int events)
{
    struct http_socket *socket = holder;
    struct coord_http *http = socket->http;
    int running, flags = ((events & LOOP_POLL_READ) != 0 ? CURL_CSELECT_IN : 0) |
                         ((events & LOOP_POLL_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
    curl_multi_socket_action(http->multi, socket->fd, flags, &running);
    look(http);
}

static void socket_free(struct http_socket *socket)
{
    loop_poll_close(socket->poll); /* before its number can be another's */
    list_remove(&socket->link);
    free(socket);
}

static struct http_socket *socket_new(struct coord_http *http, curl_socket_t fd)
{
    struct http_socket *socket = calloc(1, sizeof(*socket));
    if (socket == NULL) return NULL;
    socket->http = http;
    socket->fd = fd;
    if (loop_poll_open_any(http->loop, fd, on_socket, socket, &socket->poll).code != ERR_OK) {
        free(socket);
        return NULL;
    }
    list_add(&http->sockets, &socket->link);
    curl_multi_assign(http->multi, fd, socket);
    return socket;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *holder, void *is)
{
    struct coord_http *http = holder;
    struct http_socket *socket = is;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (socket != NULL) socket_free(socket);
        curl_multi_assign(http->multi, fd, NULL);
        return 0;
    }
    if (socket == NULL) socket = socket_new(http, fd);
    if (socket == NULL) return -1;
    int events = ((what & CURL_POLL_IN) != 0 ? LOOP_POLL_READ : 0) |
                 ((what & CURL_POLL_OUT) != 0 ? LOOP_POLL_WRITE : 0);
    return loop_poll_wait(socket->poll, events).code == ERR_OK ? 0 : -1;
}

static void time_out(struct coord_http *http)
{
    int running;
    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    look(http);
}

static void on_timer(void *holder) { time_out(holder); }

static void on_soon(struct later *later) { time_out(LIST_ITEM(later, struct coord_http, soon)); }

static int want_timer(CURLM *multi, long wait_ms, void *holder)
{
    struct coord_http *http = holder;
    (void)multi;
    timer_stop(&http->timer);
    if (wait_ms > 0) {
        timer_start(http->loop, &http->timer, (uint64_t)wait_ms, on_timer, http);
    } else if (wait_ms == 0 && !later_is_posted(&http->soon)) {
        later_post(loop_later(http->loop), &http->soon, on_soon); /* not within libcurl */
    }
    return 0;
}

/* ---- what libcurl asks of a call */

static size_t give_body(char *to, size_t size, size_t count, void *holder)
{
    struct coord_http_call *call = holder;
    struct span rest = span_skip(call->request.body, call->body_sent);
    rest = span_head(rest, size * count);
    if (rest.len > 0) memcpy(to, rest.ptr, rest.len);
    call->body_sent += rest.len;
    return rest.len;
}

static bool collect(struct coord_http_call *call, struct span bytes)
{
    size_t wanted = call->reply_len + bytes.len;
    if (wanted > call->request.reply_max) {
        call->err = err_make(ERR_TOO_BIG, "answer of etcd");
        return false;
    }
    if (wanted > call->reply_size) {
        size_t size = call->reply_size == 0 ? BODY_FIRST_BYTES : call->reply_size;
        while (size < wanted) size *= 2;
        char *grown = realloc(call->reply, size);
        if (grown == NULL) {
            call->err = err_make(ERR_NOMEM, "answer of etcd");
            return false;
        }
        call->reply = grown;
        call->reply_size = size;
    }
    if (bytes.len > 0) memcpy(call->reply + call->reply_len, bytes.ptr, bytes.len);
    call->reply_len = wanted;
    return true;
}

/* A stream's bytes, if they are one's: what comes with an error status is collected. */
static size_t take_body(char *from, size_t size, size_t count, void *holder)
{
    struct coord_http_call *call = holder;
    struct span bytes = span_of(from, size * count);
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    bool streams = call->request.data != NULL && status == 200;
    bool good = streams ? call->request.data(call->request.holder, bytes) : collect(call, bytes);
    return good ? bytes.len : 0;
}

static int set_socket(void *holder, curl_socket_t fd, curlsocktype purpose)
{
    unsigned unacked_ms = UNACKED_MAX_MS;
    (void)holder;
    (void)purpose;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked_ms, sizeof(unacked_ms));
    return CURL_SOCKOPT_OK;
}

/* ---- starting */

static bool add_header(struct coord_http_call *call, const char *name, const char *value)
{
    char text[COORD_HTTP_HEADER_MAX_BYTES];
    int len = snprintf(text, sizeof(text), "%s:%s%s", name, value[0] == '\0' ? "" : " ", value);
    if (len < 0 || (size_t)len >= sizeof(text)) return false;
    struct curl_slist *grown = curl_slist_append(call->headers, text);
    if (grown == NULL) return false;
    call->headers = grown;
    return true;
}

static bool set_headers(struct coord_http_call *call)
{
    bool good = add_header(call, "Content-Type", "application/json") &&
                /* Spares a round trip with bodies of a megabyte. */
                add_header(call, "Expect", "") &&
                /* A member that has lost its leader says so, and does not fall silent. */
                add_header(call, "Grpc-Metadata-hasleader", "true");
    if (call->request.token[0] != '\0') {
        good = good && add_header(call, "Authorization", call->request.token);
    }
    return good && curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK;
}

static void set_files(CURL *easy, const struct coord_options *options)
{
    if (options->ca_file[0] != '\0') {
        curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* these and no others */
    }
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, (long)CA_CACHE_S);
    if (options->cert_file[0] == '\0') return;
    curl_easy_setopt(easy, CURLOPT_SSLCERT, options->cert_file);
    curl_easy_setopt(easy, CURLOPT_SSLKEY, options->key_file);
}

static void set_connection(CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)COORD_HTTP_CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_STEP_S);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, set_socket);
}

static bool set_all(struct coord_http_call *call)
{
    char url[COORD_HTTP_URL_MAX_BYTES];
    CURL *easy = call->easy = curl_easy_init();
    const struct coord_http_request *request = &call->request;
    int len = snprintf(url, sizeof(url), "%s%s", request->endpoint, request->path);
    if (easy == NULL || len < 0 || (size_t)len >= sizeof(url)) return false;
    set_connection(easy);
    set_files(easy, call->http->options);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    /* By a function that can't go back: what was sent on a connection that then broke is not sent
     * again behind our back, as libcurl does with a body that it has in memory. */
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(easy, CURLOPT_READDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->wait_ms);
    return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK && set_headers(call);
}

struct err coord_http_start(struct coord_http *http, const struct coord_http_request *request,
                            struct coord_http_call **ret)
{
    if (http->calls_count == COORD_HTTP_CALLS_MAX) return err_make(ERR_BUSY, "requests to etcd");
    struct coord_http_call *call = calloc(1, sizeof(*call));
    if (call == NULL) return err_make(ERR_NOMEM, "request to etcd");
    call->http = http;
    call->request = *request;
    list_add(&http->calls, &call->link);
    http->calls_count++;
    bool good = set_all(call) && curl_multi_add_handle(http->multi, call->easy) == CURLM_OK;
    if (!good) {
        call_free(call);
        return err_make(ERR_NOMEM, "request to etcd");
    }
    *ret = call;
    return err_ok();
}

/* ---- the whole */

struct err coord_http_new(struct loop *loop, const struct coord_options *options,
                          struct coord_http **ret)
{
    /* Counted, and safe from several threads since libcurl 7.84. */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return err_make(ERR_NOMEM, "libcurl");
    struct coord_http *http = calloc(1, sizeof(*http));
    CURLM *multi = http == NULL ? NULL : curl_multi_init();
    if (multi == NULL) {
        free(http);
        curl_global_cleanup();
        return err_make(ERR_NOMEM, "libcurl");
    }
    http->loop = loop;
    http->options = options;
    http->multi = multi;
    list_init(&http->calls);
    list_init(&http->sockets);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, want_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http);
    *ret = http;
    return err_ok();
}

void coord_http_free(struct coord_http *http)
{
    if (http == NULL) return;
    while (!list_is_empty(&http->calls)) {
        call_free(LIST_ITEM(http->calls.next, struct coord_http_call, link));
    }
    curl_multi_cleanup(http->multi);
    while (!list_is_empty(&http->sockets)) {
        socket_free(LIST_ITEM(http->sockets.next, struct http_socket, link));
    }
    timer_stop(&http->timer);
    later_cancel(&http->soon);
    curl_global_cleanup();
    free(http);
}
