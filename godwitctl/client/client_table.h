/* client_table.h: the rows of client_commands.def, for all who work from them. */
#ifndef MAIL_CLIENT_TABLE_H
#define MAIL_CLIENT_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum client_kind { TEXT, SIZE, NUMBER, FLAG, NOFLAG, LIST };

/* `verb` is one word or two; empty: the noun is the command. */
struct client_command {
    const char *noun, *verb;
    const char *method, *path; /* NULL: it is not one request */
    const char *arguments, *text;
};
struct client_option {
    const char *noun, *name, *member;
    enum client_kind kind;
    const char *text;
};
struct client_column {
    const char *noun, *member, *heading;
};

extern const struct client_command client_commands[];
extern const struct client_option client_options[];
extern const struct client_column client_columns_all[];
extern const size_t client_commands_count, client_options_count, client_columns_count;

/* Of a command that is one request; NULL: none. */
const struct client_command *client_command_find(const char *noun, const char *verb);
/* A list, which has pages. */
bool client_command_is_list(const struct client_command *command);
/* An option of the noun, or of every list when the command is one; NULL: none. */
const struct client_option *client_option_find(const struct client_command *command,
                                               const char *name);
bool client_option_is_bare(const struct client_option *option); /* no value follows it */

/* Whether the row at `index` is the first with its noun. */
bool client_is_new_noun(size_t index);
bool client_is_noun(const char *noun);

#ifdef __cplusplus
}
#endif
#endif
