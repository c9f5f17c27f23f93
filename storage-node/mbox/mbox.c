#include "mbox.h"

#include "kv.h"
#include "mbox_cmd_private.h"
#include "store_msg.h"

/* Handlers get their request as it is; the table has one row per command. */
typedef struct err (*mbox_handler)(struct mbox_work *, const void *request, struct body *);

#define MBOX_COMMAND(method, request, name)                                                      \
    static struct err run_##name(struct mbox_work *work, const void *message, struct body *body) \
    {                                                                                            \
        const struct request *typed = message;                                                   \
        return mbox_cmd_##name(work, typed, body);                                               \
    }
#include "mbox_commands.def"
#undef MBOX_COMMAND

static const struct {
    unsigned method;
    mbox_handler run;
} commands[] = {
#define MBOX_COMMAND(method, request, name) { STORE_METHOD_##method, run_##name },
#include "mbox_commands.def"
#undef MBOX_COMMAND
};

static mbox_handler find(unsigned method)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (commands[i].method == method) return commands[i].run;
    return NULL;
}

bool mbox_is_change(unsigned method) { return find(method) != NULL; }

struct err mbox_change(const struct mbox_context *context, unsigned method, const void *request,
                       struct body *body, struct mbox_result *result)
{
    struct mbox_work work;
    mbox_handler run = find(method);
    if (run == NULL) return err_make(ERR_UNSUPPORTED, "method that changes nothing");
    mbox_work_init(&work, context, result);
    struct err err = run(&work, request, body);
    if (err.code == ERR_OK) err = mbox_work_end_part(&work);
    mbox_work_free(&work);
    if (err.code != ERR_OK) mbox_result_free(result);
    return err;
}
