#include <stdlib.h>

#include "mail_stream.h"
#include "mbox_fetch.h"
#include "mbox_sort_private.h"
#include "subject.h"

/* A subject decoded, its base and that folded; one message at a time. */
enum { SCRATCH_MAX_BYTES = 1024 * 1024 };

/* Facts that can't be read are none; a row of a newer version is an error. */
static struct err read_facts(struct span row, struct mbox_sort_mail *mail)
{
    mail->facts = (struct facts){ .date_ms = INT64_MIN };
    mail->envelope = (struct envelope){ .subject = SPAN("") };
    struct err err = facts_read(row, &mail->facts);
    if (err.code == ERR_OK) {
        err = envelope_read(mail->facts.envelope, mail->scratch, &mail->envelope);
    }
    return err.code == ERR_CORRUPT ? err_ok() : err;
}

static struct err take_record(const struct mail_record *record, struct mbox_sort_mail *mail,
                              const struct mbox_sort_user *user)
{
    if (mail->scratch->used_bytes > 0) arena_reset(mail->scratch);
    mail->uid = record->uid;
    mail->size = record->size;
    mail->internaldate_ms = record->internaldate_ms;
    mail->date_ms = (int64_t)record->internaldate_ms;
    if ((record->items & MAIL_RECORD_FACTS) != 0) {
        TRY(read_facts(record->facts, mail));
        if (mail->facts.date_ms != INT64_MIN) mail->date_ms = mail->facts.date_ms;
    }
    return user->take(user->holder, mail);
}

static struct err read_found(const struct mbox_sort_walk *walk,
                             const struct store_search_request *request, struct span uids,
                             const struct mbox_sort_user *user)
{
    struct arena scratch;
    struct mbox_sort_mail mail = { .scratch = &scratch, .searcher = walk->searcher };
    struct store_fetch_request fetch = { .tenant = request->tenant, .account = request->account,
                                         .mailbox = request->mailbox, .uids = uids,
                                         .items = STORE_FETCH_DATES };
    struct mbox_fetch *cursor;
    struct mail_record record;
    struct span piece;
    uint64_t modseq;
    if (walk->facts) fetch.items |= STORE_FETCH_FACTS;
    TRY(mbox_fetch_open(walk->context, &fetch, &cursor, &modseq));
    arena_init(&scratch, SCRATCH_MAX_BYTES);
    struct err err;
    while ((err = mbox_fetch_next(cursor, &record, &piece)).code == ERR_OK) {
        err = take_record(&record, &mail, user);
        if (err.code != ERR_OK) break;
    }
    mbox_fetch_close(cursor);
    arena_clear(&scratch);
    return err.code == ERR_NOT_FOUND ? err_ok() : err;
}

struct err mbox_sort_each(const struct mbox_sort_walk *walk,
                          const struct store_search_request *request,
                          const struct mbox_sort_user *user, struct store_search_reply *reply)
{
    struct uid_set matches;
    uid_set_init(&matches, MBOX_COMMAND_RANGES_MAX);
    struct err err = mbox_search(walk->context, walk->index, request, walk->searcher, &matches,
                                 reply);
    if (walk->uid_below > 0) uid_set_remove(&matches, walk->uid_below, UINT32_MAX);
    uint64_t count = uid_set_count(&matches);
    if (err.code == ERR_OK && count > MBOX_SORT_MESSAGES_MAX) {
        err = err_make(ERR_TOO_BIG, "messages to sort");
    }
    if (err.code == ERR_OK) err = user->count(user->holder, (size_t)count);
    /* No UIDs would mean all of them. */
    if (err.code == ERR_OK && count > 0) {
        err = read_found(walk, request, uid_set_bytes(&matches), user);
    }
    uid_set_free(&matches);
    return err;
}

struct err mbox_sort_subject(const struct mbox_sort_mail *mail, struct span *ret, bool *is_reply)
{
    struct span text = mail->envelope.subject;
    if (text.len > 0 && memmem(text.ptr, text.len, "=?", 2) != NULL) {
        TRY(mail->searcher->calls->decode(mail->searcher->holder, text, mail->scratch, &text));
    }
    char *store = arena_alloc(mail->scratch, text.len + 1);
    if (store == NULL) return err_make(ERR_NOMEM, "subject");
    struct subject subject = subject_base(text, store);
    *is_reply = subject.is_reply;
    return mbox_casemap(subject.base, mail->scratch, ret);
}

void mbox_order_free(struct mbox_order *order)
{
    free(order->numbers);
    *order = (struct mbox_order){ NULL, 0 };
}
