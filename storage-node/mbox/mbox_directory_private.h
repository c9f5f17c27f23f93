/* mbox_directory_private.h: ADDRESS and DOMAIN_USER rows. */
#ifndef MAIL_MBOX_DIRECTORY_PRIVATE_H
#define MAIL_MBOX_DIRECTORY_PRIVATE_H

#include "mbox_cmd_private.h"

struct store_address_reply;

enum { MBOX_DOMAIN_MAX_BYTES = 255, MBOX_LOCAL_MAX_BYTES = 256 };

/* `address` is within MBOX_ADDRESS_MAX_BYTES. */
void mbox_address_key(uint32_t tenant, struct span address, struct kv_key *key);
/* ERR_NOT_FOUND; texts lie in the arena. */
struct err mbox_address_get(struct kv_reader *rows, const struct kv_key *key, struct arena *arena,
                            struct store_address_reply *ret);

/* ERR_SYNTAX out of bounds; a domain has no NUL. */
struct err mbox_domain_key(uint32_t tenant, struct span domain, struct kv_key *key);

#endif
