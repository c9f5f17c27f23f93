/* The password of a user that is made or changed: hashed on the crew, or given as a hash. */
#include <string.h>

#include "api_state_private.h"
#include "api_users_private.h"
#include "conf.h"
#include "directory.h"
#include "login_policy.h"
#include "password.h"

static void hash_run(struct crew_job *job)
{
    struct api_call *call = LIST_ITEM(job, struct api_call, job);
    char hash[API_PASSWORD_HASH_BYTES];
    struct err err = call->api->options.hash_password(call->text, call->hash_memory_kib,
                                                      call->hash_passes, hash);
    if (err.code == ERR_OK) {
        err = arena_copy(&call->arena, span_of(hash, strlen(hash)), &call->account.password);
    }
    if (err.code != ERR_OK) call->status = 503;
}

static void hash_done(struct crew_job *job)
{
    struct api_call *call = LIST_ITEM(job, struct api_call, job);
    call->text = SPAN("");
    if (call->status == 503) api_fail(call, err_make(ERR_BUSY, "password"));
    else flow_next(&call->flow, err_ok());
}

/* Whether the domain's rules allow a new password. False: refused. */
static bool password_may(struct api_call *call, struct span password)
{
    const struct conf *conf = directory_conf(call->directory, call->domain);
    const struct login_policy policy = {
        .length_min = (uint32_t)conf_number(conf, CONF_PASSWORD_LENGTH_MIN),
        .classes_min = (uint32_t)conf_number(conf, CONF_PASSWORD_CLASSES_MIN),
        .names_allowed = conf_bool(conf, CONF_PASSWORD_NAMES),
    };
    const struct login_names names = { call->local, call->domain, call->account.full_name };
    switch (login_policy_check(&policy, password, &names)) {
    case LOGIN_FAULT_NONE: return true;
    case LOGIN_FAULT_SHORT:
        api_refuse(call, 400, "Bad value", "password: at least %u characters (%s)",
                   (unsigned)policy.length_min, conf_key_text(CONF_PASSWORD_LENGTH_MIN));
        return false;
    case LOGIN_FAULT_CLASSES:
        api_refuse(call, 400, "Bad value",
                   "password: at least %u of small letters, capitals, digits, others (%s)",
                   (unsigned)policy.classes_min, conf_key_text(CONF_PASSWORD_CLASSES_MIN));
        return false;
    case LOGIN_FAULT_NAME:
        api_refuse(call, 400, "Bad value",
                   "password: without the user's name, the domain's or parts of the full name (%s)",
                   conf_key_text(CONF_PASSWORD_NAMES));
        return false;
    }
    return false;
}

/* A hash that another server has made. False: refused. */
static bool hash_take(struct api_call *call)
{
    struct span text = SPAN(""), hash;
    if (json_object_get(call->in, "password_hash") == NULL) return true;
    if (!api_in_text(call, "password_hash", API_ADDRESS_BYTES, &text)) return false;
    if (json_object_get(call->in, "password") != NULL) {
        api_refuse(call, 400, "Bad value", "password_hash: not together with password");
        return false;
    }
    if (password_taken(text, &hash).code != ERR_OK) {
        api_refuse(call, 400, "Bad value", "password_hash: one of %s, of bounded cost",
                   PASSWORD_FORMS);
        return false;
    }
    call->account.password = hash;
    return true;
}

static bool password_check(struct api_call *call)
{
    struct span password = SPAN("");
    if (!hash_take(call)) return false;
    if (!api_in_text(call, "password", PASSWORD_MAX_BYTES, &password)) return false;
    call->text = password;
    return json_object_get(call->in, "password") == NULL || password_may(call, password);
}

void api_step_password_check(struct flow *flow)
{
    if (password_check(api_of(flow))) flow_next(flow, err_ok());
}

void api_step_password_hash(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    if (json_object_get(call->in, "password") == NULL) {
        flow_next(flow, err_ok());
        return;
    }
    const struct api_options *options = &call->api->options;
    const struct conf *conf = options->conf(options->holder);
    call->hash_memory_kib = (uint32_t)(conf_number(conf, CONF_PASSWORD_ARGON2_MEMORY) / 1024);
    call->hash_passes = (uint32_t)conf_number(conf, CONF_PASSWORD_ARGON2_PASSES);
    call->job = (struct crew_job){ .run = hash_run, .done = hash_done,
                                   .loop = options->loop };
    struct err err = crew_run(options->hash_crew, &call->job);
    if (err.code != ERR_OK) api_fail(call, err);
}

void api_step_password(struct flow *flow)
{
    if (password_check(api_of(flow))) api_step_password_hash(flow);
}
