/* smtp_path.h: the paths and domains of RFC 5321 4.1.2. Pure: bytes in, spans into them out. */
#ifndef MAIL_SMTP_PATH_H
#define MAIL_SMTP_PATH_H

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    /* RFC 5321 4.5.3.1.1 says 64 and asks not to enforce it: the return paths of mailing lists and
     * of sender rewriting are longer in daily mail. */
    SMTP_LOCAL_PART_MAX_BYTES = 255,
    SMTP_DOMAIN_MAX_BYTES = 255,       /* RFC 5321 4.5.3.1.2 */
    SMTP_LABEL_MAX_BYTES = 63,         /* RFC 1035 2.3.4 */
    SMTP_PATH_MAX_BYTES = 1024,        /* with a source route */
};

struct smtp_path {
    struct span local;  /* as sent, quotes and all; empty with `domain` for <> */
    struct span domain; /* as sent; empty with `local` for <Postmaster> */
    bool is_ascii;      /* false: needs SMTPUTF8 (RFC 6531); all bytes are valid UTF-8 then */
};

/* Path = "<" [ A-d-l ":" ] local "@" domain ">" or "<>" or "<Postmaster>" off the front of `in`.
 * A source route (A-d-l) is checked and left out of `*path`, as RFC 5321 appendix C asks for.
 * `*rest` starts after ">". ERR_SYNTAX, ERR_TOO_BIG. */
MUST_USE struct err smtp_path_parse(struct span in, struct smtp_path *path, struct span *rest);

/* An address without brackets, "local@domain". ERR_SYNTAX, ERR_TOO_BIG. */
MUST_USE struct err smtp_address_parse(struct span in, struct smtp_path *path);

/* Whether `domain` is a name of dot-separated labels or an address literal in brackets. Labels
 * may hold "_", which mail domains in use do, and the 8-bit bytes of RFC 6531. */
bool smtp_domain_is_valid(struct span domain);

/* Whether every byte is ASCII, and whether all of it is well-formed UTF-8 (RFC 3629). */
bool smtp_is_ascii(struct span s);
bool smtp_is_utf8(struct span s);

#ifdef __cplusplus
}
#endif
#endif
