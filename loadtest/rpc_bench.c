/* loadtest-rpc: what a call between two programs costs over a unix socket, and over mutual TLS on
 * the loopback, in the same run: calls a second, processor time of both ends for each, and time to
 * the answer; and what a new connection costs.
 *
 *   loadtest-rpc [SECONDS]     for each line; 3 without
 *
 * Caller and called are two processes of one loop each, as programs are. Each case is done twice,
 * in turn, and the better of the two is shown: what disturbs a run only makes it worse. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "body.h"
#include "certificate.h"
#include "check.h"
#include "clock.h"
#include "loop.h"
#include "rpc.h"
#include "store_msg.h"
#include "tls.h"

enum {
    BENCH_FLIGHT_MAX = 64,
    BENCH_SAMPLES_MAX = 1 << 20,
    BENCH_ADDRESS_BYTES = 128,
    BENCH_ROUNDS = 2,
    BENCH_WARM_CALLS = 500,
    BENCH_DEADLINE_MS = 60000,
};

static const char cluster[] = "godwit://00112233445566778899aabbccddeeff/";

/* ---- who they are */

static void must(struct err err, const char *what)
{
    if (err.code == ERR_OK) return;
    fprintf(stderr, "loadtest-rpc: %s: %s: %s\n", what, err.what, err_text(err));
    exit(1);
}

static struct rpc_self *make_self(enum rpc_role role, const struct certificate *ca)
{
    char uri[RPC_URI_MAX_BYTES + 1];
    struct span text = rpc_role_text(role);
    const char *const names[] = { "bench" };
    struct certificate made;
    struct rpc_self *self;
    struct tls_context *server, *client;
    snprintf(uri, sizeof(uri), "%s%.*s/bench", cluster, (int)text.len, text.ptr);
    const struct certificate_options options = { .kind = CERTIFICATE_MEMBER, .names = names,
                                                 .names_count = 1, .uri = uri, .days = 1 };
    must(certificate_make(&options, ca, &made), "certificate");
    struct rpc_name name;
    must(rpc_name_parse(span_of(uri, strlen(uri)), &name), "name");
    const struct rpc_self_options who = { .role = role };
    must(rpc_self_new(&who, &self), "identity");
    const struct tls_certificate pair = { span_of(made.cert, made.cert_len),
                                          span_of(made.key, made.key_len) };
    struct tls_options tls = { .certificates = &pair, .certificates_count = 1,
                               .verify = TLS_VERIFY_REQUIRED,
                               .ca = span_of(ca->cert, ca->cert_len), .bulk = true };
    must(tls_context_new(&tls, &server), "TLS");
    tls.client = true;
    must(tls_context_new(&tls, &client), "TLS");
    rpc_self_set_tls(self, server, client);
    rpc_self_set_cluster(self, name.cluster, 1);
    tls_context_unref(server);
    tls_context_unref(client);
    certificate_free(&made);
    return self;
}

/* ---- the called end: answers with the name it was sent, or with as many bytes of data */

static void serve(void *holder, struct rpc_serving *serving)
{
    const struct store_address_get_request *request = rpc_serving_request(serving);
    struct store_address_reply reply = { .name = SPAN("") };
    (void)holder;
    if (rpc_serving_method(serving)->number == STORE_METHOD_ADDRESS_GET) {
        reply.name = request->address;
        rpc_put_reply(serving, &reply);
    } else {
        struct body *body = rpc_serving_body(serving);
        rpc_put_body(serving, body, 0, body_size(body));
    }
    rpc_finish(serving, err_ok(), span_of(NULL, 0));
}

__attribute__((noreturn)) static void be_called(const struct certificate *ca, const char *unix_path,
                                                int ready)
{
    static const struct rpc_service_row rows[] = {
        { STORE_METHOD_ADDRESS_GET, RPC_ROLE_FRONTEND, serve },
        { STORE_METHOD_APPEND, RPC_ROLE_FRONTEND, serve },
    };
    struct body_budget budget = { .memory_bytes_max = 256 << 20, .file_bytes_max = 1 << 30,
                                  .spill_dir = "/tmp" };
    struct loop *loop;
    struct rpc_server *server;
    const char *const addresses[] = { unix_path, "127.0.0.1:0" };
    must(loop_new(&loop), "loop");
    const struct rpc_server_options options = {
        .addresses = addresses, .addresses_count = 2,
        .self = make_self(RPC_ROLE_STORAGE_NODE, ca), .methods = store_methods,
        .methods_count = STORE_METHODS, .rows = rows, .rows_count = 2, .budget = &budget,
    };
    must(rpc_server_open(loop, &options, &server), "server");
    uint16_t port = rpc_server_port(server);
    CHECK(write(ready, &port, sizeof(port)) == sizeof(port));
    loop_hold(loop);
    loop_run(loop);
    exit(0);
}

/* ---- the calling end */

struct bench {
    struct loop *loop;
    struct rpc_client *client;
    struct body *body; /* NULL: small calls */
    unsigned open;
    bool over;
    uint64_t calls, samples;
    struct err err;
};
struct flight {
    struct bench *bench;
    uint64_t begun_us;
};

static struct flight flights[BENCH_FLIGHT_MAX];
static uint32_t samples_us[BENCH_SAMPLES_MAX];

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static double cpu_us(clockid_t clock)
{
    struct timespec used;
    if (clock_gettime(clock, &used) != 0) return 0;
    return (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
}

static void start(struct flight *flight);

static void on_data(void *holder, struct rpc_call *call, struct span bytes)
{
    (void)holder;
    rpc_call_took(call, bytes.len);
}

static void on_done(void *holder, struct rpc_call *call, struct err err, struct span info)
{
    struct flight *flight = holder;
    struct bench *bench = flight->bench;
    (void)call;
    (void)info;
    bench->open--;
    bench->calls++;
    if (err.code != ERR_OK) bench->err = err;
    uint64_t took = now_us() - flight->begun_us;
    if (bench->samples < BENCH_SAMPLES_MAX) samples_us[bench->samples++] = (uint32_t)took;
    if (!bench->over && err.code == ERR_OK) start(flight);
}

static const struct rpc_call_user user = { on_data, NULL, on_done };

static void start(struct flight *flight)
{
    struct bench *bench = flight->bench;
    const struct store_address_get_request small = { .address = SPAN("somebody@example.org") };
    const struct store_append_request large = { .account = 1 };
    const struct rpc_call_options options = { .deadline_ms = BENCH_DEADLINE_MS,
                                              .body = bench->body };
    struct rpc_call *call;
    unsigned number = bench->body == NULL ? STORE_METHOD_ADDRESS_GET : STORE_METHOD_APPEND;
    const void *request = bench->body == NULL ? (const void *)&small : (const void *)&large;
    flight->begun_us = now_us();
    must(rpc_call_start(bench->client, store_method_find(number), request, &options, &user, flight,
                        &call), "call");
    bench->open++;
}

static void turn_until_idle(struct bench *bench)
{
    while (bench->open > 0) loop_step(bench->loop, 1000);
    must(bench->err, "a call");
}

static void fly(struct bench *bench, unsigned width, uint64_t until_us)
{
    bench->over = false;
    for (unsigned i = 0; i < width; i++) {
        flights[i].bench = bench;
        start(&flights[i]);
    }
    while (until_us == 0 ? bench->calls < BENCH_WARM_CALLS : now_us() < until_us) {
        loop_step(bench->loop, 1000);
        must(bench->err, "a call");
    }
    bench->over = true;
    turn_until_idle(bench);
}

struct result {
    double calls_s, caller_us, called_us, median_us, tail_us;
};

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static struct result measure(struct bench *bench, unsigned width, double seconds, clockid_t called)
{
    bench->calls = bench->samples = 0;
    fly(bench, width, 0);
    bench->calls = bench->samples = 0;
    double ours = cpu_us(CLOCK_PROCESS_CPUTIME_ID), theirs = cpu_us(called);
    uint64_t begun = now_us();
    fly(bench, width, begun + (uint64_t)(seconds * 1e6));
    double took = (double)(now_us() - begun), calls = (double)bench->calls;
    struct result result = { calls / took * 1e6,
                             (cpu_us(CLOCK_PROCESS_CPUTIME_ID) - ours) / calls,
                             (cpu_us(called) - theirs) / calls, 0, 0 };
    qsort(samples_us, bench->samples, sizeof(samples_us[0]), by_size);
    result.median_us = samples_us[bench->samples / 2];
    result.tail_us = samples_us[bench->samples * 99 / 100];
    return result;
}

/* New connections, one after the other, each with one small call. */
static struct result measure_connections(struct bench *bench, const char *address,
                                         struct rpc_self *self, double seconds, clockid_t called)
{
    const struct rpc_client_options options = { .address = address, .self = self };
    double ours = cpu_us(CLOCK_PROCESS_CPUTIME_ID), theirs = cpu_us(called);
    uint64_t begun = now_us(), until = begun + (uint64_t)(seconds * 1e6);
    bench->calls = bench->samples = 0;
    bench->over = true;
    while (now_us() < until) {
        must(rpc_client_new(bench->loop, &options, &bench->client), "client");
        flights[0].bench = bench;
        start(&flights[0]);
        turn_until_idle(bench);
        rpc_client_free(bench->client);
    }
    double took = (double)(now_us() - begun), calls = (double)bench->calls;
    qsort(samples_us, bench->samples, sizeof(samples_us[0]), by_size);
    return (struct result){ calls / took * 1e6, (cpu_us(CLOCK_PROCESS_CPUTIME_ID) - ours) / calls,
                            (cpu_us(called) - theirs) / calls,
                            samples_us[bench->samples / 2], samples_us[bench->samples * 99 / 100] };
}

/* ---- the cases */

struct bench_case {
    const char *text;
    unsigned width;      /* calls under way at a time; 0: connections */
    unsigned body_bytes; /* there and back; 0: none */
};

static const struct bench_case cases[] = {
    { "small call, one at a time", 1, 0 },
    { "small call, 64 at a time", 64, 0 },
    { "10 KiB there and back, 1 at a time", 1, 10 * 1024 },
    { "10 KiB there and back, 16 at a time", 16, 10 * 1024 },
    { "1 MiB there and back, 4 at a time", 4, 1024 * 1024 },
    { "connection with one small call", 0, 0 },
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static struct body *make_body(struct body_budget *budget, unsigned bytes)
{
    char piece[1024];
    struct body *body;
    memset(piece, 'x', sizeof(piece));
    must(body_new(budget, &body), "body");
    for (unsigned i = 0; i < bytes / sizeof(piece); i++) {
        must(body_put(body, span_of(piece, sizeof(piece))), "body");
    }
    must(body_seal(body), "body");
    return body;
}

static struct result run(struct bench *bench, const struct bench_case *one, const char *address,
                         struct rpc_self *self, double seconds, clockid_t called)
{
    struct body_budget budget = { .memory_bytes_max = 64 << 20, .file_bytes_max = 1 << 30,
                                  .spill_dir = "/tmp" };
    const struct rpc_client_options options = { .address = address, .self = self };
    if (one->width == 0) return measure_connections(bench, address, self, seconds, called);
    if (one->body_bytes > 0) bench->body = make_body(&budget, one->body_bytes);
    must(rpc_client_new(bench->loop, &options, &bench->client), "client");
    struct result result = measure(bench, one->width, seconds, called);
    rpc_client_free(bench->client);
    body_unref(bench->body);
    bench->body = NULL;
    return result;
}

static void print(const char *text, const char *over, const struct result *r)
{
    printf("%-36s %-5s %9.0f %10.1f %10.1f %9.0f %9.0f\n", text, over, r->calls_s, r->caller_us,
           r->called_us, r->median_us, r->tail_us);
    fflush(stdout);
}

static void compare(struct bench *bench, char addresses[2][BENCH_ADDRESS_BYTES], double seconds,
                    struct rpc_self *self, clockid_t called)
{
    static const char *const over[2] = { "unix", "TLS" };
    printf("%-36s %-5s %9s %10s %10s %9s %9s\n", "", "", "per s", "caller us", "called us",
           "p50 us", "p99 us");
    for (unsigned i = 0; i < CASES; i++) {
        struct result best[2] = { { .calls_s = 0 }, { .calls_s = 0 } };
        for (unsigned j = 0; j < 2 * BENCH_ROUNDS; j++) {
            struct result one = run(bench, &cases[i], addresses[j % 2], self, seconds, called);
            if (one.calls_s > best[j % 2].calls_s) best[j % 2] = one;
        }
        print(cases[i].text, over[0], &best[0]);
        print("", over[1], &best[1]);
        printf("%-36s ratio %8.2f  CPU of both ends %.2f\n", "", best[1].calls_s / best[0].calls_s,
               (best[1].caller_us + best[1].called_us) / (best[0].caller_us + best[0].called_us));
    }
}

int main(int argc, char **argv)
{
    char addresses[2][BENCH_ADDRESS_BYTES];
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 3;
    const char *const names[] = { "bench" };
    const struct certificate_options options = { .kind = CERTIFICATE_CA, .names = names,
                                                 .names_count = 1, .days = 1 };
    struct certificate ca;
    struct bench bench = { .err = err_ok() };
    int ready[2];
    uint16_t port = 0;
    clockid_t called;
    must(certificate_make(&options, NULL, &ca), "authority");
    snprintf(addresses[0], BENCH_ADDRESS_BYTES, "unix:/tmp/loadtest-rpc-%d.sock", (int)getpid());
    CHECK(pipe(ready) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) be_called(&ca, addresses[0], ready[1]);
    close(ready[1]);
    if (read(ready[0], &port, sizeof(port)) != sizeof(port)) return 1;
    snprintf(addresses[1], BENCH_ADDRESS_BYTES, "127.0.0.1:%u", (unsigned)port);
    CHECK(clock_getcpuclockid(pid, &called) == 0);
    must(loop_new(&bench.loop), "loop");
    compare(&bench, addresses, seconds > 0 ? seconds : 3, make_self(RPC_ROLE_FRONTEND, &ca),
            called);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    unlink(addresses[0] + strlen("unix:"));
    return 0;
}
