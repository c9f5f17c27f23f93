/* clam_private.h: libclamav behind spans. Only the zygote and its workers run this. */
#ifndef MAIL_CLAM_PRIVATE_H
#define MAIL_CLAM_PRIVATE_H

#include <stdint.h>

#include "engines.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct clam;

/* What of libclamav's warnings is worth an operator's eye while loading. `text` dies on return. */
typedef void (*clam_said)(void *holder, struct span text);

/* Loads all of the folder. ERR_CORRUPT: a file in it is broken, or there is no signature at all;
 * `*why` is then a text that lives as long as the process. ERR_NOMEM. */
MUST_USE struct err clam_load(const char *folder, const struct engines_limits *limits,
                              clam_said said, void *holder, struct clam **ret, const char **why);

uint32_t clam_signatures(const struct clam *clam);
uint64_t clam_signatures_ms(const struct clam *clam);
/* "1.4.6/27500". */
struct span clam_version(const struct clam *clam);

/* How far each look from now on goes. */
void clam_set_reach(struct clam *clam, const struct engines_reach *reach);
/* How long each look from now on may take. */
void clam_set_time(struct clam *clam, uint32_t scan_ms);

/* Looks at a mail (or any file, where it is decoded already), adding to `result` what is found
 * under `part`, and worsening its outcome. `bytes` stays as it is. Temporary files are made in the
 * working directory, and are gone on return unless the process is killed. */
void clam_scan(struct clam *clam, struct span bytes, struct span part, struct span file_name,
               struct engines_result *result);

#ifdef __cplusplus
}
#endif
#endif
