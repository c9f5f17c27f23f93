#include "body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

enum { BODY_PIECE_FIRST_BYTES = 4096, BODY_PIECE_MAX_BYTES = 64 * 1024, BODY_PIECES_MAX = 16 };

/* Pieces double from 4 KiB to 64 KiB, so that a small message costs one small allocation. */
struct body_part {
    char *bytes;
    uint32_t len, size;
};

struct body {
    struct body_budget *budget;
    uint64_t size_bytes;   /* all of it */
    uint64_t memory_bytes; /* held in parts */
    uint64_t file_bytes;   /* in the temporary file */
    const char *mapped;    /* the file, once sealed */
    int fd;                /* -1: nothing spilled */
    unsigned references;
    unsigned parts_count;
    bool sealed;
    struct body_part parts[BODY_PIECES_MAX];
};

/* Takes `bytes` out of what `used` may still grow to. */
static bool budget_take(uint64_t *used, uint64_t max, uint64_t bytes)
{
    uint64_t now = __atomic_load_n(used, __ATOMIC_RELAXED);
    do {
        if (bytes > max || now > max - bytes) return false;
    } while (!__atomic_compare_exchange_n(used, &now, now + bytes, false, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return true;
}

static void budget_give(uint64_t *used, uint64_t bytes)
{
    __atomic_fetch_sub(used, bytes, __ATOMIC_RELAXED);
}

struct err body_new(struct body_budget *budget, struct body **ret)
{
    struct body *body = calloc(1, sizeof(*body));
    if (body == NULL) return err_make(ERR_NOMEM, "body");
    body->budget = budget;
    body->fd = -1;
    body->references = 1;
    *ret = body;
    return err_ok();
}

/* Room for at least one byte more in memory, or an error; `want` is a hint. */
static struct err body_grow(struct body *body, size_t want)
{
    size_t size = BODY_PIECE_FIRST_BYTES;
    if (body->parts_count > 0) size = (size_t)body->parts[body->parts_count - 1].size * 2;
    while (size < want && size < BODY_PIECE_MAX_BYTES) size *= 2;
    if (size > BODY_PIECE_MAX_BYTES) size = BODY_PIECE_MAX_BYTES;
    if (body->parts_count == BODY_PIECES_MAX) return err_make(ERR_TOO_BIG, "body");
    if (!budget_take(&body->budget->memory_bytes, body->budget->memory_bytes_max, size)) {
        return err_make(ERR_BUSY, "memory for bodies");
    }
    char *bytes = malloc(size);
    if (bytes == NULL) {
        budget_give(&body->budget->memory_bytes, size);
        return err_make(ERR_NOMEM, "body");
    }
    body->parts[body->parts_count++] = (struct body_part){ bytes, 0, (uint32_t)size };
    return err_ok();
}

static struct err body_spill(struct body *body, struct span bytes)
{
    struct body_budget *budget = body->budget;
    if (body->fd < 0) {
        body->fd = open(budget->spill_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (body->fd < 0) return err_make_detail(ERR_IO, errno, "temporary file for a body");
    }
    if (!budget_take(&budget->file_bytes, budget->file_bytes_max, bytes.len)) {
        return err_make(ERR_BUSY, "temporary files for bodies");
    }
    size_t done = 0;
    while (done < bytes.len) {
        ssize_t n = pwrite(body->fd, bytes.ptr + done, bytes.len - done,
                           (off_t)(body->file_bytes + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            budget_give(&budget->file_bytes, bytes.len);
            return err_make_detail(ERR_IO, errno, "temporary file for a body");
        }
        done += (size_t)n;
    }
    body->file_bytes += bytes.len;
    return err_ok();
}

/* Takes back what a failed put had added to memory. */
static void body_cut(struct body *body, uint64_t memory_bytes)
{
    while (body->memory_bytes > memory_bytes) {
        struct body_part *last = &body->parts[body->parts_count - 1];
        uint64_t over = body->memory_bytes - memory_bytes;
        uint32_t cut = over < last->len ? (uint32_t)over : last->len;
        last->len -= cut;
        body->memory_bytes -= cut;
        if (last->len > 0 || body->memory_bytes == memory_bytes) break;
        budget_give(&body->budget->memory_bytes, last->size);
        free(last->bytes);
        body->parts_count--;
    }
}

struct err body_put(struct body *body, struct span bytes)
{
    CHECK(!body->sealed);
    uint64_t before = body->memory_bytes;
    struct span rest = bytes;
    while (rest.len > 0 && body->memory_bytes < BODY_MEMORY_BYTES) {
        struct body_part *last = body->parts_count == 0 ? NULL
                                                        : &body->parts[body->parts_count - 1];
        if (last == NULL || last->len == last->size) {
            struct err err = body_grow(body, rest.len);
            if (err.code != ERR_OK) {
                body_cut(body, before);
                return err;
            }
            continue;
        }
        size_t room = last->size - last->len;
        if (room > BODY_MEMORY_BYTES - body->memory_bytes) {
            room = (size_t)(BODY_MEMORY_BYTES - body->memory_bytes);
        }
        size_t take = rest.len < room ? rest.len : room;
        memcpy(last->bytes + last->len, rest.ptr, take);
        last->len += (uint32_t)take;
        body->memory_bytes += take;
        rest = span_skip(rest, take);
    }
    if (rest.len > 0) {
        struct err err = body_spill(body, rest);
        if (err.code != ERR_OK) {
            body_cut(body, before);
            return err;
        }
    }
    body->size_bytes += bytes.len;
    return err_ok();
}

struct err body_seal(struct body *body)
{
    CHECK(!body->sealed);
    if (body->file_bytes > 0) {
        void *at = mmap(NULL, (size_t)body->file_bytes, PROT_READ, MAP_SHARED, body->fd, 0);
        if (at == MAP_FAILED) return err_make_detail(ERR_IO, errno, "map a body");
        body->mapped = at;
    }
    body->sealed = true;
    return err_ok();
}

struct body *body_ref(struct body *body)
{
    __atomic_fetch_add(&body->references, 1, __ATOMIC_RELAXED);
    return body;
}

void body_unref(struct body *body)
{
    if (body == NULL) return;
    if (__atomic_fetch_sub(&body->references, 1, __ATOMIC_ACQ_REL) != 1) return;
    for (unsigned i = 0; i < body->parts_count; i++) {
        budget_give(&body->budget->memory_bytes, body->parts[i].size);
        free(body->parts[i].bytes);
    }
    if (body->mapped != NULL) {
        void *at;
        memcpy(&at, &body->mapped, sizeof(at)); /* munmap takes no pointer to const */
        munmap(at, (size_t)body->file_bytes);
    }
    if (body->fd >= 0) close(body->fd);
    budget_give(&body->budget->file_bytes, body->file_bytes);
    free(body);
}

uint64_t body_size(const struct body *body) { return body->size_bytes; }

struct span body_piece(const struct body *body, uint64_t offset)
{
    if (offset >= body->size_bytes) return span_of(NULL, 0);
    if (offset >= body->memory_bytes) {
        CHECK(body->mapped != NULL);
        uint64_t at = offset - body->memory_bytes;
        return span_of(body->mapped + at, (size_t)(body->file_bytes - at));
    }
    for (unsigned i = 0; i < body->parts_count; i++) {
        const struct body_part *part = &body->parts[i];
        if (offset < part->len) return span_of(part->bytes + offset, part->len - (size_t)offset);
        offset -= part->len;
    }
    return span_of(NULL, 0);
}

size_t body_copy(const struct body *body, uint64_t offset, char *to, size_t size)
{
    size_t done = 0;
    while (done < size) {
        struct span piece = span_head(body_piece(body, offset + done), size - done);
        if (piece.len == 0) break;
        memcpy(to + done, piece.ptr, piece.len);
        done += piece.len;
    }
    return done;
}

bool body_whole(const struct body *body, struct span *ret)
{
    struct span piece = body_piece(body, 0);
    if (piece.len != body->size_bytes) return false;
    *ret = piece;
    return true;
}
