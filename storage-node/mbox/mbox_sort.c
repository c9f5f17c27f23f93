/* SORT. Every message found becomes an entry with one key for each criterion; the entries are
 * sorted by them, and by UID, which is the order of sequence numbers, when they are the same. */
#include "mbox_sort.h"

#include <stdlib.h>

#include "mbox_sort_private.h"

struct key {
    uint64_t number;
    struct span text; /* folded */
};

struct entry {
    uint32_t uid;
    struct key keys[];
};

struct sorting {
    struct store_sort_criterion criteria[MBOX_SORT_CRITERIA_MAX];
    size_t criteria_count;
    struct arena arena; /* entries, and the texts of their keys */
    struct entry **entries;
    size_t count, size;
};

static int compare_keys(const struct key *a, const struct key *b)
{
    if (a->number != b->number) return a->number < b->number ? -1 : 1;
    size_t len = a->text.len < b->text.len ? a->text.len : b->text.len;
    int order = len == 0 ? 0 : memcmp(a->text.ptr, b->text.ptr, len);
    if (order != 0) return order;
    return a->text.len < b->text.len ? -1 : a->text.len > b->text.len;
}

static int compare_entries(const void *a, const void *b, void *holder)
{
    const struct entry *left = *(struct entry *const *)a, *right = *(struct entry *const *)b;
    const struct sorting *sorting = holder;
    for (size_t i = 0; i < sorting->criteria_count; i++) {
        int order = compare_keys(&left->keys[i], &right->keys[i]);
        if (order != 0) return sorting->criteria[i].reverse ? -order : order;
    }
    return left->uid < right->uid ? -1 : left->uid > right->uid;
}

/* An addr-mailbox is compared as text too (RFC 5256 section 7). */
static struct err text_key(struct sorting *sorting, struct span folded, struct key *ret)
{
    struct err err = arena_copy(&sorting->arena, folded, &ret->text);
    return err.code == ERR_OK ? err : err_make(ERR_TOO_BIG, "keys to sort by");
}

static struct err make_key(struct sorting *sorting, const struct mbox_sort_mail *mail,
                           uint32_t criterion, struct key *ret)
{
    struct span folded = SPAN(""), address = SPAN("");
    bool is_reply;
    switch (criterion) {
    case STORE_SORT_ARRIVAL:
        ret->number = mail->internaldate_ms;
        return err_ok();
    case STORE_SORT_DATE: /* the sign turned over: dates before 1970 come first */
        ret->number = (uint64_t)mail->date_ms ^ 1ull << 63;
        return err_ok();
    case STORE_SORT_SIZE:
        ret->number = mail->size;
        return err_ok();
    case STORE_SORT_SUBJECT:
        TRY(mbox_sort_subject(mail, &folded, &is_reply));
        return text_key(sorting, folded, ret);
    case STORE_SORT_FROM:
        address = mail->envelope.from;
        break;
    case STORE_SORT_TO:
        address = mail->envelope.to;
        break;
    default:
        address = mail->envelope.cc;
        break;
    }
    TRY(mbox_casemap(address, mail->scratch, &folded));
    return text_key(sorting, folded, ret);
}

static struct err sort_count(void *holder, size_t messages)
{
    struct sorting *sorting = holder;
    sorting->entries = calloc(messages + 1, sizeof(*sorting->entries));
    sorting->size = messages;
    return sorting->entries == NULL ? err_make(ERR_NOMEM, "messages to sort") : err_ok();
}

static struct err sort_take(void *holder, const struct mbox_sort_mail *mail)
{
    struct sorting *sorting = holder;
    if (sorting->count == sorting->size) return err_ok();
    struct entry *entry = arena_alloc(&sorting->arena, sizeof(*entry)
                                      + sorting->criteria_count * sizeof(entry->keys[0]));
    if (entry == NULL) return err_make(ERR_TOO_BIG, "messages to sort");
    entry->uid = mail->uid;
    for (size_t i = 0; i < sorting->criteria_count; i++) {
        TRY(make_key(sorting, mail, sorting->criteria[i].key, &entry->keys[i]));
    }
    sorting->entries[sorting->count++] = entry;
    return err_ok();
}

/* A key that stood before changes nothing any more. */
static struct err read_criteria(const struct store_sort_request *request, struct sorting *sorting,
                                bool *facts)
{
    if (request->criteria_count == 0 || request->criteria_count > MBOX_SORT_CRITERIA_MAX)
        return err_make(ERR_SYNTAX, "sort criteria");
    for (size_t i = 0; i < request->criteria_count; i++) {
        uint32_t key = request->criteria[i].key;
        bool again = false;
        if (key < STORE_SORT_ARRIVAL || key > STORE_SORT_TO)
            return err_make(ERR_SYNTAX, "sort criterion");
        for (size_t k = 0; k < sorting->criteria_count; k++)
            again = again || sorting->criteria[k].key == key;
        if (again) continue;
        sorting->criteria[sorting->criteria_count++] = request->criteria[i];
        *facts = *facts || (key != STORE_SORT_ARRIVAL && key != STORE_SORT_SIZE);
    }
    return err_ok();
}

static struct err write_order(const struct sorting *sorting, struct mbox_order *ret)
{
    uint32_t *numbers = malloc((sorting->count + 1) * sizeof(*numbers));
    if (numbers == NULL) return err_make(ERR_NOMEM, "messages to sort");
    for (size_t i = 0; i < sorting->count; i++) numbers[i] = sorting->entries[i]->uid;
    *ret = (struct mbox_order){ numbers, sorting->count };
    return err_ok();
}

struct err mbox_sort(const struct mbox_context *context, struct mbox_index *index,
                     const struct store_sort_request *request,
                     const struct mbox_searcher *searcher, struct mbox_order *ret,
                     struct store_search_reply *reply)
{
    struct sorting sorting = { .criteria_count = 0 };
    struct mbox_sort_walk walk = { context, index, searcher, request->uid_below, false };
    struct mbox_sort_user user = { &sorting, sort_count, sort_take };
    struct store_search_request search = { request->tenant, request->account, request->mailbox,
                                           request->keys, request->keys_count };
    TRY(read_criteria(request, &sorting, &walk.facts));
    arena_init(&sorting.arena, MBOX_SORT_MAX_BYTES);
    struct err err = mbox_sort_each(&walk, &search, &user, reply);
    if (err.code == ERR_OK) {
        qsort_r(sorting.entries, sorting.count, sizeof(*sorting.entries), compare_entries,
                &sorting);
        err = write_order(&sorting, ret);
    }
    free(sorting.entries);
    arena_clear(&sorting.arena);
    return err;
}
