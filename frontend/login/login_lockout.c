#include "login_lockout.h"

#include <string.h>

#include "meter.h"
#include "store_msg.h"

void login_lockout_begin(struct login_lockout *lockout, struct meter *meter,
                         const struct login_lockout_options *options, const uint8_t client[16])
{
    bool exempt = options->is_exempt != NULL && options->is_exempt(options->holder, client);
    *lockout = (struct login_lockout){ .meter = exempt ? NULL : meter, .options = options };
    lockout->err = err_ok();
    meter_network(client, lockout->ip);
}

void login_lockout_name(struct login_lockout *lockout, uint32_t tenant, struct span name)
{
    lockout->tenant = tenant;
    lockout->name = name;
}

static bool asks_name(const struct login_lockout *lockout)
{
    return lockout->meter != NULL && lockout->options->user_failures > 0 && lockout->name.len > 0;
}

static bool asks_address(const struct login_lockout *lockout)
{
    return lockout->meter != NULL && lockout->options->address_failures > 0;
}

static struct meter_ask ask_user(const struct login_lockout *lockout)
{
    const struct login_lockout_options *options = lockout->options;
    return (struct meter_ask){ .kind = STORE_TALLY_LOGIN_USER, .tenant = lockout->tenant,
                               .key = lockout->name, .deadline_ms = LOGIN_LOCKOUT_MS,
                               .limit = { options->user_failures, options->user_window_ms,
                                          options->user_hold_ms } };
}

static struct meter_ask ask_address(const struct login_lockout *lockout)
{
    const struct login_lockout_options *options = lockout->options;
    return (struct meter_ask){ .kind = STORE_TALLY_LOGIN_ADDRESS,
                               .key = span_of((const char *)lockout->ip, sizeof(lockout->ip)),
                               .deadline_ms = LOGIN_LOCKOUT_MS,
                               .limit = { options->address_failures, options->address_window_ms,
                                          options->address_hold_ms } };
}

bool login_lockout_is_held(const struct login_lockout *lockout)
{
    if (lockout->meter == NULL) return false;
    struct meter_ask user = ask_user(lockout), address = ask_address(lockout);
    if (lockout->is_held) return true;
    if (asks_name(lockout) &&
        meter_is_held(lockout->meter, user.kind, user.tenant, user.key)) {
        return true;
    }
    return asks_address(lockout) &&
           meter_is_held(lockout->meter, address.kind, address.tenant, address.key);
}

void login_lockout_ask_name(const struct login_lockout *lockout,
                            struct store_address_get_request *request)
{
    if (!asks_name(lockout)) return;
    struct meter_ask user = ask_user(lockout);
    request->login = true;
    request->login_limit = user.limit.limit;
    request->login_window_ms = user.limit.window_ms;
    request->login_hold_ms = user.limit.hold_ms;
}

void login_lockout_heard(struct login_lockout *lockout, const struct store_address_reply *reply)
{
    if (!asks_name(lockout)) return;
    struct meter_ask user = ask_user(lockout);
    lockout->had_failures = reply->login_failures > 0;
    lockout->is_held = reply->login_held_ms > 0;
    lockout->user_place = reply->login_reservation;
    lockout->is_busy = lockout->is_busy || reply->login_busy;
    meter_note_held(lockout->meter, &user, reply->login_held_ms);
}

/* ---- what is under way */

static void lockout_end_if_over(struct login_lockout *lockout)
{
    if (lockout->user != NULL || lockout->address != NULL) return;
    login_lockout_done *done = lockout->done;
    lockout->done = NULL;
    done(lockout->holder, lockout->err);
}

static void on_asked(void *holder, struct err err, const struct meter_result *result)
{
    struct login_lockout *lockout = holder;
    lockout->address = NULL;
    if (err.code == ERR_OK && result->held_ms > 0) err = err_make(ERR_LOCKED, "");
    if (err.code != ERR_OK) lockout->err = err;
    if (err.code == ERR_OK) {
        lockout->address_place = result->reservation;
        lockout->is_busy = lockout->is_busy || result->is_busy;
    }
    lockout_end_if_over(lockout);
}

static struct err start_address(struct login_lockout *lockout)
{
    struct meter_ask ask = ask_address(lockout);
    ask.reserve = true;
    return meter_check_start(lockout->meter, &ask, on_asked, lockout, &lockout->address);
}

bool login_lockout_ask(struct login_lockout *lockout, login_lockout_done *done, void *holder,
                       struct err *err)
{
    *err = err_ok();
    if (!asks_address(lockout)) return false;
    lockout->done = done;
    lockout->holder = holder;
    *err = start_address(lockout);
    return err->code == ERR_OK;
}

/* ---- places */

void login_lockout_give_back(struct login_lockout *lockout)
{
    if (lockout->user_place != 0) {
        struct meter_ask ask = ask_user(lockout);
        meter_release(lockout->meter, &ask, lockout->user_place);
    }
    if (lockout->address_place != 0) {
        struct meter_ask ask = ask_address(lockout);
        meter_release(lockout->meter, &ask, lockout->address_place);
    }
    lockout->user_place = lockout->address_place = 0;
}

bool login_lockout_is_busy(const struct login_lockout *lockout) { return lockout->is_busy; }

static void on_user_asked(void *holder, struct err err, const struct meter_result *result)
{
    struct login_lockout *lockout = holder;
    lockout->user = NULL;
    if (err.code == ERR_OK && result->held_ms > 0) err = err_make(ERR_LOCKED, "");
    if (err.code != ERR_OK) lockout->err = err;
    if (err.code == ERR_OK) {
        lockout->user_place = result->reservation;
        lockout->had_failures = result->count > 0;
        lockout->is_busy = lockout->is_busy || result->is_busy;
    }
    lockout_end_if_over(lockout);
}

bool login_lockout_look(struct login_lockout *lockout, login_lockout_done *done, void *holder,
                        struct err *err)
{
    *err = err_ok();
    lockout->is_busy = false;
    lockout->err = err_ok();
    lockout->done = done;
    lockout->holder = holder;
    if (asks_name(lockout)) {
        struct meter_ask ask = ask_user(lockout);
        ask.reserve = true;
        *err = meter_check_start(lockout->meter, &ask, on_user_asked, lockout, &lockout->user);
    }
    if (err->code == ERR_OK && asks_address(lockout)) *err = start_address(lockout);
    if (err->code != ERR_OK) login_lockout_cancel(lockout);
    return lockout->user != NULL || lockout->address != NULL;
}

static void on_user(void *holder, struct err err, const struct meter_result *result)
{
    struct login_lockout *lockout = holder;
    lockout->user = NULL;
    if (err.code != ERR_OK) lockout->err = err;
    else if (result->began) lockout->began |= LOGIN_LOCKED_USER;
    lockout_end_if_over(lockout);
}

static void on_address(void *holder, struct err err, const struct meter_result *result)
{
    struct login_lockout *lockout = holder;
    lockout->address = NULL;
    if (err.code != ERR_OK) lockout->err = err;
    else if (result->began) lockout->began |= LOGIN_LOCKED_ADDRESS;
    lockout_end_if_over(lockout);
}

bool login_lockout_failed(struct login_lockout *lockout, login_lockout_done *done, void *holder,
                          struct err *err)
{
    *err = err_ok();
    lockout->err = err_ok();
    lockout->done = done;
    lockout->holder = holder;
    if (asks_name(lockout)) {
        struct meter_ask ask = ask_user(lockout);
        ask.add = 1;
        ask.release = lockout->user_place;
        lockout->user_place = 0;
        *err = meter_check_start(lockout->meter, &ask, on_user, lockout, &lockout->user);
    }
    if (err->code == ERR_OK && asks_address(lockout)) {
        struct meter_ask ask = ask_address(lockout);
        ask.add = 1;
        ask.release = lockout->address_place;
        lockout->address_place = 0;
        *err = meter_check_start(lockout->meter, &ask, on_address, lockout, &lockout->address);
    }
    if (err->code != ERR_OK) login_lockout_cancel(lockout);
    return lockout->user != NULL || lockout->address != NULL;
}

/* Nobody waits for it, and when it gets lost the failures run out by themselves. */
void login_lockout_worked(struct login_lockout *lockout)
{
    if (asks_name(lockout) && lockout->had_failures) {
        struct meter_ask ask = ask_user(lockout);
        ask.clear = true;
        ask.release = lockout->user_place;
        lockout->user_place = 0;
        (void)!meter_check_start(lockout->meter, &ask, NULL, NULL, NULL).code;
    }
    login_lockout_give_back(lockout);
}

void login_lockout_cancel(struct login_lockout *lockout)
{
    meter_check_cancel(lockout->user);
    meter_check_cancel(lockout->address);
    lockout->user = lockout->address = NULL;
    login_lockout_give_back(lockout);
}
