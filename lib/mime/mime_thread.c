/* Threads by identifiers. */
#include "hash.h"
#include "mime_facts.h"

enum { ID_MAX_BYTES = 998 }; /* a line, RFC 5322 2.1.1 */

/* "<" what is no white space and no bracket ">", with the brackets; empty when there is none. */
static struct span first_id(struct span value)
{
    size_t start = 0;
    bool open = false;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '<') {
            start = i;
            open = true;
        } else if (c == '>' && open) {
            struct span id = span_of(value.ptr + start, i + 1 - start);
            if (id.len > 2 && id.len <= ID_MAX_BYTES) return id;
            open = false;
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            open = false;
        }
    }
    return SPAN("");
}

uint64_t mime_thread_id(struct span references, struct span in_reply_to, struct span message_id)
{
    /* No secret: it must be the same everywhere. Who makes two identifiers meet joins two threads
     * of one account, which a References field does as well. */
    static const uint64_t key[2] = { UINT64_C(0x476f647769742074), UINT64_C(0x6872656164206964) };
    struct span id = first_id(references);
    if (id.len == 0) id = first_id(in_reply_to);
    if (id.len == 0) id = first_id(message_id);
    if (id.len == 0) return 0;
    uint64_t hash = hash_sip(key, id);
    return hash == 0 ? 1 : hash;
}
