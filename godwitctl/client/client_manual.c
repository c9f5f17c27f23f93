/* godwitctl manual: godwitctl(1) in man(7), from the rows; `manual options`: godwit.conf(5). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "client_private.h"
#include "client_table.h"
#include "conf_show.h"

/* Text as roff takes it: no request at the start of a line, hyphens that can be copied. */
static void put(const char *text)
{
    if (*text == '.' || *text == '\'') printf("\\&");
    for (; *text != '\0'; text++) {
        if (*text == '\\') printf("\\e");
        else if (*text == '-') printf("\\-");
        else printf("%c", *text);
    }
}

static void put_line(const char *text)
{
    put(text);
    printf("\n");
}

/* "address size" as two words in italics. */
static void put_arguments(const char *words)
{
    while (*words != '\0') {
        size_t len = strcspn(words, " ");
        char word[64];
        snprintf(word, sizeof(word), "%.*s", (int)len, words);
        printf(" \\fI");
        put(word);
        printf("\\fR");
        words += len + (words[len] == ' ');
    }
}

static void put_options(const char *noun)
{
    for (size_t i = 0; i < client_options_count; i++) {
        const struct client_option *option = &client_options[i];
        if (strcmp(option->noun, noun) != 0) continue;
        printf(".TP\n\\fB");
        put(option->name);
        printf("\\fR");
        if (!client_option_is_bare(option)) printf(" \\fI%s\\fR", option->kind == TEXT ? "text"
                                                   : option->kind == LIST ? "text, more than once"
                                                                          : "number");
        printf("\n");
        if (option->text[0] != '\0') put_line(option->text);
        else put_line(option->member);
    }
}

static void put_noun(const char *noun)
{
    printf(".SS ");
    put_line(noun);
    for (size_t i = 0; i < client_commands_count; i++) {
        const struct client_command *command = &client_commands[i];
        if (strcmp(command->noun, noun) != 0) continue;
        printf(".TP\n\\fB");
        put(command->noun);
        if (command->verb[0] != '\0') printf(" ");
        put(command->verb);
        printf("\\fR");
        put_arguments(command->arguments);
        printf("\n");
        put_line(command->text);
    }
    put_options(noun);
}

static void put_page(void)
{
    printf(".TH GODWITCTL 1 \"\" Godwit \"Godwit Manual\"\n"
           ".SH NAME\ngodwitctl \\- administer a Godwit mail platform\n"
           ".SH SYNOPSIS\n\\fBgodwitctl\\fR [\\fB\\-\\-output table\\fR|\\fBjson\\fR] "
           "[\\fB\\-\\-endpoints\\-file\\fR \\fIfile\\fR] \\fIcommand\\fR ...\n"
           ".SH DESCRIPTION\n"
           "Each command is one call of the cluster API; any frontend answers, of one node and of "
           "a cluster alike.\n"
           "A list is asked for page by page, unless \\fB\\-\\-limit\\fR is given.\n"
           "Sizes may be given as 500M or 2G.\n"
           ".SH COMMANDS\n");
    for (size_t i = 0; i < client_commands_count; i++) {
        if (client_is_new_noun(i)) put_noun(client_commands[i].noun);
    }
    printf(".SS All lists\n");
    put_options("*");
    printf(".SH ENVIRONMENT\n"
           ".TP\n\\fBGODWIT_API\\fR\nwhere the API is, like http://127.0.0.1:8080\n"
           ".TP\n\\fBGODWIT_TOKEN\\fR\nthe token that is shown to it\n"
           ".TP\n\\fBGODWIT_CA_FILE\\fR\ncertificates to know an https API by; else the "
           "system's\n"
           ".PP\nA file of \\fB\\-\\-endpoints\\-file\\fR has lines API=, API_TOKEN= and "
           "CA_FILE=, and goes before them.\n"
           ".SH EXIT STATUS\n"
           ".TP\n\\fB0\\fR\nit is done\n"
           ".TP\n\\fB1\\fR\nit was refused; standard error says why\n"
           ".TP\n\\fB2\\fR\nthe words are no command\n"
           ".TP\n\\fB3\\fR\nthe API can not be reached, or can not answer now\n"
           ".SH SEE ALSO\n\\fBgodwit.conf\\fR(5), by \\fBgodwitctl manual options\\fR\n");
}

static enum client_exit put_conf(void)
{
    struct buf to;
    char *bytes = malloc(CONF_SHOW_MAX_BYTES);
    if (bytes == NULL) return CLIENT_REFUSED;
    buf_init(&to, bytes, CONF_SHOW_MAX_BYTES);
    conf_show_manual(&to);
    fwrite(bytes, 1, to.len, stdout);
    free(bytes);
    return CLIENT_OK;
}

enum client_exit client_manual(int count, char **words)
{
    if (count == 1 && strcmp(words[0], "options") == 0) return put_conf();
    if (count == 0) {
        put_page();
        return CLIENT_OK;
    }
    fprintf(stderr, "godwitctl manual: %s: nothing, or options\n", words[0]);
    return CLIENT_USAGE;
}
