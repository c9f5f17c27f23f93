/* A user's new password: whether it may be one, and its hash, made on the crew. */
#include <string.h>

#include "api_state_private.h"
#include "conf.h"
#include "login_policy.h"

enum { PASSWORD_MAX_BYTES = 1024 };

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

/* Hashes the password of the request, when there is one. */
void api_step_password(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct span password = SPAN("");
    if (!api_in_text(call, "password", PASSWORD_MAX_BYTES, &password)) return;
    if (json_object_get(call->in, "password") == NULL) {
        flow_next(flow, err_ok());
        return;
    }
    if (!password_may(call, password)) return;
    const struct api_options *options = &call->api->options;
    const struct conf *conf = options->conf(options->holder);
    call->hash_memory_kib = (uint32_t)(conf_number(conf, CONF_PASSWORD_ARGON2_MEMORY) / 1024);
    call->hash_passes = (uint32_t)conf_number(conf, CONF_PASSWORD_ARGON2_PASSES);
    call->text = password;
    call->job = (struct crew_job){ .run = hash_run, .done = hash_done,
                                   .loop = options->loop };
    struct err err = crew_run(options->hash_crew, &call->job);
    if (err.code != ERR_OK) api_fail(call, err);
}
