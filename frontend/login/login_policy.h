/* login_policy.h: what a new password must be like. Pure. */
#ifndef MAIL_LOGIN_POLICY_H
#define MAIL_LOGIN_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

/* From password.length.min and so on. */
struct login_policy {
    uint32_t length_min;  /* characters of UTF-8 */
    uint32_t classes_min; /* of: small letters, capitals, digits, others */
    bool names_allowed;
};

/* Whose password it is to be. All may be empty. */
struct login_names {
    struct span local, domain; /* of the address */
    struct span full_name;
};

enum login_fault {
    LOGIN_FAULT_NONE,
    LOGIN_FAULT_SHORT,
    LOGIN_FAULT_CLASSES,
    LOGIN_FAULT_NAME, /* it holds the local part, the domain, the domain's first label, or a word of
                       * the full name; case aside, and only names longer than two characters */
};

/* The first rule that a password breaks. */
enum login_fault login_policy_check(const struct login_policy *policy, struct span password,
                                    const struct login_names *names);

#ifdef __cplusplus
}
#endif
#endif
