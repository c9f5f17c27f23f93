#include "member.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "boot.h"
#include "clock.h"
#include "coord.h"
#include "id.h"
#include "log.h"
#include "loop.h"
#include "loop_poll.h"
#include "member_private.h"

enum { INOTIFY_BYTES = 4096 };
#define DAY_MS (24 * 3600 * UINT64_C(1000))

static struct log_value words(const char *text) { return log_text(span_of(text, strlen(text))); }

static bool has_certs(const struct member *member) { return member->certs[0] != '\0'; }

static uint64_t days_left(const struct member *member)
{
    uint64_t now_ms = clock_wall_ms();
    return member->until_ms > now_ms ? (member->until_ms - now_ms) / DAY_MS : 0;
}

struct err member_new(unsigned role, const char *certs, struct member **ret,
                      char problem[MEMBER_PROBLEM_BYTES])
{
    bool news = false;
    struct member *member = calloc(1, sizeof(*member));
    snprintf(problem, MEMBER_PROBLEM_BYTES, "out of memory");
    if (member == NULL) return err_make(ERR_NOMEM, "membership");
    pthread_mutex_init(&member->refusals_lock, NULL);
    member->inotify_fd = -1;
    member->role = (enum rpc_role)role;
    const struct rpc_self_options self = { .role = (enum rpc_role)role,
                                           .refused = member_on_refused, .holder = member };
    int len = snprintf(member->certs, sizeof(member->certs), "%s", certs);
    struct err err = rpc_self_new(&self, &member->self);
    if (err.code == ERR_OK && (len < 0 || len >= MEMBER_PATH_MAX_BYTES)) {
        snprintf(problem, MEMBER_PROBLEM_BYTES, "the folder's name is too long");
        err = err_make(ERR_TOO_BIG, "certificate files");
    }
    if (err.code == ERR_OK && has_certs(member)) err = member_load(member, &news, problem);
    if (err.code != ERR_OK) {
        member_free(member);
        return err;
    }
    *ret = member;
    return err_ok();
}

struct err member_open(const char *program, unsigned role, const char *certs, struct member **ret)
{
    char problem[MEMBER_PROBLEM_BYTES];
    struct err err = member_new(role, certs, ret, problem);
    if (err.code == ERR_OK) return err;
    fprintf(stderr, "%s: certificates: %s\n", program, problem);
    LOG(CERTIFICATES_UNUSABLE, NULL, words(problem));
    return err;
}

void member_stop(struct member *member)
{
    if (member == NULL) return;
    coord_watch_stop(member->watch);
    timer_stop(&member->settle);
    timer_stop(&member->check);
    loop_poll_close(member->poll);
    if (member->inotify_fd >= 0) close(member->inotify_fd);
    member->watch = NULL;
    member->poll = NULL;
    member->inotify_fd = -1;
}

void member_free(struct member *member)
{
    if (member == NULL) return;
    member_stop(member);
    rpc_self_free(member->self);
    pthread_mutex_destroy(&member->refusals_lock);
    free(member);
}

struct rpc_self *member_self(struct member *member) { return member->self; }

/* ---- the files, while the program runs */

static void member_say_taken(const struct member *member)
{
    LOG(CERTIFICATES_TAKEN, NULL, words(member->name), log_number(days_left(member)));
}

/* Files are written one after the other: what does not fit now may in a moment. */
static void member_read_again(void *holder)
{
    struct member *member = holder;
    char problem[MEMBER_PROBLEM_BYTES] = "";
    bool news = false;
    struct err err = member_load(member, &news, problem);
    if (err.code == ERR_OK) {
        member->again = 0;
        member->refused[0] = '\0';
        if (news) member_say_taken(member);
        return;
    }
    if (member->again++ < MEMBER_AGAIN_MAX) {
        timer_start(member->loop, &member->settle, MEMBER_AGAIN_MS, member_read_again, member);
        return;
    }
    if (strcmp(member->refused, problem) == 0) return;
    LOG(CERTIFICATES_REFUSED, NULL, words(problem));
    memcpy(member->refused, problem, sizeof(problem));
}

void member_reload(struct member *member)
{
    if (!has_certs(member) || member->loop == NULL) return;
    member->again = 0;
    timer_start(member->loop, &member->settle, MEMBER_SETTLE_MS, member_read_again, member);
}

static void member_on_event(void *holder)
{
    struct member *member = holder;
    char events[INOTIFY_BYTES];
    while (read(member->inotify_fd, events, sizeof(events)) > 0) continue;
    member_reload(member);
}

/* Once more does no harm, and sees a folder that was put in the place of another. */
static void member_look_at_folder(struct member *member)
{
    (void)inotify_add_watch(member->inotify_fd, member->certs,
                            IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE);
}

/* Renewal is late when less than a quarter of its life is left: said once a day. */
static void member_warn(struct member *member)
{
    uint64_t now_ms = clock_wall_ms(), life_ms = member->until_ms - member->from_ms;
    if (member->until_ms > now_ms && member->until_ms - now_ms > life_ms / 4) return;
    if (member->warned_ms != 0 && clock_boot_ms() - member->warned_ms < DAY_MS) return;
    member->warned_ms = clock_boot_ms();
    LOG(CERTIFICATE_EXPIRES, NULL, words(member->name), log_number(days_left(member)));
}

static void member_on_check(void *holder)
{
    struct member *member = holder;
    member_look_at_folder(member);
    member_reload(member);
    member_warn(member);
    member_say_refusals(member);
    timer_start(member->loop, &member->check, MEMBER_CHECK_MS, member_on_check, member);
}

struct err member_watch(struct member *member, struct loop *loop)
{
    member->loop = loop;
    if (!has_certs(member)) return err_ok();
    member->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (member->inotify_fd < 0) return err_make(ERR_IO, "watching the certificate files");
    TRY(loop_poll_open(loop, member->inotify_fd, member_on_event, member, &member->poll));
    member_say_taken(member);
    member_on_check(member);
    return err_ok();
}

/* ---- the cluster: {"cluster": "<32 digits>", "incarnation": 1, ...} */

static bool meta_read(struct span text, uint8_t cluster[RPC_CLUSTER_BYTES], uint32_t *incarnation)
{
    json_t *json = json_loadb(text.ptr, text.len, 0, NULL);
    const char *id = json_string_value(json_object_get(json, "cluster"));
    json_int_t number = json_integer_value(json_object_get(json, "incarnation"));
    bool good = id != NULL && rpc_cluster_parse(span_of(id, strlen(id)), cluster) && number > 0 &&
                number <= UINT32_MAX;
    if (good) *incarnation = (uint32_t)number;
    json_decref(json);
    return good;
}

static struct err member_take_meta(struct member *member)
{
    struct coord_row row;
    uint8_t cluster[RPC_CLUSTER_BYTES], known[RPC_CLUSTER_BYTES];
    char text[2 * RPC_CLUSTER_BYTES];
    uint32_t incarnation, before;
    if (!coord_get(member->coord, SPAN("meta"), &row)) return err_ok();
    if (!meta_read(row.value, cluster, &incarnation)) {
        return err_make(ERR_CORRUPT, "row `meta` of the configuration store");
    }
    rpc_self_cluster(member->self, known, &before);
    if (rpc_cluster_is_known(known) && memcmp(known, cluster, sizeof(known)) != 0) {
        return err_make(ERR_DENIED, "the configuration store is of another cluster");
    }
    if (rpc_cluster_is_known(known) && before == incarnation) return err_ok();
    rpc_self_set_cluster(member->self, cluster, incarnation);
    id_hex(cluster, sizeof(cluster), text);
    LOG(CLUSTER_TAKEN, NULL, log_text(span_of(text, sizeof(text))), log_number(incarnation));
    return err_ok();
}

static void member_on_meta(void *holder)
{
    struct err err = member_take_meta(holder);
    if (err.code != ERR_OK) LOG(CLUSTER_REFUSED, NULL, words(err.what));
}

struct err member_follow(struct member *member, struct coord *coord)
{
    member->coord = coord;
    TRY(member_take_meta(member));
    return coord_watch_start(coord, SPAN("meta"), member_on_meta, member, &member->watch);
}

struct err member_start(struct member *member, struct loop *loop, struct coord *coord)
{
    TRY(member_watch(member, loop));
    return coord == NULL ? err_ok() : member_follow(member, coord);
}

struct err member_addresses_read(const struct boot *boot, const char *name,
                                 struct member_addresses *ret)
{
    _Static_assert((int)MEMBER_ADDRESSES_MAX == (int)RPC_LISTENERS_MAX, "addresses of a server");
    size_t count = boot_list_count(boot, name);
    if (count > MEMBER_ADDRESSES_MAX) return err_make(ERR_TOO_BIG, "addresses to listen on");
    *ret = (struct member_addresses){ .count = (unsigned)count, .text = "" };
    for (size_t i = 0; i < count; i++) ret->each[i] = boot_list(boot, name, i);
    if (count > 0) ret->text = ret->each[0];
    return err_ok();
}
