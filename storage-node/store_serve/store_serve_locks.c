#include "store_serve_locks.h"

#include <stdlib.h>
#include <string.h>

enum { LOCK_KEY_BYTES = 16 };

struct serve_lock {
    struct list link;
    uint64_t until_ms;
    char owner[STORE_LOCK_OWNER_BYTES];
    char key[LOCK_KEY_BYTES]; /* tenant u32 | mailbox u32 | account u64 */
};

static struct span lock_key(const struct serve_lock_name *name, char key[LOCK_KEY_BYTES])
{
    memcpy(key, &name->tenant, 4);
    memcpy(key + 4, &name->mailbox, 4);
    memcpy(key + 8, &name->account, 8);
    return span_of(key, LOCK_KEY_BYTES);
}

static void lock_end(struct serve_locks *locks, struct serve_lock *lock)
{
    map_remove(&locks->map, span_of(lock->key, LOCK_KEY_BYTES));
    list_remove(&lock->link);
    free(lock);
}

void serve_locks_init(struct serve_locks *locks, size_t count_max)
{
    map_init(&locks->map, count_max);
    list_init(&locks->by_age);
}

void serve_locks_free(struct serve_locks *locks)
{
    while (!list_is_empty(&locks->by_age)) {
        lock_end(locks, LIST_ITEM(locks->by_age.next, struct serve_lock, link));
    }
    map_free(&locks->map);
}

/* Each call clears what has run out at the old end. One behind a longer lease stays until that is
 * over or somebody asks for it: STORE_LOCK_LEASE_MAX_MS at most. */
static void locks_expire(struct serve_locks *locks, uint64_t now_ms)
{
    while (!list_is_empty(&locks->by_age)) {
        struct serve_lock *oldest = LIST_ITEM(locks->by_age.next, struct serve_lock, link);
        if (oldest->until_ms > now_ms) return;
        lock_end(locks, oldest);
    }
}

static struct err lock_make(struct serve_locks *locks, const struct serve_lock_name *name,
                            struct serve_lock **ret)
{
    struct serve_lock *lock = calloc(1, sizeof(*lock));
    if (lock == NULL) return err_make(ERR_NOMEM, "lock");
    list_init(&lock->link);
    struct err err = map_put(&locks->map, lock_key(name, lock->key), lock);
    if (err.code != ERR_OK) {
        free(lock);
        return err.code == ERR_BUSY ? err_make(ERR_BUSY, "locks of mailboxes") : err;
    }
    *ret = lock;
    return err_ok();
}

struct err serve_locks_take(struct serve_locks *locks, const struct serve_lock_name *name,
                            struct span owner, uint64_t now_ms, uint64_t *lease_ms)
{
    char key[LOCK_KEY_BYTES];
    if (owner.len != STORE_LOCK_OWNER_BYTES) return err_make(ERR_SYNTAX, "owner of a lock");
    if (name->mailbox == 0) return err_make(ERR_SYNTAX, "mailbox of a lock");
    locks_expire(locks, now_ms);
    struct serve_lock *lock = map_get(&locks->map, lock_key(name, key));
    if (lock == NULL) {
        TRY(lock_make(locks, name, &lock));
    } else if (!span_eq(span_of(lock->owner, STORE_LOCK_OWNER_BYTES), owner) &&
               lock->until_ms > now_ms) {
        return err_make(ERR_CONFLICT, "the mailbox is locked by another session");
    }
    uint64_t lease = *lease_ms;
    if (lease < STORE_LOCK_LEASE_MIN_MS) lease = STORE_LOCK_LEASE_MIN_MS;
    if (lease > STORE_LOCK_LEASE_MAX_MS) lease = STORE_LOCK_LEASE_MAX_MS;
    memcpy(lock->owner, owner.ptr, STORE_LOCK_OWNER_BYTES);
    lock->until_ms = now_ms + lease;
    list_remove(&lock->link);
    list_add(&locks->by_age, &lock->link);
    *lease_ms = lease;
    return err_ok();
}

void serve_locks_release(struct serve_locks *locks, const struct serve_lock_name *name,
                         struct span owner)
{
    char key[LOCK_KEY_BYTES];
    struct serve_lock *lock = map_get(&locks->map, lock_key(name, key));
    if (lock == NULL || !span_eq(span_of(lock->owner, STORE_LOCK_OWNER_BYTES), owner)) return;
    lock_end(locks, lock);
}
