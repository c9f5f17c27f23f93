#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "body.h"
#include "check.h"
#include "engines_private.h"
#include "loop.h"

/* Stands before every message, so that libclamav takes it for a mail whatever its first header is:
 * it tells mail from other files by well-known names at the beginning. */
static const struct span job_prefix = SPAN_INIT("Received: by scanner\r\n");

static void job_on_timeout(void *holder)
{
    struct engines_worker *worker = holder;
    struct engines *engines = worker->engines;
    engines->workers_lost++;
    engines_log(engines, ENGINES_WARNING, "scan-timeout", SPAN("a message took too long"));
    engines_worker_kill(worker);
    engines_job_lost(worker, ENGINES_NO_TIME);
    engines_balance(engines);
}

static const struct engines_reach *job_reach(const struct engines_worker *worker)
{
    return &worker->engines->options.limits.reach;
}

/* Small: into the slot, at once. */
static void job_fill_slot(struct engines_worker *worker, struct body *body)
{
    memcpy(worker->slot, job_prefix.ptr, job_prefix.len);
    size_t len = job_prefix.len;
    len += body_copy(body, 0, worker->slot + len, WIRE_SLOT_BYTES - len);
    struct wire_work work = { .serial = ++worker->serial, .size = len,
                              .reach = *job_reach(worker) };
    (void)wire_send(worker->socket, &work, sizeof(work), NULL, 0);
}

static bool job_write(int fd, struct span bytes, uint64_t at)
{
    while (bytes.len > 0) {
        ssize_t n = pwrite(fd, bytes.ptr, bytes.len, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += (size_t)n;
        bytes = span_skip(bytes, (size_t)n);
    }
    return true;
}

static void job_fill_more(struct later *later);

/* The next piece of a large message; other work of the loop goes on between two. */
static void job_fill(struct engines_worker *worker)
{
    struct engines_job *job = worker->job;
    uint64_t size = body_size(job->body);
    for (size_t room = ENGINES_FILL_BYTES; room > 0 && job->filled < size;) {
        struct span piece = span_head(body_piece(job->body, job->filled), room);
        if (!job_write(worker->memfd, piece, job_prefix.len + job->filled)) {
            /* No memory for it: the worker is as it was. */
            struct engines_result none = { .outcome = ENGINES_NO_MEMORY };
            close(worker->memfd);
            worker->memfd = -1;
            engines_job_end(worker, &none);
            return;
        }
        job->filled += piece.len;
        room -= piece.len;
    }
    if (job->filled < size) {
        later_post(loop_later(worker->engines->loop), &worker->later, job_fill_more);
        return;
    }
    struct wire_work work = { .serial = ++worker->serial, .size = job_prefix.len + size,
                              .reach = *job_reach(worker) };
    (void)wire_send(worker->socket, &work, sizeof(work), &worker->memfd, 1);
    close(worker->memfd);
    worker->memfd = -1;
}

static void job_fill_more(struct later *later)
{
    job_fill(LIST_ITEM(later, struct engines_worker, later));
}

struct err engines_job_start(struct engines_worker *worker, struct engines_job *job)
{
    struct engines *engines = worker->engines;
    bool small = body_size(job->body) <= WIRE_SLOT_BYTES - job_prefix.len;
    if (!small) {
        worker->memfd = memfd_create("scan-message", MFD_CLOEXEC);
        if (worker->memfd < 0 || !job_write(worker->memfd, job_prefix, 0)) {
            int detail = errno;
            if (worker->memfd >= 0) close(worker->memfd);
            worker->memfd = -1;
            return err_make_detail(ERR_IO, detail, "memory for a message");
        }
    }
    job->filled = 0;
    job->worker = worker;
    worker->job = job;
    worker->state = WORKER_BUSY;
    worker->jobs++;
    timer_start(engines->loop, &worker->timer, engines->options.limits.scan_ms + ENGINES_GRACE_MS,
                job_on_timeout, worker);
    if (small) {
        job_fill_slot(worker, job->body);
    } else {
        /* Not here: it might end at once, and done() is not called within engines_scan(). */
        later_post(loop_later(engines->loop), &worker->later, job_fill_more);
    }
    engines_note_change(engines);
    return err_ok();
}

void engines_job_end(struct engines_worker *worker, const struct engines_result *result)
{
    struct engines *engines = worker->engines;
    struct engines_job *job = worker->job;
    struct engines_result signed_result = *result;
    const struct wire_news *loaded = &worker->set->loaded;
    signed_result.signatures_ms = loaded->signatures_ms;
    signed_result.version_len = loaded->text_len < ENGINES_VERSION_MAX_BYTES
                                    ? loaded->text_len : ENGINES_VERSION_MAX_BYTES;
    memcpy(signed_result.version, loaded->text, signed_result.version_len);
    CHECK(job != NULL);
    worker->job = NULL;
    job->worker = NULL;
    timer_stop(&worker->timer);
    worker->state = WORKER_IDLE;
    if (result->outcome == ENGINES_DONE) engines->worker_failures = 0;
    /* What failed may have left something behind, in memory or in its folder. */
    bool spent = worker->jobs >= ENGINES_JOBS_MAX || result->outcome > ENGINES_BROKEN;
    if (spent) engines_worker_kill(worker);
    engines_balance(engines);
    engines_note_change(engines);
    job->done(job, &signed_result);
}

void engines_job_lost(struct engines_worker *worker, enum engines_outcome outcome)
{
    struct engines_job *job = worker->job;
    if (job == NULL) return;
    struct engines_result none = { .outcome = outcome };
    worker->job = NULL;
    job->worker = NULL;
    job->done(job, &none);
}
