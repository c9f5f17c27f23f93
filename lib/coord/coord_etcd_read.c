/* All rows of a prefix. etcd does not bound its answers, so they are asked for in pages, all at the
 * revision of the first; the size of a page follows that of the rows. */
#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "clock.h"
#include "coord_etcd_private.h"
#include "loop.h"

enum {
    PAGE_FIRST = 64,
    PAGE_MAX = 4096,
    PAGE_SMALL_BYTES = 512 * 1024,      /* the next may be twice as long */
    PAGE_LARGE_BYTES = 4 * 1024 * 1024, /* half as long */
};

static void page_ask(void *holder);

static void read_end(struct etcd_read *read, struct err err)
{
    timer_stop(&read->again);
    read->etcd = NULL;
    read->done(read, err);
}

static void page_retry(struct etcd_read *read, struct err err)
{
    uint64_t wait_ms = etcd_retry_ms(read->tries++);
    if (clock_boot_ms() + wait_ms >= read->until_ms) {
        read_end(read, err);
        return;
    }
    timer_start(read->etcd->loop, &read->again, wait_ms, page_ask, read);
}

static struct err take_page(struct etcd_read *read, const struct coord_reply *reply)
{
    if (read->rows.rows.revision == 0) read->rows.rows.revision = reply->revision;
    for (size_t i = 0; i < reply->rows_count; i++) {
        const struct coord_row *row = &reply->rows[i];
        struct span after = span_of(read->after, read->after_len);
        if (!coord_key_under(row->key, read->prefix) || span_order(row->key, after) <= 0) {
            return err_make(ERR_SYNTAX, "page of etcd's rows");
        }
        TRY(coord_mirror_take(&read->rows, 0, row));
        memcpy(read->after, row->key.ptr, row->key.len);
        read->after_len = row->key.len;
    }
    if (reply->more && reply->rows_count == 0) return err_make(ERR_SYNTAX, "page of etcd's rows");
    if (reply->arena.used_bytes < PAGE_SMALL_BYTES && read->limit < PAGE_MAX) read->limit *= 2;
    if (reply->arena.used_bytes > PAGE_LARGE_BYTES) read->limit /= 2;
    return err_ok();
}

static void page_answered(struct etcd_call *call, const struct etcd_answer *answer)
{
    struct etcd_read *read = LIST_ITEM(call, struct etcd_read, call);
    if (answer->outcome == ETCD_REFUSED) {
        bool gone = answer->reply != NULL && answer->reply->compacted;
        read_end(read, gone ? err_make(ERR_CONFLICT, "revision that was read") : answer->err);
    } else if (answer->outcome != ETCD_ANSWER && answer->err.code == ERR_TOO_BIG &&
               read->limit > 1) {
        read->limit = read->limit > 4 ? read->limit / 4 : 1;
        page_ask(read);
    } else if (answer->outcome != ETCD_ANSWER && answer->err.code == ERR_TOO_BIG) {
        read_end(read, answer->err);
    } else if (answer->outcome != ETCD_ANSWER) {
        page_retry(read, answer->err);
    } else {
        struct err err = take_page(read, answer->reply);
        read->tries = 0;
        if (err.code != ERR_OK || !answer->reply->more) read_end(read, err);
        else page_ask(read);
    }
}

static void page_ask(void *holder)
{
    struct etcd_read *read = holder;
    struct buf out;
    const struct coord_range range = { .prefix = read->prefix,
                                       .after = span_of(read->after, read->after_len),
                                       .revision = read->rows.rows.revision,
                                       .limit = read->limit };
    char *body = malloc(COORD_REQUEST_SMALL_BYTES);
    buf_init(&out, body, body == NULL ? 0 : (size_t)COORD_REQUEST_SMALL_BYTES);
    if (body != NULL) coord_request_range(&out, read->etcd->space, &range);
    read->call.path = "/v3/kv/range";
    read->call.kind = COORD_REPLY_RANGE;
    read->call.done = page_answered;
    etcd_call_start(read->etcd, &read->call, body, out.len);
}

void etcd_read_start(struct etcd *etcd, struct etcd_read *read, uint64_t revision,
                     uint64_t until_ms)
{
    CHECK(read->etcd == NULL);
    read->etcd = etcd;
    coord_mirror_init(&read->rows, NULL, NULL);
    read->rows.rows.revision = revision;
    read->after_len = 0;
    read->limit = PAGE_FIRST;
    read->tries = 0;
    read->until_ms = until_ms;
    page_ask(read);
}

void etcd_read_cancel(struct etcd_read *read)
{
    if (read->etcd == NULL) return;
    etcd_call_cancel(&read->call);
    timer_stop(&read->again);
    coord_mirror_free(&read->rows);
    read->etcd = NULL;
}
