/* Stored bodies, made readable for IMAP. The last one is kept unpacked in a buffer of the loop, so
 * that FETCH of many messages allocates nothing. */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "frontend_loop.h"
#include "stored_body.h"

enum { KEPT_MAX_BYTES = 1024 * 1024 };

struct err frontend_body_open(void *holder, struct span stored, struct imap_opened *ret)
{
    struct frontend_kept *kept = &((struct frontend_loop *)holder)->kept;
    struct span plain;
    uint64_t length;
    *ret = (struct imap_opened){ 0 };
    if (stored_body_is_plain(stored, &plain)) {
        ret->bytes = plain;
        return err_ok();
    }
    TRY(stored_body_length(stored, &length));
    char *bytes = NULL;
    if (!kept->lent && length <= KEPT_MAX_BYTES) {
        if (length > kept->size) {
            char *grown = realloc(kept->bytes, length);
            if (grown == NULL) return err_make(ERR_NOMEM, "body");
            kept->bytes = grown;
            kept->size = length;
        }
        bytes = kept->bytes;
        kept->lent = true;
    } else {
        bytes = ret->memory = malloc(length + 1);
        if (bytes == NULL) return err_make(ERR_NOMEM, "body");
    }
    struct err err = stored_body_open(stored, bytes, length);
    if (err.code != ERR_OK) {
        frontend_body_close(holder, ret);
        return err;
    }
    ret->bytes = span_of(bytes, length);
    return err_ok();
}

void frontend_body_close(void *holder, struct imap_opened *opened)
{
    struct frontend_kept *kept = &((struct frontend_loop *)holder)->kept;
    if (opened->memory != NULL) free(opened->memory);
    else if (opened->bytes.ptr == NULL || opened->bytes.ptr == kept->bytes) kept->lent = false;
    if (kept->size > KEPT_MAX_BYTES / 4 && !kept->lent) {
        free(kept->bytes);
        kept->bytes = NULL;
        kept->size = 0;
    }
    *opened = (struct imap_opened){ 0 };
}
