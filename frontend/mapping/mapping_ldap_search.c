/* Which entries are users: a search whose answer comes in pages (RFC 2696), if the host can. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "directory_mapping.h"
#include "ldap_filter.h"
#include "mapping_ldap_private.h"

enum { FILTER_BYTES = 4 * LDAP_FILTER_MAX_BYTES, ATTRIBUTE_BYTES = 65, ENTRIES_FEW = 256 };

/* A search of one host. */
struct search {
    struct span filter_text, password;
    char base[MAPPING_DN_MAX_BYTES + 1], filter[FILTER_BYTES];
    char address[ATTRIBUTE_BYTES], name[ATTRIBUTE_BYTES], full_name[ATTRIBUTE_BYTES];
    struct mapping_found *found;
    size_t size;
    uint64_t until_ms;
};

static bool text_take(char *to, size_t size, struct span text)
{
    to[0] = '\0';
    if (text.len == 0) return true;
    if (text.len >= size || memchr(text.ptr, '\0', text.len) != NULL) return false;
    memcpy(to, text.ptr, text.len);
    to[text.len] = '\0';
    return true;
}

/* ---- an entry */

static struct err value_take(struct search *search, const struct berval *value, size_t bytes_max,
                             struct mapping_entry *entry, struct span *ret)
{
    if (value->bv_len > bytes_max) {
        entry->is_too_big = true;
        return err_ok();
    }
    return arena_copy(&search->found->arena, span_of(value->bv_val, value->bv_len), ret);
}

static struct err first_value(LDAP *ldap, LDAPMessage *message, struct search *search,
                              const char *attribute, struct span *ret)
{
    struct mapping_entry *entry = &search->found->entries[search->found->count];
    struct berval **values = ldap_get_values_len(ldap, message, attribute);
    struct err err = err_ok();
    if (values != NULL && values[0] != NULL) {
        err = value_take(search, values[0], MAPPING_TEXT_MAX_BYTES, entry, ret);
    }
    ldap_value_free_len(values);
    return err;
}

static struct err addresses_take(LDAP *ldap, LDAPMessage *message, struct search *search)
{
    struct mapping_entry *entry = &search->found->entries[search->found->count];
    struct berval **values = ldap_get_values_len(ldap, message, search->address);
    size_t count = (size_t)ldap_count_values_len(values);
    struct err err = err_ok();
    if (count > MAPPING_ADDRESSES_MAX) {
        entry->is_too_big = true;
        count = 0;
    }
    entry->addresses = arena_alloc(&search->found->arena, (count + 1) * sizeof(struct span));
    if (entry->addresses == NULL) err = err_make(ERR_TOO_BIG, "entries of a directory");
    for (size_t i = 0; i < count && err.code == ERR_OK; i++) {
        err = value_take(search, values[i], MAPPING_TEXT_MAX_BYTES, entry,
                         &entry->addresses[entry->addresses_count]);
        entry->addresses_count += !entry->is_too_big;
    }
    ldap_value_free_len(values);
    return err;
}

static struct err room_for_one(struct search *search)
{
    struct mapping_found *found = search->found;
    if (found->count < search->size) return err_ok();
    size_t size = search->size == 0 ? ENTRIES_FEW : 2 * search->size;
    struct mapping_entry *more = arena_alloc(&found->arena, size * sizeof(*more));
    if (more == NULL) return err_make(ERR_TOO_BIG, "entries of a directory");
    if (found->count > 0) memcpy(more, found->entries, found->count * sizeof(*more));
    found->entries = more;
    search->size = size;
    return err_ok();
}

static struct err entry_take(struct mapping_host *host, LDAPMessage *message,
                             struct search *search)
{
    LDAP *ldap = host->ldap;
    struct mapping_visit *visit = host->visit;
    if (search->found->count >= visit->mapping->users_max) {
        return mapping_failed(visit, ERR_TOO_BIG, "more entries than directory_users_max");
    }
    TRY(room_for_one(search));
    struct mapping_entry *entry = &search->found->entries[search->found->count];
    char *dn = ldap_get_dn(ldap, message);
    if (dn == NULL) return mapping_failed(visit, ERR_UNREACHABLE, "an entry without a DN");
    struct berval value = { .bv_len = strlen(dn), .bv_val = dn };
    struct err err = value_take(search, &value, MAPPING_DN_MAX_BYTES, entry, &entry->dn);
    if (err.code == ERR_OK && entry->is_too_big) {
        struct span shown = span_of(dn, 200); /* so that it can be told which */
        err = arena_copy(&search->found->arena, shown, &entry->dn);
    }
    ldap_memfree(dn);
    if (err.code == ERR_OK) err = first_value(ldap, message, search, search->name, &entry->name);
    if (err.code == ERR_OK) {
        err = first_value(ldap, message, search, search->full_name, &entry->full_name);
    }
    if (err.code == ERR_OK) err = addresses_take(ldap, message, search);
    if (err.code == ERR_OK) search->found->count++;
    return err;
}

/* ---- a page */

static enum err_code search_code(int result)
{
    switch (result) {
    case LDAP_NO_SUCH_OBJECT: return ERR_NOT_FOUND;
    case LDAP_INVALID_DN_SYNTAX:
    case LDAP_FILTER_ERROR: return ERR_SYNTAX;
    case LDAP_INSUFFICIENT_ACCESS: return ERR_DENIED;
    case LDAP_SIZELIMIT_EXCEEDED:
    case LDAP_ADMINLIMIT_EXCEEDED: return ERR_TOO_BIG;
    default: return ERR_UNREACHABLE;
    }
}

/* The end of a page: `cookie` is empty when it was the last. */
static struct err page_end(struct mapping_host *host, LDAPMessage *message,
                           struct berval *cookie)
{
    LDAP *ldap = host->ldap;
    LDAPControl **controls = NULL;
    int result = LDAP_OTHER, count;
    int parsed = ldap_parse_result(ldap, message, &result, NULL, NULL, NULL, &controls, 0);
    struct err err = err_ok();
    if (parsed != LDAP_SUCCESS) result = parsed;
    if (result != LDAP_SUCCESS) err = mapping_result(host, search_code(result), result);
    LDAPControl *page = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, controls, NULL);
    ber_memfree(cookie->bv_val);
    *cookie = (struct berval){ 0 };
    if (err.code == ERR_OK && page != NULL &&
        ldap_parse_pageresponse_control(ldap, page, &count, cookie) != LDAP_SUCCESS) {
        err = mapping_failed(host->visit, ERR_UNREACHABLE, "an answer is not whole");
    }
    ldap_controls_free(controls);
    return err;
}

static struct err page_take(struct mapping_host *host, struct search *search, int id,
                            struct berval *cookie)
{
    for (;;) {
        LDAPMessage *message = NULL;
        if (clock_boot_ms() > search->until_ms) {
            return mapping_failed(host->visit, ERR_UNREACHABLE, "the search takes too long");
        }
        TRY(mapping_answer(host, id, LDAP_MSG_ONE, &message));
        int type = ldap_msgtype(message);
        struct err err = err_ok();
        if (type == LDAP_RES_SEARCH_ENTRY) err = entry_take(host, message, search);
        if (type == LDAP_RES_SEARCH_RESULT) err = page_end(host, message, cookie);
        ldap_msgfree(message);
        if (err.code != ERR_OK || type == LDAP_RES_SEARCH_RESULT) return err;
    }
}

static struct err page_ask(struct mapping_host *host, struct search *search,
                           struct berval *cookie, int *ret_id)
{
    LDAP *ldap = host->ldap;
    char *attributes[] = { search->address, search->name, search->full_name, NULL };
    LDAPControl *page = NULL;
    int result = ldap_create_page_control(ldap, MAPPING_PAGE_ENTRIES, cookie, 0, &page);
    if (result == LDAP_SUCCESS) {
        LDAPControl *controls[] = { page, NULL };
        mapping_deadline(host);
        result = ldap_search_ext(ldap, search->base, LDAP_SCOPE_SUBTREE, search->filter,
                                 attributes, 0, controls, NULL, NULL, LDAP_NO_LIMIT, ret_id);
    }
    if (page != NULL) ldap_control_free(page);
    if (result == LDAP_SUCCESS) return err_ok();
    return mapping_result(host, search_code(result), result);
}

/* ---- all of them */

static struct err search_at(struct mapping_host *host, void *holder)
{
    const struct directory_mapping *mapping = host->visit->mapping;
    struct search *search = holder;
    struct berval cookie = { 0 };
    struct err err = err_ok();
    int id;
    if (mapping->bind_dn.len > 0) {
        err = mapping_bind(host, mapping->bind_dn, search->password);
    }
    bool more = err.code == ERR_OK;
    while (more) {
        err = page_ask(host, search, &cookie, &id);
        if (err.code == ERR_OK) err = page_take(host, search, id, &cookie);
        more = err.code == ERR_OK && cookie.bv_len > 0;
    }
    ber_memfree(cookie.bv_val);
    return err;
}

struct err mapping_ldap_search(struct mapping_visit *visit, struct span filter,
                               struct span password, struct mapping_found *ret)
{
    const struct directory_mapping *mapping = visit->mapping;
    struct search search = { .password = password, .found = ret,
                             .until_ms = clock_boot_ms() + MAPPING_SEARCH_MAX_MS };
    *ret = (struct mapping_found){ .count = 0 };
    arena_init(&ret->arena, MAPPING_FOUND_MAX_BYTES);
    bool fits = text_take(search.base, sizeof(search.base), mapping->base) &&
                text_take(search.filter, sizeof(search.filter), filter) &&
                text_take(search.address, sizeof(search.address), mapping->address) &&
                text_take(search.name, sizeof(search.name), mapping->name) &&
                text_take(search.full_name, sizeof(search.full_name), mapping->full_name);
    if (!fits) return mapping_failed(visit, ERR_SYNTAX, "base, filter or an attribute is too long");
    if (mapping->bind_dn.len > 0 && password.len == 0) {
        return mapping_failed(visit, ERR_DENIED, "directory_bind_dn has no password");
    }
    struct err err = mapping_at_host(visit, search_at, &search);
    if (err.code != ERR_OK) arena_clear(&ret->arena);
    return err;
}
