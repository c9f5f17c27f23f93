/* conf.h: the configuration as an immutable snapshot.
 *
 * Options are rows of conf_rows.def. A snapshot is made from their defaults and from what has been
 * set; it never changes, so any thread may read it, and a new one takes its place. A session refers
 * to one at its start and again at each command. Reading an option is an index into an array. */
#ifndef MAIL_CONF_H
#define MAIL_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf_key.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct conf;

enum {
    CONF_VALUE_MAX_BYTES = 64 * 1024, /* as text */
    CONF_SETTINGS_MAX = 1000,
    CONF_PROBLEM_BYTES = 512,
};

/* Where an option is set; the narrowest wins. */
enum conf_scope { CONF_CLUSTER, CONF_TENANT, CONF_DOMAIN, CONF_USER };
/* When a changed option is in force. */
enum conf_effect { CONF_AT_ONCE, CONF_SESSIONS, CONF_RESTART };

/* An option that has been set. `min` and `max`, if not empty, bound what narrower scopes may set;
 * for numbers, bytes and seconds. `value` may then be empty: only bounds are set. */
struct conf_setting {
    struct span key, value, min, max;
};

/* Why a value was refused, for the administrator: names the option, its bounds and what is
 * allowed. UTF-8 with a NUL. */
struct conf_problem {
    enum conf_key key; /* CONF_KEYS_COUNT: no such option */
    char text[CONF_PROBLEM_BYTES];
};

/* The option of a key like "smtp.size.max"; CONF_KEYS_COUNT: there is none. */
enum conf_key conf_find(struct span key);
const char *conf_key_text(enum conf_key key);
/* Whether its value is never shown, and is sealed where it is stored. */
bool conf_is_secret(enum conf_key key);

/* Checks one setting without making anything, for whoever wants to store it in `scope`. ERR_SYNTAX,
 * ERR_NOT_FOUND (no such option), ERR_DENIED (not in this scope); then `*problem` is filled. */
MUST_USE struct err conf_check(const struct conf_setting *setting, enum conf_scope scope,
                               struct conf_problem *problem);

/* A snapshot of the cluster's options, referred to once. What is not set has its default; a key
 * that is not known is passed over, since a newer program may have stored it. `version` is the
 * caller's. ERR_SYNTAX with `*problem` filled; ERR_TOO_BIG, ERR_NOMEM. */
MUST_USE struct err conf_make(const struct conf_setting *settings, size_t count, uint64_t version,
                              struct conf **ret, struct conf_problem *problem);

/* A snapshot for a tenant, a domain or a user: `wide` with what is set in `scope`, brought within
 * the bounds that wider ones have set. Errors as in conf_make; ERR_DENIED: an option of a wider
 * scope. `wide` is referred to. */
MUST_USE struct err conf_narrow(struct conf *wide, enum conf_scope scope,
                                const struct conf_setting *settings, size_t count,
                                struct conf **ret, struct conf_problem *problem);

/* The IP groups that NETWORKS may name: whether an address is in one, false for one that is not
 * there. `free` comes when the snapshot they were given to goes. Any thread may ask. */
struct conf_groups {
    bool (*has)(const struct conf_groups *groups, struct span name, const uint8_t ip[16]);
    void (*free)(struct conf_groups *groups);
};
/* Takes the groups over. Once, before the snapshot is shared or narrowed. */
void conf_set_groups(struct conf *conf, struct conf_groups *groups);
/* NETWORKS: the group named at the place `at` among those that it names; empty beyond the last. */
struct span conf_group(const struct conf *conf, enum conf_key key, size_t at);
bool conf_is_networks(enum conf_key key);

struct conf *conf_ref(struct conf *conf);
/* The last one frees. Takes NULL. Both are thread-safe. */
void conf_unref(struct conf *conf);
uint64_t conf_version(const struct conf *conf);
/* Settings that were passed over because this program does not know them. */
size_t conf_unknown(const struct conf *conf);

/* The values, by type of the option (CHECK). Spans live as long as the snapshot. */
bool conf_bool(const struct conf *conf, enum conf_key key);
/* NUMBER, BYTES, SECONDS; CHOICE: which word, from 0 on. */
uint64_t conf_number(const struct conf *conf, enum conf_key key);
/* SECONDS, as milliseconds. */
uint64_t conf_ms(const struct conf *conf, enum conf_key key);
/* TEXT, HOST, ENDPOINT, SECRET. */
struct span conf_text(const struct conf *conf, enum conf_key key);
/* TEXTS: the word at `at`; empty beyond the last. */
struct span conf_word(const struct conf *conf, enum conf_key key, size_t at);
/* NETWORKS: whether `ip` (IPv4 as ::ffff:a.b.c.d) lies in one of them, or in a group they name. */
bool conf_has_address(const struct conf *conf, enum conf_key key, const uint8_t ip[16]);
/* Whether it was set here or in a wider scope, rather than left at its default. */
bool conf_is_set(const struct conf *conf, enum conf_key key);

#ifdef __cplusplus
}
#endif
#endif
