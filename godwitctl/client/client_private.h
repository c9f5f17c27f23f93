/* client_private.h: what the files of this folder share. */
#ifndef MAIL_CLIENT_PRIVATE_H
#define MAIL_CLIENT_PRIVATE_H

#include <jansson.h>

#include "client.h"

enum { CLIENT_COLUMNS_MAX = 12, CLIENT_FIELDS_MAX = 16 };

struct client_column {
    const char *noun, *member, *heading;
};

/* The columns of a noun; returns how many. */
size_t client_columns(const char *noun, const struct client_column *ret[CLIENT_COLUMNS_MAX]);

/* Cuts a line without its end into fields, in place: "a","b ""c""",d. False: a quote is not closed,
 * or there are too many. */
bool client_csv_cut(char *line, char *fields[CLIENT_FIELDS_MAX], size_t *ret_count);

void client_print(const struct client *client, const char *noun, json_t *reply);
/* The problem document of a refusal (RFC 9457), in a line. */
void client_print_problem(long status, const json_t *reply);

#endif
