/* scanner_log.h: what the engines say, as events of the log. */
#ifndef MAIL_SCANNER_LOG_H
#define MAIL_SCANNER_LOG_H

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `event` as engines_user.log() has it; `text` came from libclamav or is ours. `signatures`: how
 * many the live set has. */
void scanner_log(const char *event, struct span text, unsigned signatures);

#ifdef __cplusplus
}
#endif
#endif
