/* THREADID (RFC 8474) without an index: the conversation's first message is named at the front of
 * References (RFC 5322 3.6.4), else in In-Reply-To, else it is this one. So messages of one thread
 * hash alike in whatever order they come, and nothing has to be looked up at delivery. Replies to a
 * reply that name only their parent (no References) open a thread of their own.
 *
 * Persisted: SipHash-2-4 with the key below over the id between "<" and ">", without them. */
#include "hash.h"
#include "mbox_store_private.h"

static const uint64_t thread_key[2] = { 0x20746977646f6721, 0x2164616572687420 };

enum { ID_MAX_BYTES = 996 }; /* with its brackets a line, RFC 5322 2.1.1 */

/* What stands between "<" and ">" and has neither white space nor a bracket in it. */
static bool id_in(struct span value, struct span *ret)
{
    size_t start = 0;
    bool open = false;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '<') {
            start = i + 1;
            open = true;
        } else if (c == '>' && open) {
            *ret = span_of(value.ptr + start, i - start);
            if (ret->len > 0 && ret->len <= ID_MAX_BYTES) return true;
            open = false;
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            open = false;
        }
    }
    return false;
}

/* The first id of the first such field. */
static bool first_id(struct span fields, struct span name, struct span *ret)
{
    struct span value;
    return mbox_field_next(&fields, name, &value) && id_in(value, ret);
}

uint64_t mbox_thread(struct span fields)
{
    struct span id;
    bool found = first_id(fields, SPAN("References"), &id) ||
                 first_id(fields, SPAN("In-Reply-To"), &id) ||
                 first_id(fields, SPAN("Message-ID"), &id);
    return hash_sip(thread_key, found ? id : fields);
}
