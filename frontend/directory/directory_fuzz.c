/* A domain's JSON: what is refused says why and leaves the directory as it was; what is taken is
 * found by each of its names, and its LDAP directory is within bounds; a pattern fits itself
 * without its stars. */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "directory.h"
#include "directory_mapping.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count_target(void *holder, struct span address)
{
    (void)address;
    (*(size_t *)holder)++;
}

static void check_alias(const struct directory_domain *domain, const struct directory_alias *alias)
{
    char plain[DIRECTORY_PATTERN_MAX_BYTES];
    size_t len = 0, count = 0;
    CHECK(alias->pattern.len <= DIRECTORY_PATTERN_MAX_BYTES);
    CHECK(alias->targets_count <= DIRECTORY_TARGETS_MAX);
    for (size_t i = 0; i < alias->pattern.len; i++) {
        char c = alias->pattern.ptr[i];
        if (c != '*') plain[len++] = c == '?' ? 'x' : c;
    }
    struct span local = span_of(plain, len);
    CHECK(directory_pattern_fits(alias->pattern, local));
    CHECK(directory_alias_targets(domain, local, count_target, &count) == count);
}

static void check_mapping(const struct directory_mapping *mapping)
{
    if (mapping == NULL) return;
    CHECK(mapping->hosts_count > 0 && mapping->hosts_count <= DIRECTORY_MAPPING_HOSTS_MAX);
    CHECK(mapping->sync_s > 0 && mapping->sync_s <= DIRECTORY_MAPPING_SYNC_MAX_S);
    CHECK(mapping->timeout_s > 0 && mapping->timeout_s <= DIRECTORY_MAPPING_TIMEOUT_MAX_S);
    CHECK(mapping->users_max > 0 && mapping->users_max <= DIRECTORY_MAPPING_USERS_MAX);
    CHECK(mapping->filter.len > 0 && mapping->filter.len <= DIRECTORY_MAPPING_TEXT_MAX_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct directory *directory;
    struct span why = SPAN("");
    bool other;
    if (directory_new(1, &directory).code != ERR_OK) return 0;
    struct err err = directory_add(directory, span_of(data, size), &why);
    CHECK(err.code == ERR_OK || err.code == ERR_SYNTAX || err.code == ERR_NOMEM);
    if (err.code != ERR_OK) {
        CHECK(directory_count(directory) == 0);
        if (err.code == ERR_SYNTAX) CHECK(why.len > 0);
        directory_unref(directory);
        return 0;
    }
    CHECK(directory_count(directory) == 1);
    const struct directory_domain *domain = directory_at(directory, 0);
    CHECK(directory_find(directory, domain->name, &other) == domain && !other);
    check_mapping(domain->mapping);
    for (size_t i = 0; i < domain->also_count; i++) {
        CHECK(directory_find(directory, domain->also[i], &other) == domain);
    }
    for (size_t i = 0; i < domain->aliases_count; i++) check_alias(domain, &domain->aliases[i]);
    CHECK(directory_add(directory, span_of(data, size), &why).code == ERR_SYNTAX); /* twice */
    CHECK(directory_count(directory) == 1);
    directory_unref(directory);
    return 0;
}
