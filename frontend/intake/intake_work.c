/* CPU work on one message: trace headers in front, facts, the stored body. */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "intake_private.h"
#include "mime_facts.h"
#include "mime_replace.h"
#include "stored_body.h"

/* Prefix and body in one piece: parsing and packing want it so. */
static struct err work_whole(struct intake_work *work)
{
    size_t len = work->prefix.len + (size_t)body_size(work->body);
    work->whole = malloc(len + 1);
    if (work->whole == NULL) return err_make(ERR_NOMEM, "message");
    if (work->prefix.len > 0) memcpy(work->whole, work->prefix.ptr, work->prefix.len);
    body_copy(work->body, 0, work->whole + work->prefix.len, len - work->prefix.len);
    work->whole_len = len;
    return err_ok();
}

static struct err work_remove(struct intake_work *work)
{
    char *without;
    size_t len;
    TRY(mime_replace_part(span_of(work->whole, work->whole_len), work->remove_part, work->notice,
                          &without, &len));
    free(work->whole);
    work->whole = without;
    work->whole_len = len;
    return err_ok();
}

static struct err work_footer(struct intake_work *work)
{
    char *made;
    size_t len;
    TRY(mime_footer_add(span_of(work->whole, work->whole_len), &work->footer, &made, &len));
    if (made == NULL) return err_ok();
    free(work->whole);
    work->whole = made;
    work->whole_len = len;
    return err_ok();
}

static struct err work_do(struct intake_work *work)
{
    struct mime_facts_out facts;
    if (work->whole == NULL) TRY(work_whole(work));
    TRY(digest_sha256(span_skip(span_of(work->whole, work->whole_len), work->prefix.len),
                      work->digest));
    if (work->remove_part.len > 0) TRY(work_remove(work));
    TRY(work_footer(work));
    struct span message = span_of(work->whole, work->whole_len);
    TRY(mime_facts(message, &facts));
    work->facts = facts.row;
    work->facts_len = facts.row_len;
    work->hops = facts.received;
    work->passes = trace_passes(span_skip(message, work->prefix.len), work->by_host);
    return stored_body_make(message, work->budget, &work->stored);
}

void intake_work_run(struct intake_work *work) { work->err = work_do(work); }

void intake_work_free(struct intake_work *work)
{
    free(work->whole);
    free(work->facts);
    body_unref(work->stored);
}
