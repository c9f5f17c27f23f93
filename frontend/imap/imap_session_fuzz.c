/* Whatever the client sends and the store answers, what goes out is the same however the bytes are
 * cut and however little room there is; and nothing of it is more than one line of BYE after the
 * session has ended. The answers are drawn at random from the input, some of them no good. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "body.h"
#include "check.h"
#include "facts.h"
#include "imap_session.h"
#include "mail_stream.h"
#include "store_msg.h"
#include "uid_set.h"

enum { DATA_BYTES = 64 * 1024, STEPS_MAX = 100000, RECORDS_MAX = 12, TEXT_BYTES = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct talk {
    struct imap_session *session;
    uint64_t random;
    uint64_t hash; /* of what went out (FNV-1a) */
    uint64_t bytes_out;
    size_t data_piece;
    struct buf out;
    char data[DATA_BYTES];
    size_t data_len;
    struct uid_range ranges[RECORDS_MAX];
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
        talk->hash = (talk->hash ^ (unsigned char)talk->out.bytes[i]) * 1099511628211u;
    }
    talk->bytes_out += talk->out.len;
    talk->out.len = 0;
}

static void operation_id(void *holder, uint64_t wall_ms, uint8_t id[16])
{
    (void)holder;
    (void)wall_ms;
    memset(id, 7, 16);
}

static struct err body_open(void *holder, struct span stored, struct imap_opened *ret)
{
    (void)holder;
    if (stored.len > 0 && stored.ptr[0] == '!') return err_make(ERR_CORRUPT, "stored body");
    ret->bytes = stored;
    return err_ok();
}

static void body_close(void *holder, struct imap_opened *opened)
{
    (void)holder;
    (void)opened;
}

static struct body_budget budget = { 1 << 24, 1 << 24, 0, 0, "/tmp" };

static const struct imap_options options = {
    .operation_id = operation_id, .body_open = body_open,  .body_close = body_close,
    .budget = &budget,            .message_bytes_max = 4096, .line_bytes_max = 65536,
    .login_failures_max = 5,      .name = SPAN_INIT("Godwit"),
    .version = SPAN_INIT("1"),    .starttls = true,
};

/* Rising ranges, now and then not. */
static struct span draw_set(struct talk *talk)
{
    uint32_t uid = 0, count = draw(talk, RECORDS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        talk->ranges[i].first = uid + 1 + draw(talk, 4);
        talk->ranges[i].last = talk->ranges[i].first + draw(talk, 3);
        uid = talk->ranges[i].last + (draw(talk, 50) == 0 ? 0 : 1);
    }
    return span_of(talk->ranges, count * sizeof(talk->ranges[0]));
}

static size_t draw_facts(struct talk *talk, char *to)
{
    struct facts facts = { .parts_count = 0 };
    struct facts_part part = { .body_at = draw(talk, 20), .encoding = (uint8_t)draw(talk, 7) };
    char parts[FACTS_PART_BYTES];
    facts.date_ms = INT64_MIN;
    part.end_at = part.body_at + draw(talk, TEXT_BYTES);
    facts_part_write(&part, parts);
    if (draw(talk, 4) > 0) facts.parts_count = 1;
    facts.parts = span_of(parts, facts.parts_count * sizeof(parts));
    facts.preview = span_head(SPAN("so it \xe2\x82\xac begins"), draw(talk, 20));
    facts.envelope = SPAN("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
    facts.structure = SPAN("(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1 NIL NIL NIL NIL)");
    facts.fields = SPAN("Subject: x\r\nFrom: y\r\n z\r\n");
    size_t bytes = facts_bytes(&facts);
    facts_write(&facts, to);
    if (draw(talk, 30) == 0) to[draw(talk, (uint32_t)bytes)] ^= 0x55;
    return bytes;
}

static void draw_records(struct talk *talk, uint32_t items)
{
    static const char fills[] = "xxxxxx==A\n!";
    char facts[1024], text[TEXT_BYTES];
    uint32_t uid = 0, count = draw(talk, RECORDS_MAX);
    talk->data_len = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct mail_record record = { .items = (uint8_t)items };
        record.uid = uid += 1 + draw(talk, 3);
        record.flags = draw(talk, 4) == 0 ? 1ull << draw(talk, 64) : draw(talk, 32);
        record.modseq = draw(talk, 30);
        record.internaldate_ms = (uint64_t)draw(talk, 1000000) * 10000000;
        record.size = draw(talk, 100000);
        record.savedate_ms = draw(talk, 3) * 1000000ull;
        record.email_id = draw(talk, 9);
        record.thread_id = draw(talk, 3);
        record.facts = span_of(facts, draw_facts(talk, facts));
        memset(text, fills[draw(talk, sizeof(fills))], sizeof(text));
        record.body = span_of(text, draw(talk, TEXT_BYTES));
        size_t head = mail_record_head_bytes(&record);
        if (head + sizeof(text) > DATA_BYTES - talk->data_len) return;
        mail_record_head(&record, talk->data + talk->data_len);
        talk->data_len += head;
        if ((items & MAIL_RECORD_BODY) == 0) continue;
        memcpy(talk->data + talk->data_len, text, record.body.len);
        talk->data_len += record.body.len;
    }
    if (talk->data_len > 0 && draw(talk, 40) == 0) {
        talk->data[draw(talk, (uint32_t)talk->data_len)] ^= 0x11;
    }
}

static void show_data(struct talk *talk)
{
    size_t at = 0;
    while (at < talk->data_len) {
        size_t n = talk->data_len - at;
        if (n > talk->data_piece) n = talk->data_piece;
        size_t used = imap_session_data(talk->session, span_of(talk->data + at, n), &talk->out);
        CHECK(used == n || imap_session_is_stopped(talk->session));
        at += used;
        drain(talk);
        if (!imap_session_is_stopped(talk->session)) continue;
        imap_session_resume(talk->session, &talk->out);
        drain(talk);
    }
}

static void reply_mailbox(struct talk *talk)
{
    struct span keywords[] = { SPAN("$Junk"), SPAN("Work") };
    struct store_mailbox_open_reply open = { .keywords = keywords };
    open.keywords_count = draw(talk, 3);
    open.mailbox.id = 1 + draw(talk, 5);
    open.mailbox.uidnext = draw(talk, 30);
    open.mailbox.messages = draw(talk, 12);
    open.mailbox.highestmodseq = draw(talk, 20);
    open.recent_from = draw(talk, 30);
    open.keywords_max = 56;
    imap_session_reply(talk->session, &open);
}

static void reply_list(struct talk *talk)
{
    struct store_mailbox rows[3] = { { .id = 1 }, { .id = 2 }, { .id = 0 } };
    rows[0].name = SPAN("INBOX");
    rows[1].name = SPAN("a/b&\xc3\xa4");
    rows[2].name = SPAN("a/c");
    rows[2].subscribed = true;
    struct store_mailbox_list_reply list = { rows, draw(talk, 4) };
    imap_session_reply(talk->session, &list);
}

static void reply_account(struct talk *talk)
{
    struct store_account_reply reply = { .has_account = true, .has_usage = true };
    reply.account.quota_bytes = (uint64_t)draw(talk, 3) << draw(talk, 40);
    reply.account.quota_items = draw(talk, 3);
    reply.usage.bytes = (uint64_t)draw(talk, 3) << draw(talk, 60);
    reply.usage.items = draw(talk, 100);
    imap_session_reply(talk->session, &reply);
}

/* UIDs, and for THREAD now and then a parenthesis. */
static void reply_order(struct talk *talk, bool thread)
{
    uint32_t count = draw(talk, 4 * RECORDS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t one = thread && draw(talk, 2) == 0 ? 0u - draw(talk, 2) : 1 + draw(talk, 30);
        memcpy(talk->data + i * sizeof(one), &one, sizeof(one));
    }
    talk->data_len = count * sizeof(uint32_t) + (draw(talk, 40) == 0);
    show_data(talk);
    struct store_search_reply reply = { draw(talk, 40), draw(talk, 40), 0 };
    imap_session_reply(talk->session, &reply);
}

/* False: it is a method of reply_call. */
static bool reply_extension(struct talk *talk, unsigned method)
{
    if (method == STORE_METHOD_ACCOUNT_GET) {
        reply_account(talk);
    } else if (method == STORE_METHOD_MAILBOX_CREATE) {
        struct store_mailbox_reply reply = { .mailbox = { .id = draw(talk, 9) } };
        imap_session_reply(talk->session, &reply);
    } else if (method == STORE_METHOD_SORT || method == STORE_METHOD_THREAD) {
        reply_order(talk, method == STORE_METHOD_THREAD);
    } else if (method == STORE_METHOD_APPEND_MANY) {
        struct store_append_many_reply reply = { .first_uid = 5, .count = 1 + draw(talk, 5) };
        reply.uidvalidity = 6;
        reply.mailbox = 1 + draw(talk, 3);
        imap_session_reply(talk->session, &reply);
    } else {
        return false;
    }
    return true;
}

static void reply_call(struct talk *talk, const struct imap_wish *wish)
{
    struct span keywords[] = { SPAN("$Junk"), SPAN("Work"), SPAN("New") };
    talk->data_len = 0;
    if (reply_extension(talk, wish->method)) return;
    if (wish->method == STORE_METHOD_MAILBOX_OPEN) {
        reply_mailbox(talk);
    } else if (wish->method == STORE_METHOD_MAILBOX_LIST) {
        reply_list(talk);
    } else if (wish->method == STORE_METHOD_MAILBOX_DELETE) {
        struct store_progress_reply reply = { draw(talk, 2) == 0 };
        imap_session_reply(talk->session, &reply);
    } else if (wish->method == STORE_METHOD_APPEND) {
        struct store_append_reply reply = { 5, 6, draw(talk, 40), 1 };
        imap_session_reply(talk->session, &reply);
    } else if (wish->method == STORE_METHOD_FETCH) {
        draw_records(talk, ((const struct store_fetch_request *)wish->request)->items);
        show_data(talk);
        struct store_fetch_reply reply = { draw(talk, 40), 0 };
        imap_session_reply(talk->session, &reply);
    } else if (wish->method == STORE_METHOD_FLAGS_SET) {
        draw_records(talk, 0);
        show_data(talk);
        struct store_flags_set_reply reply = { .modseq = draw(talk, 40), .keywords = keywords };
        reply.modified = draw_set(talk);
        reply.keywords_count = draw(talk, 4);
        imap_session_reply(talk->session, &reply);
    } else if (wish->method == STORE_METHOD_CHANGES) {
        draw_records(talk, 0);
        show_data(talk);
        struct store_changes_reply reply = { .highestmodseq = draw(talk, 40) };
        reply.keywords = keywords;
        reply.keywords_count = draw(talk, 4);
        reply.expunged = draw_set(talk);
        reply.gone = draw(talk, 40) == 0;
        imap_session_reply(talk->session, &reply);
    } else if (wish->method == STORE_METHOD_UIDS || wish->method == STORE_METHOD_SEARCH) {
        struct span set = draw_set(talk);
        memcpy(talk->data, talk->ranges, sizeof(talk->ranges));
        talk->data_len = set.len;
        show_data(talk);
        struct store_search_reply found = { draw(talk, 40), draw(talk, 40), 0 };
        struct store_uids_reply uids = { draw(talk, 20), 0 };
        const void *reply = wish->method == STORE_METHOD_UIDS ? (const void *)&uids : &found;
        imap_session_reply(talk->session, reply);
    } else if (wish->method == STORE_METHOD_COPY) {
        struct store_copy_reply reply = { .uidvalidity = 9, .modseq = draw(talk, 40) };
        reply.from_uids = reply.to_uids = draw_set(talk);
        imap_session_reply(talk->session, &reply);
    } else if (wish->method == STORE_METHOD_EXPUNGE) {
        struct store_expunge_reply reply = { draw_set(talk), draw(talk, 40) };
        imap_session_reply(talk->session, &reply);
    }
}

/* Fulfils what is wished until there is nothing more; false: the session has hung up. */
static bool settle(struct talk *talk)
{
    struct imap_wish wish;
    for (unsigned steps = 0;; steps++) {
        CHECK(steps < STEPS_MAX);
        drain(talk);
        if (imap_session_is_stopped(talk->session)) {
            imap_session_resume(talk->session, &talk->out);
            continue;
        }
        if (!imap_session_wish(talk->session, &wish)) return true;
        if (wish.kind == IMAP_WISH_CLOSE) return false;
        struct err err = err_ok();
        if (draw(talk, 12) == 0) {
            err = err_make(draw(talk, 2) == 0 ? ERR_NOT_FOUND : ERR_UNREACHABLE, "store");
        } else if (wish.kind == IMAP_WISH_CALL || wish.kind == IMAP_WISH_APPEND ||
                   wish.kind == IMAP_WISH_APPEND_MANY) {
            reply_call(talk, &wish);
        }
        imap_session_done(talk->session, err, &talk->out);
    }
}

static void talk_through(struct talk *talk, struct span in, size_t piece)
{
    size_t seen = 0, done = 0;
    CHECK(imap_session_new(&options, true, &talk->out, &talk->session).code == ERR_OK);
    bool open = settle(talk);
    while (open) {
        struct span show = span_of(in.ptr + done, seen - done);
        size_t used = imap_session_feed(talk->session, show, 1000, &talk->out);
        CHECK(used <= show.len);
        done += used;
        open = settle(talk);
        if (!open || (used > 0 && done < seen)) continue;
        if (seen == in.len) break;
        seen += piece < in.len - seen ? piece : in.len - seen;
    }
    uint64_t before = talk->bytes_out;
    imap_session_bye(talk->session, SPAN("end"), &talk->out);
    drain(talk);
    CHECK(talk->bytes_out - before <= sizeof("* BYE end\r\n"));
    imap_session_free(talk->session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char open_text[] = "l LOGIN a b\r\ns SELECT INBOX\r\n";
    if (size < 3 || size > 32 * 1024) return 0;
    struct talk *whole = calloc(1, sizeof(*whole)), *cut = calloc(1, sizeof(*cut));
    char *text = malloc(sizeof(open_text) + size);
    char *whole_out = malloc(4 * IMAP_OUT_ROOM), *cut_out = malloc(IMAP_OUT_ROOM + 1);
    CHECK(whole != NULL && cut != NULL && text != NULL && whole_out != NULL && cut_out != NULL);
    size_t len = (data[0] & 1) != 0 ? sizeof(open_text) - 1 : 0;
    memcpy(text, open_text, len);
    memcpy(text + len, data + 3, size - 3);
    len += size - 3;
    buf_init(&whole->out, whole_out, 4 * IMAP_OUT_ROOM);
    buf_init(&cut->out, cut_out, IMAP_OUT_ROOM + 1);
    whole->random = cut->random = data[1];
    whole->data_piece = SIZE_MAX;
    cut->data_piece = 1u + data[2] % 32u;
    talk_through(whole, span_of(text, len), SIZE_MAX);
    talk_through(cut, span_of(text, len), 1u + data[0] % 16u);
    CHECK(whole->bytes_out == cut->bytes_out && whole->hash == cut->hash);
    free(whole_out);
    free(cut_out);
    free(text);
    free(whole);
    free(cut);
    return 0;
}
