/* mapping_health.h: what a frontend knows of the hosts of a directory: which one to visit first,
 * and whether it is worth a visit at all. Pure: the time is an argument.
 *
 * A host that had to be passed over is not tried first again for MAPPING_FIRST_MS, so that a
 * primary which is away costs one log-in its time and not each. When none answers the directory is
 * away for MAPPING_AWAY_MS: log-ins hear so at once, and then one of them tries again. */
#ifndef MAIL_MAPPING_HEALTH_H
#define MAIL_MAPPING_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MAPPING_FIRST_MS = 30 * 1000, MAPPING_AWAY_MS = 2000, MAPPING_UNDER_WAY_MAX = 64 };

/* Zeroed at first. */
struct mapping_health {
    uint64_t first_until_ms;
    uint64_t away_until_ms;  /* 0: it is not */
    size_t first;
    unsigned under_way;
};

enum mapping_go { MAPPING_GO, MAPPING_GO_AWAY, MAPPING_GO_BUSY };
enum mapping_news { MAPPING_NEWS_NONE, MAPPING_NEWS_AWAY, MAPPING_NEWS_BACK };

/* Before a visit. MAPPING_GO: it is under way, beginning with the host `*first`. */
enum mapping_go mapping_health_begin(struct mapping_health *health, uint64_t now_ms,
                                     size_t hosts_count, size_t *first);
/* After it: the host that answered, or none did. Whether that is news. */
enum mapping_news mapping_health_end(struct mapping_health *health, uint64_t now_ms, bool answered,
                                     size_t host);

#ifdef __cplusplus
}
#endif
#endif
