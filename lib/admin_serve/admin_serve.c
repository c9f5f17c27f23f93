#include "admin_serve.h"

#include <stdlib.h>
#include <string.h>

#include "admin_msg.h"
#include "body.h"
#include "boot.h"
#include "buf.h"
#include "log.h"
#include "log_line.h"
#include "program_announce.h"
#include "rpc_callers.h"
#include "rpc_server.h"

struct admin_serve {
    struct rpc_server *server;
    struct body_budget budget; /* no call has a body: none is taken */
};

static void serve_log_recent(void *holder, struct rpc_serving *serving)
{
    const struct admin_log_recent_request *request = rpc_serving_request(serving);
    struct log_recent ask = { .after = request->after, .lines_max = request->lines };
    struct admin_log_recent_reply reply = { .events = SPAN("") };
    struct buf out;
    (void)holder;
    if (!log_name_read(request->name, &ask.name) || request->after > INT64_MAX ||
        request->lines == 0 || request->lines > LOG_RECENT_LINES_MAX) {
        rpc_finish(serving, err_make(ERR_SYNTAX, "lines of a log"),
                   SPAN("a log's name, and 1 to 1000 lines"));
        return;
    }
    char *bytes = malloc(ADMIN_SERVE_REPLY_MAX_BYTES);
    if (bytes == NULL) {
        rpc_finish(serving, err_make(ERR_NOMEM, "lines of a log"), SPAN(""));
        return;
    }
    buf_init(&out, bytes, ADMIN_SERVE_REPLY_MAX_BYTES);
    log_recent_put(&ask, &out);
    reply.events = buf_span(&out);
    rpc_put_reply(serving, &reply);
    free(bytes);
    rpc_finish(serving, err_ok(), SPAN(""));
}

static const struct rpc_service_row rows[] = {
    { ADMIN_METHOD_LOG_RECENT, RPC_CALLERS_ADMIN_LOG_RECENT, serve_log_recent },
};

static void on_closed(void *holder) { free(holder); }

struct err admin_serve_open(struct loop *loop, const char *address, struct rpc_self *self,
                            struct admin_serve **ret)
{
    struct admin_serve *serve = calloc(1, sizeof(*serve));
    if (serve == NULL) return err_make(ERR_NOMEM, "calls about this program");
    const struct rpc_server_options options = {
        .addresses = &address,
        .addresses_count = 1,
        .self = self,
        .methods = admin_methods,
        .methods_count = ADMIN_METHODS,
        .rows = rows,
        .rows_count = sizeof(rows) / sizeof(rows[0]),
        .holder = serve,
        .budget = &serve->budget,
        .closed = on_closed,
    };
    struct err err = rpc_server_open(loop, &options, &serve->server);
    if (err.code == ERR_OK) *ret = serve;
    else free(serve);
    return err;
}

uint16_t admin_serve_port(const struct admin_serve *serve)
{
    return rpc_server_port(serve->server);
}

void admin_serve_close(struct admin_serve *serve)
{
    if (serve != NULL) rpc_server_close(serve->server);
}

/* ---- for main() */

struct err admin_serve_boot(const struct boot *boot, struct loop *loop, struct rpc_self *self,
                            struct admin_serve **ret)
{
    const char *address = boot_text(boot, "admin-listen");
    *ret = NULL;
    if (address[0] == '\0') return err_ok();
    struct err err = admin_serve_open(loop, address, self, ret);
    if (err.code != ERR_OK) {
        LOG(SERVICE_FAILED, NULL, log_words("admin"), log_words(address),
            log_words(err_text(err)));
    }
    return err;
}

struct span admin_serve_announced(const struct admin_serve *serve, const struct boot *boot,
                                  char text[ROSTER_ADDRESS_MAX_BYTES])
{
    if (serve == NULL) return SPAN("");
    return program_announce_inner(boot_text(boot, "announce"), boot_text(boot, "admin-listen"),
                                  admin_serve_port(serve), text);
}

struct err admin_serve_begin(const struct boot *boot, const struct admin_serve_program *program,
                             struct admin_serve **ret, struct program_announce **row)
{
    char text[ROSTER_ADDRESS_MAX_BYTES];
    struct program_announce_monitor announce = { program->loop, program->coord, program->kind,
                                                 program->monitor, SPAN("") };
    TRY(admin_serve_boot(boot, program->loop, program->self, ret));
    if (program->coord == NULL) return err_ok();
    announce.admin = admin_serve_announced(*ret, boot, text);
    return program_announce_boot(boot, &announce, row);
}
