/* Whatever the client sends and the store answers, what goes out is the same however the bytes are
 * cut and however little room there is; every line ends in CRLF, each lock is taken once and given
 * back once, nothing is asked of a mailbox that is not locked but to open it, and nothing is said
 * after the end. The answers are drawn at random from the input, some of them no good. */
#include <stdint.h>
#include <stdlib.h>

#include "check.h"
#include "login_sasl.h"
#include "mail_stream.h"
#include "pop3_session.h"
#include "store_msg.h"

enum { DATA_BYTES = 64 * 1024, STEPS_MAX = 100000, RECORDS_MAX = 12, TEXT_BYTES = 3000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct talk {
    struct pop3_session *session;
    uint64_t random;
    uint64_t hash; /* of what went out (FNV-1a) */
    uint64_t bytes_out;
    size_t data_piece;
    bool is_locked;
    int unpacks;
    char last; /* octet that went out */
    struct buf out;
    char data[DATA_BYTES];
    size_t data_len;
};

static uint32_t draw(struct talk *talk, uint32_t below)
{
    talk->random = talk->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(talk->random >> 33) % below;
}

static void drain(struct talk *talk)
{
    CHECK(!talk->out.overflow);
    for (size_t i = 0; i < talk->out.len; i++) {
        char c = talk->out.bytes[i];
        CHECK(c != '\n' || talk->last == '\r');
        talk->last = c;
        talk->hash = (talk->hash ^ (unsigned char)c) * 1099511628211u;
    }
    talk->bytes_out += talk->out.len;
    talk->out.len = 0;
}

/* ---- what the session asks of the program. A stored body is "$" and its octets. */

struct unpack {
    uint64_t left;
    bool is_begun;
};

static void operation_id(void *holder, uint64_t wall_ms, uint8_t id[16])
{
    (void)holder;
    (void)wall_ms;
    memset(id, 7, 16);
}

static struct err unpack_new(void *holder, uint64_t stored_bytes, void **ret)
{
    struct talk *talk = holder;
    if (stored_bytes == 0) return err_make(ERR_CORRUPT, "stored body");
    struct unpack *unpack = calloc(1, sizeof(*unpack));
    CHECK(unpack != NULL);
    unpack->left = stored_bytes;
    talk->unpacks++;
    *ret = unpack;
    return err_ok();
}

static struct err unpack_run(void *holder, void *memory, struct span *in, struct buf *out)
{
    struct unpack *unpack = memory;
    (void)holder;
    CHECK(in->len <= unpack->left);
    if (!unpack->is_begun && in->len > 0) {
        if (in->ptr[0] != '$') return err_make(ERR_CORRUPT, "stored body");
        unpack->is_begun = true;
        unpack->left--;
        *in = span_skip(*in, 1);
    }
    struct span part = span_head(*in, out->size - out->len);
    buf_put(out, part);
    unpack->left -= part.len;
    *in = span_skip(*in, part.len);
    return err_ok();
}

static bool unpack_is_done(void *holder, const void *memory)
{
    (void)holder;
    return ((const struct unpack *)memory)->left == 0;
}

static void unpack_free(void *holder, void *memory)
{
    struct talk *talk = holder;
    talk->unpacks--;
    free(memory);
}

/* ---- the store */

/* `uid` 0: as many as are drawn, rising but now and then; else that one, or none. */
static void draw_records(struct talk *talk, uint32_t items, uint32_t uid)
{
    static const char alphabet[] = "ab.\r\n\n.\r";
    uint32_t count = uid != 0 ? draw(talk, 8) != 0 : draw(talk, RECORDS_MAX);
    uint32_t last = uid == 0 ? 0 : uid - 1;
    talk->data_len = 0;
    for (uint32_t i = 0; i < count; i++) {
        char text[TEXT_BYTES];
        struct mail_record record = { .items = (uint8_t)items };
        record.uid = last += uid != 0 || draw(talk, 40) == 0 ? 1 : 1 + draw(talk, 3);
        record.size = draw(talk, 200) == 0 ? UINT32_MAX : draw(talk, 100000);
        for (size_t j = 0; j < sizeof(text); j++) text[j] = alphabet[draw(talk, 8)];
        text[0] = draw(talk, 30) == 0 ? '!' : '$';
        record.body = span_of(text, draw(talk, draw(talk, 2) == 0 ? 20 : TEXT_BYTES));
        size_t head = mail_record_head_bytes(&record);
        if (head + sizeof(text) > DATA_BYTES - talk->data_len) return;
        mail_record_head(&record, talk->data + talk->data_len);
        talk->data_len += head;
        if ((items & MAIL_RECORD_BODY) == 0) continue;
        memcpy(talk->data + talk->data_len, text, record.body.len);
        talk->data_len += record.body.len;
    }
    if (talk->data_len == 0) return;
    if (draw(talk, 30) == 0) talk->data[draw(talk, (uint32_t)talk->data_len)] ^= 0x11;
    if (draw(talk, 20) == 0) talk->data_len = draw(talk, (uint32_t)talk->data_len);
}

static void show_data(struct talk *talk)
{
    size_t at = 0;
    bool is_stopped = false;
    while (at < talk->data_len || is_stopped) {
        if (is_stopped) pop3_session_resume(talk->session, &talk->out);
        drain(talk);
        size_t n = talk->data_len - at;
        if (n > talk->data_piece) n = talk->data_piece;
        struct span piece = span_of(talk->data + at, n);
        size_t used = pop3_session_data(talk->session, piece, &talk->out);
        is_stopped = pop3_session_is_stopped(talk->session);
        CHECK(used == n || is_stopped);
        at += used;
        drain(talk);
        if (pop3_session_has_enough(talk->session)) return;
    }
}

static void reply_call(struct talk *talk, const struct pop3_wish *wish)
{
    if (wish->method == STORE_METHOD_MAILBOX_OPEN) {
        struct store_mailbox_open_reply open = { .keywords = NULL };
        open.mailbox.id = draw(talk, 30);
        open.mailbox.uidvalidity = draw(talk, 5);
        open.mailbox.messages = draw(talk, 100) == 0 ? UINT32_MAX : draw(talk, 12);
        pop3_session_reply(talk->session, &open);
    } else if (wish->method == STORE_METHOD_FETCH) {
        const struct store_fetch_request *request = wish->request;
        uint32_t uid = 0;
        CHECK(talk->is_locked);
        if (request->uids.len > 0) memcpy(&uid, request->uids.ptr, sizeof(uid));
        draw_records(talk, request->items, uid);
        show_data(talk);
        struct store_fetch_reply reply = { draw(talk, 40), 0 };
        pop3_session_reply(talk->session, &reply);
    } else {
        CHECK(wish->method == STORE_METHOD_EXPUNGE && talk->is_locked);
        CHECK(((const struct store_expunge_request *)wish->request)->uids.len > 0);
        struct store_expunge_reply reply = { SPAN(""), draw(talk, 40) };
        pop3_session_reply(talk->session, &reply);
    }
}

static struct err fulfil(struct talk *talk, const struct pop3_wish *wish)
{
    static const struct pop3_identity identity = { 1, 2 };
    struct err err = err_ok();
    if (draw(talk, 12) == 0) {
        err = err_make(draw(talk, 2) == 0 ? ERR_NOT_FOUND : ERR_UNREACHABLE, "store");
    }
    switch (wish->kind) {
    case POP3_WISH_LOGIN:
        CHECK(wish->user.len > 0 && wish->password.len > 0);
        if (draw(talk, 4) == 0) err = err_make(ERR_DENIED, "log-in");
        if (err.code == ERR_OK) pop3_session_identity(talk->session, &identity);
        break;
    case POP3_WISH_CALL:
        if (err.code == ERR_OK) reply_call(talk, wish);
        break;
    case POP3_WISH_LOCK:
        CHECK(!talk->is_locked && wish->mailbox != 0);
        if (draw(talk, 6) == 0) err = err_make(ERR_CONFLICT, "lock");
        talk->is_locked = err.code == ERR_OK;
        break;
    case POP3_WISH_UNLOCK:
        CHECK(talk->is_locked);
        talk->is_locked = false;
        break;
    case POP3_WISH_START_TLS:
    case POP3_WISH_NOTHING:
    case POP3_WISH_CLOSE:
        break;
    }
    return err;
}

/* Fulfils what is wished until there is nothing more; false: the session has hung up. */
static bool settle(struct talk *talk)
{
    struct pop3_wish wish;
    for (unsigned steps = 0;; steps++) {
        CHECK(steps < STEPS_MAX);
        drain(talk);
        if (pop3_session_is_stopped(talk->session)) {
            pop3_session_resume(talk->session, &talk->out);
            continue;
        }
        if (!pop3_session_wish(talk->session, &wish)) return true;
        if (wish.kind == POP3_WISH_CLOSE) return false;
        struct err err = fulfil(talk, &wish);
        pop3_session_done(talk->session, err, &talk->out);
    }
}

static void talk_through(struct talk *talk, const struct pop3_options *options, struct span in,
                         size_t piece)
{
    size_t seen = 0, done = 0;
    CHECK(pop3_session_new(options, true, 10, &talk->out, &talk->session).code == ERR_OK);
    bool open = settle(talk);
    while (open) {
        struct span show = span_of(in.ptr + done, seen - done);
        size_t used = pop3_session_feed(talk->session, show, 1000, &talk->out);
        CHECK(used <= show.len);
        done += used;
        open = settle(talk);
        if (!open || (used > 0 && done < seen)) continue;
        if (seen == in.len) break;
        seen += piece < in.len - seen ? piece : in.len - seen;
    }
    drain(talk);
    uint64_t before = talk->bytes_out;
    pop3_session_end(talk->session, POP3_END_SHUTDOWN, &talk->out);
    drain(talk);
    CHECK(open || talk->bytes_out == before);
    CHECK(talk->last == '\n' || !open);
    pop3_session_free(talk->session);
    CHECK(talk->unpacks == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char open_text[] = "USER a\r\nPASS b\r\n";
    if (size < 3 || size > 32 * 1024) return 0;
    struct login_sasl *sasl;
    struct talk *whole = calloc(1, sizeof(*whole)), *cut = calloc(1, sizeof(*cut));
    char *text = malloc(sizeof(open_text) + size);
    char *whole_out = malloc(16 * POP3_OUT_ROOM), *cut_out = malloc(POP3_OUT_ROOM + 1);
    CHECK(whole != NULL && cut != NULL && text != NULL && whole_out != NULL && cut_out != NULL);
    CHECK(login_sasl_new(&sasl).code == ERR_OK);
    struct pop3_options options = {
        .operation_id = operation_id, .unpack_new = unpack_new, .unpack = unpack_run,
        .unpack_is_done = unpack_is_done, .unpack_free = unpack_free, .sasl = sasl,
        .name = SPAN("Godwit"), .stls = true,
    };
    size_t len = (data[0] & 1) != 0 ? sizeof(open_text) - 1 : 0;
    memcpy(text, open_text, len);
    memcpy(text + len, data + 3, size - 3);
    len += size - 3;
    buf_init(&whole->out, whole_out, 16 * POP3_OUT_ROOM);
    buf_init(&cut->out, cut_out, POP3_OUT_ROOM + 1);
    whole->random = cut->random = data[1];
    whole->data_piece = SIZE_MAX;
    cut->data_piece = 1u + data[2] % 32u;
    options.holder = whole;
    talk_through(whole, &options, span_of(text, len), SIZE_MAX);
    options.holder = cut;
    talk_through(cut, &options, span_of(text, len), 1u + data[0] % 16u);
    CHECK(whole->bytes_out == cut->bytes_out && whole->hash == cut->hash);
    login_sasl_free(sasl);
    free(whole_out);
    free(cut_out);
    free(text);
    free(whole);
    free(cut);
    return 0;
}
