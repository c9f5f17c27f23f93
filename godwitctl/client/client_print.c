#include "client_private.h"
#include "client_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL_MAX_BYTES = 60 };

/* Control characters, C0 and C1, become '?': a terminal must not take them for its own. */
void client_make_plain(char *text)
{
    char *to = text;
    for (const char *c = text; *c != '\0'; c++) {
        unsigned char first = (unsigned char)c[0], second = (unsigned char)c[1];
        bool c1 = first == 0xc2 && second >= 0x80 && second <= 0x9f;
        bool plain = first >= ' ' && first != 0x7f && !c1;
        *to++ = plain ? *c : '?';
        if (c1) c++;
    }
    *to = '\0';
}

/* A cell as text: arrays joined with commas, without control characters. */
void client_cell_text(const json_t *value, char *to, size_t size)
{
    to[0] = '\0';
    if (json_is_string(value)) {
        snprintf(to, size, "%s", json_string_value(value));
    } else if (json_is_integer(value)) {
        snprintf(to, size, "%lld", (long long)json_integer_value(value));
    } else if (json_is_boolean(value)) {
        snprintf(to, size, "%s", json_is_true(value) ? "yes" : "no");
    } else if (json_is_array(value)) {
        size_t at = 0;
        for (size_t i = 0; i < json_array_size(value) && at + 1 < size; i++) {
            char one[CELL_MAX_BYTES + 1];
            client_cell_text(json_array_get(value, i), one, sizeof(one));
            int n = snprintf(to + at, size - at, "%s%s", i == 0 ? "" : ",", one);
            at += n > 0 ? (size_t)n : 0;
        }
    } else if (json_is_object(value)) {
        const json_t *address = json_object_get(value, "address");
        if (address != NULL) client_cell_text(address, to, size);
    }
    client_make_plain(to);
}

static void cell_of(const json_t *items, size_t row, const struct client_column *column, char *to,
                    size_t size)
{
    client_cell_text(json_object_get(json_array_get(items, row), column->member), to, size);
}

size_t client_columns(const char *noun, const struct client_column *ret[CLIENT_COLUMNS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < client_columns_count && count < CLIENT_COLUMNS_MAX; i++) {
        if (strcmp(client_columns_all[i].noun, noun) == 0) ret[count++] = &client_columns_all[i];
    }
    return count;
}

static void put_heading(struct client_table *table, const json_t *items)
{
    const struct client_column *columns[CLIENT_COLUMNS_MAX];
    size_t count = client_columns(table->noun, columns);
    char text[1024];
    table->has_heading = true;
    for (size_t c = 0; c < count; c++) table->widths[c] = strlen(columns[c]->heading);
    for (size_t i = 0; i < json_array_size(items); i++) {
        for (size_t c = 0; c < count; c++) {
            cell_of(items, i, columns[c], text, sizeof(text));
            size_t width = strlen(text);
            if (width > CELL_MAX_BYTES) width = CELL_MAX_BYTES;
            if (width > table->widths[c]) table->widths[c] = width;
        }
    }
    for (size_t c = 0; c < count; c++) {
        printf("%-*s%s", c + 1 < count ? (int)table->widths[c] : 0, columns[c]->heading,
               c + 1 < count ? "  " : "\n");
    }
}

void client_table_put(struct client_table *table, const json_t *items)
{
    const struct client_column *columns[CLIENT_COLUMNS_MAX];
    size_t count = client_columns(table->noun, columns);
    char text[1024];
    if (!table->has_heading) put_heading(table, items);
    for (size_t i = 0; i < json_array_size(items); i++) {
        for (size_t c = 0; c < count; c++) {
            cell_of(items, i, columns[c], text, sizeof(text));
            printf("%-*s%s", c + 1 < count ? (int)table->widths[c] : 0, text,
                   c + 1 < count ? "  " : "\n");
        }
    }
}

static void print_object(json_t *object)
{
    const char *key;
    json_t *value;
    char text[4096];
    json_object_foreach(object, key, value) {
        client_cell_text(value, text, sizeof(text));
        printf("%-16s %s\n", key, text);
    }
}

void client_print(const struct client *client, const char *noun, json_t *reply)
{
    if (client->json) {
        char *text = json_dumps(reply, JSON_INDENT(2) | JSON_ENCODE_ANY);
        if (text != NULL) printf("%s\n", text);
        free(text);
        return;
    }
    const json_t *items = json_object_get(reply, "items");
    if (items != NULL) {
        struct client_table table = { .noun = noun };
        client_table_put(&table, items);
        const json_t *next = json_object_get(reply, "next");
        if (json_is_string(next)) printf("(more: --after %s)\n", json_string_value(next));
    } else {
        print_object(reply);
    }
}

void client_print_problem(long status, const json_t *reply)
{
    const char *title = json_string_value(json_object_get(reply, "title"));
    const char *detail = json_string_value(json_object_get(reply, "detail"));
    char text[1024];
    snprintf(text, sizeof(text), "%s%s%s", title != NULL ? title : "refused",
             detail != NULL ? ": " : "", detail != NULL ? detail : "");
    client_make_plain(text);
    fprintf(stderr, "godwitctl: %s (%ld)\n", text, status);
}
