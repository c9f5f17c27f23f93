#include "courier_mx.h"

/* Without the root's dot, by which names differ that are the same. */
static struct span mx_name(struct span host)
{
    if (host.len > 0 && host.ptr[host.len - 1] == '.') host.len--;
    return host;
}

static bool mx_is_own(struct span host, const struct span *own, size_t own_count)
{
    for (size_t i = 0; i < own_count; i++) {
        if (span_eq_nocase(mx_name(host), mx_name(own[i]))) return true;
    }
    return false;
}

/* splitmix64 (Steele, Lea, Flood 2014): one number into many. */
static uint64_t mx_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void mx_swap(struct courier_mx *a, struct courier_mx *b)
{
    struct courier_mx kept = *a;
    *a = *b;
    *b = kept;
}

/* Shuffled, then sorted by a sort that leaves equals as they are; there are few. */
static void mx_sort(struct courier_mx *mx, size_t count, uint64_t random)
{
    for (size_t i = count; i > 1; i--) mx_swap(&mx[i - 1], &mx[mx_random(&random) % i]);
    for (size_t i = 1; i < count; i++) {
        for (size_t k = i; k > 0 && mx[k].preference < mx[k - 1].preference; k--) {
            mx_swap(&mx[k], &mx[k - 1]);
        }
    }
}

enum courier_mx_verdict courier_mx_order(struct courier_mx *mx, size_t *count,
                                         const struct span *own, size_t own_count,
                                         uint64_t random)
{
    size_t named = 0, kept = 0;
    size_t have = *count < COURIER_MX_MAX ? *count : COURIER_MX_MAX;
    for (size_t i = 0; i < have; i++) {
        if (mx_name(mx[i].host).len > 0) mx[named++] = mx[i];
    }
    *count = named;
    if (have == 0) return COURIER_MX_IMPLICIT;
    if (named == 0) return COURIER_MX_NULL;
    uint32_t own_preference = UINT32_MAX;
    for (size_t i = 0; i < named; i++) {
        if (mx[i].preference < own_preference && mx_is_own(mx[i].host, own, own_count)) {
            own_preference = mx[i].preference;
        }
    }
    for (size_t i = 0; i < named; i++) {
        if (mx[i].preference < own_preference) mx[kept++] = mx[i];
    }
    *count = kept;
    if (kept == 0) return COURIER_MX_LOOP;
    mx_sort(mx, kept, random);
    return COURIER_MX_OK;
}
