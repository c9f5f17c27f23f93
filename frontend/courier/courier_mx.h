/* courier_mx.h: which hosts take a domain's mail, in which order (RFC 5321 5.1). Pure: the DNS
 * answer and the random number are arguments. */
#ifndef MAIL_COURIER_MX_H
#define MAIL_COURIER_MX_H

#include <stddef.h>
#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { COURIER_MX_MAX = 64 }; /* records of an answer; more are left out */

struct courier_mx {
    uint16_t preference;
    struct span host; /* with or without the root's dot */
};

enum courier_mx_verdict {
    COURIER_MX_OK,       /* try them in this order */
    COURIER_MX_IMPLICIT, /* none: the domain's own addresses, as with preference 0 */
    COURIER_MX_NULL,     /* takes no mail: fails at once, 556 5.1.10 (RFC 7505) */
    COURIER_MX_LOOP,     /* the best host is ourselves: fails, 554 5.4.6 */
};

/* Puts `mx` in order, equal preferences by `random`. Our own hosts (any of `own`) and everything
 * of their preference and worse go out, else mail would turn in circles (5.1). `*count` is how
 * many there are, and then how many are left. */
enum courier_mx_verdict courier_mx_order(struct courier_mx *mx, size_t *count,
                                         const struct span *own, size_t own_count,
                                         uint64_t random);

#ifdef __cplusplus
}
#endif
#endif
