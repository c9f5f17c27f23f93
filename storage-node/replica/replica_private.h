/* replica_private.h: the step machine's parts, a file for each subject. */
#ifndef MAIL_REPLICA_PRIVATE_H
#define MAIL_REPLICA_PRIVATE_H

#include "replica_step.h"

/* Faults planted on purpose, in the simulator's build alone: each must be found by it. */
enum replica_fault {
    FAULT_NONE, FAULT_EARLY_SHRINK, FAULT_LATE_EXPAND, FAULT_NO_CATCHUP, FAULT_NO_LEASE,
    FAULT_FORGET_PROMISE, FAULT_GRANT_IN_TAKEOVER, FAULT_UNKNOWN_IS_LOST,
    FAULT_ACK_UNMATCHED, FAULT_BEAT_BY_ARRIVAL, FAULT_READ_WITHOUT_GRANT, FAULT_ACK_BEFORE_SYNC,
    FAULT_IGNORE_MIN_ISR, FAULT_ACCEPT_STALE,
    FAULT_OLD_ROW, FAULT_REUSE_REFUSED,
    FAULT_INSTALL_OLDER, FAULT_INSTALL_EARLY, FAULT_INSTALL_UNLOGGED,
    FAULT_BEHIND_IS_CAUGHT_UP,
};
#ifdef REPLICA_FAULTS
#define REPLICA_FAULT(replica, name) ((replica)->fault == FAULT_##name)
#else
#define REPLICA_FAULT(replica, name) (false)
#endif

static inline bool replica_leads(const struct replica *replica)
{
    return replica->role == REPLICA_RECONCILE || replica->role == REPLICA_SERVING;
}

static inline void replica_raise(uint64_t *value, uint64_t to)
{
    if (*value < to) *value = to;
}

struct err replica_quarantine(struct replica *replica, struct replica_actions *actions,
                              enum err_code code);
/* A message to `to`, of the copy's epoch; NULL: no room for more, it is as good as lost. */
struct replica_message *replica_say(struct replica *replica, struct replica_actions *actions,
                                    const struct roster_id *to, enum replica_message_kind kind);
void replica_set_role(struct replica *replica, struct replica_actions *actions,
                      enum replica_role role);
/* FOLLOWER or LEARNER, as the row says. */
void replica_settle(struct replica *replica, struct replica_actions *actions);
/* Hands out what is committed, durable and not applied. */
void replica_apply(struct replica *replica, struct replica_actions *actions);

/* ---- replica_epochs.c: which epoch an entry is of */
void replica_epochs_set(struct replica *replica, const struct replica_recovered *found);
void replica_epochs_push(struct replica *replica, uint64_t epoch, uint64_t index);
/* Entries behind (epoch, index) are gone. */
void replica_epochs_cut(struct replica *replica, uint64_t epoch, uint64_t index);
/* The last entry of the epoch that `index` is in. `index` is in the log, its epoch known. */
uint64_t replica_epochs_end(const struct replica *replica, uint64_t index);

/* ---- replica_leader.c */
struct err replica_begin(struct replica *replica, uint64_t epoch, uint64_t now_ms,
                         struct replica_actions *actions);
void replica_propose(struct replica *replica, const struct replica_event *event,
                     struct replica_actions *actions);
/* Commits what every member has, applies it, and sends what may be sent. */
void replica_advance(struct replica *replica, uint64_t now_ms, struct replica_actions *actions);
void replica_on_ack(struct replica *replica, const struct replica_event *event,
                    struct replica_actions *actions);
void replica_on_reject(struct replica *replica, const struct replica_event *event,
                       struct replica_actions *actions);
/* Leads no more; what waits for an answer gets none. */
void replica_step_down(struct replica *replica, uint64_t now_ms, struct replica_actions *actions);
struct replica_peer *replica_peer_find(struct replica *replica, const struct roster_id *sid);
/* The peer that an answer to this leader came from; NULL: none of its epoch. */
struct replica_peer *replica_answering(struct replica *replica,
                                       const struct replica_event *event);
void replica_peer_begin(struct replica *replica, struct replica_peer *peer, uint64_t now_ms);

/* ---- replica_follower.c */
struct err replica_on_append(struct replica *replica, const struct replica_event *event,
                             struct replica_actions *actions);
/* A leader of a newer epoch was heard. */
void replica_follow(struct replica *replica, uint64_t epoch, const struct roster_id *leader,
                    struct replica_actions *actions);
/* Something became durable: acknowledge, commit, apply. */
void replica_follower_durable(struct replica *replica, struct replica_actions *actions);
/* False, and a REJECT is on its way: not of a leader that this copy may listen to. */
bool replica_listens(struct replica *replica, const struct replica_event *event,
                     struct replica_actions *actions);

/* ---- replica_install.c: checkpoints */
/* Tells the copy, from time to time, that it needs one. */
void replica_tell_behind(struct replica *replica, struct replica_peer *peer, uint64_t now_ms,
                         struct replica_actions *actions);
struct err replica_on_behind(struct replica *replica, const struct replica_event *event,
                             struct replica_actions *actions);
void replica_on_install(struct replica *replica, const struct replica_event *event,
                        struct replica_actions *actions);
struct err replica_on_installed(struct replica *replica, const struct replica_event *event,
                                struct replica_actions *actions);

/* ---- replica_grants.c */
struct err replica_on_beat(struct replica *replica, const struct replica_event *event,
                           struct replica_actions *actions);
void replica_on_beat_ack(struct replica *replica, const struct replica_event *event);
void replica_beat(struct replica *replica, uint64_t now_ms, struct replica_actions *actions);
void replica_on_read(struct replica *replica, const struct replica_event *event,
                     struct replica_actions *actions);
void replica_on_read_asked(struct replica *replica, const struct replica_event *event,
                           struct replica_actions *actions);
void replica_on_read_reply(struct replica *replica, const struct replica_event *event,
                           struct replica_actions *actions);

/* ---- replica_candidate.c */
void replica_candidate_tick(struct replica *replica, uint64_t now_ms,
                            struct replica_actions *actions);
/* The row was read for a takeover: it is still the one whose leader is not heard. */
void replica_take_over(struct replica *replica, uint64_t now_ms, struct replica_actions *actions);

/* ---- replica_config.c: the row */
/* Starts the change that replica->cas holds but for its revision and nonce. */
void replica_cas_start(struct replica *replica, uint64_t now_ms, struct replica_actions *actions);
void replica_cas_tick(struct replica *replica, uint64_t now_ms, struct replica_actions *actions);
void replica_ask_row(struct replica *replica, uint64_t now_ms, struct replica_actions *actions);
struct err replica_on_config(struct replica *replica, const struct replica_event *event,
                             struct replica_actions *actions);
struct err replica_on_cas(struct replica *replica, const struct replica_event *event,
                          struct replica_actions *actions);
void replica_on_place(struct replica *replica, const struct replica_event *event,
                      struct replica_actions *actions);
/* Peers and their sets, as row, change under way and place say. */
void replica_reckon(struct replica *replica, uint64_t now_ms);

/* ---- replica_sets.c: who is taken out, who is taken in, who is to lead */
void replica_sets_tick(struct replica *replica, uint64_t now_ms, struct replica_actions *actions);
void replica_on_transfer(struct replica *replica, const struct replica_event *event,
                         struct replica_actions *actions);
void replica_handover(struct replica *replica, uint64_t now_ms, struct replica_actions *actions);

#endif
