#include "controller.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "coord.h"
#include "coord_lease.h"
#include "id.h"
#include "loop.h"
#include "plan.h"
#include "plan_rows.h"
#include "timer.h"

static const struct span office = SPAN_INIT("controller");

struct controller {
    struct loop *loop;
    struct controller_options options;
    struct roster_name name;
    struct roster_id boot; /* of this process: whose the row is */
    struct coord_lease *lease;
    struct coord_watch *watch;
    struct timer timer;
    uint64_t office_revision;
    bool leads, changing;
    const char *waits; /* what the planner waited for last: said once */
    void (*stopped)(void *holder);
    void *stopped_holder;
    struct plan_view view;
    uint32_t before_count; /* the stores of the look before */
    struct plan_store before[PLAN_STORES_MAX];
    struct plan plan;
    struct plan_options wishes;
};

static void look(void *holder);

static void tell(struct controller *controller, enum controller_event event, struct span text,
                 struct err err)
{
    controller->options.event(controller->options.holder, event, text, err);
}

static void look_in(struct controller *controller, uint64_t wait_ms)
{
    if (controller->stopped != NULL) return;
    if (wait_ms < TIMER_WAIT_MIN_MS) wait_ms = TIMER_WAIT_MIN_MS;
    timer_start(controller->loop, &controller->timer, wait_ms, look, controller);
}

/* ---- the end ---- */

static void end(void *holder)
{
    struct controller *controller = holder;
    void (*stopped)(void *) = controller->stopped;
    void *stopped_holder = controller->stopped_holder;
    timer_stop(&controller->timer);
    free(controller);
    stopped(stopped_holder);
}

void controller_stop(struct controller *controller, void (*stopped)(void *holder), void *holder)
{
    controller->stopped = stopped;
    controller->stopped_holder = holder;
    coord_watch_stop(controller->watch);
    coord_lease_stop(controller->lease);
    controller->lease = NULL;
    timer_stop(&controller->timer);
    if (!controller->changing) {
        timer_start(controller->loop, &controller->timer, TIMER_WAIT_MIN_MS, end, controller);
    }
}

/* ---- the rows ---- */

static void on_row(void *holder, const struct coord_row *row)
{
    plan_rows_add(holder, row->key, row->value, row->revision);
}

/* Since when a node is live, or is not, is all that goes from one look to the next. */
static void carry_over(struct controller *controller)
{
    struct plan_view *view = &controller->view;
    for (uint32_t i = 0; i < view->stores_count; i++) {
        struct plan_store *store = &view->stores[i];
        const struct plan_store *old = NULL;
        for (uint32_t j = 0; j < controller->before_count && old == NULL; j++) {
            const struct plan_store *one = &controller->before[j];
            if (roster_id_eq(&one->sid, &store->sid)) old = one;
        }
        bool was_live = old != NULL && old->live;
        store->gone_since_ms = old != NULL && !old->live ? old->gone_since_ms : view->now_ms;
        store->live_since_ms = was_live ? old->live_since_ms : view->now_ms;
        if (controller->leads && store->live && !was_live) {
            tell(controller, CONTROLLER_NODE_JOINED, roster_name_span(&store->row.node), err_ok());
        } else if (controller->leads && !store->live && was_live) {
            tell(controller, CONTROLLER_NODE_LEFT, roster_name_span(&store->row.node), err_ok());
        }
    }
}

static void read_view(struct controller *controller)
{
    static const struct span folders[] = PLAN_ROWS;
    struct plan_view *view = &controller->view;
    struct coord *coord = controller->options.coord;
    controller->before_count = view->stores_count;
    memcpy(controller->before, view->stores, view->stores_count * sizeof(view->stores[0]));
    plan_rows_begin(view, loop_now_ms(controller->loop));
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        coord_list(coord, folders[i], on_row, view);
    }
    carry_over(controller);
}

/* ---- changes ---- */

static void on_changed(void *holder, struct err err, uint64_t revision)
{
    struct controller *controller = holder;
    (void)revision;
    controller->changing = false;
    if (controller->stopped != NULL) {
        end(controller);
        return;
    }
    if (err.code == ERR_OK) {
        if (controller->leads) {
            const char *why = controller->plan.why;
            tell(controller, CONTROLLER_CHANGED, span_of(why, strlen(why)), err_ok());
        }
        look_in(controller, 0);
        return;
    }
    /* CONFLICT: somebody was faster, which the rows will show. UNKNOWN: so will they. */
    if (err.code != ERR_CONFLICT) tell(controller, CONTROLLER_FAILED, span_of(NULL, 0), err);
    look_in(controller, CONTROLLER_RETRY_MS);
}

static void change(struct controller *controller, const struct coord_item *items, size_t count)
{
    struct coord_change all = { .items = items, .count = count };
    struct err err = coord_change_start(controller->options.coord, controller->options.crew, &all,
                                        on_changed, controller);
    controller->changing = err.code == ERR_OK;
    if (err.code == ERR_OK) return;
    tell(controller, CONTROLLER_FAILED, span_of(NULL, 0), err);
    look_in(controller, CONTROLLER_RETRY_MS);
}

static void carry_out(struct controller *controller)
{
    struct coord_item items[PLAN_ITEMS_MAX + 1];
    const struct plan *plan = &controller->plan;
    for (uint32_t i = 0; i < plan->items_count; i++) {
        const struct plan_item *item = &plan->items[i];
        items[i] = (struct coord_item){
            .key = span_of(item->key, item->key_len),
            .value = span_of(plan->bytes + item->value_at, item->value_len),
            .revision = item->revision, .action = COORD_PUT
        };
    }
    items[plan->items_count] = (struct coord_item){ .key = office, .action = COORD_COMPARE,
                                                    .revision = controller->office_revision };
    change(controller, items, plan->items_count + 1);
}

static void stand(struct controller *controller)
{
    char bytes[ROSTER_KEY_MAX_BYTES * 2], id[ID_TEXT_BYTES];
    struct buf value;
    id_hex(controller->boot.bytes, ID_BYTES, id);
    buf_init(&value, bytes, sizeof(bytes));
    buf_put(&value, SPAN("{\"name\":\""));
    buf_put(&value, roster_name_span(&controller->name));
    buf_put(&value, SPAN("\",\"boot\":\""));
    buf_put(&value, span_of(id, sizeof(id)));
    buf_put(&value, SPAN("\"}"));
    struct coord_item item = { .key = office, .value = buf_span(&value), .revision = 0,
                               .action = COORD_PUT, .lease = controller->lease };
    change(controller, &item, 1);
}

/* ---- the office ---- */

static bool is_own(const struct controller *controller, const struct coord_row *row)
{
    char id[ID_TEXT_BYTES];
    id_hex(controller->boot.bytes, ID_BYTES, id);
    return row->value.len > sizeof(id) + 2 &&
           memcmp(row->value.ptr + row->value.len - 2 - sizeof(id), id, sizeof(id)) == 0;
}

/* What changed while nobody was in office is said now: each node that is there, or is not. */
static void say_nodes(struct controller *controller)
{
    for (uint32_t i = 0; i < controller->view.stores_count; i++) {
        const struct plan_store *store = &controller->view.stores[i];
        tell(controller, store->live ? CONTROLLER_NODE_JOINED : CONTROLLER_NODE_LEFT,
             roster_name_span(&store->row.node), err_ok());
    }
}

static void set_leads(struct controller *controller, bool leads)
{
    if (controller->leads == leads) return;
    controller->leads = leads;
    controller->waits = NULL;
    tell(controller, leads ? CONTROLLER_ELECTED : CONTROLLER_DEPOSED, span_of(NULL, 0), err_ok());
    if (leads) say_nodes(controller);
}

static void on_lease(void *holder) { look_in(holder, 0); }

/* Whether this one is the controller; sees to it that it may become it. */
static bool holds_office(struct controller *controller)
{
    struct coord_row row;
    if (controller->lease != NULL && coord_lease_state(controller->lease) == COORD_LEASE_LOST) {
        coord_lease_stop(controller->lease);
        controller->lease = NULL;
        look_in(controller, CONTROLLER_RETRY_MS);
        return false;
    }
    if (controller->lease == NULL) {
        struct err err = coord_lease_start(controller->options.coord, CONTROLLER_LEASE_S, on_lease,
                                           controller, &controller->lease);
        if (err.code != ERR_OK) look_in(controller, CONTROLLER_RETRY_MS);
        return false;
    }
    if (coord_lease_state(controller->lease) != COORD_LEASE_HELD) return false;
    if (!coord_get(controller->options.coord, office, &row)) {
        stand(controller);
        return false;
    }
    controller->office_revision = row.revision;
    return is_own(controller, &row);
}

static void look(void *holder)
{
    struct controller *controller = holder;
    if (controller->changing) return; /* its end looks again */
    set_leads(controller, holds_office(controller));
    if (controller->changing) return;
    read_view(controller);
    if (!controller->leads) return;
    if (plan_next(&controller->view, &controller->wishes, id_random, &controller->plan)) {
        controller->waits = NULL;
        carry_out(controller);
        return;
    }
    const char *waits = controller->plan.why;
    if (waits != NULL && waits != controller->waits) {
        tell(controller, CONTROLLER_WAITS, span_of(waits, strlen(waits)), err_ok());
    }
    controller->waits = waits;
    uint64_t wait_ms = plan_wait_ms(&controller->view, &controller->wishes);
    if (wait_ms != UINT64_MAX) look_in(controller, wait_ms);
}

static void on_rows(void *holder)
{
    struct controller *controller = holder;
    if (!controller->changing) look(controller);
}

static struct err check_plan(const struct plan_options *plan)
{
    bool good = plan->nodes_wanted >= 1 && plan->nodes_wanted <= PLAN_STORES_MAX &&
                plan->shards >= 1 && plan->shards <= ROSTER_SHARDS_MAX && plan->copies >= 1 &&
                plan->copies <= PLAN_COPIES_MAX && plan->min_isr >= 1 &&
                plan->min_isr <= plan->copies && plan->copies_now <= PLAN_COPIES_MAX &&
                plan->min_isr_now <= PLAN_COPIES_MAX && plan->moves_max <= PLAN_MOVES_MAX;
    return good ? err_ok() : err_make(ERR_SYNTAX, "options of the controller");
}

struct err controller_start(struct loop *loop, const struct controller_options *options,
                            struct controller **ret)
{
    TRY(check_plan(options->plan));
    struct controller *controller = calloc(1, sizeof(*controller));
    if (controller == NULL) return err_make(ERR_NOMEM, "controller");
    controller->loop = loop;
    controller->options = *options;
    controller->wishes = *options->plan;
    id_random(controller->boot.bytes, ID_BYTES);
    struct err err = roster_name_set(&controller->name, options->name);
    if (err.code == ERR_OK) {
        err = coord_watch_start(options->coord, SPAN(""), on_rows, controller, &controller->watch);
    }
    if (err.code != ERR_OK) {
        free(controller);
        return err;
    }
    *ret = controller;
    return err_ok();
}

struct err controller_plan_set(struct controller *controller, const struct plan_options *plan)
{
    TRY(check_plan(plan));
    controller->wishes = *plan;
    if (!controller->changing) look_in(controller, 0);
    return err_ok();
}

/* ---- what others see ---- */

static void count_live(void *holder, const struct coord_row *row)
{
    (void)row;
    ++*(uint32_t *)holder;
}

void controller_health_get(const struct controller *controller, struct plan_health *ret)
{
    plan_health_get(&controller->view, ret);
}

void controller_state_get(struct controller *controller, struct controller_state *ret)
{
    static const struct span before = SPAN_INIT("{\"name\":\"");
    struct coord *coord = controller->options.coord;
    struct coord_row row;
    *ret = (struct controller_state){ .leads = controller->leads };
    coord_list(coord, SPAN("live/"), count_live, &ret->nodes_live);
    ret->stores = controller->view.stores_count;
    struct span name, rest;
    if (coord_get(coord, office, &row) && span_cut(span_skip(row.value, before.len), '"', &name,
                                                   &rest)) {
        (void)!roster_name_set(&ret->leader, name).code;
    }
}
