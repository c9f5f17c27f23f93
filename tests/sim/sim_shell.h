/* sim_shell.h: the shards of a storage node as they are (storage-node/replica/shard.c), each over
 * what the simulator gives it. In C, since the shell's private header is. */
#ifndef GODWIT_SIM_SHELL_H
#define GODWIT_SIM_SHELL_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "replica_step.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kv;
struct shard;
struct shard_peers;
struct shard_worker;
struct slog;
struct slog_entry;
struct slog_kept;
struct store_node;

struct sim_shell_place {
    struct store_node *node;
    struct shard_worker *worker;
    struct slog *log;
    uint32_t number, slot_first, slot_end;
    /* A copy among others, of this store and process; NULL: alone. */
    struct shard_peers *peers;
    struct roster_id sid, boot;
    unsigned fault; /* planted (replica_private.h) */
};

/* What open_shard() of store_node.c does: recovery, then the lead with a new epoch if it is alone. After an error
 * `*ret` is what there is of the shard, or NULL. */
MUST_USE struct err sim_shell_open(const struct sim_shell_place *place, struct kv *kv,
                                   struct shard **ret);
/* The process is gone: frees the memory; the rows stay the caller's. Takes NULL. */
void sim_shell_drop(struct shard *shard);
/* What the keeper does for a shard that owes something. */
void sim_shell_pay(struct shard *shard);
/* An entry that the log had not taken yet when the process went. */
void sim_shell_drop_entry(struct slog_entry *entry);
const struct replica *sim_shell_replica(const struct shard *shard);
/* The planted fault that the simulator's build of the step machine has under a name; 0: none. */
unsigned sim_shell_fault(const char *name);
/* What the keeper tells the log of the shard's other copies. False: its rows are being replaced. */
bool sim_shell_kept(struct shard *shard, uint64_t now_ms, struct slog_kept *kept);
/* The planted fault `lose-overlay`. */
void sim_shell_clear_overlay(struct shard *shard);

#ifdef __cplusplus
}
#endif
#endif
