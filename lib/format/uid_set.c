#include "uid_set.h"
#include <stdlib.h>
#include "imap_put.h"
void uid_set_init(struct uid_set *set, size_t ranges_max) { *set = (struct uid_set){ .count_max = ranges_max }; }
void uid_set_free(struct uid_set *set) { free(set->ranges); set->ranges = NULL; set->count = set->size = 0; }
static struct err grow(struct uid_set *s)
{
    if (s->count == s->count_max) return err_make(ERR_TOO_BIG, "set");
    if (s->count < s->size) return err_ok();
    size_t n = s->size ? s->size * 2 : 4;
    struct uid_range *r = realloc(s->ranges, n * sizeof(*r));
    if (!r) return err_make(ERR_NOMEM, "set");
    s->ranges = r; s->size = n;
    return err_ok();
}
struct err uid_set_add(struct uid_set *s, uint32_t first, uint32_t last)
{
    size_t i = s->count;
    while (i > 0 && s->ranges[i - 1].first > first) i--;
    if (i > 0 && (uint64_t)s->ranges[i - 1].last + 1 >= first) i--;
    size_t k = i;
    while (k < s->count && s->ranges[k].first <= (uint64_t)last + 1) k++;
    if (k == i) {
        TRY(grow(s));
        memmove(s->ranges + i + 1, s->ranges + i, (s->count - i) * sizeof(*s->ranges));
        s->ranges[i] = (struct uid_range){ first, last };
        s->count++;
        return err_ok();
    }
    if (s->ranges[i].first < first) first = s->ranges[i].first;
    if (s->ranges[k - 1].last > last) last = s->ranges[k - 1].last;
    s->ranges[i] = (struct uid_range){ first, last };
    memmove(s->ranges + i + 1, s->ranges + k, (s->count - k) * sizeof(*s->ranges));
    s->count -= k - i - 1;
    return err_ok();
}
void uid_set_remove(struct uid_set *s, uint32_t first, uint32_t last)
{
    size_t n = 0;
    struct uid_range spare[2]; 
    struct uid_set out; uid_set_init(&out, s->count_max + 1);
    (void)n; (void)spare;
    for (size_t i = 0; i < s->count; i++) {
        struct uid_range r = s->ranges[i];
        if (r.last < first || r.first > last) { (void)uid_set_add(&out, r.first, r.last).code; continue; }
        if (r.first < first) (void)uid_set_add(&out, r.first, first - 1).code;
        if (r.last > last) (void)uid_set_add(&out, last + 1, r.last).code;
    }
    out.count_max = s->count_max;
    free(s->ranges);
    *s = out;
}
bool uid_set_has(const struct uid_set *s, uint32_t uid) { return uid_set_position(s, uid) != 0; }
uint64_t uid_set_count(const struct uid_set *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s->count; i++) n += (uint64_t)s->ranges[i].last - s->ranges[i].first + 1;
    return n;
}
uint32_t uid_set_position(const struct uid_set *s, uint32_t uid)
{
    uint32_t before = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (uid < s->ranges[i].first) return 0;
        if (uid <= s->ranges[i].last) return before + uid - s->ranges[i].first + 1;
        before += s->ranges[i].last - s->ranges[i].first + 1;
    }
    return 0;
}
uint32_t uid_set_at(const struct uid_set *s, uint32_t p)
{
    for (size_t i = 0; i < s->count; i++) {
        uint32_t c = s->ranges[i].last - s->ranges[i].first + 1;
        if (p <= c) return p == 0 ? 0 : s->ranges[i].first + p - 1;
        p -= c;
    }
    return 0;
}
struct span uid_set_bytes(const struct uid_set *s) { return span_of(s->ranges, s->count * 8); }
struct err uid_set_read(struct uid_set *s, struct span b)
{
    if (b.len % 8) return err_make(ERR_SYNTAX, "set");
    uint64_t prev = 0;
    uid_set_remove(s, 1, UINT32_MAX);
    for (size_t i = 0; i < b.len; i += 8) {
        struct uid_range r;
        memcpy(&r, b.ptr + i, 8);
        if (r.first == 0 || r.first > r.last || (i > 0 && r.first <= prev + 1)) return err_make(ERR_SYNTAX, "set");
        prev = r.last;
        TRY(uid_set_add(s, r.first, r.last));
    }
    return err_ok();
}
