/* Stored bodies for POP3, unpacked piece by piece. */
#include "front.h"
#include "frontend_loop.h"
#include "id.h"
#include "stored_body_reader.h"

static void operation_id(void *holder, uint64_t wall_ms, uint8_t id[16])
{
    (void)holder;
    id_operation(wall_ms, id);
}

static struct err unpack_new(void *holder, uint64_t stored_bytes, void **ret)
{
    struct stored_body_reader *reader;
    (void)holder;
    TRY(stored_body_reader_new(stored_bytes, &reader));
    *ret = reader;
    return err_ok();
}

static struct err unpack(void *holder, void *reader, struct span *in, struct buf *out)
{
    (void)holder;
    return stored_body_read(reader, in, out);
}

static bool unpack_is_done(void *holder, const void *reader)
{
    (void)holder;
    return stored_body_reader_is_done(reader);
}

static void unpack_free(void *holder, void *reader)
{
    (void)holder;
    stored_body_reader_free(reader);
}

void frontend_pop3_options(struct frontend_loop *loop)
{
    loop->pop3 = (struct pop3_options){ .operation_id = operation_id,
                                        .unpack_new = unpack_new,
                                        .unpack = unpack,
                                        .unpack_is_done = unpack_is_done,
                                        .unpack_free = unpack_free,
                                        .sasl = loop->front.sasl,
                                        .name = SPAN("Godwit"),
                                        .stls = loop->frontend->tls_cert != NULL };
    loop->pop3_open = loop->pop3;
    loop->pop3_open.login_without_tls = true;
    loop->front.pop3_options = &loop->pop3;
    loop->front.pop3_open_options = &loop->pop3_open;
}
