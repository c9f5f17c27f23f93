/* The shell of SMTP, submission and LMTP: fulfils the wishes of smtp_session.
 *
 * One wish is worked on at a time; the connection is paused meanwhile, so what a client pipelines
 * waits in the kernel. Where each accepted recipient leads is kept for the transaction; intake gets
 * it with the message. */
#include <string.h>

#include "body.h"
#include "check.h"
#include "directory.h"
#include "directory_resolve.h"
#include "door_smtp_private.h"
#include "login_check.h"
#include "loop.h"
#include "metrics.h"
#include "mime_footer.h"
#include "policy.h"

static struct door_smtp_conn *smtp_of(struct door_conn *door)
{
    return (struct door_smtp_conn *)door;
}

static void smtp_fulfil(struct door_smtp_conn *smtp);
static void smtp_finish(struct door_conn *door, enum smtp_end why);

/* ---- output and waiting */

static void smtp_flush(struct door_smtp_conn *smtp)
{
    door_send(&smtp->door, buf_span(&smtp->out));
    smtp->out.len = 0;
}

/* Whether a message is being received or taken. */
static bool smtp_in_message(const struct door_smtp_conn *smtp)
{
    unsigned body = SMTP_IN_DATA | SMTP_IN_CHUNK | SMTP_IN_CHUNKS | SMTP_IN_ANSWERS;
    return smtp->intake != NULL || (smtp->session.state & body) != 0;
}

/* The program goes down, and the message that had to be finished first is. */
static bool smtp_is_due(const struct door_smtp_conn *smtp)
{
    return smtp->ending && smtp->door.conn != NULL && !smtp->waits && !smtp_in_message(smtp);
}

void smtp_answered(struct door_smtp_conn *smtp)
{
    smtp->waits = false;
    smtp_flush(smtp);
    smtp_fulfil(smtp);
    smtp_flush(smtp);
    if (smtp->door.conn == NULL || smtp->waits) return;
    if (smtp_is_due(smtp)) {
        smtp_finish(&smtp->door, SMTP_END_SHUTDOWN);
        return;
    }
    door_idle(&smtp->door, smtp->door.settings->smtp_idle_ms);
    conn_pause(smtp->door.conn, false);
}

void smtp_wait(struct door_smtp_conn *smtp)
{
    smtp->waits = true;
    timer_stop(&smtp->door.timer); /* each wait has a deadline of its own */
    if (smtp->door.conn != NULL) conn_pause(smtp->door.conn, true);
}

/* ---- the message */

static void smtp_transaction_clear(struct door_smtp_conn *smtp)
{
    arena_clear(&smtp->transaction);
    smtp->recipients = NULL;
    smtp->quota_is_temporary = smtp->sender_is_confined = false;
    smtp->inside = SPAN("");
    smtp->send_max_bytes = 0;
    smtp->recipients_count = smtp->recipients_size = 0;
}

/* More than the sender may send. */
static bool smtp_is_too_big(const struct door_smtp_conn *smtp)
{
    const struct smtp_envelope *envelope = &smtp->session.envelope;
    return smtp->send_max_bytes > 0 && body_size(envelope->body) > smtp->send_max_bytes;
}

static void smtp_delivery_verdict(struct door_smtp_conn *smtp, struct err err, struct span why)
{
    struct policy_verdict verdict = policy_of_err(err, !smtp->quota_is_temporary);
    char text[POLICY_SIZE_TEXT_BYTES];
    if (smtp_is_too_big(smtp)) verdict = policy_size(smtp->send_max_bytes, text);
    door_log_message(smtp, &verdict, err, why);
    if (verdict.code / 100 == 2) metric_add(METRIC_MESSAGES_ACCEPTED, 0, 1);
    else if (verdict.code / 100 == 4) metric_add(METRIC_MESSAGES_DEFERRED, 0, 1);
    else metric_add(METRIC_MESSAGES_REFUSED, 0, 1);
    if (err.code == ERR_INFECTED) metric_add(METRIC_MESSAGES_INFECTED, 0, 1);
    smtp_transaction_clear(smtp);
    smtp_session_answer_delivery(&smtp->session, &verdict);
}

static void smtp_on_delivered(void *holder, struct err err, struct span why)
{
    struct door_smtp_conn *smtp = holder;
    if (err.code == ERR_OK) smtp->delivered = intake_number(smtp->intake);
    memcpy(smtp->delivered_id, intake_id(smtp->intake).ptr, sizeof(smtp->delivered_id));
    smtp->intake = NULL;
    SMTP_ANSWER(smtp, smtp_delivery_verdict(smtp, err, why));
}

/* "local@domain" as the client wrote it. */
static struct err smtp_address(struct arena *arena, struct span local, struct span domain,
                               struct span *ret)
{
    *ret = SPAN("");
    if (local.len == 0 && domain.len == 0) return err_ok();
    char *text = arena_alloc(arena, local.len + domain.len + 1);
    if (text == NULL) return err_make(ERR_NOMEM, "address");
    if (local.len > 0) memcpy(text, local.ptr, local.len);
    text[local.len] = '@';
    if (domain.len > 0) memcpy(text + local.len + 1, domain.ptr, domain.len);
    *ret = span_of(text, local.len + (domain.len > 0 ? domain.len + 1 : 0));
    return err_ok();
}

/* What the sender's domain puts below mail inside as well; what leaves gets it from the courier. */
static bool smtp_footer(const struct door_smtp_conn *smtp, struct mime_footer *footer)
{
    const struct directory *directory = smtp->door.front->resolver->directory;
    const struct directory_domain *domain = NULL;
    if (smtp->options.service != SMTP_LMTP && smtp->inside.len > 0) {
        domain = directory_find(directory, smtp->inside, NULL);
    }
    if (domain == NULL || !domain->footer_inside) return false;
    *footer = (struct mime_footer){ domain->footer_text, domain->footer_html };
    return true;
}

static struct err smtp_deliver_start(struct door_smtp_conn *smtp)
{
    struct smtp_envelope *envelope = &smtp->session.envelope;
    struct arena *arena = &smtp->transaction;
    char ip[ENDPOINT_TEXT_BYTES];
    CHECK(envelope->recipients_count == smtp->recipients_count);
    struct intake_message message = {
        .recipients = smtp->recipients,
        .recipients_count = smtp->recipients_count,
        .body = envelope->body,
        .helo = smtp_session_helo(&smtp->session),
        .with = smtp_session_with(&smtp->session),
        .client_ip = endpoint_ip_text(&smtp->door.peer, ip),
        .tenant = smtp->session.account.tenant,
        .account = smtp->session.account.account,
        .dsn_envid = envelope->envid,
        .dsn_ret_full = envelope->ret == SMTP_RET_FULL,
        .smtputf8 = envelope->smtputf8,
        .body_8bit = envelope->body_8bit,
    };
    struct mime_footer footer;
    if (smtp_footer(smtp, &footer)) message.footer = &footer;
    TRY(smtp_address(arena, envelope->local, envelope->domain, &message.sender));
    for (size_t i = 0; i < smtp->recipients_count; i++) {
        const struct smtp_recipient *from = &envelope->recipients[i];
        TRY(smtp_address(arena, from->local, from->domain, &smtp->recipients[i].address));
        smtp->recipients[i].dsn_orcpt = from->orcpt;
        smtp->recipients[i].dsn_notify = from->notify;
    }
    return intake_start(smtp->door.front->intake, &message, smtp_on_delivered, smtp, &smtp->intake);
}

static void smtp_deliver(struct door_smtp_conn *smtp)
{
    struct err err = err_make(ERR_TOO_BIG, "message of a user");
    if (!smtp_is_too_big(smtp)) err = smtp_deliver_start(smtp);
    if (err.code == ERR_OK) smtp_wait(smtp);
    else smtp_delivery_verdict(smtp, err, SPAN(""));
}

/* ---- wishes */

/* Fulfils wishes until one has to be waited for. */
static void smtp_fulfil(struct door_smtp_conn *smtp)
{
    while (smtp->door.conn != NULL && !smtp->waits) {
        switch (smtp->session.wish) {
        case SMTP_WISH_NOTHING:
            if (smtp->session.state != SMTP_IN_ANSWERS) return;
            /* LMTP: as many of the recipients' replies as there is room for. */
            smtp_session_feed(&smtp->session, SPAN(""));
            break;
        case SMTP_WISH_START_TLS:
            smtp_flush(smtp);
            smtp->waits = true;
            door_start_tls(&smtp->door);
            return;
        case SMTP_WISH_LOGIN:
            smtp_login(smtp);
            break;
        case SMTP_WISH_SENDER:
            smtp_transaction_clear(smtp); /* what RSET or EHLO may have left */
            smtp_sender(smtp);
            break;
        case SMTP_WISH_RECIPIENT:
            smtp_recipient(smtp);
            break;
        case SMTP_WISH_DELIVER:
            smtp_deliver(smtp);
            break;
        case SMTP_WISH_CLOSE:
            smtp_flush(smtp);
            door_hang_up(&smtp->door);
            return;
        }
        if (smtp->out.len > SMTP_OUT_BYTES / 2) smtp_flush(smtp);
    }
}

static struct err smtp_start(struct door_conn *door)
{
    struct door_smtp_conn *smtp = smtp_of(door);
    const struct front_settings *settings = door->settings;
    static const enum smtp_service services[DOOR_SERVICES] = {
        [DOOR_SMTP] = SMTP_MX, [DOOR_SUBMISSION] = SMTP_SUBMISSION,
        [DOOR_SMTPS] = SMTP_SUBMISSIONS, [DOOR_LMTP] = SMTP_LMTP,
    };
    enum smtp_service service = services[door->service];
    uint8_t ip[16];
    door_client_ip(door, ip);
    char bytes[SMTP_OUT_BYTES];
    smtp->options = (struct smtp_options){
        .service = service,
        .hostname = settings->hostname,
        .banner = settings->banner,
        .size_max_bytes = settings->size_max_bytes,
        .recipients_max = settings->recipients_max,
        .errors_max = settings->errors_max,
        .auth_failures_max = settings->auth_failures_max,
        .auth_required = service == SMTP_SUBMISSION || service == SMTP_SUBMISSIONS,
        .tls_available = door->front->tls != NULL && service != SMTP_LMTP,
        .auth_without_tls = front_may_login_plain(settings, ip),
        .budget = door->front->budget,
        .sasl = service == SMTP_LMTP ? NULL : door->front->sasl,
    };
    arena_init(&smtp->transaction, SMTP_TARGETS_ARENA_BYTES);
    arena_init(&smtp->identity_arena, 16 * 1024);
    buf_init(&smtp->out, bytes, sizeof(bytes));
    smtp_session_init(&smtp->session, &smtp->options, door->tls_active, &smtp->out);
    smtp_session_greet(&smtp->session);
    smtp_flush(smtp);
    door_idle(door, settings->smtp_idle_ms);
    return err_ok();
}

static size_t smtp_bytes(struct door_conn *door, struct span in)
{
    struct door_smtp_conn *smtp = smtp_of(door);
    char bytes[SMTP_OUT_BYTES];
    size_t done = 0, used;
    if (smtp->waits) return 0;
    if (smtp->delivered != 0) {
        /* The client has heard our 250 and goes on. */
        intake_heard(door->front->intake, smtp->delivered);
        smtp->delivered = 0;
    }
    buf_init(&smtp->out, bytes, sizeof(bytes));
    do {
        used = smtp_session_feed(&smtp->session, span_skip(in, done));
        done += used;
        if (smtp_session_is_blocked(&smtp->session)) smtp_flush(smtp);
        smtp_fulfil(smtp);
    } while (door->conn != NULL && !smtp->waits && !smtp_is_due(smtp) && used > 0 &&
             done < in.len);
    smtp_flush(smtp);
    metric_add(METRIC_MESSAGES_LINE_END, 0, smtp->session.bare_messages - smtp->bare_counted);
    if (smtp_is_due(smtp)) {
        smtp->bare_counted = smtp->session.bare_messages;
        smtp_finish(door, SMTP_END_SHUTDOWN);
        return in.len;
    }
    smtp->bare_counted = smtp->session.bare_messages;
    if (door->conn != NULL && !smtp->waits && smtp->session.wish != SMTP_WISH_CLOSE) {
        door_idle(door, door->settings->smtp_idle_ms);
    }
    return done;
}

static void smtp_tls_up(struct door_conn *door)
{
    struct door_smtp_conn *smtp = smtp_of(door);
    SMTP_ANSWER(smtp, smtp_session_answer_tls(&smtp->session, err_ok()));
}

static void smtp_drained(struct door_conn *door) { (void)door; }

static void smtp_finish(struct door_conn *door, enum smtp_end why)
{
    struct door_smtp_conn *smtp = smtp_of(door);
    char bytes[SMTP_OUT_BYTES];
    buf_init(&smtp->out, bytes, sizeof(bytes));
    smtp_session_end(&smtp->session, why);
    smtp_flush(smtp);
    door_hang_up(door);
}

static void smtp_idle(struct door_conn *door) { smtp_finish(door, SMTP_END_TIMEOUT); }

/* Going down: what is being worked on, and a message that has begun, is finished first; its client
 * gets the reply, then 421. */
static void smtp_end(struct door_conn *door)
{
    struct door_smtp_conn *smtp = smtp_of(door);
    smtp->ending = smtp->waits || smtp_in_message(smtp);
    if (smtp->ending) return;
    smtp_finish(door, door->front->draining ? SMTP_END_SHUTDOWN : SMTP_END_NOT_READY);
}

static void smtp_closed(struct door_conn *door)
{
    struct door_smtp_conn *smtp = smtp_of(door);
    timer_stop(&smtp->hold);
    directory_resolve_cancel(smtp->resolve);
    login_check_cancel(smtp->login);
    if (smtp->intake != NULL) intake_forget(smtp->intake);
    if (smtp->delivered != 0) intake_unheard(door->front->intake, smtp->delivered);
    if (smtp->options.hostname.len > 0) smtp_session_free(&smtp->session);
    arena_clear(&smtp->transaction);
    arena_clear(&smtp->identity_arena);
    door_conn_free(door);
}

const struct door_protocol door_smtp = {
    .size = sizeof(struct door_smtp_conn),
    .start = smtp_start,
    .bytes = smtp_bytes,
    .tls_up = smtp_tls_up,
    .drained = smtp_drained,
    .idle = smtp_idle,
    .end = smtp_end,
    .closed = smtp_closed,
};
