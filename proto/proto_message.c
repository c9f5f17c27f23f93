#include "proto_message.h"

#include <protobuf-c/protobuf-c.h>
#include <string.h>

#include "check.h"

/* Where a field lies in our struct and in protobuf-c's. */
static const char *at_const(const void *base, size_t offset) { return (const char *)base + offset; }
static char *at(void *base, size_t offset) { return (char *)base + offset; }

static size_t proto_size(enum proto_kind kind, const struct proto_type *type)
{
    switch (kind) {
    case PROTO_U32: return sizeof(uint32_t);
    case PROTO_U64: return sizeof(uint64_t);
    case PROTO_BOOL: return sizeof(bool);
    case PROTO_BYTES: return sizeof(struct span);
    case PROTO_MESSAGE: return type->size;
    }
    return 0;
}

/* Memory for protobuf-c's side of an element. */
static size_t pb_size(enum proto_kind kind)
{
    switch (kind) {
    case PROTO_U32: return sizeof(uint32_t);
    case PROTO_U64: return sizeof(uint64_t);
    case PROTO_BOOL: return sizeof(protobuf_c_boolean);
    case PROTO_BYTES: return sizeof(ProtobufCBinaryData);
    case PROTO_MESSAGE: return sizeof(ProtobufCMessage *);
    }
    return 0;
}

static struct err to_pb(const struct proto_type *type, const void *message, struct arena *arena,
                        ProtobufCMessage **ret);

static struct err value_to_pb(const struct proto_field *field, const char *from, char *to,
                              struct arena *arena)
{
    switch (field->kind) {
    case PROTO_U32: memcpy(to, from, sizeof(uint32_t)); break;
    case PROTO_U64: memcpy(to, from, sizeof(uint64_t)); break;
    case PROTO_BOOL: {
        bool value;
        memcpy(&value, from, sizeof(value));
        protobuf_c_boolean flag = value;
        memcpy(to, &flag, sizeof(flag));
        break;
    }
    case PROTO_BYTES: {
        struct span value;
        memcpy(&value, from, sizeof(value));
        ProtobufCBinaryData data = { .len = value.len };
        memcpy(&data.data, &value.ptr, sizeof(data.data)); /* it is only read */
        memcpy(to, &data, sizeof(data));
        break;
    }
    case PROTO_MESSAGE: {
        ProtobufCMessage *sub = NULL;
        TRY(to_pb(field->type, from, arena, &sub));
        memcpy(to, &sub, sizeof(ProtobufCMessage *));
        break;
    }
    }
    return err_ok();
}

static struct err repeated_to_pb(const struct proto_field *field,
                                 const ProtobufCFieldDescriptor *pb, const void *message,
                                 ProtobufCMessage *to, struct arena *arena)
{
    size_t count;
    const char *values;
    memcpy(&count, at_const(message, field->count_offset), sizeof(count));
    memcpy(&values, at_const(message, field->offset), sizeof(values));
    if (count == 0) return err_ok();
    size_t ours = proto_size(field->kind, field->type), theirs = pb_size(field->kind);
    char *array = arena_alloc(arena, count * theirs);
    if (array == NULL) return err_make(ERR_NOMEM, "pack");
    for (size_t i = 0; i < count; i++) {
        TRY(value_to_pb(field, values + i * ours, array + i * theirs, arena));
    }
    memcpy(at(to, pb->quantifier_offset), &count, sizeof(count));
    memcpy(at(to, pb->offset), &array, sizeof(array));
    return err_ok();
}

static struct err to_pb(const struct proto_type *type, const void *message, struct arena *arena,
                        ProtobufCMessage **ret)
{
    const ProtobufCMessageDescriptor *descriptor = type->descriptor;
    CHECK(descriptor->n_fields == type->fields_count);
    ProtobufCMessage *pb = arena_alloc(arena, descriptor->sizeof_message);
    if (pb == NULL) return err_make(ERR_NOMEM, "pack");
    protobuf_c_message_init(descriptor, pb);
    for (size_t i = 0; i < type->fields_count; i++) {
        const struct proto_field *field = &type->fields[i];
        const ProtobufCFieldDescriptor *pb_field = &descriptor->fields[i];
        CHECK(pb_field->id == field->tag);
        if (field->repeated) {
            TRY(repeated_to_pb(field, pb_field, message, pb, arena));
            continue;
        }
        if (field->kind == PROTO_MESSAGE) {
            bool has;
            memcpy(&has, at_const(message, field->count_offset), sizeof(has));
            if (!has) continue;
        }
        TRY(value_to_pb(field, at_const(message, field->offset), at(pb, pb_field->offset), arena));
    }
    *ret = pb;
    return err_ok();
}

struct err proto_pack(const struct proto_type *type, const void *message, struct arena *arena,
                      struct span *ret)
{
    ProtobufCMessage *pb = NULL;
    TRY(to_pb(type, message, arena, &pb));
    size_t size = protobuf_c_message_get_packed_size(pb);
    uint8_t *bytes = arena_alloc(arena, size + 1);
    if (bytes == NULL) return err_make(ERR_NOMEM, "pack");
    CHECK(protobuf_c_message_pack(pb, bytes) == size);
    *ret = span_of(bytes, size);
    return err_ok();
}

static struct err from_pb(const struct proto_type *type, const ProtobufCMessage *pb,
                          struct arena *arena, void *message);

static struct err value_from_pb(const struct proto_field *field, const char *from, char *to,
                                struct arena *arena)
{
    switch (field->kind) {
    case PROTO_U32: memcpy(to, from, sizeof(uint32_t)); break;
    case PROTO_U64: memcpy(to, from, sizeof(uint64_t)); break;
    case PROTO_BOOL: {
        protobuf_c_boolean flag;
        memcpy(&flag, from, sizeof(flag));
        bool value = flag != 0;
        memcpy(to, &value, sizeof(value));
        break;
    }
    case PROTO_BYTES: {
        ProtobufCBinaryData data;
        memcpy(&data, from, sizeof(data));
        struct span value = span_of(data.data, data.len);
        memcpy(to, &value, sizeof(value));
        break;
    }
    case PROTO_MESSAGE: {
        const ProtobufCMessage *sub;
        memcpy(&sub, from, sizeof(sub));
        return from_pb(field->type, sub, arena, to);
    }
    }
    return err_ok();
}

static struct err field_from_pb(const struct proto_field *field,
                                const ProtobufCFieldDescriptor *pb_field,
                                const ProtobufCMessage *pb, struct arena *arena, void *message)
{
    const char *from = at_const(pb, pb_field->offset);
    char *to = at(message, field->offset);
    if (!field->repeated) {
        if (field->kind == PROTO_MESSAGE) {
            const ProtobufCMessage *sub;
            memcpy(&sub, from, sizeof(sub));
            bool has = sub != NULL;
            memcpy(at(message, field->count_offset), &has, sizeof(has));
            if (!has) return err_ok();
        }
        return value_from_pb(field, from, to, arena);
    }
    size_t count;
    const char *values;
    memcpy(&count, at_const(pb, pb_field->quantifier_offset), sizeof(count));
    memcpy(&values, from, sizeof(values));
    if (count == 0) return err_ok();
    size_t ours = proto_size(field->kind, field->type), theirs = pb_size(field->kind);
    char *array = arena_alloc(arena, count * ours);
    if (array == NULL) return err_make(ERR_SYNTAX, "message over its limit");
    for (size_t i = 0; i < count; i++) {
        TRY(value_from_pb(field, values + i * theirs, array + i * ours, arena));
    }
    memcpy(at(message, field->count_offset), &count, sizeof(count));
    memcpy(to, &array, sizeof(array));
    return err_ok();
}

static struct err from_pb(const struct proto_type *type, const ProtobufCMessage *pb,
                          struct arena *arena, void *message)
{
    memset(message, 0, type->size);
    for (size_t i = 0; i < type->fields_count; i++) {
        TRY(field_from_pb(&type->fields[i], &pb->descriptor->fields[i], pb, arena, message));
    }
    return err_ok();
}

static void *pb_alloc(void *data, size_t size) { return arena_alloc(data, size); }

static void pb_free(void *data, void *pointer)
{
    (void)data;
    (void)pointer; /* it goes with the arena */
}

struct err proto_unpack(const struct proto_type *type, struct span bytes, struct arena *arena,
                        void *message)
{
    ProtobufCAllocator allocator = { pb_alloc, pb_free, arena };
    ProtobufCMessage *pb = protobuf_c_message_unpack(type->descriptor, &allocator, bytes.len,
                                                     (const uint8_t *)bytes.ptr);
    if (pb == NULL) return err_make(ERR_SYNTAX, "protobuf message");
    void *made = arena_alloc(arena, type->size);
    if (made == NULL) return err_make(ERR_SYNTAX, "message over its limit");
    TRY(from_pb(type, pb, arena, made));
    memcpy(message, made, type->size);
    return err_ok();
}
