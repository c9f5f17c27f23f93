#include "watch.h"

#include <stdlib.h>

#include "loop_private.h"

struct watch {
    uv_poll_t poll; /* its `data` is the watch */
    void (*readable)(void *holder);
    void *holder;
};

static void watch_on_event(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    (void)status; /* an error shows when the owner reads */
    (void)events;
    watch->readable(watch->holder);
}

static void watch_on_closed(uv_handle_t *handle) { free(handle->data); }

struct err watch_open(struct loop *loop, int fd, void (*readable)(void *holder), void *holder,
                      struct watch **ret)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) return err_make(ERR_NOMEM, "watch");
    watch->readable = readable;
    watch->holder = holder;
    watch->poll.data = watch;
    int uv = uv_poll_init(&loop->uv, &watch->poll, fd);
    if (uv != 0) {
        free(watch);
        return err_make_detail(ERR_IO, -uv, "watch");
    }
    uv = uv_poll_start(&watch->poll, UV_READABLE | UV_DISCONNECT, watch_on_event);
    if (uv != 0) {
        uv_close((uv_handle_t *)&watch->poll, watch_on_closed);
        return err_make_detail(ERR_IO, -uv, "watch");
    }
    uv_unref((uv_handle_t *)&watch->poll);
    *ret = watch;
    return err_ok();
}

void watch_close(struct watch *watch)
{
    if (watch == NULL) return;
    uv_close((uv_handle_t *)&watch->poll, watch_on_closed);
}
