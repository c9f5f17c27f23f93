/* The message being received, and the replies at its end. */
#include "body.h"
#include "check.h"
#include "smtp_private.h"

static const struct policy_verdict smtp_faults[] = {
    [SMTP_FAULT_SEQUENCE] = { 503, 5, 1, SPAN_INIT("Not now") },
    [SMTP_FAULT_BARE] = { 550, 6, 11, SPAN_INIT("A CR or LF on its own is only taken by BDAT") },
    [SMTP_FAULT_LINE] = { 554, 5, 2, SPAN_INIT("Message has a line over 65536 octets") },
    [SMTP_FAULT_SIZE] = { 552, 3, 4, SPAN_INIT("Message is too big") },
    [SMTP_FAULT_BUSY] = { 452, 3, 1, SPAN_INIT("No room, try again later") },
    [SMTP_FAULT_IO] = { 451, 3, 0, SPAN_INIT("Can't keep the message, try again later") },
};

void smtp_body_free(struct smtp_session *session)
{
    body_unref(session->envelope.body);
    session->envelope.body = NULL;
}

static void smtp_body_fail(struct smtp_session *session, enum smtp_fault fault)
{
    if (session->receiving->fault == SMTP_FAULT_NONE) session->receiving->fault = fault;
    smtp_body_free(session); /* the octets to come are counted and dropped */
}

bool smtp_body_begin(struct smtp_session *session)
{
    struct smtp_body *receiving = arena_alloc(&session->transaction, sizeof(*receiving));
    if (receiving == NULL) return false;
    session->receiving = receiving;
    if (session->state != SMTP_IN_RCPT) return true; /* only to be thrown away */
    struct err err = body_new(session->options->budget, &session->envelope.body);
    if (err.code != ERR_OK) smtp_body_fail(session, SMTP_FAULT_BUSY);
    return true;
}

static void smtp_body_put(struct smtp_session *session, struct span run)
{
    struct smtp_body *receiving = session->receiving;
    uint64_t max_bytes = session->options->size_max_bytes;
    if (run.len == 0 || receiving->fault != SMTP_FAULT_NONE) return;
    uint64_t have_bytes = body_size(session->envelope.body);
    if (max_bytes > 0 && (have_bytes > max_bytes || run.len > max_bytes - have_bytes)) {
        smtp_body_fail(session, SMTP_FAULT_SIZE);
        return;
    }
    struct err err = body_put(session->envelope.body, run);
    if (err.code == ERR_OK) return;
    smtp_body_fail(session, err.code == ERR_IO ? SMTP_FAULT_IO : SMTP_FAULT_BUSY);
}

/* Hands the message over, or says why not. `is_end`: LMTP answers for each recipient. */
static void smtp_body_end(struct smtp_session *session, bool is_end)
{
    struct smtp_body *receiving = session->receiving;
    if (receiving->fault == SMTP_FAULT_NONE && is_end) {
        struct err err = body_seal(session->envelope.body);
        if (err.code == ERR_OK) {
            session->wish = SMTP_WISH_DELIVER;
            return;
        }
        smtp_body_fail(session, SMTP_FAULT_IO);
    }
    if (receiving->fault == SMTP_FAULT_BARE) session->bare_messages++;
    if (is_end) {
        smtp_body_answer(session, &smtp_faults[receiving->fault]);
        return;
    }
    smtp_say_verdict(session, &smtp_faults[receiving->fault]);
    smtp_transaction_end(session, SMTP_IN_READY);
}

bool smtp_body_data(struct smtp_session *session, struct span in, size_t *used)
{
    struct smtp_data *data = &session->receiving->data;
    size_t done = 0;
    while (done < in.len && data->at != SMTP_DATA_END) {
        struct span run;
        done += smtp_data_take(data, span_skip(in, done), &run);
        smtp_body_put(session, run);
    }
    *used = done;
    if (data->at != SMTP_DATA_END) return false;
    /* Which of them is said does not depend on how the octets were cut up. */
    if (data->is_bare || data->is_long) {
        session->receiving->fault = data->is_bare ? SMTP_FAULT_BARE : SMTP_FAULT_LINE;
        smtp_body_free(session);
    }
    smtp_body_end(session, true);
    return true;
}

bool smtp_body_chunk(struct smtp_session *session, struct span in, size_t *used)
{
    struct smtp_body *receiving = session->receiving;
    struct span run = in;
    if (run.len > receiving->chunk_left) run.len = (size_t)receiving->chunk_left;
    smtp_body_put(session, run);
    receiving->chunk_left -= run.len;
    *used = run.len;
    if (receiving->chunk_left > 0) return false;
    if (receiving->fault == SMTP_FAULT_SEQUENCE) {
        session->state = receiving->after;
        session->receiving = NULL;
        smtp_say(session, SMTP_REPLY_SEQUENCE);
    } else if (receiving->chunk_is_last || receiving->fault != SMTP_FAULT_NONE) {
        smtp_body_end(session, receiving->chunk_is_last);
    } else {
        session->state = SMTP_IN_CHUNKS;
        smtp_say(session, SMTP_REPLY_CHUNK_OK);
    }
    return true;
}

static void smtp_answer_keep(struct smtp_recipient *recipient,
                             const struct policy_verdict *verdict, struct span text)
{
    recipient->answer_code = verdict->code;
    recipient->answer_subject = verdict->subject;
    recipient->answer_detail = verdict->detail;
    recipient->answer_text = text;
}

/* The texts have to outlive the call; without room for one its codes must do. */
static void smtp_answers_begin(struct smtp_session *session,
                               const struct policy_verdict *verdicts, size_t stride)
{
    struct smtp_envelope *envelope = &session->envelope;
    struct span last = SPAN(""), kept = SPAN("");
    for (size_t i = 0; i < envelope->recipients_count; i++) {
        const struct policy_verdict *verdict = &verdicts[i * stride];
        struct span text = span_head(verdict->text, SMTP_TEXT_MAX_BYTES);
        if (!span_eq(text, last)) {
            if (arena_copy(&session->transaction, text, &kept).code != ERR_OK) kept = SPAN("");
            last = text;
        }
        smtp_answer_keep(&envelope->recipients[i], verdict, kept);
    }
    session->answers_said = 0;
    session->state = SMTP_IN_ANSWERS;
}

void smtp_body_answer_next(struct smtp_session *session)
{
    const struct smtp_recipient *recipient = &session->envelope.recipients[session->answers_said];
    struct policy_verdict verdict = { recipient->answer_code, recipient->answer_subject,
                                      recipient->answer_detail, recipient->answer_text };
    smtp_say_verdict(session, &verdict);
    if (++session->answers_said < session->envelope.recipients_count) return;
    smtp_transaction_end(session, SMTP_IN_READY);
}

void smtp_body_answer(struct smtp_session *session, const struct policy_verdict *verdict)
{
    if (session->options->service == SMTP_LMTP) {
        smtp_answers_begin(session, verdict, 0);
        return;
    }
    smtp_say_verdict(session, verdict);
    smtp_transaction_end(session, SMTP_IN_READY);
}

void smtp_session_answer_delivery(struct smtp_session *session,
                                  const struct policy_verdict *verdict)
{
    CHECK(session->wish == SMTP_WISH_DELIVER);
    session->wish = SMTP_WISH_NOTHING;
    smtp_body_answer(session, verdict);
}

void smtp_session_answer_each(struct smtp_session *session, const struct policy_verdict *verdicts)
{
    CHECK(session->wish == SMTP_WISH_DELIVER && session->options->service == SMTP_LMTP);
    session->wish = SMTP_WISH_NOTHING;
    smtp_answers_begin(session, verdicts, 1);
}

void smtp_session_answer_sender(struct smtp_session *session,
                                const struct policy_verdict *verdict)
{
    CHECK(session->wish == SMTP_WISH_SENDER);
    session->wish = SMTP_WISH_NOTHING;
    smtp_say_verdict(session, verdict);
    if (policy_accepts(*verdict)) {
        session->state = SMTP_IN_MAIL;
    } else {
        smtp_transaction_end(session, SMTP_IN_READY);
    }
}

void smtp_session_answer_recipient(struct smtp_session *session,
                                   const struct policy_verdict *verdict, uint64_t handle)
{
    CHECK(session->wish == SMTP_WISH_RECIPIENT);
    struct smtp_envelope *envelope = &session->envelope;
    CHECK(envelope->recipients_count < session->recipients_size);
    session->wish = SMTP_WISH_NOTHING;
    smtp_say_verdict(session, verdict);
    if (!policy_accepts(*verdict)) return;
    session->asked.handle = handle;
    envelope->recipients[envelope->recipients_count++] = session->asked;
    session->state = SMTP_IN_RCPT;
}
