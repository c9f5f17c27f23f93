/* godwitctl cluster status: whether all is well in the first line, then a table of each kind. */
#include <stdio.h>
#include <string.h>

#include "client_private.h"
#include "client_table.h"

enum { STATUS_TEXT_BYTES = 1024 };

static void put_text(const json_t *reply, const char *member, const char *before)
{
    char text[STATUS_TEXT_BYTES];
    const json_t *value = json_object_get(reply, member);
    if (value == NULL) return;
    client_cell_text(value, text, sizeof(text));
    printf("%s%s", before, text);
}

static void put_head(const json_t *reply)
{
    char text[STATUS_TEXT_BYTES];
    const json_t *why = json_object_get(reply, "why");
    client_cell_text(json_object_get(reply, "state"), text, sizeof(text));
    printf("%s", text);
    for (size_t i = 0; i < json_array_size(why); i++) {
        client_cell_text(json_array_get(why, i), text, sizeof(text));
        printf("%s%s", i == 0 ? ": " : "; ", text);
    }
    printf("\n");
    if (json_object_get(reply, "cluster") == NULL) return;
    put_text(reply, "cluster", "cluster ");
    put_text(reply, "incarnation", ", incarnation ");
    put_text(reply, "map_version", ", map version ");
    put_text(reply, "controller", ", controller ");
    printf("\n");
}

/* "65.1G", for people. */
static void size_text(double bytes, char *to, size_t size)
{
    static const char *const units[] = { "", "K", "M", "G", "T" };
    size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++) bytes /= 1024;
    snprintf(to, size, unit == 0 ? "%.0f%s" : "%.1f%s", bytes, units[unit]);
}

static void add_capacities(json_t *nodes)
{
    size_t i;
    json_t *node;
    char text[32];
    json_array_foreach(nodes, i, node) {
        const json_t *bytes = json_object_get(node, "capacity_bytes");
        if (bytes == NULL) bytes = json_object_get(node, "disk_free_bytes");
        if (!json_is_integer(bytes)) continue;
        size_text((double)json_integer_value(bytes), text, sizeof(text));
        json_object_set_new(node, "capacity", json_string(text));
    }
}

/* "26h", for people. */
static void add_ages(json_t *scanners)
{
    static const struct { const char *unit; json_int_t seconds; } units[] = {
        { "d", 48 * 3600 }, { "h", 3600 }, { "m", 60 }, { "s", 0 },
    };
    size_t i;
    json_t *scanner;
    char text[32];
    json_array_foreach(scanners, i, scanner) {
        const json_t *age = json_object_get(scanner, "signatures_age_seconds");
        json_int_t seconds = json_integer_value(age);
        size_t unit = 0;
        if (!json_is_integer(age)) continue;
        while (seconds < units[unit].seconds) unit++;
        json_int_t each = unit == 0 ? 24 * 3600 : units[unit].seconds;
        snprintf(text, sizeof(text), "%lld%s", (long long)(each == 0 ? seconds : seconds / each),
                 units[unit].unit);
        json_object_set_new(scanner, "age", json_string(text));
    }
}

void client_print_status(json_t *reply)
{
    static const struct { const char *member, *noun; } tables[] = {
        { "storage_nodes", "cluster/storage_nodes" }, { "frontends", "cluster/frontends" },
        { "scanners", "cluster/scanners" },           { "routers", "cluster/routers" },
        { "store", "cluster/store" },                 { "bad_signature_sets", "cluster/bad_sets" },
    };
    put_head(reply);
    add_capacities(json_object_get(reply, "storage_nodes"));
    add_ages(json_object_get(reply, "scanners"));
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        struct client_table table = { .noun = tables[i].noun };
        const json_t *items = json_object_get(reply, tables[i].member);
        if (json_array_size(items) == 0) continue;
        printf("\n");
        client_table_put(&table, items);
    }
    const char *state;
    json_t *count, *shards = json_object_get(reply, "shards");
    char text[32];
    client_cell_text(json_object_get(shards, "count"), text, sizeof(text));
    printf("\nSHARDS %s:", text);
    json_object_foreach(shards, state, count) {
        if (strcmp(state, "count") == 0 || json_integer_value(count) == 0) continue;
        client_cell_text(count, text, sizeof(text));
        printf(" %s %s", text, state);
    }
    printf("\n");
}
