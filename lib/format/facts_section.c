/* Sections (RFC 3501 6.4.5) in the part table of a facts row. */
#include "check.h"
#include "facts.h"

static bool child_at(const struct facts *facts, size_t parent, uint32_t number, size_t *ret)
{
    uint8_t level = facts_part_at(facts, parent).level;
    for (size_t i = parent + 1; i < facts->parts_count; i++) {
        struct facts_part part = facts_part_at(facts, i);
        if (part.level <= level) return false;
        if (part.level == level + 1 && part.section == number) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* The top level of the message inside an embedded one; false when it was not listed. */
static bool message_inside(const struct facts *facts, size_t index, size_t *ret)
{
    if (index + 1 >= facts->parts_count) return false;
    uint8_t level = facts_part_at(facts, index).level;
    if (facts_part_at(facts, index + 1).level != level + 1) return false;
    *ret = index + 1;
    return true;
}

/* One number of a path. `*is_own` becomes true when the part is the body of the message at `*at`
 * itself, whose header is a message's header and not a MIME header. */
static bool step(const struct facts *facts, uint32_t number, size_t *at, bool *is_own)
{
    struct facts_part part = facts_part_at(facts, *at);
    size_t top = *at;
    if (*is_own && part.kind != FACTS_PART_RFC822) return false;
    bool is_top = part.level == 0 && !*is_own;
    if (!is_top && part.kind == FACTS_PART_RFC822) {
        if (!message_inside(facts, *at, &top)) return false;
        part = facts_part_at(facts, top);
        is_top = true;
    }
    if (part.kind == FACTS_PART_MULTI) {
        *is_own = false;
        return child_at(facts, top, number, at);
    }
    /* "Every message has at least one part number": a message without a multipart is its part 1. */
    if (!is_top || number != 1) return false;
    *at = top;
    *is_own = true;
    return true;
}

static bool find_part(const struct facts *facts, const uint32_t *path, size_t count, size_t *at,
                      bool *is_own)
{
    *at = 0;
    *is_own = false;
    for (size_t i = 0; i < count; i++) {
        if (path[i] == 0 || !step(facts, path[i], at, is_own)) return false;
    }
    return true;
}

struct err facts_part_find(const struct facts *facts, const uint32_t *path, size_t count,
                           struct facts_part *ret)
{
    size_t at;
    bool is_own;
    if (facts->parts_count == 0 || !find_part(facts, path, count, &at, &is_own)) {
        return err_make(ERR_NOT_FOUND, "no such part");
    }
    *ret = facts_part_at(facts, at);
    return err_ok();
}

struct err facts_section_find(const struct facts *facts, const uint32_t *path, size_t count,
                              enum facts_section what, uint32_t message_bytes, uint32_t *from,
                              uint32_t *to)
{
    struct err none = err_make(ERR_NOT_FOUND, "no such part");
    size_t at;
    bool is_own;
    if (facts->parts_count == 0 || !find_part(facts, path, count, &at, &is_own)) return none;
    struct facts_part part = facts_part_at(facts, at);
    bool of_message = what == FACTS_SECTION_HEADER || what == FACTS_SECTION_TEXT;
    if (of_message && count > 0) {
        /* HEADER and TEXT behind a number are those of the message that the part embeds. */
        if (part.kind != FACTS_PART_RFC822 || !message_inside(facts, at, &at)) return none;
        part = facts_part_at(facts, at);
    }
    uint32_t begin = part.body_at, end = part.end_at;
    if (what == FACTS_SECTION_HEADER || what == FACTS_SECTION_MIME) {
        begin = part.header_at;
        end = part.body_at;
    } else if (count == 0 && what == FACTS_SECTION_ALL) {
        begin = 0;
        end = message_bytes;
    }
    /* The row came from a disk: whatever it says, the answer lies within the message. */
    if (begin > end || end > message_bytes) return err_make(ERR_CORRUPT, "part offsets");
    *from = begin;
    *to = end;
    return err_ok();
}
