#include "boot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "buf.h"
#include "check.h"
#include "conf_file.h"
#include "file.h"

enum { BOOT_ARENA_MAX_BYTES = 4 * 1024 * 1024, NAME_MAX_BYTES = 64 };

/* What one option has been given; sources with a higher rank replace those below. */
struct boot_value {
    const char *texts[BOOT_LIST_MAX]; /* in the arena */
    size_t count;
    int rank;
};

enum { RANK_DEFAULT, RANK_FILE, RANK_ENVIRONMENT, RANK_FLAG };

struct boot {
    const struct boot_option *options;
    size_t options_count;
    struct arena arena;
    char *problem; /* while reading */
    const char *config;
    struct boot_value values[BOOT_OPTIONS_MAX];
};

static const struct boot_option *find(const struct boot *boot, struct span name)
{
    for (size_t i = 0; i < boot->options_count; i++) {
        const char *is = boot->options[i].name;
        if (span_eq(span_of(is, strlen(is)), name)) return &boot->options[i];
    }
    return NULL;
}

static struct err refuse(struct boot *boot, const char *what, struct span about)
{
    snprintf(boot->problem, BOOT_PROBLEM_BYTES, "%.*s: %s",
             (int)(about.len < 200 ? about.len : 200), about.len == 0 ? "" : about.ptr, what);
    return err_make(ERR_SYNTAX, "options of the program");
}

static bool number_of(const char *text, uint64_t *ret)
{
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9') return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0') return false;
    *ret = number;
    return true;
}

static bool switch_of(const char *text, bool *ret)
{
    static const struct { const char *word; bool value; } words[] = {
        { "true", true }, { "1", true }, { "yes", true }, { "on", true },
        { "false", false }, { "0", false }, { "no", false }, { "off", false },
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i].word, text) != 0) continue;
        *ret = words[i].value;
        return true;
    }
    return false;
}

/* ---- giving an option a value */

static struct err add_one(struct boot *boot, const struct boot_option *option, struct span text)
{
    struct boot_value *value = &boot->values[option - boot->options];
    uint64_t number;
    bool on;
    if (text.len > BOOT_VALUE_MAX_BYTES) return refuse(boot, "too long", span_head(text, 40));
    char *copy = arena_alloc(&boot->arena, text.len + 1);
    if (copy == NULL) return err_make(ERR_NOMEM, "options of the program");
    if (text.len > 0) memcpy(copy, text.ptr, text.len);
    struct span name = span_of(option->name, strlen(option->name));
    if (option->type == BOOT_NUMBER && !number_of(copy, &number)) {
        return refuse(boot, "not a number", name);
    }
    if (option->type == BOOT_SWITCH && !switch_of(copy, &on)) {
        return refuse(boot, "neither true nor false", name);
    }
    if (option->type != BOOT_LIST) value->count = 0;
    if (value->count == BOOT_LIST_MAX) return refuse(boot, "given too often", name);
    value->texts[value->count++] = copy;
    return err_ok();
}

static struct err give(struct boot *boot, const struct boot_option *option, struct span text,
                       int rank)
{
    struct boot_value *value = &boot->values[option - boot->options];
    if (rank < value->rank) return err_ok();
    if (rank > value->rank) value->count = 0;
    value->rank = rank;
    if (option->type != BOOT_LIST) return add_one(boot, option, text);
    struct span head, tail;
    while (span_cut(text, ',', &head, &tail)) {
        if (head.len > 0) TRY(add_one(boot, option, head));
        text = tail;
    }
    return text.len > 0 ? add_one(boot, option, text) : err_ok();
}

/* ---- flags */

static struct err read_flag(struct boot *boot, const struct boot_input *input, int *at)
{
    const char *word = input->argv[*at];
    struct span name = span_of(word, strlen(word)), value = SPAN("true");
    if (name.len < 3 || word[0] != '-' || word[1] != '-') {
        return refuse(boot, "is no option; see --help", name);
    }
    name = span_skip(name, 2);
    if (span_eq(name, SPAN("help")) || span_eq(name, SPAN("version"))) {
        return err_make(ERR_NOT_FOUND, "only help is wanted");
    }
    bool has_value = span_cut(name, '=', &name, &value), is_config = span_eq(name, SPAN("config"));
    const struct boot_option *option = find(boot, name);
    if (option == NULL && !is_config) return refuse(boot, "there is no such option", name);
    if (!has_value && (is_config || option->type != BOOT_SWITCH)) {
        if (*at + 1 >= input->argc) return refuse(boot, "needs a value", name);
        word = input->argv[++*at];
        value = span_of(word, strlen(word));
    }
    if (!is_config) return give(boot, option, value, RANK_FLAG);
    boot->config = word + strlen(word) - value.len;
    return err_ok();
}

/* ---- environment: GODWIT_NAME=value */

static void environment_name(const struct boot_option *option, char to[NAME_MAX_BYTES])
{
    size_t len = (size_t)snprintf(to, NAME_MAX_BYTES, "GODWIT_%s", option->name);
    CHECK(len < NAME_MAX_BYTES);
    for (char *c = to; *c != '\0'; c++) {
        if (*c == '-') *c = '_';
        if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
    }
}

static const char *environment_get(const struct boot_input *input, const char *name)
{
    size_t len = strlen(name);
    for (char *const *entry = input->environment; entry != NULL && *entry != NULL; entry++) {
        if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=') return *entry + len + 1;
    }
    return NULL;
}

static struct err read_environment(struct boot *boot, const struct boot_input *input)
{
    for (size_t i = 0; i < boot->options_count; i++) {
        char name[NAME_MAX_BYTES];
        environment_name(&boot->options[i], name);
        const char *value = environment_get(input, name);
        if (value == NULL) continue;
        TRY(give(boot, &boot->options[i], span_of(value, strlen(value)), RANK_ENVIRONMENT));
    }
    return err_ok();
}

/* ---- the file */

static struct err load(struct boot *boot, const char *path, struct span *ret)
{
    struct span name = span_of(path, strlen(path));
    size_t len;
    char *bytes = arena_alloc(&boot->arena, BOOT_FILE_MAX_BYTES);
    if (bytes == NULL) return err_make(ERR_NOMEM, "options of the program");
    struct err err = file_read(path, bytes, BOOT_FILE_MAX_BYTES, &len);
    if (err.code == ERR_TOO_BIG) return refuse(boot, "too long", name);
    if (err.code != ERR_OK) return refuse(boot, strerror(err.detail), name);
    *ret = span_of(bytes, len);
    return err_ok();
}

static struct err read_file(struct boot *boot, const char *path)
{
    struct span in = span_of(NULL, 0);
    struct conf_line line = { .number = 0 };
    bool there = true;
    TRY(load(boot, path, &in));
    while (there) {
        struct err err = conf_file_next(&in, &line, &there);
        if (err.code != ERR_OK) {
            snprintf(boot->problem, BOOT_PROBLEM_BYTES, "%.200s, line %zu: %s", path, line.number,
                     err.what);
            return err;
        }
        if (!there) break;
        const struct boot_option *option = find(boot, line.key);
        if (option == NULL) return refuse(boot, "there is no such option", line.key);
        TRY(give(boot, option, line.value, RANK_FILE));
    }
    return err_ok();
}

/* ---- all of it */

static struct err read_all(struct boot *boot, const struct boot_input *input)
{
    boot->config = environment_get(input, "GODWIT_CONFIG");
    for (size_t i = 0; i < boot->options_count; i++) {
        const char *value = boot->options[i].value;
        if (value == NULL) continue;
        TRY(give(boot, &boot->options[i], span_of(value, strlen(value)), RANK_DEFAULT));
    }
    for (int at = 1; at < input->argc; at++) TRY(read_flag(boot, input, &at));
    TRY(read_environment(boot, input));
    if (boot->config != NULL && boot->config[0] != '\0') TRY(read_file(boot, boot->config));
    for (size_t i = 0; i < boot->options_count; i++) {
        const struct boot_option *option = &boot->options[i];
        if (option->value != NULL || boot->values[i].count > 0) continue;
        return refuse(boot, "has to be given", span_of(option->name, strlen(option->name)));
    }
    return err_ok();
}

struct err boot_read(const struct boot_input *input, struct boot **ret,
                     char problem[BOOT_PROBLEM_BYTES])
{
    CHECK(input->options_count <= BOOT_OPTIONS_MAX);
    struct boot *boot = calloc(1, sizeof(*boot));
    if (boot == NULL) return err_make(ERR_NOMEM, "options of the program");
    boot->options = input->options;
    boot->options_count = input->options_count;
    boot->problem = problem;
    arena_init(&boot->arena, BOOT_ARENA_MAX_BYTES);
    struct err err = read_all(boot, input);
    boot->problem = NULL;
    if (err.code != ERR_OK) {
        boot_free(boot);
        return err;
    }
    *ret = boot;
    return err_ok();
}

void boot_free(struct boot *boot)
{
    if (boot == NULL) return;
    arena_clear(&boot->arena);
    free(boot);
}

/* ---- reading */

static const struct boot_value *value_of(const struct boot *boot, const char *name,
                                         enum boot_type type)
{
    const struct boot_option *option = find(boot, span_of(name, strlen(name)));
    CHECK(option != NULL && option->type == type);
    return &boot->values[option - boot->options];
}

const char *boot_text(const struct boot *boot, const char *name)
{
    return value_of(boot, name, BOOT_TEXT)->texts[0];
}

uint64_t boot_number(const struct boot *boot, const char *name)
{
    uint64_t number = 0;
    CHECK(number_of(value_of(boot, name, BOOT_NUMBER)->texts[0], &number));
    return number;
}

bool boot_switch(const struct boot *boot, const char *name)
{
    bool on = false;
    CHECK(switch_of(value_of(boot, name, BOOT_SWITCH)->texts[0], &on));
    return on;
}

size_t boot_list_count(const struct boot *boot, const char *name)
{
    return value_of(boot, name, BOOT_LIST)->count;
}

const char *boot_list(const struct boot *boot, const char *name, size_t at)
{
    const struct boot_value *value = value_of(boot, name, BOOT_LIST);
    CHECK(at < value->count);
    return value->texts[at];
}

static void put(struct buf *to, const char *text) { buf_put(to, span_of(text, strlen(text))); }

void boot_usage(const struct boot_input *input, struct buf *to)
{
    put(to, "Options, also as GODWIT_NAME in the environment or as \"name = value\" in the file of "
            "--config:\n");
    for (size_t i = 0; i < input->options_count; i++) {
        const struct boot_option *option = &input->options[i];
        put(to, "  --");
        put(to, option->name);
        put(to, option->type == BOOT_SWITCH ? "\n      " : " VALUE\n      ");
        put(to, option->text);
        put(to, option->value == NULL ? " Has to be given." : "");
        if (option->value != NULL && option->value[0] != '\0') {
            put(to, " Default: ");
            put(to, option->value);
        }
        put(to, "\n");
    }
}
