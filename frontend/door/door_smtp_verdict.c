/* Who may send what to whom: facts for policy, gathered from the directory and from log-in. */
#include <string.h>

#include "conf.h"
#include "directory.h"
#include "directory_resolve.h"
#include "door_smtp_private.h"
#include "login_check.h"
#include "loop.h"
#include "metrics.h"
#include "policy.h"

/* ---- facts for policy */

/* The options for the domain of a canonical address. */
static const struct conf *smtp_conf(const struct door_smtp_conn *smtp, struct span address)
{
    size_t at = address.len;
    while (at > 0 && address.ptr[at - 1] != '@') at--;
    return directory_conf(smtp->door.front->resolver->directory, span_skip(address, at));
}

static void smtp_facts(const struct door_smtp_conn *smtp, struct policy_facts *facts)
{
    const struct front_settings *settings = smtp->door.settings;
    const struct conf *conf = smtp_conf(smtp, smtp->session.account.address);
    static const enum policy_service services[] = {
        [SMTP_MX] = POLICY_MX, [SMTP_SUBMISSION] = POLICY_SUBMISSION,
        [SMTP_SUBMISSIONS] = POLICY_SUBMISSION, [SMTP_LMTP] = POLICY_LMTP,
    };
    *facts = (struct policy_facts){
        .service = services[smtp->options.service],
        .policy_is_stale = smtp->door.front->is_stale(smtp->door.front->stale_holder),
        .is_authenticated = smtp->session.is_authenticated,
        .auth_has_failed = smtp->session.auth_failures > 0,
        .tenant = smtp->session.account.tenant,
        .account = smtp->session.account.account,
        .local_sender_needs_auth = settings->local_sender_needs_auth,
        .foreign_sender_allowed = conf_bool(conf, CONF_SMTP_SENDER_FOREIGN),
    };
    uint8_t ip[16];
    door_client_ip(&smtp->door, ip);
    facts->client_is_trusted = front_is_relay_client(settings, ip);
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

void smtp_sender(struct door_smtp_conn *smtp)
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

/* Whether the box is full, or too full for what the client said it would send (RFC 1870 6.1): the
 * storage node would refuse the message, when all of it has come. */
static bool smtp_is_full(const struct door_smtp_conn *smtp, const struct directory_target *target)
{
    return target->over_quota || smtp->session.envelope.size_declared > target->room_bytes;
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
        if (from->disabled || smtp_is_full(smtp, from)) continue;
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
    const struct conf *conf = smtp_conf(smtp, found != NULL ? found->canonical : SPAN(""));
    uint64_t when_full = conf_number(conf, CONF_SMTP_QUOTA_FULL);
    facts.quota_is_permanent = when_full == CONF_QUOTA_FULL_PERMANENT;
    bool disabled = true, full = true;
    for (size_t i = 0; found != NULL && i < found->targets_count; i++) {
        disabled = disabled && found->targets[i].disabled;
        full = full && (found->targets[i].disabled || smtp_is_full(smtp, &found->targets[i]));
    }
    for (size_t i = 0; found != NULL && i < found->targets_count; i++) {
        struct front *front = smtp->door.front;
        const struct directory_target *target = &found->targets[i];
        bool is_nearly = target->used_percent >= smtp->door.settings->quota_warning_percent;
        if (front->warn != NULL && (is_nearly || smtp_is_full(smtp, target))) {
            front->warn(front->warn_holder, target);
        }
    }
    bool only_here = found != NULL && found->targets_count > 0 && found->outside_count == 0;
    facts.recipient_is_disabled = only_here && disabled;
    facts.recipient_is_over_quota = only_here && full && !disabled;
    struct policy_verdict verdict = policy_recipient(&facts);
    if (policy_accepts(verdict) && found != NULL) {
        err = smtp_keep(smtp, found);
        if (err.code != ERR_OK) verdict = policy_of_err(err, facts.quota_is_permanent);
        else if (!facts.quota_is_permanent) smtp->quota_is_temporary = true;
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

void smtp_recipient(struct door_smtp_conn *smtp)
{
    struct directory_resolver *resolver = smtp->door.front->resolver;
    const struct smtp_recipient *asked = &smtp->session.asked;
    struct span domain = asked->domain;
    /* <Postmaster> without a domain is the first domain's (RFC 5321 4.5.1). */
    if (domain.len == 0 && directory_count(resolver->directory) > 0) {
        domain = directory_at(resolver->directory, 0)->name;
    }
    struct err err = directory_resolve_start(resolver, asked->local, domain, smtp_on_recipient,
                                             smtp, &smtp->resolve);
    if (err.code == ERR_OK) smtp_wait(smtp);
    else smtp_recipient_verdict(smtp, err, NULL);
}

/* ---- AUTH */

static void smtp_on_held(void *holder)
{
    struct door_smtp_conn *smtp = holder;
    SMTP_ANSWER(smtp, smtp_session_answer_login(&smtp->session, NULL, smtp->held));
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
    if (err.code == ERR_OK) metric_add(METRIC_LOGINS, 0, 1);
    bool is_held = door_login_failed(&smtp->door, err, smtp->session.login.authcid);
    if (err.code == ERR_OK) err = smtp_identity(smtp, identity, &account);
    if (is_held) {
        struct login_throttle_options options = { settings->failure_delay_ms,
                                                  settings->failure_delay_max_ms,
                                                  settings->auth_failures_max };
        uint64_t now = loop_now_ms(smtp->door.front->loop);
        uint64_t until = login_throttle_failed(&smtp->throttle, &options, now);
        if (until > now) {
            smtp->held = err;
            timer_start(smtp->door.front->loop, &smtp->hold, until - now, smtp_on_held, smtp);
            return;
        }
    } else if (err.code == ERR_OK) {
        login_throttle_worked(&smtp->throttle);
    }
    SMTP_ANSWER(smtp, smtp_session_answer_login(&smtp->session,
                                                err.code == ERR_OK ? &account : NULL, err));
}

void smtp_login(struct door_smtp_conn *smtp)
{
    const struct smtp_login *asked = &smtp->session.login;
    struct login_attempt attempt = { .user = asked->authcid, .password = asked->password };
    struct err err = err_make(ERR_DENIED, "log-in");
    /* Nobody acts for another here: an authorization identity is the user's own or empty. */
    if (asked->authzid.len == 0 || span_eq_nocase(asked->authzid, asked->authcid)) {
        err = door_login(&smtp->door, &attempt, smtp_on_login, smtp, &smtp->login);
    }
    if (err.code == ERR_OK) smtp_wait(smtp);
    else smtp_session_answer_login(&smtp->session, NULL, err);
}
