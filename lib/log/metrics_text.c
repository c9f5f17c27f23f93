#include "metrics_text.h"

#include <stdio.h>

#include "buf.h"

enum { LABEL_VALUE_MAX_BYTES = 100 };

static void put(struct buf *to, const char *text) { buf_put(to, span_of(text, strlen(text))); }

static void put_name(const struct metrics_text *text, const char *name)
{
    buf_put(text->to, text->prefix);
    put(text->to, name);
}

void metrics_text_head(const struct metrics_text *text, const char *name, const char *kind,
                       const char *help)
{
    put(text->to, "# HELP ");
    put_name(text, name);
    put(text->to, " ");
    put(text->to, help);
    put(text->to, "\n# TYPE ");
    put_name(text, name);
    put(text->to, " ");
    put(text->to, kind);
    put(text->to, "\n");
}

static void put_line(const struct metrics_text *text, const char *name, const char *labels,
                     const char *value)
{
    put_name(text, name);
    if (labels[0] != '\0') {
        put(text->to, "{");
        put(text->to, labels);
        put(text->to, "}");
    }
    put(text->to, value);
}

void metrics_text_number(const struct metrics_text *text, const char *name, const char *labels,
                         int64_t value)
{
    char digits[32];
    snprintf(digits, sizeof(digits), " %lld\n", (long long)value);
    put_line(text, name, labels, digits);
}

void metrics_text_us(const struct metrics_text *text, const char *name, const char *labels,
                     int64_t us)
{
    char digits[48];
    snprintf(digits, sizeof(digits), " %lld.%06lld\n", (long long)(us / 1000000),
             (long long)(us % 1000000));
    put_line(text, name, labels, digits);
}

void metrics_text_single(const struct metrics_text *text, const struct metrics_single *single)
{
    metrics_text_head(text, single->name, single->kind, single->help);
    metrics_text_number(text, single->name, "", single->value);
}

void metrics_text_label(const char *name, struct span value, char to[METRICS_LABEL_BYTES])
{
    int at = snprintf(to, METRICS_LABEL_BYTES - LABEL_VALUE_MAX_BYTES - 2, "%.40s=\"", name);
    value = span_head(value, LABEL_VALUE_MAX_BYTES);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        to[at++] = (char)(c >= ' ' && c < 0x7f && c != '"' && c != '\\' ? c : '_');
    }
    to[at++] = '"';
    to[at] = '\0';
}
