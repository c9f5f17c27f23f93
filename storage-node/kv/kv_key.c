/* The format stands in kv_key.h. */
#include "kv_key.h"

#include <assert.h>

#include "check.h"
#include "kv.h"

static_assert(sizeof(((struct kv_key *)0)->bytes) == KV_KEY_MAX_BYTES, "as long as a key may be");

static void put_be(struct kv_key *key, uint64_t value, size_t bytes)
{
    CHECK(bytes <= sizeof(key->bytes) - key->len);
    for (size_t i = 0; i < bytes; i++)
        key->bytes[key->len + i] = (char)(value >> (8 * (bytes - 1 - i)) & 0xff);
    key->len += bytes;
}

static uint64_t get_be(const char *from, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) value = value << 8 | (unsigned char)from[i];
    return value;
}

void kv_key_begin(struct kv_key *key, const struct kv_owner *owner, enum kv_kind kind)
{
    CHECK(owner->slot < KV_SLOTS);
    key->len = 0;
    put_be(key, owner->slot, 2);
    put_be(key, owner->tenant, 4);
    put_be(key, owner->account, 8);
    put_be(key, (uint64_t)kind, 1);
}

void kv_key_u32(struct kv_key *key, uint32_t value) { put_be(key, value, 4); }
void kv_key_u64(struct kv_key *key, uint64_t value) { put_be(key, value, 8); }

void kv_key_bytes(struct kv_key *key, struct span bytes)
{
    CHECK(bytes.len <= sizeof(key->bytes) - key->len);
    if (bytes.len > 0) memcpy(key->bytes + key->len, bytes.ptr, bytes.len);
    key->len += bytes.len;
}

void kv_key_end(struct kv_key *key)
{
    /* The first byte is the high byte of a slot and never 0xff. */
    while (key->bytes[key->len - 1] == '\xff') key->len--;
    key->bytes[key->len - 1]++;
}

struct err kv_key_read(struct span key, struct kv_owner *owner, unsigned *kind, struct span *tail)
{
    if (key.len > 0 && key.ptr[0] == '\xff') return err_make(ERR_NOT_FOUND, "the store's own row");
    if (key.len < KV_KEY_HEAD_BYTES) return err_make(ERR_CORRUPT, "key too short");
    uint64_t slot = get_be(key.ptr, 2);
    if (slot >= KV_SLOTS) return err_make(ERR_CORRUPT, "slot of a key");
    owner->slot = (uint16_t)slot;
    owner->tenant = (uint32_t)get_be(key.ptr + 2, 4);
    owner->account = get_be(key.ptr + 6, 8);
    *kind = (unsigned char)key.ptr[KV_KEY_HEAD_BYTES - 1];
    *tail = span_skip(key, KV_KEY_HEAD_BYTES);
    return err_ok();
}

bool kv_key_take_u32(struct span *tail, uint32_t *value)
{
    if (tail->len < 4) return false;
    *value = (uint32_t)get_be(tail->ptr, 4);
    *tail = span_skip(*tail, 4);
    return true;
}

bool kv_key_take_u64(struct span *tail, uint64_t *value)
{
    if (tail->len < 8) return false;
    *value = get_be(tail->ptr, 8);
    *tail = span_skip(*tail, 8);
    return true;
}
