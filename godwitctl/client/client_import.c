/* Many users or domains from a file: read in batches, some of which are on their way at a time.
 *
 * A batch that did not get its answer is sent again as it is: rows that were made before are
 * "unchanged" then. Batches end in their order, so that FILE.progress says up to where all is done
 * (client_import_files.c). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client_import_private.h"

enum { BAR_CELLS = 40, RETRY_FIRST_MS = 100, RETRY_MAX_MS = 2000, RETRY_SECONDS = 120 };

/* ---- what is seen */

static void bar(const struct import *import, bool end)
{
    if (!isatty(STDERR_FILENO)) return;
    const struct import_progress *p = &import->progress;
    long long all = import->source.bytes_all > 0 ? import->source.bytes_all : 1;
    int cells = (int)(p->offset * BAR_CELLS / all);
    fprintf(stderr, "\r[%.*s%*s] %3lld%%  %lu made, %lu unchanged, %lu refused%s", cells,
            "########################################", BAR_CELLS - cells, "",
            p->offset * 100 / all, p->made, p->unchanged, p->refused, end ? "\n" : "");
}

/* ---- the answer to a batch */

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text != NULL ? text : "";
}

/* One row's answer: whether the row is done. */
static bool take_row(struct import_batch *batch, size_t at, const json_t *result)
{
    const char *what = text_of(result, "result");
    const char *member = text_of(result, "member"), *detail = text_of(result, "detail");
    size_t len = strlen(member);
    if (strcmp(what, "made") == 0) {
        batch->made++;
    } else if (strcmp(what, "unchanged") == 0) {
        batch->unchanged++;
    } else if (strcmp(what, "refused") == 0) {
        /* The column stands in front already. */
        if (strncmp(detail, member, len) == 0 && strncmp(detail + len, ": ", 2) == 0) {
            detail += len + 2;
        }
        import_batch_refuse(batch, batch->lines[at], member, detail);
    } else {
        return false;
    }
    return true;
}

/* Takes rows that are done out of the batch. False: no such answer. */
static bool take_rows(struct import_batch *batch, const char *reply)
{
    json_t *json = reply == NULL ? NULL : json_loads(reply, 0, NULL);
    json_t *results = json_object_get(json, "rows"), *left = json_array();
    size_t count = json_array_size(batch->rows), kept = 0;
    bool good = left != NULL && json_array_size(results) == count;
    for (size_t i = 0; good && i < count; i++) {
        if (take_row(batch, i, json_array_get(results, i))) continue;
        json_array_append(left, json_array_get(batch->rows, i));
        batch->lines[kept++] = batch->lines[i];
    }
    if (good) {
        json_decref(batch->rows);
        batch->rows = left;
    } else {
        json_decref(left);
    }
    json_decref(json);
    return good;
}

/* ---- sending */

static bool send_batch(struct import *import, struct import_batch *batch)
{
    json_t *body = json_pack("{s:O}", import->kind->noun_many, batch->rows);
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return client_sender_post(import->sender, import->kind->path, text, batch);
}

static bool send_again(struct import *import, struct import_batch *batch, const char *why)
{
    time_t now = time(NULL);
    if (import->exit != CLIENT_OK) return true; /* it stays undone */
    if (batch->retry_ms == 0) {
        batch->retry_ms = RETRY_FIRST_MS;
        batch->until = now + RETRY_SECONDS;
    } else if (now >= batch->until) {
        fprintf(stderr, "\ngodwitctl: not reachable for %d s: %s\n", RETRY_SECONDS, why);
        return false;
    }
    const struct timespec wait = { .tv_sec = batch->retry_ms / 1000,
                                   .tv_nsec = (long)(batch->retry_ms % 1000) * 1000000 };
    nanosleep(&wait, NULL);
    if (batch->retry_ms < RETRY_MAX_MS) batch->retry_ms *= 2;
    return send_batch(import, batch);
}

/* What came for a batch. An exit status ends the import; CLIENT_OK: it goes on. */
static enum client_exit take_sent(struct import *import, struct client_sent *sent)
{
    struct import_batch *batch = sent->holder;
    if (sent->status == 200) {
        import->answered = true;
        if (!take_rows(batch, sent->reply)) {
            fprintf(stderr, "\ngodwitctl: the answer can't be understood\n");
            return CLIENT_REFUSED;
        }
        batch->done = json_array_size(batch->rows) == 0;
        if (batch->done) return CLIENT_OK;
        return send_again(import, batch, "rows that are to be repeated") ? CLIENT_OK
                                                                        : CLIENT_UNREACHABLE;
    }
    if (sent->status == 0 && !import->answered) {
        fprintf(stderr, "\ngodwitctl: %s is not reachable: %s\n", import->client->api, sent->error);
        return CLIENT_UNREACHABLE;
    }
    if (sent->status == 0 || sent->status >= 500) {
        const char *why = sent->status == 0 ? sent->error : "the server is busy or going down";
        return send_again(import, batch, why) ? CLIENT_OK : CLIENT_UNREACHABLE;
    }
    json_t *problem = sent->reply == NULL ? NULL : json_loads(sent->reply, 0, NULL);
    fputc('\n', stderr);
    client_print_problem(sent->status, problem);
    json_decref(problem);
    return CLIENT_REFUSED;
}

/* ---- the whole */

/* Batches that are done, in their order. */
static bool end_batches(struct import *import)
{
    bool good = true;
    while (good && import->first != NULL && import->first->done) {
        struct import_batch *batch = import->first;
        import->first = batch->next;
        if (import->first == NULL) import->last = NULL;
        good = import_files_put(&import->files, &import->progress, batch);
        import_batch_free(batch);
    }
    bar(import, false);
    return good;
}

/* Reads on while there is room for more on the way. False: no memory, or the disk. */
static bool fill(struct import *import)
{
    while (!import->source.end && client_sender_under_way(import->sender) < IMPORT_BATCHES_MAX) {
        struct import_batch *batch = import_read(import);
        if (batch == NULL) return false;
        if (import->last == NULL) import->first = batch;
        else import->last->next = batch;
        import->last = batch;
        batch->done = json_array_size(batch->rows) == 0;
        if (!batch->done && !send_batch(import, batch)) return false;
        if (!end_batches(import)) return false;
    }
    return true;
}

static void run(struct import *import)
{
    struct client_sent sent;
    for (;;) {
        if (import->exit == CLIENT_OK && !fill(import)) {
            fprintf(stderr, "\ngodwitctl: no memory, or no room for %s.rejects\n",
                    import->source.name);
            import->exit = CLIENT_REFUSED;
        }
        if (!client_sender_wait(import->sender, &sent)) break;
        enum client_exit exit = take_sent(import, &sent);
        free(sent.reply);
        if (import->exit == CLIENT_OK) import->exit = exit;
        if (!end_batches(import)) import->exit = CLIENT_REFUSED;
    }
    if (import->exit == CLIENT_OK && import->progress.refused > 0) import->exit = CLIENT_REFUSED;
}

enum client_exit client_import(const struct client *client, const char *noun, const char *file_name)
{
    struct import import = { .client = client, .kind = import_kind_find(noun) };
    if (!import_open(&import, file_name)) {
        fprintf(stderr, "godwitctl: %s: %s\n", file_name, strerror(errno));
        return CLIENT_USAGE;
    }
    if (import.progress.offset > 0) {
        fprintf(stderr, "godwitctl: goes on behind line %lu; %s.progress says so\n",
                import.progress.line, file_name);
    }
    import.sender = client_sender_new(client);
    if (import.sender != NULL) run(&import);
    else import.exit = CLIENT_REFUSED;
    bool all = import.source.end && import.first == NULL;
    bar(&import, true);
    client_sender_free(import.sender);
    while (import.first != NULL) {
        struct import_batch *batch = import.first;
        import.first = batch->next;
        import_batch_free(batch);
    }
    import_close(&import, all);
    printf("%lu made, %lu unchanged, %lu refused", import.progress.made,
           import.progress.unchanged, import.progress.refused);
    if (import.progress.refused > 0) printf("; see %s.rejects", file_name);
    printf("%s\n", all ? "" : "; not at the end of the file");
    return import.exit;
}
