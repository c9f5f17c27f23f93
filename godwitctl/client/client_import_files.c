/* What an import keeps beside its FILE:
 *
 *   FILE.rejects    the lines that were refused: "line,column,reason" in CSV, in their order
 *   FILE.progress   up to where all lines have their answers; gone when all have:
 *       "godwit-import 1 STAMP OFFSET LINE MADE UNCHANGED REFUSED REJECTS\n"
 *     STAMP: of the file's size and time of change; with another one it begins anew
 *     OFFSET, LINE: behind the last line that is done; REJECTS: bytes of FILE.rejects by then
 *
 * Where they can't be written the import runs without them: a repeat is then longer, and the same.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client_import_private.h"

enum { REASON_MAX_BYTES = 500 };

/* ---- rejects of a batch */

void import_batch_refuse(struct import_batch *batch, unsigned long line, const char *column,
                         const char *reason)
{
    char text[2 * REASON_MAX_BYTES + 128];
    size_t at = (size_t)snprintf(text, sizeof(text), "%lu,%.40s,\"", line, column);
    for (size_t i = 0; reason[i] != '\0' && i < REASON_MAX_BYTES; i++) {
        if (reason[i] == '"') text[at++] = '"';
        text[at++] = reason[i] == '\n' || reason[i] == '\r' ? ' ' : reason[i];
    }
    memcpy(text + at, "\"\n", 3);
    batch->refused++;
    struct import_reject *grown =
        realloc(batch->rejects, (batch->rejects_count + 1) * sizeof(*grown));
    if (grown == NULL) return; /* counted, and not named */
    batch->rejects = grown;
    grown[batch->rejects_count] = (struct import_reject){ line, strdup(text) };
    if (grown[batch->rejects_count].text != NULL) batch->rejects_count++;
}

static int reject_order(const void *a, const void *b)
{
    const struct import_reject *one = a, *two = b;
    return one->line < two->line ? -1 : one->line > two->line;
}

void import_batch_free(struct import_batch *batch)
{
    if (batch == NULL) return;
    json_decref(batch->rows);
    for (size_t i = 0; i < batch->rejects_count; i++) free(batch->rejects[i].text);
    free(batch->rejects);
    free(batch);
}

/* ---- progress */

static bool progress_read(struct import_files *files, struct import_progress *ret)
{
    struct import_progress p = { .offset = 0 };
    long long stamp = 0;
    FILE *file = fopen(files->progress_name, "r");
    if (file == NULL) return false;
    int fields = fscanf(file, "godwit-import 1 %lld %lld %lu %lu %lu %lu %lld", &stamp, &p.offset,
                        &p.line, &p.made, &p.unchanged, &p.refused, &p.rejects_bytes);
    fclose(file);
    if (fields != 7 || stamp != files->stamp || p.offset < 0 || p.rejects_bytes < 0) return false;
    *ret = p;
    return true;
}

/* Lost with the power, it only makes a repeat longer: no fsync. */
static void progress_write(const struct import_files *files, const struct import_progress *p)
{
    char name[IMPORT_PATH_MAX_BYTES + 8];
    snprintf(name, sizeof(name), "%s.new", files->progress_name);
    FILE *file = fopen(name, "w");
    if (file == NULL) return;
    fprintf(file, "godwit-import 1 %lld %lld %lu %lu %lu %lu %lld\n", files->stamp, p->offset,
            p->line, p->made, p->unchanged, p->refused, p->rejects_bytes);
    if (fclose(file) == 0) rename(name, files->progress_name);
}

/* On stderr too, as long as there are few. */
static void show_reject(struct import_files *files, const char *text)
{
    if (files->shown == IMPORT_SHOWN_MAX) return;
    fprintf(stderr, "\ngodwitctl: line %.*s", (int)strcspn(text, "\n"), text);
    if (++files->shown == IMPORT_SHOWN_MAX) fprintf(stderr, "\ngodwitctl: and so on");
}

bool import_files_put(struct import_files *files, struct import_progress *progress,
                      struct import_batch *batch)
{
    progress->offset = batch->offset;
    progress->line = batch->line;
    progress->made += batch->made;
    progress->unchanged += batch->unchanged;
    progress->refused += batch->refused;
    if (batch->rejects_count > 0) {
        qsort(batch->rejects, batch->rejects_count, sizeof(batch->rejects[0]), reject_order);
    }
    for (size_t i = 0; i < batch->rejects_count; i++) {
        const char *text = batch->rejects[i].text;
        show_reject(files, text);
        if (files->rejects == NULL) continue;
        if (fputs(text, files->rejects) < 0) return false;
        progress->rejects_bytes += (long long)strlen(text);
    }
    if (files->rejects != NULL && fflush(files->rejects) != 0) return false;
    progress_write(files, progress);
    return true;
}

/* ---- begin and end */

/* FILE.rejects, of the length that the progress says. */
static void open_rejects(struct import_files *files, const struct import_progress *progress)
{
    files->rejects = fopen(files->rejects_name, progress->rejects_bytes > 0 ? "r+" : "w");
    if (files->rejects == NULL) return;
    if (ftruncate(fileno(files->rejects), (off_t)progress->rejects_bytes) != 0 ||
        fseek(files->rejects, 0, SEEK_END) != 0) {
        fclose(files->rejects);
        files->rejects = NULL;
    }
}

bool import_open(struct import *import, const char *file_name)
{
    struct import_source *source = &import->source;
    struct import_files *files = &import->files;
    struct stat info;
    *source = (struct import_source){ .name = file_name, .file = fopen(file_name, "r") };
    if (source->file == NULL || fstat(fileno(source->file), &info) != 0) return false;
    source->bytes_all = info.st_size;
    files->stamp = (long long)info.st_size ^
                   ((long long)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec);
    snprintf(files->rejects_name, sizeof(files->rejects_name), "%s.rejects", file_name);
    snprintf(files->progress_name, sizeof(files->progress_name), "%s.progress", file_name);
    if (!progress_read(files, &import->progress)) {
        import->progress = (struct import_progress){ .offset = 0 };
    }
    open_rejects(files, &import->progress);
    return import_read_begin(import);
}

void import_close(struct import *import, bool all)
{
    struct import_files *files = &import->files;
    fclose(import->source.file);
    if (files->rejects != NULL) fclose(files->rejects);
    if (import->progress.refused == 0) unlink(files->rejects_name);
    if (all) unlink(files->progress_name);
    if (files->shown > 0) fputc('\n', stderr);
}
