/* Every identifier is put between brackets and read back as itself, unless a character in it means
 * something there. */
#include <stdint.h>

#include "check.h"
#include "message_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(struct span id)
{
    char text[MESSAGE_ID_MAX_BYTES + 2], store[MESSAGE_ID_MAX_BYTES];
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        CHECK(c != '\r' && c != '\n');
        if (c == '<' || c == '>' || c == '"' || c == ' ' || c == '\t') return;
        text[i + 1] = c;
    }
    text[0] = '<';
    text[id.len + 1] = '>';
    struct span value = span_of(text, id.len + 2), back;
    CHECK(message_id_take(&value, store, &back) && span_eq(id, back) && value.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char store[MESSAGE_ID_MAX_BYTES];
    struct span value = span_of(data, size), id = { NULL, 0 };
    size_t before = value.len;
    while (message_id_take(&value, store, &id)) {
        CHECK(id.len > 0 && id.len <= MESSAGE_ID_MAX_BYTES && value.len < before);
        before = value.len;
        check_again(id);
    }
    CHECK(value.len == 0);
    return 0;
}
