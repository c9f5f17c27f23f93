#include "loop_poll.h"

#include <stdlib.h>

#include "loop_private.h"

struct loop_poll {
    uv_poll_t uv;
    void (*readable)(void *holder);
    void *holder;
};

static void poll_on_event(uv_poll_t *uv, int status, int events)
{
    struct loop_poll *poll = uv->data;
    (void)status;
    (void)events;
    poll->readable(poll->holder);
}

static void poll_on_closed(uv_handle_t *handle) { free(handle->data); }

struct err loop_poll_open(struct loop *loop, int fd, void (*readable)(void *holder), void *holder,
                     struct loop_poll **ret)
{
    struct loop_poll *poll = calloc(1, sizeof(*poll));
    if (poll == NULL) return err_make(ERR_NOMEM, "poll");
    poll->readable = readable;
    poll->holder = holder;
    int uv = uv_poll_init(&loop->uv, &poll->uv, fd);
    if (uv != 0) {
        free(poll);
        return err_make_detail(ERR_IO, uv, "poll");
    }
    poll->uv.data = poll;
    uv = uv_poll_start(&poll->uv, UV_READABLE, poll_on_event);
    if (uv != 0) {
        uv_close((uv_handle_t *)&poll->uv, poll_on_closed);
        return err_make_detail(ERR_IO, uv, "poll");
    }
    uv_unref((uv_handle_t *)&poll->uv); /* it alone keeps no program running */
    *ret = poll;
    return err_ok();
}

void loop_poll_close(struct loop_poll *poll)
{
    if (poll == NULL) return;
    uv_poll_stop(&poll->uv);
    uv_close((uv_handle_t *)&poll->uv, poll_on_closed);
}
