/* migrate.h: `godwitctl cluster coord migrate`: the configuration store of an installation moves
 * from its directory to etcd while the programs run. */
#ifndef MAIL_MIGRATE_H
#define MAIL_MIGRATE_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs `words` ("migrate", options...). Returns an exit status of client.h. */
int migrate_run(int count, char **words, bool json);

#ifdef __cplusplus
}
#endif
#endif
