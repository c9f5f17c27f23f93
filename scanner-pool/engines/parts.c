#include "parts_private.h"

#include <stdint.h>

#include "clam_private.h"
#include "clock.h"
#include "mime_parts.h"

/* With uuencoded files. What is beyond is seen by libclamav in the whole message only. */
enum { PARTS_MAX = 2000 };

struct parts {
    struct clam *clam;
    struct engines_result *result;
    uint64_t end_ms;
    struct span number, file_name; /* of the part that is looked at, in the texts below */
    char number_text[ENGINES_PART_MAX_BYTES], name_text[ENGINES_FILE_NAME_MAX_BYTES];
    bool no_time;
};

/* Looks at some bytes in the time that is left; false: there is none. */
static bool parts_look(struct parts *parts, struct span bytes, struct span part,
                       struct span file_name)
{
    uint64_t now_ms = clock_boot_ms();
    if (now_ms >= parts->end_ms) {
        if (parts->result->outcome < ENGINES_NO_TIME) parts->result->outcome = ENGINES_NO_TIME;
        parts->no_time = true;
        return false;
    }
    clam_set_time(parts->clam, (uint32_t)(parts->end_ms - now_ms));
    clam_scan(parts->clam, bytes, part, file_name, parts->result);
    return true;
}

static struct span parts_copy(struct span from, char *to, size_t size)
{
    from = span_head(from, size);
    if (from.len > 0) memcpy(to, from.ptr, from.len);
    return span_of(to, from.len);
}

/* A number that has no room is left out: half of one is another part's. */
static bool parts_begin(void *holder, const struct mime_part *part)
{
    struct parts *parts = holder;
    bool fits = part->number.len <= sizeof(parts->number_text);
    parts->number = parts_copy(span_head(part->number, fits ? part->number.len : 0),
                               parts->number_text, sizeof(parts->number_text));
    parts->file_name = parts_copy(part->name, parts->name_text, sizeof(parts->name_text));
    return true;
}

/* A whole part: parts_scan() asks for one piece each. */
static bool parts_bytes(void *holder, struct span bytes)
{
    struct parts *parts = holder;
    return parts_look(parts, bytes, parts->number, parts->file_name);
}

static bool parts_end(void *holder)
{
    const struct parts *parts = holder;
    return !parts->no_time;
}

/* Whether something was found that no further look can make less. */
static bool parts_infected(const struct engines_result *result)
{
    const struct span guess = SPAN("Heuristics.");
    for (uint32_t i = 0; i < result->findings_count; i++) {
        struct span name = span_of(result->findings[i].name, result->findings[i].name_len);
        if (!span_eq(span_head(name, guess.len), guess)) return true;
    }
    return false;
}

void parts_scan(struct clam *clam, struct span message, uint32_t scan_ms,
                struct engines_result *result)
{
    static const struct mime_parts_visitor visitor = { parts_begin, parts_bytes, parts_end };
    /* No more than the message's bytes come out of its parts, and once more those of its texts for
     * uuencoded files. */
    struct mime_parts_limits limits = { PARTS_MAX, 2 * (uint64_t)message.len, SIZE_MAX };
    struct parts parts = { .clam = clam, .result = result,
                           .end_ms = clock_boot_ms() + scan_ms };
    struct err err = mime_parts_walk(message, &limits, &visitor, &parts);
    if (err.code == ERR_NOMEM) {
        result->outcome = ENGINES_NO_MEMORY;
        return;
    }
    if (!parts.no_time && !parts_infected(result)) {
        (void)parts_look(&parts, message, span_of(NULL, 0), span_of(NULL, 0));
    }
}
