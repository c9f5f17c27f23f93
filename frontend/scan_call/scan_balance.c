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

/* Who is asked before whom. */
enum balance_rank { RANK_READY, RANK_UNTOLD, RANK_SILENT, RANK_NEVER };

static enum balance_rank balance_rank(const struct scan_peer *peer, uint64_t now_ms)
{
    if (peer->out || peer->avoid_until_ms > now_ms) return RANK_NEVER;
    if (peer->told && !peer->ready) return RANK_NEVER;
    if (peer->silent) return RANK_SILENT;
    return peer->told ? RANK_READY : RANK_UNTOLD;
}

/* The best that there is, and how many are as good. */
struct balance_best {
    enum balance_rank rank;
    uint64_t load;
    unsigned equals;
};

static struct balance_best balance_best(const struct scan_peer *peers, unsigned count,
                                        uint64_t tried, uint64_t now_ms)
{
    struct balance_best best = { .rank = RANK_NEVER };
    for (unsigned i = 0; i < count; i++) {
        enum balance_rank rank = balance_rank(&peers[i], now_ms);
        if ((tried >> i & 1) != 0 || rank == RANK_NEVER || rank > best.rank) continue;
        uint64_t load = scan_balance_load(&peers[i]);
        bool better = rank < best.rank || load < best.load;
        if (!better && load > best.load) continue;
        best.equals = better ? 1 : best.equals + 1;
        best.rank = rank;
        best.load = load;
    }
    return best;
}

int scan_balance_choose(const struct scan_peer *peers, unsigned count, uint64_t tried,
                        uint64_t now_ms, unsigned turn)
{
    CHECK(count <= SCAN_BALANCE_PEERS_MAX);
    struct balance_best best = balance_best(peers, count, tried, now_ms);
    if (best.rank == RANK_NEVER) return SCAN_BALANCE_NONE;
    unsigned skip = turn % best.equals;
    for (unsigned i = 0; i < count; i++) {
        if ((tried >> i & 1) != 0 || balance_rank(&peers[i], now_ms) != best.rank) continue;
        if (scan_balance_load(&peers[i]) == best.load && skip-- == 0) return (int)i;
    }
    return SCAN_BALANCE_NONE;
}
