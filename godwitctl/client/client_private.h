/* client_private.h: what the files of this folder share. */
#ifndef MAIL_CLIENT_PRIVATE_H
#define MAIL_CLIENT_PRIVATE_H

#include <jansson.h>

#include "client.h"

enum {
    CLIENT_COLUMNS_MAX = 12,
    CLIENT_TABLE_MAX_BYTES = 64,
    CLIENT_FIELDS_MAX = 16,
    CLIENT_PATH_MAX_BYTES = 2048,
    CLIENT_CURSOR_MAX_BYTES = 8 * 1024, /* a path with the place in a log */
};

struct client_column;
struct client_command;

/* What the words of one command lead to. */
struct client_asking {
    const struct client_command *command;
    json_t *members;
    const char *argument; /* the one in the path */
};

/* Reads the words behind noun and verb. False: what is wrong was said. */
bool client_read_words(struct client_asking *asking, int count, char **words);
/* The path with its argument; for GET the members become the query. False: too long. */
bool client_make_path(const struct client_asking *asking, char *to, size_t size);

/* One command that is one request, or one for each page of a list. */
enum client_exit client_ask(const struct client *client, const struct client_asking *asking);
/* A request whose answer is JSON, or none. CLIENT_OK: `*ret` is the caller's, or NULL and `*text`
 * (malloc'd) what is no JSON; else what is wrong was said. */
enum client_exit client_get(const struct client *client, const char *method, const char *path,
                            const char *body, json_t **ret, char **text);
enum client_exit client_tail(const struct client *client, const struct client_asking *asking);
enum client_exit client_api(const struct client *client, int count, char **words);
enum client_exit client_completion(int count, char **words);
enum client_exit client_manual(int count, char **words);

/* client_help.c: about what is no command, or no option, and what is near it. */
void client_no_command(const char *noun, const char *verb);
void client_no_option(const struct client_command *command, const char *name);

/* The columns of a noun; returns how many. */
size_t client_columns(const char *noun, const struct client_column *ret[CLIENT_COLUMNS_MAX]);

/* Cuts a line without its end into fields, in place: "a","b ""c""",d. False: a quote is not closed,
 * or there are too many. */
bool client_csv_cut(char *line, char *fields[CLIENT_FIELDS_MAX], size_t *ret_count);

/* Control characters become '?'. */
void client_make_plain(char *text);
void client_cell_text(const json_t *value, char *to, size_t size);
/* A table: a heading if `first`, with widths by the first rows, then the rows. */
struct client_table {
    const char *noun;
    bool has_heading;
    size_t widths[CLIENT_COLUMNS_MAX];
};
void client_table_put(struct client_table *table, const json_t *items);
void client_print(const struct client *client, const char *noun, json_t *reply);
/* The answer to `cluster status`. */
void client_print_status(json_t *reply);
/* The problem document of a refusal (RFC 9457), in a line. */
void client_print_problem(long status, const json_t *reply);

#endif
