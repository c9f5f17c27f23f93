/* coord_lease_file_private.h: leases of the back end `file`.
 *
 * A lease is a file `lease-` and its number in 16 hexadecimal digits, in the directory of the
 * store:
 *
 *   "GWLEASE1" | until u64, little-endian: clock_boot_ms() | the machine's boot id, 36 characters
 *
 * It is gone when there is no such file. Whoever finds that its time is over, or that the
 * machine was started again, takes it out under its flock; its holder renews it under the same
 * lock. So all agree on when it went, and nothing has to be durable. */
#ifndef MAIL_COORD_LEASE_FILE_PRIVATE_H
#define MAIL_COORD_LEASE_FILE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

enum { COORD_LEASE_LOOK_MS = 50 }; /* to a file that somebody else has the lock of */

/* Makes one, and takes out those in the directory that are over. `*fd` is its holder's. ERR_IO,
 * ERR_FULL, ERR_EXISTS. */
MUST_USE struct err coord_lease_file_make(const char *directory, uint64_t id, uint64_t until_ms,
                                          int *fd);
/* ERR_NOT_FOUND: it is gone. ERR_BUSY: somebody looks at it, try again. ERR_IO. */
MUST_USE struct err coord_lease_file_renew(int fd, uint64_t until_ms);
void coord_lease_file_remove(const char *directory, uint64_t id);
/* Whether it is gone; otherwise when to look again at the latest, clock_boot_ms(). */
bool coord_lease_file_gone(const char *directory, uint64_t id, uint64_t *look_ms);

#endif
