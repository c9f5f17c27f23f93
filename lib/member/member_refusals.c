/* Whom we refuse, and who refuses us, in the log; a crowd only by its number. */
#include "clock.h"
#include "log.h"
#include "member_private.h"

/* Whether one more line may be written. `*more` is what was left out before it. */
static bool may_log(struct member *member, unsigned *more)
{
    uint64_t now_ms = clock_boot_ms();
    *more = 0;
    pthread_mutex_lock(&member->refusals_lock);
    if (now_ms - member->refusals_since_ms >= MEMBER_REFUSALS_MS) {
        *more = member->refusals_more;
        member->refusals_since_ms = now_ms;
        member->refusals = member->refusals_more = 0;
    }
    bool may = member->refusals < MEMBER_REFUSALS_MAX;
    if (may) {
        member->refusals++;
    } else {
        member->refusals_more++;
    }
    pthread_mutex_unlock(&member->refusals_lock);
    return may;
}

void member_say_refusals(struct member *member)
{
    pthread_mutex_lock(&member->refusals_lock);
    unsigned more = member->refusals_more;
    member->refusals_more = 0;
    pthread_mutex_unlock(&member->refusals_lock);
    if (more > 0) LOG(PEERS_REFUSED, NULL, log_number(more));
}

void member_on_refused(void *holder, const struct rpc_refusal *refusal)
{
    struct member *member = holder;
    struct span name = refusal->name.len == 0 ? SPAN("-") : refusal->name;
    unsigned more;
    bool may = may_log(member, &more);
    if (more > 0) LOG(PEERS_REFUSED, NULL, log_number(more));
    if (!may) return;
    if (refusal->by_peer) {
        LOG(REFUSED_BY_PEER, NULL, log_text(refusal->address), log_text(name),
            log_text(refusal->reason));
    } else {
        LOG(PEER_REFUSED, NULL, log_text(refusal->address), log_text(name),
            log_text(refusal->reason));
    }
}
