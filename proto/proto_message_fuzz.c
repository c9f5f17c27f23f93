/* The first byte chooses a message of store.proto, scan.proto or admin.proto, the rest are its
 * bytes. What is unpacked is packed and unpacked as the same bytes, and lies within the arena's
 * limit. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "admin_msg.h"
#include "arena.h"
#include "check.h"
#include "proto_message.h"
#include "scan_msg.h"
#include "store_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 1 << 20 };

static const struct proto_type *type_of(unsigned number)
{
    const struct proto_method *methods = store_methods;
    number %= 2 * (STORE_METHODS + SCAN_METHODS + ADMIN_METHODS);
    unsigned method = number / 2;
    if (method >= STORE_METHODS) {
        methods = scan_methods;
        method -= STORE_METHODS;
        if (method >= SCAN_METHODS) {
            methods = admin_methods;
            method -= SCAN_METHODS;
        }
    }
    return number % 2 == 0 ? methods[method].request : methods[method].reply;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct span packed, again;
    if (size == 0) return 0;
    const struct proto_type *type = type_of(data[0]);
    arena_init(&arena, ARENA_BYTES);
    void *message = malloc(type->size), *second = malloc(type->size);
    CHECK(message != NULL && second != NULL);
    struct err err = proto_unpack(type, span_of(data + 1, size - 1), &arena, message);
    CHECK(err.code == ERR_OK || err.code == ERR_SYNTAX);
    if (err.code == ERR_OK) err = proto_pack(type, message, &arena, &packed);
    if (err.code == ERR_OK) err = proto_unpack(type, packed, &arena, second);
    if (err.code == ERR_OK) err = proto_pack(type, second, &arena, &again);
    if (err.code == ERR_OK) CHECK(span_eq(packed, again));
    free(message);
    free(second);
    arena_clear(&arena);
    return 0;
}
