/* Whatever the bytes and however they are cut up, the replies and the messages are the same. */
#include <stdint.h>
#include <stdlib.h>

#include "body.h"
#include "check.h"
#include "login_sasl.h"
#include "policy.h"
#include "smtp_options.h"
#include "smtp_session.h"

enum { LOG_BYTES = 1 << 22, OUT_BYTES = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One deterministic shell: a recipient is refused when it begins with "n", a log-in accepted when
 * its password is "p". */
static void answer(struct smtp_session *session, struct buf *log)
{
    struct policy_verdict verdict = policy_verdict_of(POLICY_SAY_ACCEPTED);
    struct smtp_account account = { .account = 1 };
    struct span piece;
    switch (session->wish) {
    case SMTP_WISH_START_TLS: smtp_session_answer_tls(session, err_ok()); break;
    case SMTP_WISH_LOGIN:
        smtp_session_answer_login(session, &account,
                                  span_eq(session->login.password, SPAN("p"))
                                      ? err_ok() : err_make(ERR_DENIED, "password"));
        break;
    case SMTP_WISH_SENDER: smtp_session_answer_sender(session, &verdict); break;
    case SMTP_WISH_RECIPIENT:
        if (session->asked.local.ptr[0] == 'n') {
            verdict = policy_verdict_of(POLICY_SAY_RECIPIENT_UNKNOWN);
        }
        smtp_session_answer_recipient(session, &verdict, 1);
        break;
    case SMTP_WISH_DELIVER:
        for (uint64_t at = 0; (piece = body_piece(session->envelope.body, at)).len > 0;
             at += piece.len) {
            buf_put(log, piece);
        }
        smtp_session_answer_delivery(session, &verdict);
        break;
    case SMTP_WISH_NOTHING:
    case SMTP_WISH_CLOSE: break;
    }
}

static void talk(const struct smtp_options *options, bool tls_active, struct span in,
                 size_t piece_bytes, struct buf *log)
{
    char bytes[OUT_BYTES];
    struct buf out;
    struct smtp_session session;
    buf_init(&out, bytes, sizeof(bytes));
    smtp_session_init(&session, options, tls_active, &out);
    smtp_session_greet(&session);
    size_t seen = 0, done = 0;
    while (session.wish != SMTP_WISH_CLOSE) {
        size_t used = smtp_session_feed(&session, span_of(in.ptr + done, seen - done));
        CHECK(used <= seen - done);
        done += used;
        bool is_blocked = smtp_session_is_blocked(&session);
        /* What is behind STARTTLS depends on the cut, by design. */
        if (session.wish == SMTP_WISH_START_TLS) done = seen = in.len;
        bool wished = session.wish != SMTP_WISH_NOTHING;
        CHECK(!out.overflow);
        buf_put(log, buf_span(&out));
        out.len = 0;
        answer(&session, log);
        if (wished || is_blocked) continue;
        CHECK(seen - done < SMTP_INPUT_MAX_BYTES);
        if (seen == in.len) break;
        seen += piece_bytes < in.len - seen ? piece_bytes : in.len - seen;
    }
    buf_put(log, buf_span(&out));
    smtp_session_free(&session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct login_sasl *sasl;
    static char whole_bytes[LOG_BYTES], split_bytes[LOG_BYTES];
    struct body_budget budget = { .memory_bytes_max = 1 << 24, .spill_dir = "/tmp" };
    if (size < 2) return 0;
    if (sasl == NULL) CHECK(login_sasl_new(&sasl).code == ERR_OK);
    struct smtp_options options = {
        .service = data[1] % 4, .hostname = SPAN("h"), .size_max_bytes = data[1] & 4 ? 100 : 0,
        .recipients_max = 5, .errors_max = 20, .auth_failures_max = 4,
        .auth_required = (data[1] & 8) != 0, .tls_available = true, .budget = &budget,
        .sasl = sasl,
    };
    bool tls_active = (data[1] & 16) != 0;
    struct buf whole, split;
    buf_init(&whole, whole_bytes, LOG_BYTES);
    buf_init(&split, split_bytes, LOG_BYTES);
    struct span in = span_of(data + 2, size - 2);
    talk(&options, tls_active, in, in.len + 1, &whole);
    talk(&options, tls_active, in, 1u + data[0] % 32u, &split);
    CHECK(span_eq(buf_span(&whole), buf_span(&split)));
    CHECK(budget.memory_bytes == 0 && budget.file_bytes == 0);
    return 0;
}
