#include "rpc_name.h"

#include "id.h"

static const struct {
    enum rpc_role role;
    struct span text;
} rpc_roles[] = {
    { RPC_ROLE_FRONTEND, SPAN_INIT("frontend") },
    { RPC_ROLE_STORAGE_NODE, SPAN_INIT("storage-node") },
    { RPC_ROLE_SCANNER, SPAN_INIT("scanner") },
    { RPC_ROLE_ROUTER, SPAN_INIT("router") },
    { RPC_ROLE_OPERATOR, SPAN_INIT("operator") },
};
_Static_assert(sizeof(rpc_roles) / sizeof(rpc_roles[0]) == RPC_ROLES_COUNT, "roles");

static const struct span rpc_scheme = SPAN_INIT("godwit://");

struct span rpc_role_text(enum rpc_role role)
{
    for (unsigned i = 0; i < RPC_ROLES_COUNT; i++) {
        if (rpc_roles[i].role == role) return rpc_roles[i].text;
    }
    return span_of(NULL, 0);
}

enum rpc_role rpc_role_of(struct span text)
{
    for (unsigned i = 0; i < RPC_ROLES_COUNT; i++) {
        if (span_eq(rpc_roles[i].text, text)) return rpc_roles[i].role;
    }
    return (enum rpc_role)0;
}

static bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool rpc_name_fits(struct span text)
{
    if (text.len == 0 || text.len > RPC_NAME_MAX_BYTES) return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool inside = i > 0 && i + 1 < text.len;
        if (!is_letter_or_digit(c) && !(inside && (c == '-' || c == '.'))) return false;
    }
    return true;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool rpc_cluster_is_known(const uint8_t cluster[RPC_CLUSTER_BYTES])
{
    static const uint8_t none[RPC_CLUSTER_BYTES];
    return memcmp(cluster, none, sizeof(none)) != 0;
}

bool rpc_cluster_parse(struct span text, uint8_t ret[RPC_CLUSTER_BYTES])
{
    uint8_t made[RPC_CLUSTER_BYTES];
    if (text.len != 2 * RPC_CLUSTER_BYTES) return false;
    for (size_t i = 0; i < RPC_CLUSTER_BYTES; i++) {
        int high = digit_of(text.ptr[2 * i]), low = digit_of(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        made[i] = (uint8_t)(high << 4 | low);
    }
    if (!rpc_cluster_is_known(made)) return false;
    memcpy(ret, made, sizeof(made));
    return true;
}

struct err rpc_name_parse(struct span uri, struct rpc_name *ret)
{
    struct rpc_name made;
    struct span cluster, rest, role;
    bool good = span_eq(span_head(uri, rpc_scheme.len), rpc_scheme) &&
                span_cut(span_skip(uri, rpc_scheme.len), '/', &cluster, &rest) &&
                span_cut(rest, '/', &role, &made.name) &&
                rpc_cluster_parse(cluster, made.cluster) && rpc_name_fits(made.name);
    if (!good) return err_make(ERR_SYNTAX, "URI of a certificate");
    made.role = rpc_role_of(role);
    if (made.role == 0) return err_make(ERR_SYNTAX, "role in the URI of a certificate");
    *ret = made;
    return err_ok();
}

static char *put(char *to, struct span bytes)
{
    memcpy(to, bytes.ptr, bytes.len);
    return to + bytes.len;
}

struct err rpc_name_put(const struct rpc_name *name, char to[RPC_URI_MAX_BYTES + 1])
{
    struct span role = rpc_role_text(name->role);
    if (role.len == 0 || !rpc_name_fits(name->name)) {
        return err_make(ERR_SYNTAX, "role or name of a program");
    }
    char *at = put(to, rpc_scheme);
    id_hex(name->cluster, RPC_CLUSTER_BYTES, at);
    at = put(at + 2 * RPC_CLUSTER_BYTES, SPAN("/"));
    at = put(put(put(at, role), SPAN("/")), name->name);
    *at = '\0';
    return err_ok();
}
