/* scan_balance.h: which scanner gets the next message. Pure. */
#ifndef MAIL_SCAN_BALANCE_H
#define MAIL_SCAN_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SCAN_BALANCE_PEERS_MAX = 64, SCAN_BALANCE_NONE = -1 };

/* What is known of a scanner. `busy` lags behind by what came since its last word, from us and from
 * others; of ours that is known (ours - ours_at_word). What others sent since makes a difference
 * only until the next word, SCAN_SERVE_CAPACITY_MS later. */
struct scan_peer {
    bool told;               /* it has announced its capacity on the connection of now */
    bool ready;              /* ... and takes messages */
    unsigned workers, busy;  /* as it last said; busy counts everybody's messages */
    unsigned ours;           /* messages of ours that are there */
    unsigned ours_at_word;   /* of them, at its last word: those are in `busy` */
    uint64_t avoid_until_ms; /* it failed or was full a moment ago */
    bool silent;             /* it has messages of ours and says nothing: stopped, or cut off */
    bool out;                /* it is none of the pool (any more): it gets nothing */
};

/* Messages there for each worker, in 1/256, were one more sent. */
uint64_t scan_balance_load(const struct scan_peer *peer);

/* The one with the least load among those that are ready, not avoided and not in `tried` (bit i:
 * peer i). Only when there is none: one that has not told its capacity yet; then a silent one. Of
 * `n` equals the one at place `turn` mod n: counted up, they take turns. SCAN_BALANCE_NONE: none is
 * left. At most SCAN_BALANCE_PEERS_MAX peers. */
int scan_balance_choose(const struct scan_peer *peers, unsigned count, uint64_t tried,
                        uint64_t now_ms, unsigned turn);

#ifdef __cplusplus
}
#endif
#endif
