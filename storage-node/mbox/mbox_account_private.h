/* mbox_account_private.h: the ACCOUNT row. */
#ifndef MAIL_MBOX_ACCOUNT_PRIVATE_H
#define MAIL_MBOX_ACCOUNT_PRIVATE_H

#include "mbox_cmd_private.h"

struct store_account;
struct store_account_reply;
struct store_account_usage;

enum { MBOX_ACCOUNT_MAX_BYTES = 512 * 1024, MBOX_ACCOUNT_ADDRESSES_MAX = 1000,
       MBOX_ROLE_MAX = 3 };

struct err mbox_account_check(const struct store_account *account);
/* ERR_NOT_FOUND; texts lie in the arena. */
struct err mbox_account_get(struct kv_reader *rows, const struct kv_owner *owner,
                            struct arena *arena, struct store_account *ret);
/* What is used, and what may be. */
void mbox_account_usage(const struct mbox_context *context, const struct mbox_counters *counters,
                        struct store_account_usage *ret);
struct err mbox_account_put(struct mbox_work *work, const struct kv_owner *owner,
                            const struct store_account *account);

#endif
