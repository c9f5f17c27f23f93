/* login_cache.h: passwords that were verified a moment ago, so that a client which logs in again
 * and again does not cost a password hash each time. Pure: the time is an argument.
 *
 * No password is kept: an entry is the MAC, under a key drawn at the start of the process, of
 *     tenant u32 BE | account u64 BE | version u64 BE of the account's row | password
 * so a changed password, a disabled account or any other change of the row makes it useless. */
#ifndef MAIL_LOGIN_CACHE_H
#define MAIL_LOGIN_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LOGIN_MAC_BYTES = 32, LOGIN_KEY_BYTES = 32 };

/* HMAC-SHA-256 of `bytes`. */
typedef struct err login_mac(struct span key, struct span bytes, uint8_t ret[LOGIN_MAC_BYTES]);

struct login_cache_options {
    login_mac *mac;
    uint8_t key[LOGIN_KEY_BYTES]; /* random, of this process */
    uint64_t life_ms;             /* 60,000 by default; 0 switches the cache off */
    size_t entries_max;           /* beyond it the oldest goes; about 100 bytes each */
};

/* Whose password. */
struct login_subject {
    uint32_t tenant;
    uint64_t account;
    uint64_t version; /* of the account's row */
};

struct login_cache;

MUST_USE struct err login_cache_new(const struct login_cache_options *options,
                                    struct login_cache **ret);
void login_cache_free(struct login_cache *cache);

/* Another life: what is remembered is forgotten, so that no entry outlives the new one. */
void login_cache_life(struct login_cache *cache, uint64_t life_ms);

/* Whether this password was verified less than `life_ms` ago for this version of the row. Takes
 * the same time for any wrong password. */
bool login_cache_has(struct login_cache *cache, const struct login_subject *subject,
                     struct span password, uint64_t now_ms);

/* Remembers a password that was just verified. Times never run back. Forgetting is harmless, so
 * there is no error. */
void login_cache_put(struct login_cache *cache, const struct login_subject *subject,
                     struct span password, uint64_t now_ms);

size_t login_cache_count(const struct login_cache *cache);

#ifdef __cplusplus
}
#endif
#endif
