#include "reload_step.h"

#include <stddef.h>

/* Why what lies in the folder is not to be loaded, if it is another than what is in use. */
static const char *reload_bar(const struct reload_facts *facts, struct reload_answer *ret)
{
    if (facts->asked) return NULL;
    bool was_refused = facts->refused == facts->folder;
    if (was_refused && facts->refused_is_bad) return "the signatures in the folder were refused";
    if (facts->folder_is_bad) return "another scanner has refused the signatures in the folder";
    if (!was_refused || facts->now_ms >= facts->again_ms) return NULL;
    ret->look_ms = facts->again_ms;
    return "the signatures in the folder could not be loaded; tried again later";
}

/* Whether the folder's set is to be loaded, as soon as that may be. */
static bool reload_wants(const struct reload_facts *facts, struct reload_answer *ret)
{
    if (!facts->is_live || facts->folder == 0) return false;
    if (!facts->asked && facts->folder == facts->live) return false;
    ret->waits = reload_bar(facts, ret);
    return ret->waits == NULL;
}

static void reload_begin(const struct reload_facts *facts, struct reload_answer *ret)
{
    if (facts->is_replacing) {
        ret->waits = "workers of the signatures before are at work";
    } else if (!facts->in_pool || facts->turn == RELOAD_OURS) {
        ret->wish = RELOAD_LOAD;
    } else if (!facts->has_contact) {
        ret->waits = "new signatures wait for the configuration store";
    } else if (facts->turn == RELOAD_ANOTHERS) {
        ret->waits = "new signatures wait until another scanner has loaded them";
    } else {
        ret->wish = RELOAD_TAKE_TURN;
    }
}

void reload_step(const struct reload_facts *facts, struct reload_answer *ret)
{
    bool may_change = facts->in_pool && facts->has_contact;
    *ret = (struct reload_answer){ .wish = RELOAD_NOTHING };
    if (facts->is_loading) {
        ret->waits = "signatures are being loaded";
        return;
    }
    bool wants = reload_wants(facts, ret);
    if (may_change && facts->to_mark) ret->wish = RELOAD_MARK;
    else if (may_change && facts->to_unmark) ret->wish = RELOAD_UNMARK;
    else if (wants) reload_begin(facts, ret);
    else if (may_change && facts->turn == RELOAD_OURS && !facts->is_replacing) {
        ret->wish = RELOAD_GIVE_TURN;
    }
}
