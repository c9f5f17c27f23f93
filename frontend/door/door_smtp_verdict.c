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

/* Of a canonical address. */
static struct span smtp_domain(struct span address)
{
    size_t at = address.len;
    while (at > 0 && address.ptr[at - 1] != '@') at--;
    return span_skip(address, at);
}

/* The options for the domain of a canonical address. */
static const struct conf *smtp_conf(const struct door_smtp_conn *smtp, struct span address)
{
    return directory_conf(smtp->door.front->resolver->directory, smtp_domain(address));
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

/* Which domain of ours the sender is known to be of: that of the account that logged in; else that
 * of his address, if the client is one of ours. */
static void smtp_inside(struct door_smtp_conn *smtp, const struct policy_facts *facts,
                        struct span address)
{
    bool is_ours = facts->service == POLICY_LMTP ||
                   (facts->client_is_trusted && !facts->auth_has_failed);
    struct span from = SPAN("");
    if (facts->is_authenticated) from = smtp->session.account.address;
    else if (is_ours) from = address;
    if (arena_copy(&smtp->transaction, smtp_domain(from), &smtp->inside).code != ERR_OK) {
        smtp->inside = SPAN("");
    }
}

/* What the sender's account may send. */
static void smtp_sender_limits(struct door_smtp_conn *smtp, const struct directory_target *own)
{
    const struct directory *directory = smtp->door.front->resolver->directory;
    const struct directory_domain *domain =
        directory_find(directory, smtp_domain(own->address), NULL);
    smtp->send_max_bytes = policy_size_max(own->size_max_bytes,
                                           domain != NULL ? domain->size_max : 0);
    smtp->sender_is_confined = own->domain_only;
}

static void smtp_sender_answer(struct door_smtp_conn *smtp)
{
    struct policy_verdict verdict = smtp->sender_verdict;
    char text[POLICY_SIZE_TEXT_BYTES];
    bool is_too_big = smtp->send_max_bytes > 0 &&
                      smtp->session.envelope.size_declared > smtp->send_max_bytes;
    if (policy_accepts(verdict) && is_too_big) verdict = policy_size(smtp->send_max_bytes, text);
    smtp_session_answer_sender(&smtp->session, &verdict);
}

static void smtp_on_own(void *holder, struct err err, const struct directory_resolution *found)
{
    struct door_smtp_conn *smtp = holder;
    smtp->resolve = NULL;
    if (err.code == ERR_OK && found->own != NULL) {
        smtp_sender_limits(smtp, found->own);
    } else {
        /* Without the account nobody knows what it may send. */
        smtp->sender_verdict = policy_verdict_of(POLICY_SAY_DIRECTORY_UNREACHABLE);
    }
    SMTP_ANSWER(smtp, smtp_sender_answer(smtp));
}

/* True: the limits of the account that logged in are being looked up. */
static bool smtp_own_start(struct door_smtp_conn *smtp)
{
    struct span address = smtp->session.account.address, domain = smtp_domain(address);
    struct span local = span_head(address, address.len - domain.len - 1);
    struct err err = directory_resolve_start(smtp->door.front->resolver, local, domain,
                                             smtp_on_own, smtp, &smtp->resolve);
    if (err.code == ERR_OK) {
        directory_resolve_here(smtp->resolve);
    } else {
        smtp->sender_verdict = policy_verdict_of(POLICY_SAY_DIRECTORY_UNREACHABLE);
    }
    return err.code == ERR_OK;
}

/* The sender's address has been judged; the limits are those of the account that logged in, which
 * may send with other addresses than its own, else those of the account of the address. True: they
 * are being looked up. */
static bool smtp_sender_verdict(struct door_smtp_conn *smtp, const struct policy_facts *facts,
                                const struct directory_target *own)
{
    smtp->sender_verdict = policy_sender(facts);
    if (!policy_accepts(smtp->sender_verdict)) return false;
    bool is_own = own != NULL && own->account == facts->account && own->tenant == facts->tenant;
    if (facts->is_authenticated && !is_own) return smtp_own_start(smtp);
    if (own != NULL) smtp_sender_limits(smtp, own);
    return false;
}

static void smtp_on_sender(void *holder, struct err err, const struct directory_resolution *found)
{
    struct door_smtp_conn *smtp = holder;
    struct policy_facts facts;
    smtp->resolve = NULL;
    smtp_facts(smtp, &facts);
    facts.sender = POLICY_SENDER_NOBODY;
    if (err.code != ERR_OK) facts.sender = POLICY_SENDER_UNREACHABLE;
    else if (found->kind == DIRECTORY_FORWARDED) facts.sender = POLICY_SENDER_FOREIGN;
    else if (found->kind != DIRECTORY_NOBODY) facts.sender = POLICY_SENDER_LOCAL;
    const struct directory_target *own = found != NULL ? found->own : NULL;
    if (found != NULL && facts.sender == POLICY_SENDER_LOCAL) {
        facts.sender_tenant = found->tenant;
        if (own != NULL) facts.sender_account = own->account;
        facts.sender_is_granted = smtp_is_own(smtp, found->canonical);
    }
    if (!smtp_sender_verdict(smtp, &facts, own)) SMTP_ANSWER(smtp, smtp_sender_answer(smtp));
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
    smtp_inside(smtp, &facts, SPAN(""));
    if (envelope->local.len == 0 && envelope->domain.len == 0) {
        facts.sender = POLICY_SENDER_NULL;
    } else if (directory_canonical(resolver->directory, envelope->local, envelope->domain, bytes,
                                   &address)) {
        bool ours = directory_find(resolver->directory, smtp_domain(address), NULL) != NULL;
        if (ours) {
            smtp_inside(smtp, &facts, address);
            struct err err = directory_resolve_start(resolver, envelope->local, envelope->domain,
                                                     smtp_on_sender, smtp, &smtp->resolve);
            if (err.code == ERR_OK) {
                directory_resolve_here(smtp->resolve);
                smtp_wait(smtp);
                return;
            }
            facts.sender = POLICY_SENDER_UNREACHABLE;
        }
    }
    if (smtp_sender_verdict(smtp, &facts, NULL)) smtp_wait(smtp);
    else smtp_sender_answer(smtp);
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
        [DIRECTORY_FORWARDED] = POLICY_RECIPIENT_FORWARDED,
    };
    return err.code != ERR_OK ? POLICY_RECIPIENT_UNREACHABLE : kinds[found->kind];
}

/* Whether the box is full, or too full for what the client said it would send (RFC 1870 6.1): the
 * storage node would refuse the message, when all of it has come. */
static bool smtp_is_full(const struct door_smtp_conn *smtp, const struct directory_target *target)
{
    return target->over_quota || smtp->session.envelope.size_declared > target->room_bytes;
}

/* Whether a sender who is confined to his domain may send to somebody, and whether somebody who is
 * gets mail from him. */
static bool smtp_may_send(const struct door_smtp_conn *smtp, struct span address)
{
    if (!smtp->sender_is_confined) return true;
    return smtp->inside.len > 0 && span_eq(smtp->inside, smtp_domain(address));
}

static bool smtp_may_get(const struct door_smtp_conn *smtp, const struct directory_target *target)
{
    if (!target->domain_only) return true;
    return smtp->inside.len > 0 && span_eq(smtp->inside, smtp_domain(target->address));
}

/* What somebody inside forwards is sent to him; that it leaves is his doing. */
static bool smtp_may_send_out(const struct door_smtp_conn *smtp,
                              const struct directory_outside *outside)
{
    if (outside->by != NULL) return smtp_may_send(smtp, outside->by->address);
    return !smtp->sender_is_confined ||
           (outside->is_of_domain && smtp_may_send(smtp, outside->address));
}

static bool smtp_may_go_out(const struct door_smtp_conn *smtp,
                            const struct directory_outside *outside)
{
    if (!smtp_may_send_out(smtp, outside)) return false;
    return outside->by == NULL || smtp_may_get(smtp, outside->by);
}

/* Where a recipient leads: who of it may be sent to, who gets it, and why not. */
struct smtp_ends {
    size_t all, sent, got; /* of both kinds */
    size_t targets, outside; /* that get it */
    bool is_disabled, is_full; /* of those targets all are */
};

static struct smtp_ends smtp_ends(const struct door_smtp_conn *smtp,
                                  const struct directory_resolution *found)
{
    struct smtp_ends ends = { .is_disabled = true, .is_full = true };
    if (found == NULL) return ends;
    ends.all = found->targets_count + found->outside_count;
    for (size_t i = 0; i < found->targets_count; i++) {
        const struct directory_target *target = &found->targets[i];
        if (!smtp_may_send(smtp, target->address)) continue;
        ends.sent++;
        if (!smtp_may_get(smtp, target)) continue;
        ends.targets++;
        ends.is_disabled = ends.is_disabled && target->disabled;
        ends.is_full = ends.is_full && (target->disabled || smtp_is_full(smtp, target));
    }
    for (size_t i = 0; i < found->outside_count; i++) {
        ends.sent += smtp_may_send_out(smtp, &found->outside[i]);
        ends.outside += smtp_may_go_out(smtp, &found->outside[i]);
    }
    ends.got = ends.targets + ends.outside;
    return ends;
}

/* Copies an address elsewhere, with the account that forwards there. */
static struct err smtp_keep_outside(struct arena *arena, const struct directory_outside *from,
                                    struct directory_outside *to)
{
    *to = *from;
    TRY(arena_copy(arena, from->address, &to->address));
    if (from->by == NULL) return err_ok();
    struct directory_target *by = arena_alloc(arena, sizeof(*by));
    if (by == NULL) return err_make(ERR_BUSY, "recipients");
    *by = *from->by;
    to->by = by;
    return arena_copy(arena, from->by->address, &by->address);
}

/* Copies what a recipient leads to into the transaction. Accounts that take no mail now, or none
 * from this sender, are left out when there are others. */
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
    struct directory_outside *outside = arena_alloc(arena, (found->outside_count + 1) *
                                                               sizeof(*outside));
    if (targets == NULL || outside == NULL) return err_make(ERR_BUSY, "recipients");
    struct intake_recipient *recipient = &smtp->recipients[smtp->recipients_count];
    *recipient = (struct intake_recipient){ .targets = targets, .outside = outside };
    for (size_t i = 0; i < found->targets_count; i++) {
        const struct directory_target *from = &found->targets[i];
        if (from->disabled || smtp_is_full(smtp, from)) continue;
        if (!smtp_may_send(smtp, from->address) || !smtp_may_get(smtp, from)) continue;
        struct directory_target *to = &targets[recipient->targets_count++];
        *to = *from;
        TRY(arena_copy(arena, from->address, &to->address));
    }
    for (size_t i = 0; i < found->outside_count; i++) {
        if (!smtp_may_go_out(smtp, &found->outside[i])) continue;
        TRY(smtp_keep_outside(arena, &found->outside[i], &outside[recipient->outside_count]));
        recipient->outside_count++;
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
    struct smtp_ends ends = smtp_ends(smtp, found);
    for (size_t i = 0; found != NULL && i < found->targets_count; i++) {
        struct front *front = smtp->door.front;
        const struct directory_target *target = &found->targets[i];
        unsigned percent = smtp->door.settings->quota_warning_percent; /* 0: no warnings */
        bool is_nearly = target->used_percent >= percent;
        if (front->warn != NULL && percent > 0 && (is_nearly || smtp_is_full(smtp, target))) {
            front->warn(front->warn_holder, target);
        }
    }
    bool only_here = ends.targets > 0 && ends.outside == 0;
    facts.sender_is_confined = ends.all > 0 && ends.sent == 0;
    facts.recipient_is_confined = ends.sent > 0 && ends.got == 0;
    facts.recipient_is_disabled = only_here && ends.is_disabled;
    facts.recipient_is_over_quota = only_here && ends.is_full && !ends.is_disabled;
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
