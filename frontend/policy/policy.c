#include "policy.h"

#include <stdio.h>

#include "check.h"

static const struct policy_verdict policy_verdicts[] = {
#define POLICY_TEXT(name, code, subject, detail, text) { code, subject, detail, SPAN_INIT(text) },
#include "policy_texts.def"
#undef POLICY_TEXT
};

struct policy_verdict policy_verdict_of(enum policy_text text)
{
    CHECK(text < POLICY_SAY_COUNT);
    return policy_verdicts[text];
}

static bool policy_stale(const struct policy_facts *facts) { return facts->policy_is_stale; }

static bool submission_without_auth(const struct policy_facts *facts)
{
    return facts->service == POLICY_SUBMISSION && !facts->is_authenticated;
}

static bool sender_unreachable(const struct policy_facts *facts)
{
    return facts->sender == POLICY_SENDER_UNREACHABLE;
}

/* An authenticated user sends with an address of his own, or one that was granted to him. Only
 * the numbers of tenant and account decide, so that an equal address in another tenant is of no
 * use. The null sender is for reports (RFC 8098, RFC 3464). */
static bool sender_not_yours(const struct policy_facts *facts)
{
    if (!facts->is_authenticated || facts->sender_is_granted) return false;
    switch (facts->sender) {
    case POLICY_SENDER_LOCAL:
        return facts->sender_tenant != facts->tenant || facts->sender_account != facts->account;
    case POLICY_SENDER_NOBODY: return true;
    case POLICY_SENDER_FOREIGN: return !facts->foreign_sender_allowed;
    case POLICY_SENDER_NULL:
    case POLICY_SENDER_UNREACHABLE: break;
    }
    return false;
}

static bool is_trusted(const struct policy_facts *facts)
{
    return facts->client_is_trusted && !facts->auth_has_failed;
}

static bool local_sender_without_auth(const struct policy_facts *facts)
{
    if (!facts->local_sender_needs_auth || facts->service != POLICY_MX) return false;
    if (facts->is_authenticated || is_trusted(facts)) return false;
    return facts->sender == POLICY_SENDER_LOCAL || facts->sender == POLICY_SENDER_NOBODY;
}

static bool recipient_unreachable(const struct policy_facts *facts)
{
    return facts->recipient == POLICY_RECIPIENT_UNREACHABLE;
}

/* FEATURES 3.2: whoever logged in; else whoever is in the group, unless a log-in was tried and
 * refused in this session. LMTP never sends on (RFC 2033 section 5). */
static bool relay_not_allowed(const struct policy_facts *facts)
{
    if (!policy_is_relay(facts)) return false;
    if (facts->service == POLICY_LMTP) return true;
    return !facts->is_authenticated && !is_trusted(facts);
}

static bool recipient_unknown(const struct policy_facts *facts)
{
    return facts->recipient == POLICY_RECIPIENT_NOBODY;
}

static bool recipient_loop(const struct policy_facts *facts)
{
    return facts->recipient == POLICY_RECIPIENT_LOOP;
}

static bool sender_confined(const struct policy_facts *facts) { return facts->sender_is_confined; }

static bool recipient_confined(const struct policy_facts *facts)
{
    return facts->recipient_is_confined;
}

static bool recipient_disabled(const struct policy_facts *facts)
{
    return facts->recipient_is_disabled;
}

static bool quota_full(const struct policy_facts *facts) { return facts->recipient_is_over_quota; }

static bool quota_full_for_good(const struct policy_facts *facts)
{
    return facts->recipient_is_over_quota && facts->quota_is_permanent;
}

enum policy_stage { POLICY_STAGE_SENDER, POLICY_STAGE_RECIPIENT };

static const struct policy_check {
    enum policy_stage stage;
    bool (*applies)(const struct policy_facts *);
    enum policy_text text;
} policy_checks[] = {
#define POLICY_CHECK(stage, function, text) { POLICY_STAGE_##stage, function, POLICY_SAY_##text },
#include "policy_checks.def"
#undef POLICY_CHECK
};

static struct policy_verdict policy_decide(enum policy_stage stage, enum policy_text otherwise,
                                           const struct policy_facts *facts)
{
    for (size_t i = 0; i < sizeof(policy_checks) / sizeof(policy_checks[0]); i++) {
        const struct policy_check *check = &policy_checks[i];
        if (check->stage == stage && check->applies(facts)) return policy_verdict_of(check->text);
    }
    return policy_verdict_of(otherwise);
}

struct policy_verdict policy_sender(const struct policy_facts *facts)
{
    return policy_decide(POLICY_STAGE_SENDER, POLICY_SAY_SENDER_OK, facts);
}

struct policy_verdict policy_recipient(const struct policy_facts *facts)
{
    return policy_decide(POLICY_STAGE_RECIPIENT, POLICY_SAY_RECIPIENT_OK, facts);
}

struct policy_verdict policy_size(uint64_t bytes_max, char text[POLICY_SIZE_TEXT_BYTES])
{
    struct policy_verdict verdict = policy_verdict_of(POLICY_SAY_TOO_BIG);
    int len = snprintf(text, POLICY_SIZE_TEXT_BYTES,
                       "Message is too big: you may send at most %llu bytes",
                       (unsigned long long)bytes_max);
    CHECK(len > 0 && len < POLICY_SIZE_TEXT_BYTES);
    verdict.text = span_of(text, (size_t)len);
    return verdict;
}

uint64_t policy_size_max(uint64_t a, uint64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

bool policy_is_relay(const struct policy_facts *facts)
{
    return facts->recipient == POLICY_RECIPIENT_NOT_LOCAL;
}

static enum policy_text policy_text_of_err(struct err err, bool quota_is_permanent)
{
    /* What has words of its own; the class decides about the rest. */
    if (err.code == ERR_INFECTED) return POLICY_SAY_INFECTED;
    if (err.code == ERR_TOO_BIG) return POLICY_SAY_TOO_BIG;
    if (err.code == ERR_DENIED) return POLICY_SAY_NOT_ALLOWED;
    if (err.code == ERR_LOOP) return POLICY_SAY_TOO_MANY_HOPS;
    if (err.code == ERR_FULL || err.code == ERR_BUSY) return POLICY_SAY_STORAGE_FULL;
    if (err.code == ERR_QUOTA) {
        return quota_is_permanent ? POLICY_SAY_QUOTA_FULL_PERMANENT : POLICY_SAY_QUOTA_FULL;
    }
    switch (err_class(err)) {
    case ERR_NONE: return POLICY_SAY_ACCEPTED;
    case ERR_TEMPORARY: return POLICY_SAY_TRY_LATER;
    case ERR_PERMANENT: return POLICY_SAY_REFUSED;
    case ERR_GONE: break;
    }
    return POLICY_SAY_CLOSING;
}

struct policy_verdict policy_of_err(struct err err, bool quota_is_permanent)
{
    return policy_verdict_of(policy_text_of_err(err, quota_is_permanent));
}
