#include "scan_balance.h"

#include "check.h"

uint64_t scan_balance_load(const struct scan_peer *peer)
{
    /* What the peer said, and what we have sent or got back since. */
    int64_t there = (int64_t)peer->busy + (int64_t)peer->ours - (int64_t)peer->ours_at_word;
    if (there < (int64_t)peer->ours) there = (int64_t)peer->ours;
    unsigned workers = peer->workers == 0 ? 1 : peer->workers;
    return ((uint64_t)there + 1) * 256 / workers;
}

static bool balance_may(const struct scan_peer *peer, bool told, uint64_t now_ms)
{
    if (peer->avoid_until_ms > now_ms || peer->told != told) return false;
    return !told || peer->ready;
}

static int balance_among(const struct scan_peer *peers, unsigned count, uint64_t out, bool told,
                         uint64_t now_ms, unsigned turn)
{
    int best = SCAN_BALANCE_NONE;
    uint64_t best_load = 0;
    for (unsigned k = 0; k < count; k++) {
        unsigned i = (turn % count + k) % count;
        if ((out >> i & 1) != 0 || !balance_may(&peers[i], told, now_ms)) continue;
        uint64_t load = scan_balance_load(&peers[i]);
        if (best != SCAN_BALANCE_NONE && load >= best_load) continue;
        best = (int)i;
        best_load = load;
    }
    return best;
}

int scan_balance_choose(const struct scan_peer *peers, unsigned count, uint64_t tried,
                        uint64_t now_ms, unsigned turn)
{
    CHECK(count <= SCAN_BALANCE_PEERS_MAX);
    int best = balance_among(peers, count, tried, true, now_ms, turn);
    if (best != SCAN_BALANCE_NONE) return best;
    return balance_among(peers, count, tried, false, now_ms, turn);
}
