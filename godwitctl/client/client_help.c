/* Help, and what is meant by a word that is none: the nearest one. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "client_private.h"
#include "client_table.h"

enum { HEAD_BYTES = 80, NEAR_WORD_MAX_BYTES = 40, NEAR_WORDS_BYTES = 2 * NEAR_WORD_MAX_BYTES };

static void put_commands(FILE *to, const char *noun)
{
    for (size_t i = 0; i < client_commands_count; i++) {
        const struct client_command *c = &client_commands[i];
        char head[HEAD_BYTES];
        if (noun != NULL && strcmp(c->noun, noun) != 0) continue;
        snprintf(head, sizeof(head), "%s%s%s%s%s", c->noun, c->verb[0] != '\0' ? " " : "", c->verb,
                 c->arguments[0] != '\0' ? " " : "", c->arguments);
        fprintf(to, "  %-36s %s\n", head, c->text);
    }
}

static bool has_list(const char *noun)
{
    for (size_t i = 0; i < client_commands_count; i++) {
        const struct client_command *command = &client_commands[i];
        if (strcmp(command->noun, noun) == 0 && client_command_is_list(command)) return true;
    }
    return false;
}

static void put_options(FILE *to, const char *noun)
{
    for (size_t i = 0; i < client_options_count; i++) {
        const struct client_option *option = &client_options[i];
        char head[HEAD_BYTES];
        bool of_lists = strcmp(option->noun, "*") == 0;
        if (noun != NULL && strcmp(option->noun, noun) != 0 && !(of_lists && has_list(noun))) {
            continue;
        }
        snprintf(head, sizeof(head), "%s %s", of_lists ? "(lists)" : option->noun, option->name);
        fprintf(to, "  %-36s %s\n", head, option->text);
    }
}

static void put_end(FILE *to)
{
    fprintf(to, "\nGODWIT_API and GODWIT_TOKEN, or --endpoints-file, say where the API is.\n"
                "Exit status: 0 done, 1 refused, 2 usage, 3 not reachable.\n");
}

void client_usage(bool to_stderr)
{
    FILE *to = to_stderr ? stderr : stdout;
    fprintf(to, "usage: godwitctl [--output table|json] [--endpoints-file FILE] COMMAND\n\n");
    put_commands(to, NULL);
    fprintf(to, "\noptions:\n");
    put_options(to, NULL);
    put_end(to);
}

bool client_help(const char *noun, bool to_stderr)
{
    FILE *to = to_stderr ? stderr : stdout;
    if (!client_is_noun(noun)) return false;
    fprintf(to, "usage: godwitctl [--output table|json] [--endpoints-file FILE] %s ...\n\n", noun);
    put_commands(to, noun);
    fprintf(to, "\noptions:\n");
    put_options(to, noun);
    put_end(to);
    return true;
}

/* ---- the nearest word */

/* How many letters are put in, left out or changed (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t row[NEAR_WORD_MAX_BYTES + 1], a_len = strlen(a), b_len = strlen(b);
    if (a_len > NEAR_WORD_MAX_BYTES || b_len > NEAR_WORD_MAX_BYTES) return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++) row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t changed = corner + ((a[i - 1] | 0x20) != (b[j - 1] | 0x20));
            corner = row[j];
            size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = changed < least ? changed : least;
        }
    }
    return row[b_len];
}

/* Near enough that it may be meant. */
static bool is_near(size_t far, const char *word)
{
    size_t len = strlen(word);
    return far <= 1 + len / 4 && far < len;
}

void client_no_command(const char *noun, const char *verb)
{
    const struct client_command *best = NULL;
    size_t best_far = SIZE_MAX;
    char given[NEAR_WORDS_BYTES + 2], name[NEAR_WORDS_BYTES + 2];
    snprintf(given, sizeof(given), "%s%s%s", noun, verb[0] != '\0' ? " " : "", verb);
    for (size_t i = 0; i < client_commands_count; i++) {
        const struct client_command *command = &client_commands[i];
        size_t far = distance(noun, command->noun);
        if (!is_near(far, noun) && far > 0) continue;
        if (verb[0] != '\0') {
            size_t verb_far = distance(verb, command->verb);
            if (!is_near(verb_far, verb) && verb_far > 0) continue;
            far += verb_far;
        }
        if (far < best_far) {
            best_far = far;
            best = command;
        }
    }
    if (best == NULL) {
        fprintf(stderr, "godwitctl: no such command: %s (see godwitctl help%s%s)\n", given,
                client_is_noun(noun) ? " " : "", client_is_noun(noun) ? noun : "");
        return;
    }
    bool with_verb = verb[0] != '\0' && best->verb[0] != '\0';
    snprintf(name, sizeof(name), "%s%s%s", best->noun, with_verb ? " " : "",
             with_verb ? best->verb : "");
    fprintf(stderr, "godwitctl: no such command: %s; did you mean %s?\n", given, name);
}

void client_no_option(const struct client_command *command, const char *name)
{
    const char *best = NULL;
    size_t best_far = SIZE_MAX;
    for (size_t i = 0; i < client_options_count; i++) {
        const struct client_option *option = &client_options[i];
        size_t far = distance(name, option->name);
        if (client_option_find(command, option->name) == NULL || !is_near(far, name)) continue;
        if (far < best_far) best = option->name;
        if (far < best_far) best_far = far;
    }
    fprintf(stderr, "godwitctl: no such option: %s", name);
    if (best != NULL) fprintf(stderr, "; did you mean %s?", best);
    else fprintf(stderr, " (see godwitctl help %s)", command->noun);
    fprintf(stderr, "\n");
}
