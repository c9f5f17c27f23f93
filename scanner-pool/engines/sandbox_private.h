/* sandbox_private.h: the layers that have a file of their own. */
#ifndef MAIL_SANDBOX_PRIVATE_H
#define MAIL_SANDBOX_PRIVATE_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* False: the kernel has no such thing, or refuses. */
bool sandbox_landlock(int folder);
bool sandbox_seccomp(void);

#ifdef __cplusplus
}
#endif
#endif
