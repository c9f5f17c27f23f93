#include "scanner_reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crew.h"
#include "engines.h"
#include "enlist.h"
#include "list.h"
#include "log.h"
#include "loop.h"
#include "metrics_text.h"
#include "reload_step.h"
#include "roster_scanner.h"
#include "timer.h"

struct scanner_reload {
    struct loop *loop;
    struct scanner_reload_options options;
    struct enlist *enlist; /* NULL: of no pool */
    struct timer settle, again;
    bool closed;

    /* A reading of the folder on the crew. */
    struct crew_job job;
    bool is_reading;
    uint64_t read_before, read_after, read_digest;

    uint64_t seen_stamp;     /* of the folder, at the last look */
    uint64_t stamp, digest;  /* as last read */

    uint64_t proved_seen;    /* of engines_status */
    unsigned refusals_seen;
    uint64_t live, live_stamp;
    uint64_t refused, refused_stamp, again_ms;
    bool refused_is_bad, asked, mark_wanted, unmark_wanted;
    struct roster_bad bad;
    const char *waits;       /* of the last step */
    char detail[SCANNER_DETAIL_BYTES];
};

/* ---- what lies in the folder */

static void read_run(struct crew_job *job)
{
    struct scanner_reload *reload = LIST_ITEM(job, struct scanner_reload, job);
    reload->read_before = engines_folder_stamp(reload->options.folder);
    reload->read_digest = engines_folder_digest(reload->options.folder);
    reload->read_after = engines_folder_stamp(reload->options.folder);
}

static void settle_later(struct scanner_reload *reload);

static void read_done(struct crew_job *job)
{
    struct scanner_reload *reload = LIST_ITEM(job, struct scanner_reload, job);
    reload->is_reading = false;
    if (reload->closed) return;
    if (reload->read_before == reload->read_after) {
        reload->stamp = reload->seen_stamp = reload->read_before;
        reload->digest = reload->read_digest;
        scanner_reload_step(reload);
    } else {
        settle_later(reload); /* it is being written */
    }
}

static void read_folder(struct scanner_reload *reload)
{
    if (reload->is_reading) return;
    reload->job = (struct crew_job){ .run = read_run, .done = read_done, .loop = reload->loop };
    reload->is_reading = crew_run(reload->options.crew, &reload->job).code == ERR_OK;
    if (!reload->is_reading) settle_later(reload);
}

static void on_settled(void *holder)
{
    struct scanner_reload *reload = holder;
    uint64_t now = engines_folder_stamp(reload->options.folder);
    bool same = now == reload->seen_stamp;
    reload->seen_stamp = now;
    if (same) read_folder(reload);
    else settle_later(reload);
}

static void settle_later(struct scanner_reload *reload)
{
    timer_start(reload->loop, &reload->settle, SCANNER_SETTLE_MS, on_settled, reload);
}

void scanner_reload_look(struct scanner_reload *reload)
{
    reload->seen_stamp = engines_folder_stamp(reload->options.folder);
    if (reload->seen_stamp != reload->stamp && !reload->is_reading) settle_later(reload);
    scanner_reload_step(reload); /* what waited for its time */
}

/* ---- what is in use, and what was refused */

static bool is_marked(const struct scanner_reload *reload, uint64_t set)
{
    return set != 0 && roster_bad_find(&reload->bad, set) != NULL;
}

static void take_engines(struct scanner_reload *reload, const struct engines_status *status)
{
    bool is_new = status->sets_proved != reload->proved_seen;
    if (is_new || status->live_stamp != reload->live_stamp) reload->live = 0;
    if (is_new) {
        reload->refused = reload->refused_stamp = 0;
        reload->unmark_wanted = true;
    }
    if (status->sets_refused != reload->refusals_seen) {
        reload->refused = 0;
        reload->refused_stamp = status->refused_stamp;
        reload->refused_is_bad = status->refused_is_bad;
        reload->again_ms = loop_now_ms(reload->loop) + RELOAD_AGAIN_MS;
        reload->mark_wanted = status->refused_is_bad;
    }
    reload->proved_seen = status->sets_proved;
    reload->refusals_seen = status->sets_refused;
    reload->live_stamp = status->live_stamp;
    /* By their stamps the sets get their names, once the folder was read. */
    if (reload->stamp == 0) return;
    if (reload->live_stamp == reload->stamp) reload->live = reload->digest;
    if (reload->refused_stamp == reload->stamp) reload->refused = reload->digest;
}

static void take_rows(struct scanner_reload *reload)
{
    reload->bad.count = 0;
    if (reload->enlist != NULL) enlist_bad(reload->enlist, &reload->bad);
    if (is_marked(reload, reload->refused)) reload->mark_wanted = false;
    if (reload->live != 0 && !is_marked(reload, reload->live)) reload->unmark_wanted = false;
}

static struct reload_facts facts_now(const struct scanner_reload *reload,
                                     const struct engines_status *status)
{
    static const enum reload_turn turns[] = { [ENLIST_NOBODYS] = RELOAD_NOBODYS,
                                              [ENLIST_OURS] = RELOAD_OURS,
                                              [ENLIST_ANOTHERS] = RELOAD_ANOTHERS };
    uint64_t folder = reload->seen_stamp == reload->stamp ? reload->digest : 0;
    return (struct reload_facts){
        .now_ms = loop_now_ms(reload->loop),
        .in_pool = reload->enlist != NULL,
        .has_contact = reload->enlist != NULL && enlist_has_contact(reload->enlist),
        .asked = reload->asked,
        .is_live = status->version.len > 0,
        .is_loading = status->is_loading,
        .is_replacing = status->is_replacing,
        .turn = reload->enlist != NULL ? turns[enlist_turn(reload->enlist)] : RELOAD_NOBODYS,
        .folder = folder,
        .live = reload->live,
        .folder_is_bad = is_marked(reload, folder),
        .refused = reload->refused,
        .refused_is_bad = reload->refused_is_bad,
        .again_ms = reload->again_ms,
        .to_mark = reload->mark_wanted && reload->refused != 0,
        .to_unmark = reload->unmark_wanted && reload->live != 0,
    };
}

/* ---- what to do */

static void act(struct scanner_reload *reload, enum reload_wish wish)
{
    struct engines_status status;
    if (wish == RELOAD_LOAD) {
        reload->asked = false;
        engines_reload(reload->options.engines);
        return;
    }
    if (wish == RELOAD_NOTHING || enlist_is_busy(reload->enlist)) return; /* its end comes here */
    engines_status(reload->options.engines, &status);
    switch (wish) {
    case RELOAD_TAKE_TURN: enlist_take_turn(reload->enlist, reload->digest); break;
    case RELOAD_GIVE_TURN: enlist_give_turn(reload->enlist); break;
    case RELOAD_MARK: enlist_mark(reload->enlist, reload->refused, status.refused_why); break;
    case RELOAD_UNMARK: enlist_unmark(reload->enlist, reload->live); break;
    case RELOAD_NOTHING:
    case RELOAD_LOAD: break;
    }
}

static void on_again(void *holder) { scanner_reload_step(holder); }

void scanner_reload_step(struct scanner_reload *reload)
{
    struct engines_status status;
    struct reload_answer answer;
    if (reload->closed) return;
    engines_status(reload->options.engines, &status);
    take_engines(reload, &status);
    take_rows(reload);
    struct reload_facts facts = facts_now(reload, &status);
    reload_step(&facts, &answer);
    if (answer.waits != NULL && answer.waits != reload->waits && !facts.is_loading) {
        LOG(SIGNATURES_WAIT, NULL, log_words(answer.waits));
    }
    reload->waits = answer.waits;
    if (answer.look_ms > facts.now_ms) {
        timer_start(reload->loop, &reload->again, answer.look_ms - facts.now_ms, on_again, reload);
    }
    if (reload->enlist != NULL) {
        const struct enlist_signatures said = { reload->live, status.signatures_ms,
                                                reload->refused, status.version };
        enlist_say(reload->enlist, &said);
    }
    act(reload, answer.wish);
}

void scanner_reload_ask(struct scanner_reload *reload)
{
    struct engines_status status;
    engines_status(reload->options.engines, &status);
    if (status.version.len == 0) engines_reload(reload->options.engines); /* nothing is in use */
    else reload->asked = true;
    scanner_reload_look(reload);
}

void scanner_reload_join(struct scanner_reload *reload, struct enlist *enlist)
{
    reload->enlist = enlist;
}

/* ---- what it says of itself */

struct span scanner_reload_detail(struct scanner_reload *reload)
{
    struct engines_status status;
    int len;
    if (reload->waits == NULL) return SPAN("");
    engines_status(reload->options.engines, &status);
    const struct roster_bad_set *bad = roster_bad_find(&reload->bad, reload->digest);
    struct span why = reload->refused == reload->digest ? status.refused_why : SPAN("");
    if (why.len == 0 && bad != NULL) why = roster_text_span(&bad->why);
    len = snprintf(reload->detail, sizeof(reload->detail), "%s%s%.*s", reload->waits,
                   why.len > 0 ? ": " : "", (int)why.len, why.ptr);
    size_t size = sizeof(reload->detail) - 1;
    return span_of(reload->detail, len < 0 ? 0 : (size_t)len < size ? (size_t)len : size);
}

void scanner_reload_metrics(const struct scanner_reload *reload, const struct metrics_text *text)
{
    char name[ROSTER_SET_BYTES + 1], label[METRICS_LABEL_BYTES];
    struct engines_status status;
    engines_status(reload->options.engines, &status);
    bool has_turn = reload->enlist != NULL && enlist_turn(reload->enlist) == ENLIST_OURS;
    const struct metrics_single rows[] = {
        { "listed", "gauge", "1 when frontends find this scanner by its row",
          reload->enlist != NULL && enlist_is_listed(reload->enlist) ? 1 : 0 },
        { "signature_sets", "gauge", "Sets of signatures in memory", status.sets },
        { "signature_sets_loaded_total", "counter", "Sets that were loaded and put in use",
          (int64_t)status.sets_proved },
        { "signatures_waiting", "gauge", "1 when the folder has signatures that are not in use",
          reload->waits != NULL ? 1 : 0 },
        { "reload_turn", "gauge", "1 when it is this scanner's turn to load", has_turn ? 1 : 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) metrics_text_single(text, &rows[i]);
    roster_set_text(reload->live, name);
    metrics_text_head(text, "signatures_set", "gauge", "Digest of the set that is used: 1");
    metrics_text_label("set", span_of(name, strlen(name)), label);
    if (name[0] != '\0') metrics_text_number(text, "signatures_set", label, 1);
}

/* ---- begin and end */

struct err scanner_reload_open(struct loop *loop, const struct scanner_reload_options *options,
                               struct scanner_reload **ret)
{
    struct scanner_reload *reload = calloc(1, sizeof(*reload));
    if (reload == NULL) return err_make(ERR_NOMEM, "signatures");
    reload->loop = loop;
    reload->options = *options;
    reload->seen_stamp = engines_folder_stamp(options->folder);
    read_folder(reload);
    *ret = reload;
    return err_ok();
}

void scanner_reload_close(struct scanner_reload *reload)
{
    if (reload == NULL) return;
    reload->closed = true;
    reload->enlist = NULL;
    timer_stop(&reload->settle);
    timer_stop(&reload->again);
}
