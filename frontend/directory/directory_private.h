/* directory_private.h: a directory's memory. */
#ifndef MAIL_DIRECTORY_PRIVATE_H
#define MAIL_DIRECTORY_PRIVATE_H

#include <jansson.h>

#include "arena.h"
#include "directory.h"
#include "directory_mapping.h"
#include "map.h"

struct directory {
    struct arena arena;
    struct map names; /* every name -> its domain */
    struct map tenants; /* number, as it is in memory -> its tenant */
    struct conf *wide;
    struct directory_domain **domains; /* in order of names, as they are added */
    size_t count, size;
    /* What was there before; somebody may still read it. */
    struct directory_domain **old;
    size_t old_count, old_size;
    struct conf **old_wide;
    size_t old_wide_count;
    size_t refused_count;  /* reads that left memory behind */
    size_t narrowed_count; /* domains with options of their own, or refused ones */
    size_t also_count;     /* further names of all domains */
    uint64_t version;
    unsigned references;
};

/* ---- reading a row's JSON: what one call works on */
struct directory_reading {
    struct directory *directory;
    const char *why; /* literal */
};

/* ERR_SYNTAX, and why. */
struct err directory_reading_bad(struct directory_reading *reading, const char *why);
/* A text; a missing one is empty. */
MUST_USE struct err directory_read_optional(struct directory_reading *reading,
                                            const json_t *object, const char *key,
                                            size_t bytes_max, struct span *ret);
/* An array of texts; a missing one is empty. */
MUST_USE struct err directory_read_texts(struct directory_reading *reading, const json_t *array,
                                         size_t count_max, struct span **ret, size_t *ret_count);
/* A number from 0; a missing one leaves `*ret` as it is. */
MUST_USE struct err directory_read_number(struct directory_reading *reading, const json_t *object,
                                          const char *key, uint64_t *ret);
/* The domain's directory; `*ret` stays as it is when it has none. */
MUST_USE struct err directory_mapping_read(struct directory_reading *reading, const json_t *object,
                                           const struct directory_mapping **ret);

/* Reads a domain that is not entered yet. */
MUST_USE struct err directory_read(struct directory *directory, struct span json,
                                   struct directory_domain **ret, struct span *ret_why);
/* Enters one that is not there yet, at a place in the order. */
MUST_USE struct err directory_add_at(struct directory *directory, struct directory_domain *domain,
                                     size_t at, struct span *ret_why);

#endif
