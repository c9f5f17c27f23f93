/* How many domains a tenant has: exact also while several frontends make and delete them at once.
 *
 *   counts/domains/<tenant, 10 digits>   {"count": n}; without one it is not counted yet
 *
 * The row is there from when the tenant first has a limit. A domain is made or deleted in one
 * change with it: by compare-and-swap, so that of two that saw the same count one has to look
 * again; while there is none, the change holds only if there still is none. What is not counted
 * yet, and what would be refused, is counted from the domains themselves once the row's revision is
 * known: whoever makes one meanwhile changes the row. */
#include <stdlib.h>
#include <string.h>

#include "api_state_private.h"
#include "coord.h"

enum {
    TRIES_MAX = 64,    /* each but the last was because somebody else's came about */
    KEY_BYTES = 32,
    VALUE_BYTES = 48,
    UNKNOWN = -1,
};

/* In the call's arena. */
struct domain_change {
    struct api_call *call;
    uint32_t tenant;
    uint64_t limit;      /* 0: any number */
    bool remove;
    struct span row;     /* the domain's */
    unsigned tries;
    uint64_t revision;   /* of the row; 0: there is none */
    int64_t count;
    char key[KEY_BYTES];
    char value[VALUE_BYTES];
};

static struct coord *coord_of(const struct domain_change *change)
{
    return change->call->api->options.coord;
}

static struct span key_of(const struct domain_change *change)
{
    return span_of(change->key, strlen(change->key));
}

static void look(struct domain_change *change);

static void again(struct domain_change *change)
{
    if (++change->tries < TRIES_MAX) look(change);
    else api_fail(change->call, err_make(ERR_BUSY, "domains of the tenant"));
}

/* ---- the change */

static void on_domain(void *holder, struct err err)
{
    struct domain_change *change = holder;
    struct api_call *call = change->call;
    struct coord_row row = { .revision = 0 };
    if (err.code != ERR_OK) {
        api_fail(call, err);
        return;
    }
    (void)coord_get(coord_of(change), call->key, &row);
    if (row.revision == call->revision) {
        again(change); /* it was the count */
    } else if (change->remove || call->is_row) {
        /* A row of an import: another has made it meanwhile, maybe the same; it is to be looked at
         * again. */
        api_fail(call, err_make(ERR_CONFLICT, "domain"));
    } else {
        api_refuse(call, 409, "Exists", "there is a domain of this name");
    }
}

static void on_changed(void *holder, struct err err, uint64_t revision)
{
    struct domain_change *change = holder;
    struct api_call *call = change->call;
    (void)revision;
    if (err.code == ERR_CONFLICT) {
        err = coord_refresh_start(coord_of(change), call->key, on_domain, change);
        if (err.code == ERR_OK) return;
    }
    if (err.code != ERR_OK) {
        api_fail(call, err);
        return;
    }
    struct coord_row row; /* its version, unless somebody has overwritten it by now */
    if (coord_get(coord_of(change), call->key, &row) && span_eq(row.value, change->row)) {
        api_tag(call, row.revision);
    }
    flow_next(&call->flow, err_ok());
}

static void commit(struct domain_change *change)
{
    struct api_call *call = change->call;
    int64_t count = change->count + (change->remove ? -1 : 1);
    int len = snprintf(change->value, sizeof(change->value), "{\"count\":%lld}",
                       (long long)(count < 0 ? 0 : count));
    const struct coord_item items[2] = {
        { .key = call->key, .revision = call->revision,
          .value = change->row,
          .action = change->remove ? COORD_DELETE : COORD_PUT },
        { .key = key_of(change), .revision = change->revision,
          .value = span_of(change->value, (size_t)len),
          .action = change->revision == 0 ? COORD_COMPARE : COORD_PUT },
    };
    const struct coord_change both = { .items = items, .count = 2 };
    struct err err = coord_change_start(coord_of(change), call->api->options.crew, &both,
                                        on_changed, change);
    if (err.code != ERR_OK) api_fail(call, err);
}

/* ---- the count */

static bool is_full(const struct domain_change *change)
{
    return !change->remove && change->limit != 0 && change->count >= (int64_t)change->limit;
}

static void on_domains(void *holder, struct err err)
{
    struct domain_change *change = holder;
    struct api_call *call = change->call;
    if (err.code != ERR_OK) {
        api_fail(call, err);
        return;
    }
    change->count = (int64_t)api_rows_of_tenant(call, "domains/", change->tenant);
    if (!is_full(change)) {
        commit(change);
        return;
    }
    api_refuse(call, 409, "Over quota", "the tenant has as many domains as it may: %llu",
               (unsigned long long)change->limit);
}

/* Somebody else may have been quicker: it is there then all the same. */
static void on_begun(void *holder, struct err err)
{
    struct domain_change *change = holder;
    if (err.code == ERR_OK || err.code == ERR_CONFLICT) again(change);
    else api_fail(change->call, err);
}

static void read_row(struct domain_change *change)
{
    struct coord_row row;
    change->revision = 0;
    change->count = 0;
    if (!coord_get(coord_of(change), key_of(change), &row)) return;
    json_t *json = json_loadb(row.value.ptr, row.value.len, 0, NULL);
    const json_t *count = json_object_get(json, "count");
    bool good = json_is_integer(count) && json_integer_value(count) >= 0;
    change->revision = row.revision;
    change->count = good ? (int64_t)json_integer_value(count) : UNKNOWN;
    json_decref(json);
}

static void on_row(void *holder, struct err err)
{
    struct domain_change *change = holder;
    struct coord *coord = coord_of(change);
    if (err.code == ERR_OK) {
        read_row(change);
        if (change->revision == 0 && change->limit != 0 && !change->remove) {
            const struct coord_row row = { .key = key_of(change), .value = SPAN("{}") };
            err = coord_put_start(coord, change->call->api->options.crew, &row, on_begun, change);
        } else if (change->count == UNKNOWN || is_full(change)) {
            err = coord_refresh_start(coord, SPAN("domains/"), on_domains, change);
        } else {
            commit(change);
        }
    }
    if (err.code != ERR_OK) api_fail(change->call, err);
}

static void look(struct domain_change *change)
{
    struct err err = coord_refresh_start(coord_of(change), key_of(change), on_row, change);
    if (err.code != ERR_OK) api_fail(change->call, err);
}

/* As it is written. */
static struct err keep_row(struct domain_change *change)
{
    struct api_call *call = change->call;
    char *text = json_dumps(call->row, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL) return err_make(ERR_NOMEM, "domain");
    struct err err = arena_copy(&call->arena, span_of(text, strlen(text)), &change->row);
    free(text);
    return err;
}

void api_domain_change(struct api_call *call, uint32_t number, bool remove)
{
    const struct directory *directory = call->api->options.resolver->directory;
    const struct directory_tenant *tenant = directory_tenant(directory, number);
    struct domain_change *change = arena_alloc(&call->arena, sizeof(*change));
    if (!api_match(call, call->revision)) return;
    if (change == NULL) {
        api_fail(call, err_make(ERR_NOMEM, "domain"));
        return;
    }
    *change = (struct domain_change){ .call = call, .tenant = number, .remove = remove };
    change->limit = tenant == NULL ? 0 : tenant->domains_max;
    struct err err = remove ? err_ok() : keep_row(change);
    if (err.code != ERR_OK) {
        api_fail(call, err);
        return;
    }
    snprintf(change->key, sizeof(change->key), "counts/domains/%010u", (unsigned)number);
    look(change);
}
