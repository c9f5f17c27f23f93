/* The batch format is described in kv.h. */
#include <stdlib.h>

#include "check.h"
#include "kv.h"

enum { BATCH_FIRST_BYTES = 4096, OP_HEAD_BYTES = 3, VALUE_HEAD_BYTES = 4, END_HEAD_BYTES = 2 };

void kv_batch_init(struct kv_batch *batch)
{
    *batch = (struct kv_batch){ 0 };
}

void kv_batch_free(struct kv_batch *batch)
{
    free(batch->bytes);
    kv_batch_init(batch);
}

void kv_batch_clear(struct kv_batch *batch)
{
    batch->len = 0;
    batch->count = 0;
    batch->failed = false;
}

/* Room for `count` bytes at the end, or NULL; the batch has then failed. */
static char *room(struct kv_batch *batch, size_t count)
{
    if (batch->failed) return NULL;
    if (count > KV_BATCH_MAX_BYTES - batch->len) {
        batch->failed = true;
        return NULL;
    }
    if (count > batch->size - batch->len) {
        size_t size = batch->size == 0 ? BATCH_FIRST_BYTES : batch->size;
        while (size - batch->len < count) size *= 2;
        char *bytes = realloc(batch->bytes, size);
        if (bytes == NULL) {
            batch->failed = true;
            return NULL;
        }
        batch->bytes = bytes;
        batch->size = size;
    }
    char *at = batch->bytes + batch->len;
    batch->len += count;
    return at;
}

static void put_u16(char *to, size_t value)
{
    to[0] = (char)(value & 0xff);
    to[1] = (char)(value >> 8 & 0xff);
}

static size_t get_u16(const char *from)
{
    return (size_t)(unsigned char)from[0] | (size_t)(unsigned char)from[1] << 8;
}

/* Writes op and key and returns the room for `rest` more bytes. */
static char *change(struct kv_batch *batch, enum kv_op op, struct span key, size_t rest)
{
    CHECK(key.len > 0 && key.len <= KV_KEY_MAX_BYTES);
    char *at = room(batch, OP_HEAD_BYTES + key.len + rest);
    if (at == NULL) return NULL;
    at[0] = (char)op;
    put_u16(at + 1, key.len);
    memcpy(at + OP_HEAD_BYTES, key.ptr, key.len);
    batch->count++;
    return at + OP_HEAD_BYTES + key.len;
}

char *kv_batch_put_room(struct kv_batch *batch, struct span key, size_t value_bytes)
{
    if (value_bytes > KV_VALUE_MAX_BYTES) batch->failed = true;
    char *at = batch->failed ? NULL : change(batch, KV_PUT, key, VALUE_HEAD_BYTES + value_bytes);
    if (at == NULL) return NULL;
    put_u16(at, value_bytes & 0xffff);
    put_u16(at + 2, value_bytes >> 16);
    return at + VALUE_HEAD_BYTES;
}

void kv_batch_put(struct kv_batch *batch, struct span key, struct span value)
{
    char *at = kv_batch_put_room(batch, key, value.len);
    if (at != NULL && value.len > 0) memcpy(at, value.ptr, value.len);
}

void kv_batch_delete(struct kv_batch *batch, struct span key)
{
    (void)change(batch, KV_DELETE, key, 0);
}

void kv_batch_delete_range(struct kv_batch *batch, struct span from, struct span end)
{
    CHECK(end.len > 0 && end.len <= KV_KEY_MAX_BYTES);
    char *at = change(batch, KV_DELETE_RANGE, from, END_HEAD_BYTES + end.len);
    if (at == NULL) return;
    put_u16(at, end.len);
    memcpy(at + END_HEAD_BYTES, end.ptr, end.len);
}

/* Takes `count` bytes off the front of `*from`. */
static bool take(struct span *from, size_t count, struct span *ret)
{
    if (count > from->len) return false;
    *ret = span_head(*from, count);
    *from = span_skip(*from, count);
    return true;
}

/* A key or the end of a range: not empty, within KV_KEY_MAX_BYTES. */
static bool take_key(struct span *from, struct span *ret)
{
    struct span head;
    if (!take(from, END_HEAD_BYTES, &head)) return false;
    size_t len = get_u16(head.ptr);
    return len > 0 && len <= KV_KEY_MAX_BYTES && take(from, len, ret);
}

static bool take_value(struct span *from, struct span *ret)
{
    struct span head;
    if (!take(from, VALUE_HEAD_BYTES, &head)) return false;
    size_t len = get_u16(head.ptr) | get_u16(head.ptr + 2) << 16;
    return len <= KV_VALUE_MAX_BYTES && take(from, len, ret);
}

struct err kv_batch_next(struct span *bytes, struct kv_change *ret)
{
    struct span rest = *bytes, op;
    struct kv_change found = { 0 };
    if (!take(&rest, 1, &op)) return err_make(ERR_NOT_FOUND, "end of the batch");
    if (!take_key(&rest, &found.key)) return err_make(ERR_CORRUPT, "key in a batch");
    bool good = true;
    switch (op.ptr[0]) {
    case KV_PUT:
        found.op = KV_PUT;
        good = take_value(&rest, &found.value);
        break;
    case KV_DELETE:
        found.op = KV_DELETE;
        break;
    case KV_DELETE_RANGE:
        found.op = KV_DELETE_RANGE;
        good = take_key(&rest, &found.value);
        break;
    default:
        good = false;
    }
    if (!good) return err_make(ERR_CORRUPT, "change in a batch");
    *ret = found;
    *bytes = rest;
    return err_ok();
}

void kv_value_free(struct kv_value *value)
{
    if (value->release != NULL) value->release(value->owner);
    *value = (struct kv_value){ 0 };
}
