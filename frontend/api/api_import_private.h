/* api_import_private.h: many rows in one call.
 *
 * Each row is a call without a request of its own, with steps like any other's; ROWS_AT_ONCE of
 * them are under way. It has an answer of its own: made; unchanged (it is there already, as the row
 * says); refused, with the member and why; failed, which may be repeated. So a repeat of the same
 * rows goes on where an earlier call broke off. */
#ifndef MAIL_API_IMPORT_PRIVATE_H
#define MAIL_API_IMPORT_PRIVATE_H

#include "api_state_private.h"

struct api_import_kind {
    const char *array;   /* member of the request */
    const char *name;    /* member of a row that names it: what is refused, unless it is said */
    const char *members; /* of a row */
    const struct flow_step *steps;
};

/* Freed when its steps are over. */
struct api_row {
    struct api_call call; /* first */
    struct api_import *import;
    size_t index;
    unsigned tries;
    uint64_t version;    /* of the account that is there */
    const char *differs; /* a member that what is there has otherwise */
    bool is_ours;        /* the account that is there has this address */
    bool is_there;       /* the answer is "unchanged" */
    bool looked_again;   /* after a further address was found to be taken */
};

struct api_row *api_row_of(struct flow *flow);
/* Ends a step; the row goes on with other steps. */
void api_row_go(struct flow *flow, const struct flow_step *steps);
/* The same, for somebody else was at it meanwhile; a few times. */
void api_row_again(struct flow *flow, const struct flow_step *steps);

/* The steps of the call: all rows; one line in the log when something was made; and the answer. */
void api_import_begin(struct api_call *call, const struct api_import_kind *kind);
void api_import_audit(struct flow *flow);
void api_import_show(struct flow *flow);

#endif
