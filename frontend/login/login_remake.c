#include "login_remake.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "clock.h"
#include "crew.h"
#include "directory_resolve.h"
#include "id.h"
#include "list.h"
#include "login_cache.h"
#include "login_check.h"
#include "proto_message.h"
#include "route.h"
#include "slot.h"
#include "store_msg.h"

enum { REMAKE_ARENA_MAX_BYTES = 1024 * 1024, REMAKE_DEADLINE_MS = 30 * 1000 };

/* Hash, read the row, write it. Freed in remake_end() and nowhere else. */
struct login_remake {
    struct crew_job job;
    const struct login_services *services;
    struct login_subject subject;
    struct login_cost cost;
    struct arena arena;
    struct route_call *call;
    struct store_account_get_request get;
    struct store_account_set_request set;
    uint8_t operation[OPERATION_ID_BYTES];
    bool is_made, is_read;
    size_t stored_len, password_len, made_len;
    char stored[LOGIN_STORED_MAX_BYTES], made[LOGIN_STORED_MAX_BYTES];
    char password[LOGIN_CHECK_PASSWORD_MAX_BYTES];
};

static void remake_end(struct login_remake *remake)
{
    (*remake->services->remakes)--;
    arena_clear(&remake->arena);
    explicit_bzero(remake->password, sizeof(remake->password));
    free(remake);
}

static struct err remake_ask(struct login_remake *remake, unsigned method, const void *request,
                             const struct route_call_user *user)
{
    struct route_call_options options = { .slot = slot_of_account(remake->subject.account),
                                          .deadline_ms = REMAKE_DEADLINE_MS };
    return route_call_start(remake->services->resolver->route, store_method_find(method), request,
                            &options, user, remake, &remake->call);
}

/* ---- writing the row */

static void on_set(void *holder, struct route_call *call, const void *reply)
{
    (void)holder;
    (void)call;
    (void)reply;
}

static void on_set_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    (void)call;
    (void)err;
    (void)info;
    remake_end(holder);
}

/* ---- reading it */

/* Copies the account whole, for it is written whole. */
static struct err remake_keep(struct login_remake *remake, const struct store_account *account)
{
    struct span packed;
    TRY(proto_pack(&store_account_type, account, &remake->arena, &packed));
    return proto_unpack(&store_account_type, packed, &remake->arena, &remake->set.account);
}

static void on_account(void *holder, struct route_call *call, const void *message)
{
    struct login_remake *remake = holder;
    const struct store_account_reply *reply = message;
    (void)call;
    bool is_same = reply->has_account && reply->account.version == remake->subject.version &&
                   span_eq(reply->account.password, span_of(remake->stored, remake->stored_len));
    remake->is_read = is_same && remake_keep(remake, &reply->account).code == ERR_OK;
}

static void on_account_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    static const struct route_call_user user = { NULL, on_set, on_set_done };
    struct login_remake *remake = holder;
    (void)call;
    (void)info;
    if (err.code == ERR_OK && remake->is_read) {
        id_operation(clock_wall_ms(), remake->operation);
        remake->set.operation_id = span_of(remake->operation, sizeof(remake->operation));
        remake->set.has_account = true;
        remake->set.account.password = span_of(remake->made, remake->made_len);
        remake->set.if_version = remake->subject.version;
        err = remake_ask(remake, STORE_METHOD_ACCOUNT_SET, &remake->set, &user);
        if (err.code == ERR_OK) return;
    }
    remake_end(remake);
}

/* ---- the hash, on the crew */

static void make_run(struct crew_job *job)
{
    struct login_remake *remake = LIST_ITEM(job, struct login_remake, job);
    struct span password = span_of(remake->password, remake->password_len);
    struct err err = remake->services->make(password, &remake->cost, remake->made,
                                            &remake->made_len);
    remake->is_made = err.code == ERR_OK;
}

static void make_done(struct crew_job *job)
{
    static const struct route_call_user user = { NULL, on_account, on_account_done };
    struct login_remake *remake = LIST_ITEM(job, struct login_remake, job);
    remake->get = (struct store_account_get_request){ .tenant = remake->subject.tenant,
                                                      .account = remake->subject.account };
    struct err err = err_make(ERR_NOMEM, "hash");
    if (remake->is_made) err = remake_ask(remake, STORE_METHOD_ACCOUNT_GET, &remake->get, &user);
    if (err.code != ERR_OK) remake_end(remake);
}

void login_remake(const struct login_services *services, const struct login_subject *subject,
                  struct span stored, struct span password)
{
    if (services->make == NULL || *services->remakes >= LOGIN_REMAKES_MAX) return;
    if (!services->is_stale(stored, &services->cost)) return;
    bool fits = stored.len <= LOGIN_STORED_MAX_BYTES &&
                password.len <= LOGIN_CHECK_PASSWORD_MAX_BYTES;
    if (!fits) return;
    struct login_remake *remake = calloc(1, sizeof(*remake));
    if (remake == NULL) return;
    remake->services = services;
    remake->subject = *subject;
    remake->cost = services->cost;
    arena_init(&remake->arena, REMAKE_ARENA_MAX_BYTES);
    memcpy(remake->stored, stored.ptr, stored.len);
    remake->stored_len = stored.len;
    if (password.len > 0) memcpy(remake->password, password.ptr, password.len);
    remake->password_len = password.len;
    remake->job = (struct crew_job){ .run = make_run, .done = make_done, .loop = services->loop };
    (*services->remakes)++;
    if (crew_run(services->crew, &remake->job).code != ERR_OK) remake_end(remake);
}
