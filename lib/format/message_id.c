#include "message_id.h"

#include <stdint.h>

/* What stands behind a "<": the bytes taken off with the ">", 0 when it is no identifier. */
static size_t read_id(struct span text, char *store, size_t *ret_len)
{
    size_t len = 0;
    bool quoted = false, escaped = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool plain = escaped;
        escaped = false;
        if (c == '\r' || c == '\n') continue; /* folded */
        if (!plain && quoted && c == '\\') {
            escaped = true;
            continue;
        }
        if (!plain && c == '"') {
            quoted = !quoted;
            continue;
        }
        if (!plain && !quoted && (c == ' ' || c == '\t')) continue;
        if (!plain && !quoted && c == '<') return 0; /* another one begins */
        if (!plain && !quoted && c == '>') {
            *ret_len = len;
            return len == 0 ? 0 : i + 1;
        }
        if (len == MESSAGE_ID_MAX_BYTES) return 0;
        store[len++] = c;
    }
    return 0;
}

bool message_id_take(struct span *value, char store[MESSAGE_ID_MAX_BYTES], struct span *ret)
{
    struct span rest = *value, before;
    while (span_cut(rest, '<', &before, &rest)) {
        size_t len = 0, used = read_id(rest, store, &len);
        if (used == 0) continue;
        *ret = span_of(store, len);
        *value = span_skip(rest, used);
        return true;
    }
    *value = span_skip(*value, SIZE_MAX);
    return false;
}
