/* Recipients at other servers: a group for each domain (or one for the smart host), which waits for
 * its turn, finds out the hosts, and goes from address to address until everybody has an answer
 * that stands, or enough was tried. */
#include <stdlib.h>

#include "check.h"
#include "clock.h"
#include "courier_link_private.h"
#include "loop.h"
#include "place_address.h"

/* ---- destinations */

void courier_destinations_free(struct courier *courier)
{
    struct courier_destination *destination;
    for (size_t at = 0; (destination = map_next(&courier->destinations, &at)) != NULL; at = 0) {
        (void)map_remove(&courier->destinations, span_of(destination->name, destination->name_len));
        free(destination);
    }
}

static bool destination_is_dead(const struct courier_destination *destination)
{
    return destination->dead_until_ms > clock_boot_ms();
}

/* Forgets those that nobody sends to and that are not dead any more. */
static void destinations_sweep(struct courier *courier)
{
    struct courier_destination *destination;
    size_t at = 0;
    while ((destination = map_next(&courier->destinations, &at)) != NULL) {
        if (destination->open > 0 || destination_is_dead(destination)) continue;
        (void)map_remove(&courier->destinations, span_of(destination->name, destination->name_len));
        free(destination);
        at = 0;
    }
}

/* NULL: no memory, or too many. */
static struct courier_destination *destination_get(struct courier *courier, struct span name)
{
    struct courier_destination *destination = map_get(&courier->destinations, name);
    if (destination != NULL) return destination;
    if (courier->destinations.count == COURIER_DESTINATIONS_MAX) destinations_sweep(courier);
    destination = calloc(1, sizeof(*destination) + name.len);
    if (destination == NULL) return NULL;
    destination->name_len = name.len;
    memcpy(destination->name, name.ptr, name.len);
    struct span key = span_of(destination->name, name.len);
    if (map_put(&courier->destinations, key, destination).code == ERR_OK) return destination;
    free(destination);
    return NULL;
}

/* Remembers that nobody could be reached, so that a domain that swallows connections is not tried
 * by every message that waits for it. */
static void destination_note(struct courier_group *group)
{
    struct courier *courier = group->entry->courier;
    struct courier_destination *destination = group->destination;
    uint64_t dead_ms = courier->options.retry_first_ms / 2;
    if (group->was_reached) destination->dead_until_ms = 0;
    if (group->was_reached || group->connects == 0 || courier->stopping) return;
    if (dead_ms > COURIER_DEAD_MS) dead_ms = COURIER_DEAD_MS;
    destination->dead_until_ms = clock_boot_ms() + dead_ms;
    struct span answer = span_head(group->answer, sizeof(destination->answer));
    destination->answer_len = answer.len;
    if (answer.len > 0) memcpy(destination->answer, answer.ptr, answer.len);
}

static void destination_leave(struct courier_group *group)
{
    struct courier *courier = group->entry->courier;
    struct courier_destination *destination = group->destination;
    if (destination == NULL) return;
    destination_note(group);
    group->destination = NULL;
    if (--destination->open > 0 || destination_is_dead(destination)) return;
    (void)map_remove(&courier->destinations, span_of(destination->name, destination->name_len));
    free(destination);
}

/* ---- turns */

static void groups_fill(struct courier_entry *entry)
{
    while (entry->groups != NULL && entry->groups_open < COURIER_GROUPS_MAX) {
        struct courier_group *group = entry->groups;
        entry->groups = group->next;
        entry->groups_open++;
        list_add(&entry->courier->waiting, &group->link);
    }
}

/* Everybody of the group who still waits gets this. */
static void group_outcome(struct courier_group *group, enum courier_outcome_kind kind,
                          struct span answer)
{
    struct courier_entry *entry = group->entry;
    for (size_t i = group->first; i != SIZE_MAX; i = entry->recipients[i].next) {
        if (!entry->recipients[i].is_due) continue;
        entry->recipients[i].is_due = false;
        /* What a server said to one of them alone stands. */
        if (entry->outcomes[i].kind != COURIER_NOT_TRIED) continue;
        courier_outcome_set(entry, i, kind, answer);
    }
}

static void group_end(struct courier_group *group)
{
    struct courier_entry *entry = group->entry;
    struct courier *courier = entry->courier;
    CHECK(group->session == NULL);
    courier_hosts_cancel(group);
    list_remove(&group->link);
    if (group->destination != NULL) courier->sending_count--;
    destination_leave(group);
    entry->groups_open--;
    groups_fill(entry);
    if (entry->groups_open == 0) flow_next(&entry->flow, err_ok());
    courier_look_later(courier);
}

/* What is left after the last host. */
static void group_give_up(struct courier_group *group)
{
    const struct courier_hosts *hosts = group->hosts;
    if (group->connects == 0 && hosts != NULL && hosts->failure != COURIER_NOT_TRIED) {
        group_outcome(group, hosts->failure, hosts->answer);
    } else if (group->entry->courier->stopping && !group->is_over) {
        group_outcome(group, COURIER_NOT_TRIED, SPAN(""));
    } else {
        struct span answer = group->answer;
        if (answer.len == 0) answer = SPAN("451 4.4.1 No mail host could be reached");
        group_outcome(group, COURIER_DEFERRED, answer);
    }
    group_end(group);
}

static bool group_waits(const struct courier_group *group)
{
    const struct courier_entry *entry = group->entry;
    for (size_t i = group->first; i != SIZE_MAX; i = entry->recipients[i].next) {
        if (entry->recipients[i].is_due) return true;
    }
    return false;
}

void courier_group_go(struct courier_group *group)
{
    struct courier *courier = group->entry->courier;
    for (;;) {
        bool is_enough = group->is_over || group->connects >= COURIER_CONNECTS_MAX ||
                         group->sessions >= COURIER_SESSIONS_MAX || courier->stopping;
        if (!group_waits(group)) {
            group_end(group);
            return;
        }
        enum courier_hosts_step step = is_enough ? COURIER_HOSTS_END : courier_hosts_next(group);
        if (step == COURIER_HOSTS_WAIT) return;
        if (step == COURIER_HOSTS_END) {
            group_give_up(group);
            return;
        }
        group->without_tls = false;
        group->connects++;
        if (courier_link_start(group).code == ERR_OK) return;
        group->answer = SPAN("451 4.4.1 The mail host can't be connected to");
    }
}

void courier_group_session_over(struct courier_group *group, const struct courier_session *session)
{
    struct courier *courier = group->entry->courier;
    struct span answer;
    if (session->answer.len > 0 &&
        arena_copy(&group->entry->arena, session->answer, &answer).code == ERR_OK) {
        group->answer = answer;
    }
    if (session->was_ready) {
        group->was_reached = true;
        group->sessions++;
    }
    /* A message that may have arrived is not sent again at once. */
    if (session->is_unsure) group->is_over = true;
    bool may_be_plain = session->tls_failed && !group->without_tls && !courier->options.tls_must;
    if (may_be_plain && !courier->stopping) {
        group->without_tls = true;
        if (courier_link_start(group).code == ERR_OK) return;
    }
    courier_group_go(group);
}

/* Gives a turn. False: there is none for this destination now. */
static bool group_turn(struct courier_group *group)
{
    struct courier_entry *entry = group->entry;
    struct courier *courier = entry->courier;
    struct courier_destination *destination = destination_get(courier, group->key);
    if (destination != NULL && destination->open >= courier->options.per_destination) return false;
    group->hosts = arena_alloc(&entry->arena, sizeof(*group->hosts));
    if (group->hosts != NULL) {
        group->hosts->mx = arena_alloc(&entry->arena, COURIER_MX_MAX * sizeof(struct courier_mx));
    }
    if (destination == NULL || group->hosts == NULL || group->hosts->mx == NULL) {
        group->hosts = NULL;
        group_outcome(group, COURIER_DEFERRED, SPAN("451 4.3.2 Too much to do for now"));
        group_end(group);
        return true;
    }
    if (destination_is_dead(destination)) {
        group_outcome(group, COURIER_DEFERRED,
                      span_of(destination->answer, destination->answer_len));
        group_end(group);
        return true;
    }
    destination->open++;
    group->destination = destination;
    list_remove(&group->link);
    list_add(&courier->sending, &group->link);
    courier->sending_count++;
    courier_group_go(group);
    return true;
}

/* Nothing more is begun: what has no connection ends. */
static void groups_stop(struct courier *courier)
{
    struct list *lists[] = { &courier->waiting, &courier->sending };
    for (int i = 0; i < 2; i++) {
        for (struct list *link = lists[i]->next, *next; link != lists[i]; link = next) {
            struct courier_group *group = LIST_ITEM(link, struct courier_group, link);
            next = link->next;
            group->entry->groups = NULL;
            if (group->session == NULL) group_end(group);
        }
    }
}

void courier_groups_look(struct courier *courier)
{
    if (courier->stopping) {
        groups_stop(courier);
        return;
    }
    /* What ends in its turn adds its entry's next groups to the end of the list: they have theirs
     * in this walk too. */
    for (struct list *link = courier->waiting.next, *next; link != &courier->waiting; link = next) {
        if (courier->sending_count >= COURIER_CONNECTIONS_MAX) return;
        struct courier_group *group = LIST_ITEM(link, struct courier_group, link);
        next = link->next;
        (void)group_turn(group);
    }
}

void courier_groups_ask_again(struct courier *courier)
{
    for (struct list *link = courier->sending.next, *next; link != &courier->sending; link = next) {
        next = link->next;
        courier_hosts_restart(LIST_ITEM(link, struct courier_group, link));
    }
}

void courier_groups_abort(struct courier_entry *entry)
{
    struct courier *courier = entry->courier;
    struct list *lists[] = { &courier->waiting, &courier->sending };
    entry->groups = NULL;
    for (int i = 0; i < 2 && entry->groups_open > 0; i++) {
        for (struct list *link = lists[i]->next, *next; link != lists[i]; link = next) {
            struct courier_group *group = LIST_ITEM(link, struct courier_group, link);
            next = link->next;
            if (group->entry != entry) continue;
            if (group->session != NULL) courier_link_leave(group->session);
            group_end(group);
        }
    }
}

/* ---- grouping */

struct grouping {
    struct courier_entry *entry;
    struct map by_domain;
    struct courier_group **tail;
    struct courier_group *last_group;
    struct span last_domain; /* as it stands in the address */
};

/* The group of a domain, or, behind "=", of a host. */
static struct courier_group *group_find(struct grouping *grouping, struct span key)
{
    struct courier_entry *entry = grouping->entry;
    struct courier_group *group = map_get(&grouping->by_domain, key);
    if (group != NULL) return group;
    group = arena_alloc(&entry->arena, sizeof(*group));
    if (group == NULL) return NULL;
    list_init(&group->link);
    group->entry = entry;
    group->first = group->last = group->at = SIZE_MAX;
    group->is_smart = key.len > 0 && key.ptr[0] == '=';
    if (arena_copy(&entry->arena, key, &group->key).code != ERR_OK) return NULL;
    group->domain = span_skip(group->key, group->is_smart ? 1 : 0);
    if (map_put(&grouping->by_domain, group->key, group).code != ERR_OK) return NULL;
    *grouping->tail = group;
    grouping->tail = &group->next;
    return group;
}

static struct courier_group *group_of(struct grouping *grouping, struct span address)
{
    const struct courier_options *options = &grouping->entry->courier->options;
    struct span local, domain, host = options->smart_host;
    char bytes[PLACE_ADDRESS_MAX_BYTES], key_bytes[PLACE_ADDRESS_MAX_BYTES];
    struct buf canonical, key;
    if (!place_address_split(address, &local, &domain)) return NULL;
    if (grouping->last_group != NULL && span_eq(grouping->last_domain, domain)) {
        return grouping->last_group;
    }
    buf_init(&canonical, bytes, sizeof(bytes));
    bool is_domain = place_domain(domain, &canonical).code == ERR_OK && !canonical.overflow;
    bool is_hosted = is_domain && options->host_of != NULL &&
                     options->host_of(options->holder, buf_span(&canonical), &host);
    if (!is_domain && host.len == 0) return NULL;
    buf_init(&key, key_bytes, sizeof(key_bytes));
    if (host.len > 0) buf_put(&key, SPAN("="));
    buf_put(&key, host.len > 0 ? host : buf_span(&canonical));
    if (key.overflow) return NULL;
    grouping->last_domain = domain;
    grouping->last_group = group_find(grouping, buf_span(&key));
    if (grouping->last_group != NULL && !is_hosted && host.len > 0) {
        grouping->last_group->has_login = true;
    }
    return grouping->last_group;
}

static void group_add(struct courier_group *group, size_t index)
{
    struct courier_recipient *recipients = group->entry->recipients;
    recipients[index].next = SIZE_MAX;
    if (group->first == SIZE_MAX) {
        group->first = index;
    } else {
        recipients[group->last].next = index;
    }
    group->last = index;
}

void courier_step_remote(struct flow *flow)
{
    struct courier_entry *entry = courier_entry_of(flow);
    bool is_over = courier_is_lost(entry) || entry->courier->stopping || entry->body == NULL;
    struct grouping grouping = { .entry = entry, .tail = &entry->groups };
    map_init(&grouping.by_domain, entry->row.recipients_count);
    for (size_t i = 0; i < entry->row.recipients_count && !is_over; i++) {
        if (!entry->recipients[i].is_due || entry->row.recipients[i].has_target) continue;
        struct courier_group *group = group_of(&grouping, entry->row.recipients[i].address);
        if (group != NULL) {
            group_add(group, i);
            continue;
        }
        entry->recipients[i].is_due = false;
        courier_outcome_set(entry, i, COURIER_FAILED, SPAN("553 5.1.3 Bad recipient address"));
    }
    map_free(&grouping.by_domain);
    if (entry->groups == NULL) {
        flow_next(flow, courier_is_lost(entry) ? err_make(ERR_CONFLICT, "lease") : err_ok());
        return;
    }
    groups_fill(entry);
    courier_look_later(entry->courier);
}
