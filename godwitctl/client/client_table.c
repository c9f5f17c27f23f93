#include "client_table.h"

#include <string.h>

const struct client_command client_commands[] = {
#define CLIENT_COMMAND(noun, verb, method, path, arguments, text) \
    { noun, verb, method, path, arguments, text },
#define CLIENT_LOCAL(noun, verb, arguments, text) { noun, verb, NULL, NULL, arguments, text },
#include "client_commands.def"
};

const struct client_option client_options[] = {
#define CLIENT_OPTION(noun, name, member, kind, text) { noun, name, member, kind, text },
#include "client_commands.def"
};

const struct client_column client_columns_all[] = {
#define CLIENT_COLUMN(noun, member, heading) { noun, member, heading },
#include "client_commands.def"
};

const size_t client_commands_count = sizeof(client_commands) / sizeof(client_commands[0]);
const size_t client_options_count = sizeof(client_options) / sizeof(client_options[0]);
const size_t client_columns_count = sizeof(client_columns_all) / sizeof(client_columns_all[0]);

const struct client_command *client_command_find(const char *noun, const char *verb)
{
    for (size_t i = 0; i < client_commands_count; i++) {
        const struct client_command *command = &client_commands[i];
        if (command->method != NULL && strcmp(command->noun, noun) == 0 &&
            strcmp(command->verb, verb) == 0) {
            return command;
        }
    }
    return NULL;
}

bool client_command_is_list(const struct client_command *command)
{
    if (command->method == NULL || strcmp(command->method, "GET") != 0) return false;
    return strcmp(command->verb, "list") == 0 || strcmp(command->verb, "shards") == 0;
}

const struct client_option *client_option_find(const struct client_command *command,
                                               const char *name)
{
    for (unsigned pass = 0; pass < 2; pass++) {
        const char *noun = pass == 0 ? command->noun : "*";
        if (pass == 1 && !client_command_is_list(command)) break;
        for (size_t i = 0; i < client_options_count; i++) {
            const struct client_option *option = &client_options[i];
            if (strcmp(option->noun, noun) == 0 && strcmp(option->name, name) == 0) return option;
        }
    }
    return NULL;
}

bool client_option_is_bare(const struct client_option *option)
{
    return option->kind == FLAG || option->kind == NOFLAG;
}

bool client_is_new_noun(size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(client_commands[i].noun, client_commands[index].noun) == 0) return false;
    }
    return true;
}

bool client_is_noun(const char *noun)
{
    for (size_t i = 0; i < client_commands_count; i++) {
        if (strcmp(client_commands[i].noun, noun) == 0) return true;
    }
    return false;
}
