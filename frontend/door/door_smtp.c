/* The shell of SMTP, submission and LMTP: fulfils the wishes of smtp_session.
 *
 * One wish is worked on at a time; the connection is paused meanwhile, so what a client pipelines
 * waits in the kernel. Where each accepted recipient leads is kept for the transaction; intake gets
 * it with the message. */
#include <stdlib.h>

#include "body.h"
#include "check.h"
#include "directory.h"
#include "directory_resolve.h"
#include "door_private.h"
#include "intake.h"
#include "login_check.h"
#include "login_throttle.h"
#include "loop.h"
#include "policy.h"
#include "smtp_session.h"

enum { SMTP_OUT_BYTES = 8 * 1024, SMTP_TARGETS_ARENA_BYTES = 16 * 1024 * 1024 };

struct door_smtp_conn {
    struct door_conn door;
    struct smtp_session session;
    struct smtp_options options;
    struct buf out;
    /* At most one of these is under way. */
    struct directory_resolve *resolve;
    struct login_check *login;
    struct intake *intake;
    struct timer hold;            /* the reply to a failed log-in is held back */
    struct login_throttle throttle;
    struct arena transaction;     /* what recipients lead to; cleared with the transaction */
    struct intake_recipient *recipients;
    size_t recipients_count, recipients_size;
    struct arena identity_arena;
    struct span addresses[17];    /* what the authenticated user may send as */
    unsigned addresses_count;
    struct intake_key delivered;  /* the last message, until the client is heard again */
    bool unconfirmed, waits;
};

static struct door_smtp_conn *smtp_of(struct door_conn *door)
{
    return (struct door_smtp_conn *)door;
}

static void smtp_fulfil(struct door_smtp_conn *smtp);

/* ---- output and waiting */

static void smtp_flush(struct door_smtp_conn *smtp)
{
    door_send(&smtp->door, buf_span(&smtp->out));
    smtp->out.len = 0;
}

/* An answer to a wish has come from elsewhere: says it to the session and goes on. */
#define SMTP_ANSWER(smtp, call)                                  \
    do {                                                         \
        char answer_bytes_[SMTP_OUT_BYTES];                      \
        buf_init(&(smtp)->out, answer_bytes_, SMTP_OUT_BYTES);   \
        call;                                                    \
        smtp_answered(smtp);                                     \
    } while (0)

static void smtp_answered(struct door_smtp_conn *smtp)
{
    smtp->waits = false;
    smtp_flush(smtp);
    smtp_fulfil(smtp);
    smtp_flush(smtp);
    if (smtp->door.conn == NULL || smtp->waits) return;
    door_idle(&smtp->door, smtp->door.settings->smtp_idle_ms);
    conn_pause(smtp->door.conn, false);
}

static void smtp_wait(struct door_smtp_conn *smtp)
{
    smtp->waits = true;
    timer_stop(&smtp->door.timer); /* each wait has a deadline of its own */
    if (smtp->door.conn != NULL) conn_pause(smtp->door.conn, true);
}

/* ---- facts for policy */

static void smtp_facts(const struct door_smtp_conn *smtp, struct policy_facts *facts)
{
    const struct front_settings *settings = smtp->door.settings;
    static const enum policy_service services[] = {
        [SMTP_MX] = POLICY_MX, [SMTP_SUBMISSION] = POLICY_SUBMISSION,
        [SMTP_SUBMISSIONS] = POLICY_SUBMISSION, [SMTP_LMTP] = POLICY_LMTP,
    };
    *facts = (struct policy_facts){
        .service = services[smtp->options.service],
        .is_authenticated = smtp->session.is_authenticated,
        .auth_has_failed = smtp->session.auth_failures > 0,
        .tenant = smtp->session.account.tenant,
        .account = smtp->session.account.account,
        .local_sender_needs_auth = settings->local_sender_needs_auth,
        .foreign_sender_allowed = settings->foreign_sender_allowed,
        .quota_is_permanent = settings->quota_is_permanent,
    };
    door_client_ip(&smtp->door, facts->client_ip);
    facts->client_is_trusted = front_is_relay_client(settings, facts->client_ip);
}

/* Whether the authenticated user may send as this canonical address. */
static bool smtp_is_own(const struct door_smtp_conn *smtp, struct span address)
{
    for (unsigned i = 0; i < smtp->addresses_count; i++) {
        if (span_eq(smtp->addresses[i], address)) return true;
    }
    return false;
}

/* ---- MAIL */

static void smtp_sender_verdict(struct door_smtp_conn *smtp, const struct policy_facts *facts)
{
    struct policy_verdict verdict = policy_sender(facts);
    smtp_session_answer_sender(&smtp->session, &verdict);
}

static void smtp_on_sender(void *holder, struct err err, const struct directory_resolution *found)
{
    struct door_smtp_conn *smtp = holder;
    struct policy_facts facts;
    smtp->resolve = NULL;
    smtp_facts(smtp, &facts);
    facts.sender = POLICY_SENDER_NOBODY;
    if (err.code != ERR_OK) facts.sender = POLICY_SENDER_UNREACHABLE;
    else if (found->kind != DIRECTORY_NOBODY) facts.sender = POLICY_SENDER_LOCAL;
    if (found != NULL && facts.sender == POLICY_SENDER_LOCAL) {
        facts.sender_tenant = found->tenant;
        if (found->kind == DIRECTORY_ACCOUNT && found->targets_count == 1) {
            facts.sender_account = found->targets[0].account;
        }
        facts.sender_is_granted = smtp_is_own(smtp, found->canonical);
    }
    SMTP_ANSWER(smtp, smtp_sender_verdict(smtp, &facts));
}

static void smtp_sender(struct door_smtp_conn *smtp)
{
    const struct smtp_envelope *envelope = &smtp->session.envelope;
    struct directory_resolver *resolver = smtp->door.front->resolver;
    struct policy_facts facts;
    char bytes[RESOLVE_ADDRESS_MAX_BYTES];
    struct span address = SPAN("");
    smtp_facts(smtp, &facts);
    facts.sender = POLICY_SENDER_FOREIGN;
    if (envelope->local.len == 0 && envelope->domain.len == 0) {
        facts.sender = POLICY_SENDER_NULL;
    } else if (directory_canonical(resolver->directory, envelope->local, envelope->domain, bytes,
                                   &address)) {
        size_t at = address.len;
        while (at > 0 && address.ptr[at - 1] != '@') at--;
        bool ours = directory_find(resolver->directory, span_skip(address, at), NULL) != NULL;
        if (ours) {
            struct err err = directory_resolve_start(resolver, envelope->local, envelope->domain,
                                                     smtp_on_sender, smtp, &smtp->resolve);
            if (err.code == ERR_OK) {
                smtp_wait(smtp);
                return;
            }
            facts.sender = POLICY_SENDER_UNREACHABLE;
        }
    }
    smtp_sender_verdict(smtp, &facts);
}

/* ---- RCPT */

static enum policy_recipient_kind smtp_kind(struct err err,
                                            const struct directory_resolution *found)
{
    static const enum policy_recipient_kind kinds[] = {
        [DIRECTORY_ACCOUNT] = POLICY_RECIPIENT_ACCOUNT,
        [DIRECTORY_ALIAS] = POLICY_RECIPIENT_ALIAS,
        [DIRECTORY_GROUP] = POLICY_RECIPIENT_GROUP,
        [DIRECTORY_NOBODY] = POLICY_RECIPIENT_NOBODY,
        [DIRECTORY_NOT_LOCAL] = POLICY_RECIPIENT_NOT_LOCAL,
        [DIRECTORY_LOOP] = POLICY_RECIPIENT_LOOP,
    };
    return err.code != ERR_OK ? POLICY_RECIPIENT_UNREACHABLE : kinds[found->kind];
}

/* Copies what a recipient leads to into the transaction. Accounts that take no mail now are left
 * out when there are others. */
static struct err smtp_keep(struct door_smtp_conn *smtp, const struct directory_resolution *found)
{
    struct arena *arena = &smtp->transaction;
    if (smtp->recipients_count == smtp->recipients_size) {
        size_t size = smtp->recipients_size == 0 ? 8 : smtp->recipients_size * 2;
        struct intake_recipient *grown = arena_alloc(arena, size * sizeof(*grown));
        if (grown == NULL) return err_make(ERR_BUSY, "recipients");
        if (smtp->recipients_count > 0) {
            memcpy(grown, smtp->recipients, smtp->recipients_count * sizeof(*grown));
        }
        smtp->recipients = grown;
        smtp->recipients_size = size;
    }
    struct directory_target *targets = arena_alloc(arena, (found->targets_count + 1) *
                                                              sizeof(*targets));
    struct span *outside = arena_alloc(arena, (found->outside_count + 1) * sizeof(*outside));
    if (targets == NULL || outside == NULL) return err_make(ERR_BUSY, "recipients");
    struct intake_recipient *recipient = &smtp->recipients[smtp->recipients_count];
    *recipient = (struct intake_recipient){ .targets = targets, .outside = outside };
    for (size_t i = 0; i < found->targets_count; i++) {
        const struct directory_target *from = &found->targets[i];
        if (from->disabled || from->over_quota) continue;
        struct directory_target *to = &targets[recipient->targets_count++];
        *to = *from;
        TRY(arena_copy(arena, from->address, &to->address));
    }
    for (size_t i = 0; i < found->outside_count; i++) {
        TRY(arena_copy(arena, found->outside[i], &outside[recipient->outside_count++]));
    }
    smtp->recipients_count++;
    return err_ok();
}

static void smtp_recipient_verdict(struct door_smtp_conn *smtp, struct err err,
                                   const struct directory_resolution *found)
{
    struct policy_facts facts;
    smtp_facts(smtp, &facts);
    facts.recipient = smtp_kind(err, found);
    bool disabled = true, full = true;
    for (size_t i = 0; found != NULL && i < found->targets_count; i++) {
        disabled = disabled && found->targets[i].disabled;
        full = full && (found->targets[i].disabled || found->targets[i].over_quota);
    }
    bool only_here = found != NULL && found->targets_count > 0 && found->outside_count == 0;
    facts.recipient_is_disabled = only_here && disabled;
    facts.recipient_is_over_quota = only_here && full && !disabled;
    struct policy_verdict verdict = policy_recipient(&facts);
    if (policy_accepts(verdict) && found != NULL) {
        err = smtp_keep(smtp, found);
        if (err.code != ERR_OK) verdict = policy_of_err(err, facts.quota_is_permanent);
    }
    smtp_session_answer_recipient(&smtp->session, &verdict, smtp->recipients_count);
}

static void smtp_on_recipient(void *holder, struct err err,
                              const struct directory_resolution *found)
{
    struct door_smtp_conn *smtp = holder;
    smtp->resolve = NULL;
    SMTP_ANSWER(smtp, smtp_recipient_verdict(smtp, err, found));
}

static void smtp_recipient(struct door_smtp_conn *smtp)
{
    struct directory_resolver *resolver = smtp->door.front->resolver;
    const struct smtp_recipient *asked = &smtp->session.asked;
    struct span domain = asked->domain;
    /* <Postmaster> without a domain is the first domain's (RFC 5321 4.5.1). */
    if (domain.len == 0 && directory_count(resolver->directory) > 0) {
        domain = directory_at(resolver->directory, 0)->name;
    }
    struct err err = directory_resolve_start(resolver, asked->local, domain, smtp_on_recipient, smtp,
                                             &smtp->resolve);
    if (err.code == ERR_OK) smtp_wait(smtp);
    else smtp_recipient_verdict(smtp, err, NULL);
}

/* ---- AUTH */

static void smtp_on_held(void *holder)
{
    struct door_smtp_conn *smtp = holder;
    SMTP_ANSWER(smtp, smtp_session_answer_login(&smtp->session, NULL,
                                                err_make(ERR_DENIED, "log-in")));
}

static struct err smtp_identity(struct door_smtp_conn *smtp, const struct login_identity *identity,
                                struct smtp_account *account)
{
    account->tenant = identity->tenant;
    account->account = identity->account;
    smtp->addresses_count = 0;
    TRY(arena_copy(&smtp->identity_arena, identity->address, &account->address));
    smtp->addresses[smtp->addresses_count++] = account->address;
    for (unsigned i = 0; i < identity->addresses_count && i < 16; i++) {
        TRY(arena_copy(&smtp->identity_arena, identity->addresses[i],
                       &smtp->addresses[smtp->addresses_count]));
        smtp->addresses_count++;
    }
    return err_ok();
}

static void smtp_on_login(void *holder, struct err err, const struct login_identity *identity)
{
    struct door_smtp_conn *smtp = holder;
    const struct front_settings *settings = smtp->door.settings;
    struct smtp_account account = { 0 };
    smtp->login = NULL;
    if (err.code == ERR_OK) err = smtp_identity(smtp, identity, &account);
    if (err.code == ERR_DENIED) {
        struct login_throttle_options options = { settings->failure_delay_ms,
                                                  settings->failure_delay_max_ms,
                                                  settings->auth_failures_max };
        uint64_t now = loop_now_ms(smtp->door.front->loop);
        uint64_t until = login_throttle_failed(&smtp->throttle, &options, now);
        if (until > now) {
            timer_start(smtp->door.front->loop, &smtp->hold, until - now, smtp_on_held, smtp);
            return;
        }
    } else if (err.code == ERR_OK) {
        login_throttle_worked(&smtp->throttle);
    }
    SMTP_ANSWER(smtp, smtp_session_answer_login(&smtp->session,
                                                err.code == ERR_OK ? &account : NULL, err));
}

static void smtp_login(struct door_smtp_conn *smtp)
{
    const struct smtp_login *asked = &smtp->session.login;
    struct err err = err_make(ERR_DENIED, "log-in");
    /* Nobody acts for another here: an authorization identity is the user's own or empty. */
    if (asked->authzid.len == 0 || span_eq_nocase(asked->authzid, asked->authcid)) {
        err = login_check_start(smtp->door.front->login, asked->authcid, asked->password,
                                smtp_on_login, smtp, &smtp->login);
    }
    if (err.code == ERR_OK) smtp_wait(smtp);
    else smtp_session_answer_login(&smtp->session, NULL, err);
}

/* ---- the message */

static void smtp_transaction_clear(struct door_smtp_conn *smtp)
{
    arena_clear(&smtp->transaction);
    smtp->recipients = NULL;
    smtp->recipients_count = smtp->recipients_size = 0;
}

static void smtp_delivery_verdict(struct door_smtp_conn *smtp, struct err err, struct span why)
{
    (void)why;
    struct policy_verdict verdict = policy_of_err(err, smtp->door.settings->quota_is_permanent);
    smtp_transaction_clear(smtp);
    smtp_session_answer_delivery(&smtp->session, &verdict);
}

static void smtp_on_delivered(void *holder, struct err err, struct span why)
{
    struct door_smtp_conn *smtp = holder;
    smtp->delivered = intake_key(smtp->intake);
    smtp->unconfirmed = err.code == ERR_OK;
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
    struct err err = smtp_deliver_start(smtp);
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
            return;
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
        .auth_without_tls = settings->login_without_tls,
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
    if (smtp->unconfirmed) {
        /* The client has heard our 250 and goes on. */
        intake_confirmed(door->front->intake, smtp->delivered, loop_now_ms(door->front->loop));
        smtp->unconfirmed = false;
    }
    buf_init(&smtp->out, bytes, sizeof(bytes));
    do {
        used = smtp_session_feed(&smtp->session, span_skip(in, done));
        done += used;
        if (smtp_session_is_blocked(&smtp->session)) smtp_flush(smtp);
        smtp_fulfil(smtp);
    } while (door->conn != NULL && !smtp->waits && used > 0 && done < in.len);
    smtp_flush(smtp);
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

/* Going down: a message that is being taken is finished first; its client gets the reply. */
static void smtp_end(struct door_conn *door)
{
    if (smtp_of(door)->intake == NULL) smtp_finish(door, SMTP_END_SHUTDOWN);
}

static void smtp_closed(struct door_conn *door)
{
    struct door_smtp_conn *smtp = smtp_of(door);
    timer_stop(&smtp->hold);
    directory_resolve_cancel(smtp->resolve);
    login_check_cancel(smtp->login);
    if (smtp->intake != NULL) intake_forget(smtp->intake);
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
