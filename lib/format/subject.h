/* subject.h: the base subject of a message (RFC 5256 2.1), by which SORT and THREAD compare. Pure.
 */
#ifndef MAIL_SUBJECT_H
#define MAIL_SUBJECT_H

#include <stdbool.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct subject {
    struct span base;
    bool is_reply; /* "re:", "fwd:", "(fwd)" or "[fwd: ]" was taken off (RFC 5256 3, REFERENCES) */
};

/* `text` is the Subject field's value with its encoded words decoded. `store` has text.len bytes;
 * the base lies in it. The base of a base is itself. */
struct subject subject_base(struct span text, char *store);

#ifdef __cplusplus
}
#endif
#endif
