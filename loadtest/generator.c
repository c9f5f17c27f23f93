/* generator: many clients that send mail by SMTP or LMTP as fast as the server takes it.
 *
 * Each connection is a thread with a blocking socket. Commands of an envelope are pipelined when
 * the server offers it. Every message carries its number, so that what is stored can be checked
 * against what was acknowledged. Prints one line of JSON. Loopback only; bounded by count and time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 1000, LINE_MAX_BYTES = 4096, RECIPIENTS_MAX = 100, SECONDS_MAX = 600 };

static struct {
    struct sockaddr_in address;
    bool lmtp, random_body;
    unsigned connections, per_session, recipients, users, size_bytes;
    unsigned long count;
    const char *domain, *prefix, *tag;
    unsigned long next;           /* atomic: number of the next message */
    unsigned long failed;         /* atomic */
    double *latencies_ms;         /* by message number */
    unsigned char *acknowledged;  /* by message number */
} load;

struct client {
    pthread_t thread;
    int fd;
    size_t have, at;
    bool pipelining;
    unsigned seed;
    char in[LINE_MAX_BYTES];
    char *message;
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static bool send_all(struct client *client, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(client->fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* One line without its end; false when the connection is gone. */
static bool read_line(struct client *client, char line[LINE_MAX_BYTES])
{
    size_t len = 0;
    for (;;) {
        if (client->at == client->have) {
            ssize_t n = recv(client->fd, client->in, sizeof(client->in), 0);
            if (n <= 0) return false;
            client->have = (size_t)n;
            client->at = 0;
        }
        char c = client->in[client->at++];
        if (c == '\n') break;
        if (c != '\r' && len + 1 < LINE_MAX_BYTES) line[len++] = c;
    }
    line[len] = '\0';
    return true;
}

/* The code of one reply; 0 when the connection is gone. */
static int reply(struct client *client)
{
    char line[LINE_MAX_BYTES];
    for (;;) {
        if (!read_line(client, line)) return 0;
        if (strstr(line, "PIPELINING") != NULL) client->pipelining = true;
        if (strlen(line) < 4 || line[3] != '-') return (int)strtol(line, NULL, 10);
    }
}

static bool open_session(struct client *client)
{
    int one = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    client->have = client->at = 0;
    if (client->fd < 0) return false;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(client->fd, (struct sockaddr *)&load.address, sizeof(load.address)) != 0)
        return false;
    if (reply(client) != 220) return false;
    const char *hello = load.lmtp ? "LHLO load.example\r\n" : "EHLO load.example\r\n";
    return send_all(client, hello, strlen(hello)) && reply(client) == 250;
}

/* Fills the body with lines of words, or of random letters that do not compress. */
static size_t make_message(struct client *client, unsigned long number)
{
    static const char words[] =
        "the mail is on its way and will be there before the night is over ";
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    int head =
        snprintf(client->message, load.size_bytes + 512,
                 "From: Load <load@outside.example>\r\nTo: <%s0@%s>\r\nSubject: load %s %lu\r\n"
                 "Date: Tue, 24 Nov 2026 12:00:00 +0000\r\nMessage-ID: <%s.%lu@load.example>\r\n"
                 "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
                 load.prefix, load.domain, load.tag, number, load.tag, number);
    size_t at = (size_t)head, column = 0, word = number % (sizeof(words) - 1);
    while (at + 2 < load.size_bytes) {
        if (column == 72) {
            client->message[at++] = '\r';
            client->message[at++] = '\n';
            column = 0;
            continue;
        }
        if (load.random_body) {
            client->message[at++] = letters[(unsigned)rand_r(&client->seed) >> 8 & 63];
        } else {
            client->message[at++] = words[word];
            word = (word + 1) % (sizeof(words) - 1);
            if (word == 0 && (rand_r(&client->seed) & 3) == 0)
                word = (unsigned)rand_r(&client->seed) % 40;
        }
        column++;
    }
    memcpy(client->message + at, "\r\n", 2);
    return at + 2;
}

/* Sends one message; true when it was acknowledged. */
static bool send_message(struct client *client, unsigned long number)
{
    char envelope[RECIPIENTS_MAX * 128];
    size_t at =
        (size_t)snprintf(envelope, sizeof(envelope), "MAIL FROM:<load@outside.example>\r\n");
    for (unsigned i = 0; i < load.recipients; i++) {
        at +=
            (size_t)snprintf(envelope + at, sizeof(envelope) - at, "RCPT TO:<%s%lu@%s>\r\n",
                             load.prefix, (number * load.recipients + i) % load.users, load.domain);
    }
    at += (size_t)snprintf(envelope + at, sizeof(envelope) - at, "DATA\r\n");
    if (client->pipelining) {
        if (!send_all(client, envelope, at)) return false;
        if (reply(client) != 250) return false;
        for (unsigned i = 0; i < load.recipients; i++) if (reply(client) != 250) return false;
    } else {
        char *line = envelope;
        for (unsigned i = 0; i < load.recipients + 2; i++) {
            char *end = strstr(line, "\r\n") + 2;
            if (!send_all(client, line, (size_t)(end - line))) return false;
            if (i < load.recipients + 1 && reply(client) != 250) return false;
            line = end;
        }
    }
    if (reply(client) != 354) return false;
    size_t len = make_message(client, number);
    memcpy(client->message + len, ".\r\n", 3);
    double start = now_ms();
    if (!send_all(client, client->message, len + 3)) return false;
    bool ok = true;
    for (unsigned i = 0; i < (load.lmtp ? load.recipients : 1); i++)
        ok = reply(client) == 250 && ok;
    load.latencies_ms[number] = now_ms() - start;
    if (ok) load.acknowledged[number] = 1;
    return ok;
}

static void *run(void *argument)
{
    struct client *client = argument;
    client->message = malloc(load.size_bytes + 1024);
    for (;;) {
        if (client->message == NULL || !open_session(client)) {
            __atomic_fetch_add(&load.failed, 1, __ATOMIC_RELAXED);
            break;
        }
        unsigned sent = 0;
        for (; sent < load.per_session; sent++) {
            unsigned long number = __atomic_fetch_add(&load.next, 1, __ATOMIC_RELAXED);
            if (number >= load.count) break;
            if (!send_message(client, number)) {
                __atomic_fetch_add(&load.failed, 1, __ATOMIC_RELAXED);
                break;
            }
        }
        if (send_all(client, "QUIT\r\n", 6)) reply(client);
        close(client->fd);
        if (sent < load.per_session) break;
    }
    free(client->message);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static unsigned long number_of(const char *text, unsigned long max)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end != '\0' || value == 0 || value > max) {
        fprintf(stderr, "generator: %s: a number from 1 to %lu\n", text, max);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static struct client clients[THREADS_MAX];
    if (argc != 13) {
        fprintf(stderr,
                "usage: generator smtp|lmtp IP PORT DOMAIN PREFIX USERS RECIPIENTS CONNECTIONS "
                "PER_SESSION COUNT SIZE text|random:TAG\n");
        return 2;
    }
    load.lmtp = strcmp(argv[1], "lmtp") == 0;
    load.address.sin_family = AF_INET;
    load.address.sin_port = htons((unsigned short)number_of(argv[3], 65535));
    if (inet_pton(AF_INET, argv[2], &load.address.sin_addr) != 1 ||
        strncmp(argv[2], "127.", 4) != 0) {
        fprintf(stderr, "generator: loopback addresses only\n");
        return 2;
    }
    load.domain = argv[4];
    load.prefix = argv[5];
    load.users = (unsigned)number_of(argv[6], 100000);
    load.recipients = (unsigned)number_of(argv[7], RECIPIENTS_MAX);
    load.connections = (unsigned)number_of(argv[8], THREADS_MAX);
    load.per_session = (unsigned)number_of(argv[9], 1000000);
    load.count = number_of(argv[10], 1000000);
    load.size_bytes = (unsigned)number_of(argv[11], 64 << 20);
    load.random_body = strncmp(argv[12], "random:", 7) == 0;
    load.tag = strchr(argv[12], ':') != NULL ? strchr(argv[12], ':') + 1 : "t";
    load.latencies_ms = calloc(load.count, sizeof(double));
    load.acknowledged = calloc(load.count, 1);
    if (load.latencies_ms == NULL || load.acknowledged == NULL) return 1;
    alarm(SECONDS_MAX);
    double start = now_ms();
    for (unsigned i = 0; i < load.connections; i++) {
        clients[i].seed = i + 1;
        if (pthread_create(&clients[i].thread, NULL, run, &clients[i]) != 0) return 1;
    }
    for (unsigned i = 0; i < load.connections; i++) pthread_join(clients[i].thread, NULL);
    double seconds = (now_ms() - start) / 1000;
    unsigned long done = 0;
    for (unsigned long i = 0; i < load.count; i++) {
        if (load.acknowledged[i] != 0) load.latencies_ms[done++] = load.latencies_ms[i];
    }
    qsort(load.latencies_ms, done, sizeof(double), compare);
    printf(
        "{\"acknowledged\":%lu,\"failed\":%lu,\"seconds\":%.3f,\"per_second\":%.1f,\"p50_ms\":%.3f,"
        "\"p99_ms\":%.3f}\n",
        done, load.failed, seconds, (double)done / seconds,
        done > 0 ? load.latencies_ms[done / 2] : 0,
        done > 0 ? load.latencies_ms[done * 99 / 100] : 0);
    return load.failed == 0 && done == load.count ? 0 : 1;
}
