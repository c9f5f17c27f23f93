/* The walk of a command through its steps, and its calls to the store. */
#include <stdlib.h>

#include "check.h"
#include "id.h"
#include "imap_private.h"

struct err imap_run_new(struct imap_session *session, enum imap_phase after)
{
    CHECK(session->run == NULL);
    struct imap_run *run = calloc(1, sizeof(*run));
    if (run == NULL) return err_make(ERR_NOMEM, "command");
    arena_init(&run->arena, IMAP_RUN_MAX_BYTES);
    uid_set_init(&run->set, IMAP_VIEW_RANGES_MAX);
    uid_set_init(&run->fetched, IMAP_VIEW_RANGES_MAX);
    uid_set_init(&run->sync.fresh, IMAP_VIEW_RANGES_MAX);
    run->after = after;
    session->run = run;
    return err_ok();
}

void imap_run_free(struct imap_session *session)
{
    struct imap_run *run = session->run;
    if (run == NULL) return;
    if (run->state_free != NULL) run->state_free(session, run->state);
    body_unref(run->body);
    uid_set_free(&run->set);
    uid_set_free(&run->fetched);
    uid_set_free(&run->sync.fresh);
    if (run->vanished != NULL) {
        uid_set_free(&run->vanished->gone);
        uid_set_free(&run->vanished->known);
    }
    free(run->gather.bytes);
    /* Passwords stand in the text of LOGIN and AUTHENTICATE. */
    if (run->text != NULL && run->secret) explicit_bzero(run->text, run->text_len);
    free(run->text);
    arena_clear(&run->arena);
    free(run);
    session->run = NULL;
}

bool imap_has_room(const struct imap_session *session)
{
    return session->out->size - session->out->len >= IMAP_OUT_ROOM;
}

void imap_steps(struct imap_session *session, imap_step_run *const *steps)
{
    session->run->depth = 0;
    session->run->frames[0] = (struct imap_frame){ steps, 0 };
}

void imap_steps_into(struct imap_session *session, imap_step_run *const *steps)
{
    struct imap_run *run = session->run;
    CHECK(run->depth + 1 < IMAP_FRAMES_MAX);
    run->frames[++run->depth] = (struct imap_frame){ steps, 0 };
}

static void imap_run_end(struct imap_session *session)
{
    enum imap_phase after = session->run->after;
    imap_run_free(session);
    if (session->phase == IMAP_RUNS) session->phase = after;
    imap_idle_news(session); /* what came while it ran */
}

void imap_pump(struct imap_session *session)
{
    while (session->phase == IMAP_RUNS && imap_has_room(session)) {
        struct imap_run *run = session->run;
        unsigned depth = run->depth;
        struct imap_frame *frame = &run->frames[depth];
        imap_step_run *step = frame->steps == NULL ? NULL : frame->steps[frame->at];
        if (step == NULL && depth == 0) {
            imap_run_end(session);
            continue;
        }
        if (step == NULL) {
            run->depth--;
            continue;
        }
        frame->at++;
        switch (step(session)) {
        case IMAP_NEXT:
            break;
        case IMAP_AGAIN:
            run->frames[depth].at--;
            break;
        case IMAP_FINISH:
            imap_run_end(session);
            break;
        }
    }
}

void imap_wish_for(struct imap_session *session, enum imap_wish_kind kind)
{
    CHECK(session->phase == IMAP_RUNS);
    session->wish.kind = kind;
    session->phase = IMAP_WISHES;
    if (session->run != NULL) session->run->err = err_ok();
}

void imap_call(struct imap_session *session, enum store_method method, const void *request,
               const struct imap_call_user *user)
{
    imap_wish_for(session, IMAP_WISH_CALL);
    session->wish.method = method;
    session->wish.request = request;
    session->run->call = user;
    session->run->gather.len = 0;
}

struct err imap_state_new(struct imap_session *session, size_t size, void *ret_pointer)
{
    void *state = arena_alloc(&session->run->arena, size);
    if (state == NULL) return err_make(ERR_NOMEM, "state of a command");
    session->run->state = state;
    memcpy(ret_pointer, &state, sizeof(state));
    return err_ok();
}

struct span imap_operation_id(struct imap_session *session)
{
    uint8_t *id = arena_alloc(&session->run->arena, OPERATION_ID_BYTES);
    if (id == NULL) return span_of(NULL, 0);
    session->options->operation_id(session->options->holder, session->wall_ms, id);
    return span_of(id, OPERATION_ID_BYTES);
}

struct err imap_gather_put(struct imap_gather *gather, struct span bytes)
{
    if (bytes.len > gather->size - gather->len) {
        size_t size = gather->size < 512 ? 512 : gather->size;
        while (size - gather->len < bytes.len) size *= 2;
        char *grown = realloc(gather->bytes, size);
        if (grown == NULL) return err_make(ERR_NOMEM, "data of a reply");
        gather->bytes = grown;
        gather->size = size;
    }
    if (bytes.len > 0) memcpy(gather->bytes + gather->len, bytes.ptr, bytes.len);
    gather->len += bytes.len;
    return err_ok();
}

static struct err add_range(struct uid_set *set, const char *bytes)
{
    struct uid_range range;
    memcpy(&range, bytes, sizeof(range));
    if (range.first == 0 || range.first > range.last) {
        return err_make(ERR_CORRUPT, "set of messages");
    }
    return uid_set_add(set, range.first, range.last);
}

/* The ranges of uid_set.h come cut anywhere; at most 7 bytes of one wait in `gather`. */
size_t imap_data_set(struct imap_session *session, struct span in)
{
    struct imap_run *run = session->run;
    struct imap_gather *gather = &run->gather;
    const size_t range_bytes = sizeof(struct uid_range);
    struct span rest = in;
    while (rest.len > 0 && run->err.code == ERR_OK) {
        if (gather->len == 0 && rest.len >= range_bytes) {
            run->err = add_range(&run->set, rest.ptr);
            rest = span_skip(rest, range_bytes);
            continue;
        }
        struct span part = span_head(rest, range_bytes - gather->len);
        run->err = imap_gather_put(gather, part);
        rest = span_skip(rest, part.len);
        if (run->err.code != ERR_OK || gather->len < range_bytes) continue;
        run->err = add_range(&run->set, gather->bytes);
        gather->len = 0;
    }
    return in.len;
}
