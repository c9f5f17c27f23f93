/* up.h: `godwitctl up`: a whole node on this machine, in the foreground.
 *
 * It makes the data directory at the first start, starts the programs as children, starts again
 * what ends by itself, writes DIR/endpoints.env whenever a process changes, and stops everything on
 * SIGINT or SIGTERM. What lies in the data directory:
 *
 *   lock               held by flock for the life of this program: a second start is refused
 *   coord/             configuration (lib/coord, file back end)
 *   store/             the storage node's data
 *   run/               unix sockets, 0700
 *   tls/               cert.pem and key.pem (0600) of this installation, made at the first start
 *   secret/            api.token, admin.user, admin.password, keys (0600)
 *   log/               the logs, of all programs together; and NAME.log, what a program says
 *                      outside of them
 *   endpoints.env      addresses, token, CA file, process ids (ARCHITECTURE 7) */
#ifndef MAIL_UP_H
#define MAIL_UP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { UP_PATH_MAX_BYTES = 512, UP_PROCESSES_MAX = 8, UP_ARGUMENTS_MAX = 48 };

struct up_options {
    const char *data;     /* made when missing */
    unsigned port_offset; /* added to every standard port */
    const char *domain;   /* of the first start */
    const char *user;     /* to change to when started as root; NULL: nobody */
    const char *address;  /* to listen on; NULL: 127.0.0.1 with an offset, else 0.0.0.0 */
    const char *programs; /* folder of the program files; NULL: beside this one */
    const char *updater;  /* program that brings virus signatures; NULL: none */
};

/* Runs until told to stop. Returns an exit status of client.h. */
int up_run(const struct up_options *options);

#ifdef __cplusplus
}
#endif
#endif
