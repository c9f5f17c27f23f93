/* What each kind of program may do in etcd, for who makes its users: one line each of
 *
 *   USER RIGHT KEY END PREFIX     frontend readwrite L2dvZHdpdC9jL... L2dvZHdpdC9jL... domains/
 *
 * KEY and END as the JSON of etcd's role/grant takes them: base64 of the first key, and of the one
 * behind the last. Every user reads the row that says that a migration is under way. */
#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "boot.h"
#include "buf.h"
#include "client.h"
#include "cluster_private.h"
#include "coord.h"
#include "roster_access.h"

enum { KEY_BYTES = COORD_CLUSTER_MAX_BYTES + COORD_KEY_MAX_BYTES + 16,
       DIGITS_BYTES = KEY_BYTES * 2 };

static void put_line(const char *cluster, const char *user, bool writes, struct span prefix)
{
    char bytes[KEY_BYTES], first[DIGITS_BYTES], end[DIGITS_BYTES];
    struct buf key, digits, after;
    buf_init(&key, bytes, sizeof(bytes));
    buf_init(&digits, first, sizeof(first));
    buf_init(&after, end, sizeof(end));
    buf_put(&key, SPAN("/godwit/"));
    buf_put(&key, span_of(cluster, strlen(cluster)));
    buf_put(&key, SPAN("/"));
    buf_put(&key, prefix);
    base64_encode(&digits, buf_span(&key));
    key.bytes[key.len - 1]++; /* no prefix ends with the highest byte */
    base64_encode(&after, buf_span(&key));
    printf("%s %s %.*s %.*s %.*s\n", user, writes ? "readwrite" : "read", (int)digits.len,
           digits.bytes, (int)after.len, after.bytes, (int)prefix.len, prefix.ptr);
}

int cluster_access(const struct boot *boot)
{
    const char *cluster = boot_text(boot, "cluster");
    if (cluster[0] == '\0' || strlen(cluster) > COORD_CLUSTER_MAX_BYTES) {
        fprintf(stderr, "godwitctl cluster coord access: --cluster is 1 to %d bytes\n",
                (int)COORD_CLUSTER_MAX_BYTES);
        return CLIENT_USAGE;
    }
    for (unsigned kind = 0; kind < ROSTER_KINDS; kind++) {
        put_line(cluster, roster_kind_text((enum roster_kind)kind), false, SPAN("moving"));
    }
    for (size_t i = 0; i < ROSTER_ACCESSES; i++) {
        const struct roster_access *access = &roster_accesses[i];
        put_line(cluster, roster_kind_text(access->kind), access->writes, access->prefix);
    }
    put_line(cluster, "operator", true, SPAN(""));
    return CLIENT_OK;
}
