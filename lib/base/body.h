/* body.h: one message body, or any large run of bytes, shared by reference.
 *
 * One writer fills it, then seals it; from then on it never changes and any thread may read it.
 * The first BODY_MEMORY_BYTES stay in memory; what is beyond goes to an unlinked temporary file,
 * which is mapped when the body is sealed. A budget bounds what all bodies of a program hold. */
#ifndef MAIL_BODY_H
#define MAIL_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { BODY_MEMORY_BYTES = 256 * 1024 };

/* What all bodies of a program may hold together, memory and temporary files apart. */
struct body_budget {
    uint64_t memory_bytes_max, file_bytes_max;
    uint64_t memory_bytes, file_bytes; /* in use; atomic access only, by body.c */
    const char *spill_dir;             /* where temporary files are made; lives as long */
};

struct body;

/* `budget` outlives every body made from it. An empty body that is written to. */
MUST_USE struct err body_new(struct body_budget *budget, struct body **ret);

/* Appends. ERR_BUSY: the budget is used up (SMTP 452); ERR_IO: the temporary file failed. The
 * body then stays as it was before the call. */
MUST_USE struct err body_put(struct body *body, struct span bytes);

/* Ends writing. ERR_IO when the temporary file can't be mapped. */
MUST_USE struct err body_seal(struct body *body);

/* A reference more, and one less; the last one frees. body_unref takes NULL. Thread-safe. */
struct body *body_ref(struct body *body);
void body_unref(struct body *body);

uint64_t body_size(const struct body *body);

/* The bytes from `offset` to the end of the piece they lie in, empty only at the end. Valid while
 * a reference is held. Before sealing only what is still in memory may be asked for. Walk with
 *     for (at = 0; (piece = body_piece(body, at)).len > 0; at += piece.len) */
struct span body_piece(const struct body *body, uint64_t offset);

/* Copies up to `size` bytes from `offset` on to `to`; returns how many there were. */
size_t body_copy(const struct body *body, uint64_t offset, char *to, size_t size);

/* The whole body as one span when it lies in one piece (small, or entirely one allocation);
 * false, with `*ret` untouched, when it does not. */
bool body_whole(const struct body *body, struct span *ret);

#ifdef __cplusplus
}
#endif
#endif
