#include "triage.h"

#include <stddef.h>

#include "check.h"

void triage_init(struct triage *triage, unsigned waiting_max)
{
    CHECK(waiting_max >= 1 && waiting_max <= TRIAGE_WAITING_MAX);
    list_init(&triage->waiting);
    triage->waiting_count = 0;
    triage->waiting_max = waiting_max;
}

struct err triage_add(struct triage *triage, struct triage_item *item, uint64_t deadline_ms,
                      uint64_t now_ms)
{
    if (deadline_ms <= now_ms) return err_make(ERR_TIMEOUT, "scan");
    if (triage->waiting_count >= triage->waiting_max) return err_make(ERR_BUSY, "scans waiting");
    item->deadline_ms = deadline_ms;
    item->outstanding = TRIAGE_ENGINES_ALL;
    item->running = 0;
    item->attempts = 0;
    list_add(&triage->waiting, &item->link);
    triage->waiting_count++;
    return err_ok();
}

struct triage_item *triage_take(struct triage *triage)
{
    if (list_is_empty(&triage->waiting)) return NULL;
    struct triage_item *item = LIST_ITEM(triage->waiting.next, struct triage_item, link);
    list_remove(&item->link);
    triage->waiting_count--;
    item->running = item->outstanding;
    item->attempts++;
    return item;
}

/* At the front. */
static void triage_wait_first(struct triage *triage, struct triage_item *item)
{
    list_add(triage->waiting.next, &item->link);
    triage->waiting_count++;
    item->running = 0;
}

void triage_put_back(struct triage *triage, struct triage_item *item)
{
    CHECK(item->attempts > 0 && item->running != 0);
    item->attempts--;
    triage_wait_first(triage, item);
}

struct err triage_again(struct triage *triage, struct triage_item *item, uint64_t now_ms)
{
    CHECK(item->running != 0);
    if (item->deadline_ms <= now_ms) return err_make(ERR_TIMEOUT, "scan");
    if (item->attempts >= TRIAGE_ATTEMPTS_MAX) return err_make(ERR_UNKNOWN, "scan");
    triage_wait_first(triage, item);
    return err_ok();
}

uint32_t triage_answered(struct triage_item *item, uint32_t engine)
{
    item->outstanding &= ~engine;
    item->running &= ~engine;
    return item->outstanding;
}

void triage_remove(struct triage *triage, struct triage_item *item)
{
    /* Zeroed, or not waiting: it is in no ring. */
    if (item->link.next == NULL || list_is_empty(&item->link)) return;
    list_remove(&item->link);
    triage->waiting_count--;
}
