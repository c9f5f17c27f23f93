#include "mbox_directory_private.h"
#include "slot.h"
#include "store_msg.h"

void mbox_address_key(uint32_t tenant, struct span address, struct kv_key *key)
{
    struct kv_owner owner = { slot_of_name(address), tenant, 0 };
    kv_key_begin(key, &owner, KV_ADDRESS);
    kv_key_bytes(key, address);
}

struct err mbox_address_get(struct kv_reader *rows, const struct kv_key *key, struct arena *arena,
                            struct store_address_reply *ret)
{
    struct kv_value value = { 0 };
    struct span packed;
    TRY(mbox_get(rows, key, &value));
    struct err err = mbox_packed_read(value.bytes, &packed);
    if (err.code == ERR_OK) err = proto_unpack(&store_address_reply_type, packed, arena, ret);
    kv_value_free(&value);
    return err.code == ERR_SYNTAX ? err_make(ERR_CORRUPT, "ADDRESS row") : err;
}

struct err mbox_domain_key(uint32_t tenant, struct span domain, struct kv_key *key)
{
    static const char end[1] = { 0 };
    if (domain.len == 0 || domain.len > MBOX_DOMAIN_MAX_BYTES ||
        memchr(domain.ptr, 0, domain.len) != NULL)
        return err_make(ERR_SYNTAX, "domain");
    struct kv_owner owner = { slot_of_name(domain), tenant, 0 };
    kv_key_begin(key, &owner, KV_DOMAIN_USER);
    kv_key_bytes(key, domain);
    kv_key_bytes(key, span_of(end, sizeof(end)));
    return err_ok();
}
