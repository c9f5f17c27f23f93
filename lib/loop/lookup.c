#include "lookup.h"

#include <netdb.h>
#include <stdlib.h>

#include "crew.h"
#include "endpoint_private.h"
#include "list.h"

enum { LOOKUP_PORT_MAX_BYTES = 5 };

struct lookup {
    struct crew_job job;
    lookup_done *done; /* NULL: nobody waits for it any more */
    void *holder;
    struct endpoint found[LOOKUP_ADDRESSES_MAX];
    unsigned count;
    int error; /* of getaddrinfo */
    char name[LOOKUP_NAME_MAX_BYTES + 1], port[LOOKUP_PORT_MAX_BYTES + 1];
};

/* The last label is a number: it is an IP address, or was meant to be one. */
static bool lookup_ends_in_number(struct span name)
{
    size_t at = name.len;
    while (at > 0 && name.ptr[at - 1] >= '0' && name.ptr[at - 1] <= '9') at--;
    return at < name.len && (at == 0 || name.ptr[at - 1] == '.');
}

static bool lookup_split(struct span text, struct span *name, struct span *port)
{
    if (!span_cut(text, ':', name, port)) return false;
    if (name->len == 0 || name->len > LOOKUP_NAME_MAX_BYTES) return false;
    if (port->len == 0 || port->len > LOOKUP_PORT_MAX_BYTES) return false;
    for (size_t i = 0; i < port->len; i++) {
        if (port->ptr[i] < '0' || port->ptr[i] > '9') return false;
    }
    for (size_t i = 0; i < name->len; i++) {
        char c = name->ptr[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.' || c == '_';
        if (!fits) return false;
    }
    return !lookup_ends_in_number(*name);
}

bool lookup_is_name(struct span text)
{
    struct span name, port;
    return lookup_split(text, &name, &port);
}

/* On a thread of the crew. */
static void lookup_run(struct crew_job *job)
{
    struct lookup *lookup = LIST_ITEM(job, struct lookup, job);
    const struct addrinfo hints = { .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV,
                                    .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    lookup->error = getaddrinfo(lookup->name, lookup->port, &hints, &found);
    if (lookup->error != 0) return;
    for (struct addrinfo *at = found; at != NULL; at = at->ai_next) {
        union endpoint_socket address;
        if (lookup->count == LOOKUP_ADDRESSES_MAX) break;
        if (at->ai_addrlen > sizeof(address)) continue;
        memset(&address, 0, sizeof(address));
        memcpy(&address, at->ai_addr, at->ai_addrlen);
        lookup->found[lookup->count++] = endpoint_of_socket(&address);
    }
    freeaddrinfo(found);
}

static void lookup_on_done(struct crew_job *job)
{
    struct lookup *lookup = LIST_ITEM(job, struct lookup, job);
    struct err err = lookup->count > 0 ? err_ok()
                                       : err_make(ERR_UNREACHABLE, "there is no such name");
    if (lookup->done != NULL) lookup->done(lookup->holder, err, lookup->found, lookup->count);
    free(lookup);
}

struct err lookup_start(struct loop *loop, struct crew *crew, struct span text, lookup_done *done,
                        void *holder, struct lookup **ret)
{
    struct span name, port;
    if (!lookup_split(text, &name, &port)) return err_make(ERR_SYNTAX, "name of a program's host");
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    if (lookup == NULL) return err_make(ERR_NOMEM, "name");
    memcpy(lookup->name, name.ptr, name.len);
    memcpy(lookup->port, port.ptr, port.len);
    lookup->done = done;
    lookup->holder = holder;
    lookup->job = (struct crew_job){ .run = lookup_run, .done = lookup_on_done, .loop = loop };
    struct err err = crew_run(crew, &lookup->job);
    if (err.code != ERR_OK) {
        free(lookup);
        return err;
    }
    *ret = lookup;
    return err_ok();
}

void lookup_cancel(struct lookup *lookup) { lookup->done = NULL; }
