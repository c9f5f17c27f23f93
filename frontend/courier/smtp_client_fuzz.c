/* Whatever the server says and however it is cut up, we send the same, and every recipient has a
 * result in the end. */
#include <stdint.h>
#include <stdlib.h>

#include "body.h"
#include "check.h"
#include "smtp_client.h"

enum { OUT_BYTES = 1 << 18, RECIPIENTS = 3, MESSAGES_MAX = 5 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct talk {
    struct smtp_client_options options;
    struct body *body;
    struct span in;
    size_t piece_bytes;
    struct buf *log;
    struct smtp_client_recipient recipients[RECIPIENTS];
    bool is_odd;
};

static void log_results(struct talk *talk)
{
    for (size_t i = 0; i < RECIPIENTS; i++) {
        const struct smtp_client_recipient *recipient = &talk->recipients[i];
        char result = (char)('0' + recipient->result);
        CHECK(recipient->result != SMTP_CLIENT_ACCEPTED);
        buf_put(talk->log, span_of(&result, 1));
        buf_put(talk->log, recipient->reply.text);
    }
}

static void run(struct talk *talk)
{
    struct smtp_client client;
    struct smtp_client_message message = { .sender = SPAN("a@b"), .body = talk->body,
        .recipients = talk->recipients, .recipients_count = RECIPIENTS, .body_8bit = talk->is_odd };
    smtp_client_init(&client, &talk->options, talk->log);
    size_t seen = 0, done = 0, messages = 0;
    while (client.wish != SMTP_CLIENT_WISH_CLOSE) {
        size_t used = smtp_client_feed(&client, span_of(talk->in.ptr + done, seen - done));
        CHECK(used <= seen - done);
        done += used;
        if (client.wish == SMTP_CLIENT_WISH_START_TLS) {
            done = seen = talk->in.len; /* what is behind it depends on the cut, by design */
            smtp_client_answer_tls(&client, err_ok());
        } else if (client.wish == SMTP_CLIENT_WISH_MESSAGE && messages++ < MESSAGES_MAX) {
            if (messages > 1) log_results(talk);
            const struct span addresses[RECIPIENTS] = { SPAN("c@d"), SPAN("bad"), SPAN("e@f") };
            for (size_t i = 0; i < RECIPIENTS; i++) {
                talk->recipients[i] = (struct smtp_client_recipient){ .address = addresses[i] };
            }
            smtp_client_send(&client, &message);
        } else if (client.wish == SMTP_CLIENT_WISH_MESSAGE) {
            smtp_client_quit(&client);
        } else if (client.wish == SMTP_CLIENT_WISH_NOTHING) {
            if (seen == talk->in.len) break;
            size_t left = talk->in.len - seen;
            seen += talk->piece_bytes < left ? talk->piece_bytes : left;
        }
    }
    smtp_client_lost(&client, err_make(ERR_IO, "end"));
    CHECK(client.wish == SMTP_CLIENT_WISH_CLOSE);
    if (messages > 0) log_results(talk);
    smtp_client_free(&client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char whole_bytes[OUT_BYTES], split_bytes[OUT_BYTES];
    struct body_budget budget = { .memory_bytes_max = 1 << 20, .spill_dir = "/tmp" };
    struct buf whole, split;
    if (size < 2 || size > 4096) return 0;
    struct talk talk = {
        .options = { .lmtp = (data[1] & 1) != 0, .hostname = SPAN("h"), .tls = data[1] >> 1 & 1,
                     .chunking = (data[1] & 4) != 0, .tls_active = (data[1] & 16) != 0 },
        .in = span_of(data + 2, size - 2), .is_odd = (data[1] & 8) != 0,
    };
    if ((data[1] & 32) != 0) talk.options.user = talk.options.password = SPAN("u");
    CHECK(body_new(&budget, &talk.body).code == ERR_OK);
    CHECK(body_put(talk.body, SPAN(".a\r\n.\nb")).code == ERR_OK);
    CHECK(body_seal(talk.body).code == ERR_OK);
    buf_init(&whole, whole_bytes, OUT_BYTES);
    buf_init(&split, split_bytes, OUT_BYTES);
    talk.log = &whole;
    talk.piece_bytes = size;
    run(&talk);
    talk.log = &split;
    talk.piece_bytes = 1u + data[0] % 16u;
    run(&talk);
    CHECK(!whole.overflow && span_eq(buf_span(&whole), buf_span(&split)));
    body_unref(talk.body);
    return 0;
}
