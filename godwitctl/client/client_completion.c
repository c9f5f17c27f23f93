/* godwitctl completion bash|zsh|fish: scripts that complete nouns, verbs, options and their words,
 * from the rows of client_commands.def.
 *
 * Bash and zsh share a function that says which words can follow a command; fish has a line for
 * each word, with its text. */
#include <stdio.h>
#include <string.h>

#include "client_private.h"
#include "client_table.h"
#include "conf.h"

/* Words that an argument or an option may be. */
static const struct {
    const char *command, *words;
} arguments[] = {
    { "log tail", "config debug error mail operations security spam warning" },
    { "completion", "bash zsh fish" },
    { "api", "GET POST PUT PATCH DELETE" },
};

static const char *const config_verbs[] = { "get", "set", "unset", "describe" };

static size_t first_word_len(const char *verb) { return strcspn(verb, " "); }

/* Whether an earlier row of the noun has the same first word of its verb. */
static bool is_repeated(size_t index)
{
    const struct client_command *command = &client_commands[index];
    size_t len = first_word_len(command->verb);
    for (size_t i = 0; i < index; i++) {
        const struct client_command *other = &client_commands[i];
        if (strcmp(other->noun, command->noun) == 0 && first_word_len(other->verb) == len &&
            strncmp(other->verb, command->verb, len) == 0) {
            return true;
        }
    }
    return false;
}

static void put_nouns(void)
{
    printf("    \"\") echo \"");
    for (size_t i = 0; i < client_commands_count; i++) {
        if (client_is_new_noun(i)) printf("%s%s", i == 0 ? "" : " ", client_commands[i].noun);
    }
    printf("\" ;;\n");
}

/* The first words of the verbs of a noun, and of the arguments of one without a verb. */
static void put_verbs(const char *noun)
{
    const char *between = "";
    printf("    \"%s\") echo \"", noun);
    for (size_t i = 0; i < client_commands_count; i++) {
        const struct client_command *command = &client_commands[i];
        if (strcmp(command->noun, noun) != 0 || is_repeated(i)) continue;
        if (command->verb[0] == '\0') continue;
        printf("%s%.*s", between, (int)first_word_len(command->verb), command->verb);
        between = " ";
    }
    for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
        if (strcmp(arguments[i].command, noun) == 0) printf("%s%s", between, arguments[i].words);
    }
    printf("\" ;;\n");
}

/* The second words of verbs that have two. */
static void put_second_words(const char *noun)
{
    for (size_t i = 0; i < client_commands_count; i++) {
        const struct client_command *command = &client_commands[i];
        size_t len = first_word_len(command->verb);
        if (strcmp(command->noun, noun) != 0 || command->verb[len] == '\0' || is_repeated(i)) {
            continue;
        }
        printf("    \"%s %.*s\") echo \"", noun, (int)len, command->verb);
        for (size_t j = i; j < client_commands_count; j++) {
            const struct client_command *other = &client_commands[j];
            bool same = strcmp(other->noun, noun) == 0 && first_word_len(other->verb) == len &&
                        strncmp(other->verb, command->verb, len) == 0;
            if (same) printf("%s%s", j == i ? "" : " ", other->verb + len + 1);
        }
        printf("\" ;;\n");
    }
}

static void put_config_keys(void)
{
    for (size_t v = 0; v < sizeof(config_verbs) / sizeof(config_verbs[0]); v++) {
        printf("%s\"config %s\"", v == 0 ? "    " : "|", config_verbs[v]);
    }
    printf(") echo \"");
    for (unsigned key = 0; key < CONF_KEYS_COUNT; key++) {
        printf("%s%s", key == 0 ? "" : " ", conf_key_text((enum conf_key)key));
    }
    printf("\" ;;\n");
}

static void put_options(const char *noun)
{
    const char *between = "";
    printf("    \"%s \"*) echo \"", noun);
    for (size_t i = 0; i < client_options_count; i++) {
        const struct client_option *option = &client_options[i];
        bool of_lists = strcmp(option->noun, "*") == 0;
        if (!of_lists && strcmp(option->noun, noun) != 0) continue;
        printf("%s%s", between, option->name);
        between = " ";
    }
    printf("\" ;;\n");
}

/* The options that take a value: the word behind one is no part of the command. */
static void put_valued(void)
{
    printf("--output|--endpoints-file");
    for (size_t i = 0; i < client_options_count; i++) {
        bool is_new = true;
        for (size_t j = 0; j < i; j++) {
            if (strcmp(client_options[i].name, client_options[j].name) == 0) is_new = false;
        }
        if (is_new && !client_option_is_bare(&client_options[i])) {
            printf("|%s", client_options[i].name);
        }
    }
}

/* _godwitctl_words COMMAND: the words that may follow; _godwitctl_options COMMAND. */
static void put_functions(void)
{
    printf("_godwitctl_words()\n{\n    case \"$1\" in\n");
    put_nouns();
    for (size_t i = 0; i < client_commands_count; i++) {
        if (!client_is_new_noun(i)) continue;
        put_verbs(client_commands[i].noun);
        put_second_words(client_commands[i].noun);
    }
    for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
        if (strchr(arguments[i].command, ' ') == NULL) continue;
        printf("    \"%s\") echo \"%s\" ;;\n", arguments[i].command, arguments[i].words);
    }
    put_config_keys();
    printf("    esac\n}\n_godwitctl_options()\n{\n    case \"$1 \" in\n");
    for (size_t i = 0; i < client_commands_count; i++) {
        if (client_is_new_noun(i)) put_options(client_commands[i].noun);
    }
    printf("    esac\n    echo \"--output --endpoints-file --help\"\n}\n");
    printf("_godwitctl_has_value()\n{\n    case \"$1\" in ");
    put_valued();
    printf(") return 0 ;; esac\n    return 1\n}\n");
}

static void put_bash(void)
{
    printf("# Completion of godwitctl for bash:  source <(godwitctl completion bash)\n");
    put_functions();
    printf(
        "_godwitctl()\n"
        "{\n"
        "    local current=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
        "    local command=\"\" i\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        if _godwitctl_has_value \"${COMP_WORDS[i]}\"; then i=$((i + 1)); continue; fi\n"
        "        case \"${COMP_WORDS[i]}\" in -*) ;; "
        "*) command=\"$command${command:+ }${COMP_WORDS[i]}\" ;; esac\n"
        "    done\n"
        "    COMPREPLY=()\n"
        "    case \"$before\" in\n"
        "    --output) COMPREPLY=($(compgen -W \"table json\" -- \"$current\")); return ;;\n"
        "    --endpoints-file|--data) COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n"
        "    esac\n"
        "    if _godwitctl_has_value \"$before\"; then return; fi\n"
        "    case \"$current\" in\n"
        "    -*) COMPREPLY=($(compgen -W \"$(_godwitctl_options \"$command\")\" -- \"$current\"))"
        " ;;\n"
        "    *) COMPREPLY=($(compgen -W \"$(_godwitctl_words \"$command\")\" -- \"$current\")) ;;\n"
        "    esac\n"
        "    case \"$command\" in \"user import\"|\"domain import\") COMPREPLY=($(compgen -f -- "
        "\"$current\")) ;; esac\n"
        "}\n"
        "complete -F _godwitctl godwitctl\n");
}

static void put_zsh(void)
{
    printf("#compdef godwitctl\n"
           "# Completion of godwitctl for zsh:  source <(godwitctl completion zsh)\n");
    put_functions();
    printf("_godwitctl()\n"
           "{\n"
           "    local current=\"${words[CURRENT]}\" before=\"${words[CURRENT-1]}\" command=\"\"\n"
           "    local -i i\n"
           "    for ((i = 2; i < CURRENT; i++)); do\n"
           "        if _godwitctl_has_value \"${words[i]}\"; then i=$((i + 1)); continue; fi\n"
           "        case \"${words[i]}\" in -*) ;; "
           "*) command=\"$command${command:+ }${words[i]}\" ;; esac\n"
           "    done\n"
           "    case \"$before\" in\n"
           "    --output) compadd -- table json; return ;;\n"
           "    --endpoints-file|--data) _files; return ;;\n"
           "    esac\n"
           "    if _godwitctl_has_value \"$before\"; then return; fi\n"
           "    case \"$current\" in\n"
           "    -*) compadd -- ${=$(_godwitctl_options \"$command\")} ;;\n"
           "    *) compadd -- ${=$(_godwitctl_words \"$command\")} ;;\n"
           "    esac\n"
           "    case \"$command\" in \"user import\"|\"domain import\") _files ;; esac\n"
           "}\n"
           "compdef _godwitctl godwitctl\n");
}

/* ---- fish */

/* A text within single quotes. */
static void put_quoted(const char *text)
{
    printf("'");
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\') printf("\\");
        printf("%c", *text);
    }
    printf("'");
}

static void fish_word(const char *command, int command_len, const char *word, int word_len)
{
    printf("complete -c godwitctl -f -n '__godwitctl_at \"%.*s\"' -a '%.*s'", command_len, command,
           word_len, word);
}

static void fish_words(const char *command, const char *words)
{
    while (*words != '\0') {
        size_t len = strcspn(words, " ");
        fish_word(command, (int)strlen(command), words, (int)len);
        printf("\n");
        words += len + (words[len] == ' ');
    }
}

static void fish_command(size_t index)
{
    const struct client_command *command = &client_commands[index];
    size_t first = first_word_len(command->verb);
    if (client_is_new_noun(index)) {
        fish_word("", 0, command->noun, (int)strlen(command->noun));
        printf("\n");
    }
    if (command->verb[0] == '\0') return;
    if (!is_repeated(index)) {
        fish_word(command->noun, (int)strlen(command->noun), command->verb, (int)first);
        if (command->verb[first] == '\0') printf(" -d ");
        if (command->verb[first] == '\0') put_quoted(command->text);
        printf("\n");
    }
    if (command->verb[first] == '\0') return;
    char both[64];
    int len = snprintf(both, sizeof(both), "%s %.*s", command->noun, (int)first, command->verb);
    fish_word(both, len, command->verb + first + 1, (int)strlen(command->verb + first + 1));
    printf(" -d ");
    put_quoted(command->text);
    printf("\n");
}

static void put_fish(void)
{
    printf("# Completion of godwitctl for fish:  godwitctl completion fish | source\n"
           "function __godwitctl_at\n"
           "    set -l found\n"
           "    for word in (commandline -opc)[2..-1]\n"
           "        string match -q -- '-*' $word; or set -a found $word\n"
           "    end\n"
           "    test \"$found\" = \"$argv[1]\"\n"
           "end\n"
           "complete -c godwitctl -l output -x -a 'table json' -d 'how answers are printed'\n"
           "complete -c godwitctl -l endpoints-file -r -d 'where the API and its token are'\n");
    for (size_t i = 0; i < client_commands_count; i++) fish_command(i);
    for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
        fish_words(arguments[i].command, arguments[i].words);
    }
    for (size_t i = 0; i < client_options_count; i++) {
        const struct client_option *option = &client_options[i];
        bool of_lists = strcmp(option->noun, "*") == 0;
        printf("complete -c godwitctl -n '__fish_seen_subcommand_from %s' -l %s%s -d ",
               of_lists ? "list shards" : option->noun, option->name + 2,
               client_option_is_bare(option) ? "" : " -r");
        put_quoted(option->text);
        printf("\n");
    }
}

enum client_exit client_completion(int count, char **words)
{
    static const struct {
        const char *name;
        void (*put)(void);
    } shells[] = { { "bash", put_bash }, { "zsh", put_zsh }, { "fish", put_fish } };
    for (size_t i = 0; count == 1 && i < sizeof(shells) / sizeof(shells[0]); i++) {
        if (strcmp(words[0], shells[i].name) != 0) continue;
        shells[i].put();
        return CLIENT_OK;
    }
    fprintf(stderr, "godwitctl completion: %s: bash, zsh or fish\n",
            count == 0 ? "a shell is missing" : words[count - 1]);
    return CLIENT_USAGE;
}
