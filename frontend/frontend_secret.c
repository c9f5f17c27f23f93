/* Secrets of the configuration: sealed with the installation's keys, in base64. */
#include "base64.h"
#include "buf.h"
#include "frontend_loop.h"
#include "sealed.h"

enum { SEALED_BYTES = FRONTEND_SECRET_MAX_BYTES + SEALED_OVERHEAD_BYTES };

struct err frontend_seal(const struct frontend *frontend, struct span whose, struct span secret,
                         struct buf *to)
{
    char bytes[SEALED_BYTES];
    struct buf sealed;
    if (secret.len > FRONTEND_SECRET_MAX_BYTES) return err_make(ERR_TOO_BIG, "secret");
    buf_init(&sealed, bytes, sizeof(bytes));
    TRY(sealed_make(&frontend->keys, whose, secret, &sealed));
    base64_encode(to, buf_span(&sealed));
    return to->overflow ? err_make(ERR_TOO_BIG, "secret") : err_ok();
}

struct err frontend_unseal(const struct frontend *frontend, struct span whose, struct span text,
                           struct buf *to)
{
    char bytes[SEALED_BYTES];
    struct buf sealed;
    buf_init(&sealed, bytes, sizeof(bytes));
    TRY(base64_decode_strict(&sealed, text));
    return sealed_open(&frontend->keys, whose, buf_span(&sealed), to);
}
