#include "login_policy.h"

enum { NAME_SHORT_CHARACTERS = 2 }; /* found by chance in too many */

static bool is_continued(char c) { return ((unsigned char)c & 0xc0) == 0x80; }

static uint32_t characters(struct span text)
{
    uint32_t count = 0;
    for (size_t i = 0; i < text.len; i++) count += !is_continued(text.ptr[i]);
    return count;
}

static uint32_t classes(struct span text)
{
    bool small = false, capital = false, digit = false, other = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c >= 'a' && c <= 'z') small = true;
        else if (c >= 'A' && c <= 'Z') capital = true;
        else if (c >= '0' && c <= '9') digit = true;
        else other = true;
    }
    return (uint32_t)small + capital + digit + other;
}

static bool holds(struct span password, struct span name)
{
    if (characters(name) <= NAME_SHORT_CHARACTERS) return false;
    for (size_t i = 0; i + name.len <= password.len; i++) {
        if (span_eq_nocase(span_head(span_skip(password, i), name.len), name)) return true;
    }
    return false;
}

static bool is_word(char c)
{
    unsigned char b = (unsigned char)c;
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') || b >= 0x80;
}

static bool holds_word_of(struct span password, struct span full_name)
{
    size_t from = 0;
    for (size_t i = 0; i <= full_name.len; i++) {
        if (i < full_name.len && is_word(full_name.ptr[i])) continue;
        if (holds(password, span_head(span_skip(full_name, from), i - from))) return true;
        from = i + 1;
    }
    return false;
}

enum login_fault login_policy_check(const struct login_policy *policy, struct span password,
                                    const struct login_names *names)
{
    struct span label = names->domain, rest;
    (void)span_cut(names->domain, '.', &label, &rest);
    if (characters(password) < policy->length_min) return LOGIN_FAULT_SHORT;
    if (classes(password) < policy->classes_min) return LOGIN_FAULT_CLASSES;
    if (policy->names_allowed) return LOGIN_FAULT_NONE;
    bool is_named = holds(password, names->local) || holds(password, names->domain) ||
                    holds(password, label) || holds_word_of(password, names->full_name);
    return is_named ? LOGIN_FAULT_NAME : LOGIN_FAULT_NONE;
}
