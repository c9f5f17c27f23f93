/* What a call of Checkpoint answers:
 *
 *   first reply   checkpoint, files; all other fields 0
 *   then, for each piece, in order from where the request said (file, offset):
 *     reply       file, offset, bytes (1 to CHECKPOINT_PIECE_BYTES), crc32c of them
 *     data        so many bytes
 *   last reply    last
 *
 * Files are in the list's order, each from its first byte to its last; a file of 0 bytes has no
 * piece. A call that goes on with a checkpoint says the same list again. Names are as RocksDB gives
 * them, so there is no way out of the directory:
 *
 *   CURRENT | IDENTITY | MANIFEST-<digits> | OPTIONS-<digits> | <digits>.sst | <digits>.blob |
 *   <digits>.log */
#include "checkpoint_take.h"

#include <string.h>

#include "hash.h"
#include "replica_msg.h"

/* ---- names */

static bool is_number(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
    }
    return text.len > 0 && text.len <= 20;
}

static bool has_front(struct span text, struct span front, struct span *rest)
{
    if (text.len < front.len || memcmp(text.ptr, front.ptr, front.len) != 0) return false;
    *rest = span_skip(text, front.len);
    return true;
}

static bool has_end(struct span text, struct span end, struct span *rest)
{
    if (text.len < end.len) return false;
    *rest = span_head(text, text.len - end.len);
    return memcmp(text.ptr + rest->len, end.ptr, end.len) == 0;
}

bool checkpoint_name_fits(struct span name)
{
    struct span rest;
    if (name.len == 0 || name.len > CHECKPOINT_NAME_MAX_BYTES) return false;
    if (span_eq(name, SPAN("CURRENT")) || span_eq(name, SPAN("IDENTITY"))) return true;
    if (has_front(name, SPAN("MANIFEST-"), &rest) || has_front(name, SPAN("OPTIONS-"), &rest))
        return is_number(rest);
    if (has_end(name, SPAN(".sst"), &rest) || has_end(name, SPAN(".blob"), &rest) ||
        has_end(name, SPAN(".log"), &rest))
        return is_number(rest);
    return false;
}

/* ---- replies */

static struct err bad(const char *what) { return err_make(ERR_SYNTAX, what); }

static bool same_file(const struct checkpoint_file *a, const struct peer_checkpoint_file *b)
{
    return a->bytes == b->bytes && span_eq(span_of(a->name, a->name_len), b->name);
}

static bool is_before(struct span a, struct span b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order != 0 ? order < 0 : a.len < b.len;
}

static struct err files_check(const struct peer_checkpoint_reply *reply)
{
    if (reply->files_count == 0 || reply->files_count > CHECKPOINT_FILES_MAX)
        return bad("files of a checkpoint: none, or too many");
    for (size_t i = 0; i < reply->files_count; i++) {
        const struct peer_checkpoint_file *file = &reply->files[i];
        if (!checkpoint_name_fits(file->name)) return bad("name of a checkpoint's file");
        if (file->bytes > CHECKPOINT_FILE_MAX_BYTES) return bad("length of a checkpoint's file");
        /* In order, so that none is there twice. */
        if (i > 0 && !is_before(reply->files[i - 1].name, file->name))
            return bad("order of a checkpoint's files");
    }
    return err_ok();
}

/* Files without bytes, and those that are all there, are passed over. */
static void go_on(struct checkpoint_take *take)
{
    while (take->file < take->files_count && take->offset == take->files[take->file].bytes) {
        take->file++;
        take->offset = 0;
    }
}

static struct err first_reply(struct checkpoint_take *take,
                              const struct peer_checkpoint_reply *reply)
{
    if (reply->checkpoint.len != CHECKPOINT_ID_BYTES || reply->bytes != 0 || reply->last)
        return bad("first reply of a checkpoint");
    TRY(files_check(reply));
    if (take->begun) {
        bool same = memcmp(take->id, reply->checkpoint.ptr, CHECKPOINT_ID_BYTES) == 0 &&
                    take->files_count == reply->files_count;
        for (uint32_t i = 0; same && i < take->files_count; i++)
            same = same_file(&take->files[i], &reply->files[i]);
        if (!same) return err_make(ERR_CONFLICT, "it is another checkpoint");
        take->open = true;
        return err_ok();
    }
    for (size_t i = 0; i < reply->files_count; i++) {
        struct checkpoint_file *file = &take->files[i];
        const struct span name = reply->files[i].name;
        *file = (struct checkpoint_file){ .bytes = reply->files[i].bytes,
                                          .name_len = (uint8_t)name.len };
        memcpy(file->name, name.ptr, name.len);
    }
    take->files_count = (uint32_t)reply->files_count;
    memcpy(take->id, reply->checkpoint.ptr, CHECKPOINT_ID_BYTES);
    take->begun = take->open = true;
    go_on(take);
    return err_ok();
}

struct err checkpoint_take_reply(struct checkpoint_take *take,
                                 const struct peer_checkpoint_reply *reply)
{
    if (take->whole || take->piece_bytes != 0) return bad("reply of a checkpoint in a wrong place");
    if (!take->open) return first_reply(take, reply);
    if (reply->checkpoint.len != 0 || reply->files_count != 0)
        return bad("reply of a checkpoint in a wrong place");
    bool end = take->file == take->files_count;
    if (reply->last) {
        if (!end || reply->bytes != 0) return bad("end of a checkpoint before its end");
        take->whole = true;
        return err_ok();
    }
    if (end || reply->file != take->file || reply->offset != take->offset)
        return bad("piece of a checkpoint out of order");
    if (reply->bytes == 0 || reply->bytes > CHECKPOINT_PIECE_BYTES ||
        reply->bytes > take->files[take->file].bytes - take->offset)
        return bad("length of a checkpoint's piece");
    take->piece_bytes = reply->bytes;
    take->piece_crc = reply->crc32c;
    take->piece_len = 0;
    return err_ok();
}

struct err checkpoint_take_data(struct checkpoint_take *take, struct span *data, bool *whole,
                                struct checkpoint_piece *ret)
{
    *whole = false;
    if (data->len == 0) return err_ok();
    if (take->piece_bytes == 0) return bad("data of a checkpoint in a wrong place");
    struct span part = span_head(*data, take->piece_bytes - take->piece_len);
    memcpy(take->piece + take->piece_len, part.ptr, part.len);
    take->piece_len += (uint32_t)part.len;
    *data = span_skip(*data, part.len);
    if (take->piece_len < take->piece_bytes) return err_ok();
    struct span bytes = span_of(take->piece, take->piece_len);
    take->piece_bytes = 0;
    if (hash_crc32c(0, bytes) != take->piece_crc)
        return err_make(ERR_CORRUPT, "checksum of a checkpoint's piece");
    *ret = (struct checkpoint_piece){ take->file, take->offset, bytes };
    take->offset += bytes.len;
    go_on(take);
    *whole = true;
    return err_ok();
}

void checkpoint_take_again(struct checkpoint_take *take)
{
    take->open = false;
    take->piece_bytes = 0;
}

void checkpoint_take_forget(struct checkpoint_take *take)
{
    take->begun = take->open = take->whole = false;
    take->file = take->files_count = take->piece_bytes = 0;
    take->offset = 0;
}
