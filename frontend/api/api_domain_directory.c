/* The LDAP directory of a domain's users (directory_mapping.h): taken into its row as a whole or
 * not at all. Its password is sealed there, and no answer shows it. */
#include <string.h>

#include "api_state_private.h"
#include "buf.h"
#include "directory.h"
#include "directory_mapping.h"
#include "ldap_filter.h"
#include "utf8.h"

enum { ATTRIBUTE_MAX_BYTES = 64, SEALED_BYTES = DIRECTORY_MAPPING_SEALED_MAX_BYTES,
       WHOSE_BYTES = 300 };

static struct span text_of(const json_t *value)
{
    return span_of(json_string_value(value), json_string_length(value));
}

bool api_domain_directory_whose(struct span domain, struct buf *to)
{
    buf_put(to, SPAN("domains/"));
    buf_put(to, domain);
    buf_put(to, SPAN("/directory_password"));
    return !to->overflow;
}

/* ---- one member each; false: refused */

static bool take_hosts(struct api_call *call, json_t *row)
{
    const json_t *hosts = json_object_get(call->in, "directory_hosts");
    size_t count = json_array_size(hosts);
    if (hosts == NULL) return true;
    bool good = json_is_array(hosts) && count <= DIRECTORY_MAPPING_HOSTS_MAX;
    for (size_t i = 0; i < count && good; i++) {
        struct span host = text_of(json_array_get(hosts, i));
        good = host.len > 0 && host.len <= DIRECTORY_HOST_MAX_BYTES && api_is_host(host);
    }
    if (!good) {
        api_refuse(call, 400, "Bad value", "directory_hosts: at most %d of host or host:port, the "
                   "first is the primary; none: the domain has no directory",
                   DIRECTORY_MAPPING_HOSTS_MAX);
        return false;
    }
    api_set(row, "directory_hosts", json_deep_copy(hosts));
    return true;
}

static bool take_tls(struct api_call *call, json_t *row)
{
    struct span word = SPAN("");
    enum directory_tls tls;
    if (json_object_get(call->in, "directory_tls") == NULL) return true;
    if (!api_in_text(call, "directory_tls", 20, &word)) return false;
    if (!directory_tls_find(word, &tls)) {
        api_refuse(call, 400, "Bad value", "directory_tls: " DIRECTORY_TLS_WORDS);
        return false;
    }
    api_set_text(row, "directory_tls", word);
    return true;
}

/* Certificates in PEM; whether they are good ones is seen when a host shows its own. */
static bool is_certificates(struct span text)
{
    static const struct span begin = SPAN_INIT("-----BEGIN CERTIFICATE-----");
    return memmem(text.ptr, text.len, begin.ptr, begin.len) != NULL &&
           memmem(text.ptr, text.len, "PRIVATE KEY", 11) == NULL &&
           memchr(text.ptr, '\0', text.len) == NULL;
}

static bool take_ca(struct api_call *call, json_t *row)
{
    struct span ca = SPAN("");
    if (json_object_get(call->in, "directory_ca") == NULL) return true;
    if (!api_in_text(call, "directory_ca", DIRECTORY_MAPPING_CA_MAX_BYTES, &ca)) return false;
    if (ca.len > 0 && !is_certificates(ca)) {
        api_refuse(call, 400, "Bad value", "directory_ca: certificates in PEM, without a key; "
                   "empty: those that the machine trusts");
        return false;
    }
    api_set_text(row, "directory_ca", ca);
    return true;
}

static bool is_line(struct span text)
{
    if (!utf8_is_valid(text)) return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < ' ' || c == 0x7f) return false;
    }
    return true;
}

static bool take_dn(struct api_call *call, json_t *row, const char *member)
{
    struct span dn = SPAN("");
    if (json_object_get(call->in, member) == NULL) return true;
    if (!api_in_text(call, member, DIRECTORY_MAPPING_TEXT_MAX_BYTES, &dn)) return false;
    if (!is_line(dn) || (dn.len > 0 && memchr(dn.ptr, '=', dn.len) == NULL)) {
        api_refuse(call, 400, "Bad value", "%s: a DN like ou=people,dc=example,dc=org", member);
        return false;
    }
    api_set_text(row, member, dn);
    return true;
}

static bool take_filter(struct api_call *call, json_t *row)
{
    struct span filter = SPAN("");
    if (json_object_get(call->in, "directory_filter") == NULL) return true;
    if (!api_in_text(call, "directory_filter", LDAP_FILTER_MAX_BYTES, &filter)) return false;
    if (filter.len > 0 && (!utf8_is_valid(filter) || !ldap_filter_is_valid(filter))) {
        api_refuse(call, 400, "Bad value", "directory_filter: a filter of RFC 4515 like "
                   "(&(objectClass=person)(mail=*@{domain})), {domain} is the domain's name");
        return false;
    }
    api_set_text(row, "directory_filter", filter);
    return true;
}

static bool take_attribute(struct api_call *call, json_t *row, const char *member)
{
    struct span name = SPAN("");
    if (json_object_get(call->in, member) == NULL) return true;
    if (!api_in_text(call, member, ATTRIBUTE_MAX_BYTES, &name)) return false;
    if (name.len > 0 && !ldap_attribute_is_valid(name)) {
        api_refuse(call, 400, "Bad value", "%s: the name of an attribute, like mail", member);
        return false;
    }
    api_set_text(row, member, name);
    return true;
}

static bool take_number(struct api_call *call, json_t *row, const char *member,
                        const uint64_t bounds[2])
{
    uint64_t value = 0;
    if (json_object_get(call->in, member) == NULL) return true;
    if (!api_in_number(call, member, &value)) return false;
    if (value < bounds[0] || value > bounds[1]) {
        api_refuse(call, 400, "Bad value", "%s: a number from %llu to %llu", member,
                   (unsigned long long)bounds[0], (unsigned long long)bounds[1]);
        return false;
    }
    api_set(row, member, json_integer((json_int_t)value));
    return true;
}

/* ---- the password */

static bool take_password(struct api_call *call, json_t *row)
{
    const struct api_options *options = &call->api->options;
    char bytes[SEALED_BYTES], whose[WHOSE_BYTES];
    struct span password = SPAN("");
    struct buf sealed, place;
    if (json_object_get(call->in, "directory_password") == NULL) return true;
    if (!api_in_text(call, "directory_password", DIRECTORY_MAPPING_TEXT_MAX_BYTES, &password)) {
        return false;
    }
    json_object_del(row, "directory_password");
    if (password.len == 0) return true;
    buf_init(&sealed, bytes, sizeof(bytes));
    buf_init(&place, whose, sizeof(whose));
    struct err err = err_make(ERR_TOO_BIG, "password of a directory");
    if (api_domain_directory_whose(text_of(json_object_get(row, "name")), &place)) {
        err = options->seal(options->holder, buf_span(&place), password, &sealed);
    }
    if (err.code == ERR_OK) api_set_text(row, "directory_password", buf_span(&sealed));
    else api_fail(call, err);
    return err.code == ERR_OK;
}

/* Whoever may change where the password is sent, and does not know it, is not to learn it so. */
static bool is_sent_elsewhere(const json_t *before, const json_t *row)
{
    static const char *const members[] = { "directory_hosts", "directory_tls", "directory_ca" };
    if (json_object_get(before, "directory_password") == NULL) return false;
    if (json_array_size(json_object_get(row, "directory_hosts")) == 0) return false;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const json_t *was = json_object_get(before, members[i]);
        const json_t *is = json_object_get(row, members[i]);
        if (was != is && !json_equal(was, is)) return true;
    }
    return false;
}

/* ---- all of it */

static bool take_members(struct api_call *call, json_t *row)
{
    static const uint64_t sync[] = { DIRECTORY_MAPPING_SYNC_MIN_S, DIRECTORY_MAPPING_SYNC_MAX_S };
    static const uint64_t timeout[] = { DIRECTORY_MAPPING_TIMEOUT_MIN_S,
                                        DIRECTORY_MAPPING_TIMEOUT_MAX_S };
    static const uint64_t users[] = { 1, DIRECTORY_MAPPING_USERS_MAX };
    return take_hosts(call, row) && take_tls(call, row) && take_ca(call, row) &&
           take_dn(call, row, "directory_bind_dn") && take_dn(call, row, "directory_base") &&
           take_filter(call, row) && take_attribute(call, row, "directory_address") &&
           take_attribute(call, row, "directory_name") &&
           take_attribute(call, row, "directory_full_name") &&
           take_number(call, row, "directory_sync", sync) &&
           take_number(call, row, "directory_timeout", timeout) &&
           take_number(call, row, "directory_users_max", users) && take_password(call, row);
}

/* Whether what the row has then goes together. */
static bool fits_together(struct api_call *call, const json_t *before, const json_t *row)
{
    const json_t *dn = json_object_get(row, "directory_bind_dn");
    bool has_dn = json_string_length(dn) > 0;
    bool has_password = json_object_get(row, "directory_password") != NULL;
    if (json_array_size(json_object_get(row, "directory_hosts")) == 0) return true;
    if (json_string_length(json_object_get(row, "directory_base")) == 0) {
        api_refuse(call, 400, "Bad value", "directory_base: needed with directory_hosts");
    } else if (has_dn != has_password) {
        api_refuse(call, 400, "Bad value", "directory_password: needed with directory_bind_dn, and "
                   "not without");
    } else if (json_object_get(call->in, "directory_password") == NULL &&
               is_sent_elsewhere(before, row)) {
        api_refuse(call, 400, "Bad value", "directory_password: to be given again when "
                   "directory_hosts, directory_tls or directory_ca change");
    } else {
        return true;
    }
    return false;
}

bool api_domain_directory_take(struct api_call *call, json_t *row)
{
    json_t *before = json_copy(row);
    bool good = take_members(call, row) && fits_together(call, before, row);
    json_decref(before);
    return good;
}

json_t *api_domain_shown(const json_t *row)
{
    json_t *shown = json_is_object(row) ? json_deep_copy(row) : NULL;
    if (json_object_get(shown, "directory_password") != NULL) {
        api_set(shown, "directory_password", json_string("********"));
    }
    return shown;
}
