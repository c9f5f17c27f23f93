/* THREADID (RFC 8474) without an index: the conversation's first message is named at the front of
 * References (RFC 5322 3.6.4), else in In-Reply-To, else it is this one. So messages of one thread
 * hash alike in whatever order they come, and nothing has to be looked up at delivery. Replies to a
 * reply that name only their parent (no References) open a thread of their own.
 *
 * Persisted: SipHash-2-4 with the key below over the id between "<" and ">", without them. */
#include "hash.h"
#include "mbox_store_private.h"

static const uint64_t thread_key[2] = { 0x20746977646f6721, 0x2164616572687420 };

/* The first id in angle brackets. */
static bool first_id(struct span fields, struct span name, struct span *ret)
{
    struct span value, head, tail;
    if (!mbox_field_next(&fields, name, &value)) return false;
    return span_cut(value, '<', &head, &tail) && span_cut(tail, '>', ret, &value) && ret->len > 0;
}

uint64_t mbox_thread(struct span fields)
{
    struct span id;
    bool found = first_id(fields, SPAN("References"), &id) ||
                 first_id(fields, SPAN("In-Reply-To"), &id) ||
                 first_id(fields, SPAN("Message-ID"), &id);
    return hash_sip(thread_key, found ? id : fields);
}
