/* proto_message.h: our structs <-> protobuf bytes, by tables that generate.py makes.
 *
 * protobuf-c does the encoding (proto3); this puts spans in place of its pointers, so that the
 * rooms see no generated *.pb-c.h and every byte that is unpacked lies in an arena with a limit. */
#ifndef MAIL_PROTO_MESSAGE_H
#define MAIL_PROTO_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum proto_kind { PROTO_U32, PROTO_U64, PROTO_BOOL, PROTO_BYTES, PROTO_MESSAGE };

struct proto_type;

struct proto_field {
    uint32_t tag;
    enum proto_kind kind;
    bool repeated;
    size_t offset;
    size_t count_offset; /* of `x_count` when repeated, of `has_x` for a message, else 0 */
    const struct proto_type *type;
};

struct proto_type {
    const char *name;
    size_t size;
    const void *descriptor; /* ProtobufCMessageDescriptor */
    const struct proto_field *fields; /* by rising tag */
    size_t fields_count;
};

struct proto_method {
    uint16_t number; /* on the wire for ever */
    const char *name;
    const struct proto_type *request, *reply;
    bool stream;
};

/* Encodes the struct of `type` at `message`; `*ret` lies in `arena`. ERR_NOMEM only. */
MUST_USE struct err proto_pack(const struct proto_type *type, const void *message,
                               struct arena *arena, struct span *ret);

/* Decodes; `*message` (a struct of `type`) is overwritten, and what it points to lies in `arena`
 * and not in `bytes`. Unknown fields are passed over. ERR_SYNTAX: not such a message, or more than
 * the arena may hold; `*message` is then untouched. */
MUST_USE struct err proto_unpack(const struct proto_type *type, struct span bytes,
                                 struct arena *arena, void *message);

#ifdef __cplusplus
}
#endif
#endif
