/* client_import_private.h: an import under way. */
#ifndef MAIL_CLIENT_IMPORT_PRIVATE_H
#define MAIL_CLIENT_IMPORT_PRIVATE_H

#include <stdio.h>
#include <time.h>

#include "client_private.h"
#include "client_sender.h"

enum {
    IMPORT_LINE_MAX_BYTES = 16 * 1024,
    IMPORT_ROWS_MAX = 500,              /* of a batch; the API takes 1000 */
    IMPORT_BATCH_MAX_BYTES = 256 * 1024, /* of its lines, and one more */
    IMPORT_BATCHES_MAX = 4,             /* on their way */
    IMPORT_SHOWN_MAX = 20,              /* refusals on stderr; all stand in FILE.rejects */
    IMPORT_PATH_MAX_BYTES = 4096,
};

enum import_cell { IMPORT_TEXT, IMPORT_SIZE, IMPORT_FLAG, IMPORT_LIST };

struct import_column {
    const char *name, *member;
    enum import_cell cell;
};

/* What is imported: its columns, of which the first `given` are there without a heading. */
struct import_kind {
    const char *noun, *noun_many, *path;
    const struct import_column *columns;
    size_t columns_count, given;
};

/* How far an import is: all lines up to `line` have their answers. */
struct import_progress {
    long long offset, rejects_bytes; /* of the file, and of FILE.rejects */
    unsigned long line, made, unchanged, refused;
};

/* A line of FILE.rejects. */
struct import_reject {
    unsigned long line;
    char *text; /* malloc'd, with its end */
};

/* Some lines on their way. */
struct import_batch {
    struct import_batch *next;
    json_t *rows;                      /* those without an answer */
    unsigned long lines[IMPORT_ROWS_MAX]; /* where they stand */
    struct import_reject *rejects;
    size_t rejects_count;
    long long offset;                  /* behind its last line */
    unsigned long line, made, unchanged, refused;
    unsigned retry_ms;
    time_t until;
    bool done;
};

struct import_source {
    FILE *file;
    const char *name;
    long long bytes, bytes_all;
    unsigned long line;
    size_t columns[CLIENT_FIELDS_MAX]; /* field -> column of the kind */
    size_t columns_count;
    bool end;
};

struct import_files {
    FILE *rejects;   /* NULL: it can't be written */
    long long stamp; /* of the file that is imported */
    unsigned shown;
    char rejects_name[IMPORT_PATH_MAX_BYTES], progress_name[IMPORT_PATH_MAX_BYTES];
};

struct import {
    const struct client *client;
    const struct import_kind *kind;
    struct client_sender *sender;
    struct import_source source;
    struct import_files files;
    struct import_progress progress;
    struct import_batch *first, *last; /* in the order of the file */
    enum client_exit exit;             /* not OK: what is on its way is waited for, and no more */
    bool answered;                     /* by the API, at least once */
};

/* client_import_read.c: NULL: no such noun. */
const struct import_kind *import_kind_find(const char *noun);
/* The next lines, of which those that are no rows are refused already. NULL: no memory. */
struct import_batch *import_read(struct import *import);
/* Reads the heading, and puts the file to where the progress is. */
bool import_read_begin(struct import *import);

/* client_import_files.c */
bool import_open(struct import *import, const char *file_name);
/* `all`: the end was reached, and nothing is left to go on with. */
void import_close(struct import *import, bool all);
/* Adds a line to the rejects of a batch: number, column, reason. */
void import_batch_refuse(struct import_batch *batch, unsigned long line, const char *column,
                         const char *reason);
void import_batch_free(struct import_batch *batch);
/* Writes down that a batch has its answers. False: the disk is full. */
bool import_files_put(struct import_files *files, struct import_progress *progress,
                      struct import_batch *batch);

#endif
