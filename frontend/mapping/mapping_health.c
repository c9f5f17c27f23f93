#include "mapping_health.h"

#include "check.h"

enum mapping_go mapping_health_begin(struct mapping_health *health, uint64_t now_ms,
                                     size_t hosts_count, size_t *first)
{
    if (health->under_way >= MAPPING_UNDER_WAY_MAX) return MAPPING_GO_BUSY;
    if (health->away_until_ms > now_ms) return MAPPING_GO_AWAY;
    /* The one that tries again; the others go on hearing that it is away. */
    if (health->away_until_ms != 0) health->away_until_ms = now_ms + MAPPING_AWAY_MS;
    if (health->first_until_ms <= now_ms || health->first >= hosts_count) health->first = 0;
    *first = health->first;
    health->under_way++;
    return MAPPING_GO;
}

enum mapping_news mapping_health_end(struct mapping_health *health, uint64_t now_ms, bool answered,
                                     size_t host)
{
    bool was_away = health->away_until_ms != 0;
    CHECK(health->under_way > 0);
    health->under_way--;
    if (!answered) {
        health->away_until_ms = now_ms + MAPPING_AWAY_MS;
        return was_away ? MAPPING_NEWS_NONE : MAPPING_NEWS_AWAY;
    }
    if (host != health->first) {
        health->first = host;
        health->first_until_ms = now_ms + MAPPING_FIRST_MS;
    }
    health->away_until_ms = 0;
    return was_away ? MAPPING_NEWS_BACK : MAPPING_NEWS_NONE;
}
