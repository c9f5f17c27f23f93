#include "coord_members.h"

#include <jansson.h>
#include <stdlib.h>

#include "coord_http_private.h"
#include "coord_options.h"
#include "coord_private.h"
#include "loop.h"

struct member {
    struct coord_members *members;
    struct coord_http_call *call;
    struct coord_member is;
};

struct coord_members {
    struct later later;
    void (*done)(void *holder);
    void *holder;
    size_t count, left;
    struct member each[COORD_ENDPOINTS_MAX];
};

static void on_end(struct later *later)
{
    struct coord_members *members = LIST_ITEM(later, struct coord_members, later);
    members->done(members->holder);
}

/* {"header": ..., "leader": "123", ...}; without a leader it is "0" or not there. */
static struct err read_status(struct span body)
{
    json_t *json = json_loadb(body.ptr, body.len, 0, NULL);
    const char *leader = json_string_value(json_object_get(json, "leader"));
    bool has_leader = leader != NULL && strcmp(leader, "0") != 0;
    bool is_status = json_object_get(json, "header") != NULL;
    json_decref(json);
    if (!is_status) return err_make(ERR_CORRUPT, "status of a member");
    return has_leader ? err_ok() : err_make(ERR_BUSY, "the members have no leader");
}

static void on_answer(void *holder, const struct coord_http_result *result)
{
    struct member *member = holder;
    struct coord_members *members = member->members;
    member->call = NULL;
    if (result->outcome != COORD_HTTP_ANSWERED) member->is.err = result->err;
    else if (result->status == 200) member->is.err = read_status(result->body);
    else member->is.err = err_make(ERR_DENIED, "status of a member");
    if (--members->left == 0) members->done(members->holder);
}

static void ask(struct coord_members *members, struct member *member,
                const struct coord_speaking *speaking)
{
    struct coord_http_request request = { .endpoint = member->is.name,
                                          .path = "/v3/maintenance/status",
                                          .token = speaking->token,
                                          .body = SPAN("{}"),
                                          .reply_max = COORD_MEMBER_REPLY_MAX_BYTES,
                                          .wait_ms = COORD_MEMBER_WAIT_MS,
                                          .done = on_answer,
                                          .holder = member };
    member->is.err = coord_http_start(speaking->http, &request, &member->call);
    if (member->is.err.code == ERR_OK) members->left++;
}

struct err coord_members_start(struct coord *coord, void (*done)(void *holder), void *holder,
                               struct coord_members **ret)
{
    const struct coord_options *options = &coord->options->options;
    struct coord_members *members = calloc(1, sizeof(*members));
    struct coord_speaking speaking = { .http = NULL };
    if (members == NULL) return err_make(ERR_NOMEM, "members of the store");
    members->done = done;
    members->holder = holder;
    bool speaks = coord->back != NULL && coord->back->ops->speaking != NULL;
    if (speaks) coord->back->ops->speaking(coord->back, &speaking);
    members->count = speaks ? speaking.options->endpoints_count : 1;
    for (size_t i = 0; i < members->count; i++) {
        struct member *member = &members->each[i];
        member->members = members;
        member->is.name = speaks ? speaking.options->endpoints[i] : options->directory;
        if (speaks) ask(members, member, &speaking);
        else member->is.err = coord_state(coord);
    }
    if (members->left == 0) later_post(loop_later(coord->loop), &members->later, on_end);
    *ret = members;
    return err_ok();
}

size_t coord_members_count(const struct coord_members *members) { return members->count; }

struct coord_member coord_members_at(const struct coord_members *members, size_t index)
{
    return members->each[index].is;
}

void coord_members_free(struct coord_members *members)
{
    if (members == NULL) return;
    later_cancel(&members->later);
    for (size_t i = 0; i < members->count; i++) coord_http_cancel(members->each[i].call);
    free(members);
}
