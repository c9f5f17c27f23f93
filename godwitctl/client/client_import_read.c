/* The lines of an import into rows. */
#include <stdlib.h>
#include <string.h>

#include "client_import_private.h"

static const struct import_column user_columns[] = {
    { "address", "address", IMPORT_TEXT },
    { "password", "password", IMPORT_TEXT },
    { "full_name", "full_name", IMPORT_TEXT },
    { "quota", "quota_bytes", IMPORT_SIZE },
    { "password_hash", "password_hash", IMPORT_TEXT },
    { "description", "description", IMPORT_TEXT },
    { "quota_items", "quota_items", IMPORT_SIZE },
    { "role", "role", IMPORT_TEXT },
    { "enabled", "enabled", IMPORT_FLAG },
    { "addresses", "addresses", IMPORT_LIST },
};
static const struct import_column domain_columns[] = {
    { "name", "name", IMPORT_TEXT },
    { "tenant", "tenant", IMPORT_TEXT },
    { "quota", "quota_bytes", IMPORT_SIZE },
    { "users_max", "users_max", IMPORT_SIZE },
    { "size_max", "size_max", IMPORT_SIZE },
    { "also", "also", IMPORT_LIST },
};
static const struct import_kind kinds[] = {
    { "user", "users", "/api/v1/users/import", user_columns,
      sizeof(user_columns) / sizeof(user_columns[0]), 4 },
    { "domain", "domains", "/api/v1/domains/import", domain_columns,
      sizeof(domain_columns) / sizeof(domain_columns[0]), 2 },
};

const struct import_kind *import_kind_find(const char *noun)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].noun, noun) == 0) return &kinds[i];
    }
    return NULL;
}

/* ---- a cell */

/* Words with spaces between. */
static json_t *list_of(char *text)
{
    json_t *list = json_array();
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (json_array_append_new(list, json_string(word)) == 0) continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

/* The value of a cell, or NULL and what is allowed. */
static json_t *cell_of(enum import_cell cell, char *text, const char **why)
{
    unsigned long long number = 0;
    switch (cell) {
    case IMPORT_TEXT:
        *why = "a text is UTF-8";
        return json_string(text);
    case IMPORT_LIST:
        *why = "a text is UTF-8";
        return list_of(text);
    case IMPORT_SIZE:
        *why = "a number like 500M is expected";
        if (!client_size(span_of(text, strlen(text)), &number)) return NULL;
        return json_integer((json_int_t)number);
    case IMPORT_FLAG:
        *why = "true or false is expected";
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) return NULL;
        return json_boolean(strcmp(text, "true") == 0);
    }
    return NULL;
}

/* ---- a line */

/* Whether the first line names columns; then they are in that order. */
static bool heading(struct import *import, char **fields, size_t count)
{
    const struct import_kind *kind = import->kind;
    size_t columns[CLIENT_FIELDS_MAX];
    for (size_t i = 0; i < count; i++) {
        size_t c = 0;
        while (c < kind->columns_count && strcmp(fields[i], kind->columns[c].name) != 0) c++;
        if (c == kind->columns_count) return false;
        columns[i] = c;
    }
    memcpy(import->source.columns, columns, count * sizeof(columns[0]));
    import->source.columns_count = count;
    return true;
}

/* Into the batch, as a row or as refused. */
static void take_line(struct import *import, struct import_batch *batch, char **fields,
                      size_t count)
{
    const struct import_source *source = &import->source;
    json_t *row = json_object();
    const char *why = "";
    for (size_t i = 0; i < count && i < source->columns_count; i++) {
        const struct import_column *column = &import->kind->columns[source->columns[i]];
        if (fields[i][0] == '\0') continue;
        json_t *value = cell_of(column->cell, fields[i], &why);
        if (value == NULL || json_object_set_new(row, column->member, value) != 0) {
            import_batch_refuse(batch, source->line, column->name, why);
            json_decref(row);
            return;
        }
    }
    if (count > source->columns_count) {
        import_batch_refuse(batch, source->line, "", "more fields than columns");
        json_decref(row);
        return;
    }
    batch->lines[json_array_size(batch->rows)] = source->line;
    json_array_append_new(batch->rows, row);
}

/* Reads on to the end of a line that has no room: what is left of it is no line of its own. */
static void skip_line(struct import_source *source)
{
    for (int c = fgetc(source->file); c != EOF; c = fgetc(source->file)) {
        source->bytes++;
        if (c == '\n') return;
    }
}

/* False: the end. `*fields_count` 0: nothing stands there, or it is refused. */
static bool read_line(struct import_source *source, struct import_batch *batch,
                      char *fields[CLIENT_FIELDS_MAX], size_t *fields_count)
{
    static char line[IMPORT_LINE_MAX_BYTES];
    *fields_count = 0;
    if (fgets(line, sizeof(line), source->file) == NULL) return false;
    size_t len = strlen(line);
    source->line++;
    source->bytes += (long long)len;
    bool is_cut = len + 1 == sizeof(line) && line[len - 1] != '\n';
    if (is_cut) skip_line(source);
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#') return true;
    if (is_cut || !client_csv_cut(line, fields, fields_count)) {
        *fields_count = 0;
        import_batch_refuse(batch, source->line, "",
                            "not CSV (RFC 4180) of at most 16382 bytes a line, 16 fields");
    }
    return true;
}

struct import_batch *import_read(struct import *import)
{
    struct import_source *source = &import->source;
    struct import_batch *batch = calloc(1, sizeof(*batch));
    char *fields[CLIENT_FIELDS_MAX];
    size_t count;
    if (batch == NULL) return NULL;
    batch->rows = json_array();
    long long until = source->bytes + IMPORT_BATCH_MAX_BYTES;
    while (json_array_size(batch->rows) < IMPORT_ROWS_MAX && source->bytes < until) {
        if (!read_line(source, batch, fields, &count)) {
            source->end = true;
            break;
        }
        if (count == 0 || (source->line == 1 && heading(import, fields, count))) continue;
        take_line(import, batch, fields, count);
    }
    batch->offset = source->bytes;
    batch->line = source->line;
    return batch;
}

bool import_read_begin(struct import *import)
{
    struct import_source *source = &import->source;
    struct import_batch *nothing = calloc(1, sizeof(*nothing));
    char *fields[CLIENT_FIELDS_MAX];
    size_t count;
    source->columns_count = import->kind->given;
    for (size_t i = 0; i < source->columns_count; i++) source->columns[i] = i;
    /* The heading says what the columns are, wherever it goes on. */
    if (nothing == NULL) return false;
    if (import->progress.offset > 0 && read_line(source, nothing, fields, &count) && count > 0) {
        heading(import, fields, count);
    }
    import_batch_free(nothing);
    source->bytes = import->progress.offset;
    source->line = import->progress.line;
    return fseek(source->file, (long)source->bytes, SEEK_SET) == 0;
}
