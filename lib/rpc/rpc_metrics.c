/* What a server says of itself in /metrics. */
#include <stdio.h>

#include "metrics_text.h"
#include "proto_message.h"
#include "rpc_server_private.h"

enum { LABELS_BYTES = 128 };

static void put_ended(const struct metrics_text *text, const char *method, const uint64_t *ended)
{
    char labels[LABELS_BYTES];
    for (unsigned code = 0; code < RPC_CODES; code++) {
        if (ended[code] == 0) continue; /* most methods end in few of the ways */
        snprintf(labels, sizeof(labels), "method=\"%.60s\",status=\"%s\"", method,
                 err_name(err_code_of(code)));
        metrics_text_number(text, "rpc_calls_total", labels, (int64_t)ended[code]);
    }
}

void rpc_server_metrics(const struct rpc_server *server, const struct metrics_text *text)
{
    const struct metrics_single rows[] = {
        { "rpc_calls_open", "gauge", "Calls under way", server->open_count },
        { "rpc_connections_open", "gauge", "Connections of callers", server->links_count },
    };
    metrics_text_head(text, "rpc_calls_total", "counter", "Calls that have ended, by how");
    for (uint32_t i = 0; i < server->entries_count; i++) {
        const struct rpc_entry *entry = &server->entries[i];
        if (entry->method != NULL) put_ended(text, entry->method->name, entry->ended);
    }
    put_ended(text, "none", server->refused);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) metrics_text_single(text, &rows[i]);
}
