#include "signals.h"

#include <signal.h>
#include <stdlib.h>

#include "loop_private.h"

static const int signals_caught[] = { SIGTERM, SIGINT, SIGHUP };
enum { SIGNALS_COUNT = sizeof(signals_caught) / sizeof(signals_caught[0]) };

struct signals {
    uv_signal_t handles[SIGNALS_COUNT];
    unsigned open;
    void (*heard)(void *holder, int number);
    void *holder;
};

static void signals_on_signal(uv_signal_t *handle, int number)
{
    struct signals *signals = handle->data;
    signals->heard(signals->holder, number);
}

static void signals_on_closed(uv_handle_t *handle)
{
    struct signals *signals = handle->data;
    if (--signals->open == 0) free(signals);
}

struct err signals_open(struct loop *loop, void (*heard)(void *holder, int number), void *holder,
                        struct signals **ret)
{
    struct signals *signals = calloc(1, sizeof(*signals));
    if (signals == NULL) return err_make(ERR_NOMEM, "signals");
    signals->heard = heard;
    signals->holder = holder;
    int uv = 0;
    for (unsigned i = 0; i < SIGNALS_COUNT && uv == 0; i++) {
        uv_signal_t *handle = &signals->handles[i];
        uv = uv_signal_init(&loop->uv, handle);
        if (uv != 0) break;
        handle->data = signals;
        signals->open++;
        uv = uv_signal_start(handle, signals_on_signal, signals_caught[i]);
        uv_unref((uv_handle_t *)handle);
    }
    if (uv != 0) {
        if (signals->open == 0) {
            free(signals);
        } else {
            signals_close(signals);
        }
        return err_make_detail(ERR_IO, uv, "signals");
    }
    *ret = signals;
    return err_ok();
}

void signals_close(struct signals *signals)
{
    if (signals == NULL) return;
    /* Counted first: the last callback frees, and none runs inside uv_close. */
    for (unsigned i = 0, open = signals->open; i < open; i++) {
        uv_close((uv_handle_t *)&signals->handles[i], signals_on_closed);
    }
}
