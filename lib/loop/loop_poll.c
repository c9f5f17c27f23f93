#include "loop_poll.h"

#include <stdlib.h>

#include "loop_private.h"

struct loop_poll {
    uv_poll_t uv;
    void (*readable)(void *holder);
    void (*ready)(void *holder, int events);
    void *holder;
    int waits; /* LOOP_POLL_... */
};

static void poll_on_event(uv_poll_t *uv, int status, int events)
{
    struct loop_poll *poll = uv->data;
    int came = ((events & UV_READABLE) != 0 ? LOOP_POLL_READ : 0) |
               ((events & UV_WRITABLE) != 0 ? LOOP_POLL_WRITE : 0);
    if (poll->readable != NULL) poll->readable(poll->holder);
    else poll->ready(poll->holder, status != 0 ? poll->waits : came);
}

static void poll_on_closed(uv_handle_t *handle) { free(handle->data); }

static struct err poll_new(struct loop *loop, int fd, void *holder, struct loop_poll **ret)
{
    struct loop_poll *poll = calloc(1, sizeof(*poll));
    if (poll == NULL) return err_make(ERR_NOMEM, "poll");
    poll->holder = holder;
    int uv = uv_poll_init(&loop->uv, &poll->uv, fd);
    if (uv != 0) {
        free(poll);
        return err_make_detail(ERR_IO, uv, "poll");
    }
    poll->uv.data = poll;
    uv_unref((uv_handle_t *)&poll->uv); /* it alone keeps no program running */
    *ret = poll;
    return err_ok();
}

struct err loop_poll_wait(struct loop_poll *poll, int events)
{
    int wanted = ((events & LOOP_POLL_READ) != 0 ? UV_READABLE : 0) |
                 ((events & LOOP_POLL_WRITE) != 0 ? UV_WRITABLE : 0);
    poll->waits = events;
    int uv = wanted == 0 ? uv_poll_stop(&poll->uv)
                         : uv_poll_start(&poll->uv, wanted, poll_on_event);
    return uv == 0 ? err_ok() : err_make_detail(ERR_IO, uv, "poll");
}

struct err loop_poll_open(struct loop *loop, int fd, void (*readable)(void *holder), void *holder,
                          struct loop_poll **ret)
{
    struct loop_poll *poll;
    TRY(poll_new(loop, fd, holder, &poll));
    poll->readable = readable;
    struct err err = loop_poll_wait(poll, LOOP_POLL_READ);
    if (err.code != ERR_OK) loop_poll_close(poll);
    else *ret = poll;
    return err;
}

struct err loop_poll_open_any(struct loop *loop, int fd, void (*ready)(void *holder, int events),
                              void *holder, struct loop_poll **ret)
{
    struct loop_poll *poll;
    TRY(poll_new(loop, fd, holder, &poll));
    poll->ready = ready;
    *ret = poll;
    return err_ok();
}

void loop_poll_close(struct loop_poll *poll)
{
    if (poll == NULL) return;
    uv_poll_stop(&poll->uv);
    uv_close((uv_handle_t *)&poll->uv, poll_on_closed);
}
