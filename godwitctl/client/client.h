/* client.h: godwitctl as a client of the cluster API: the commands of client_commands.def. */
#ifndef MAIL_CLIENT_H
#define MAIL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Exit statuses of godwitctl (ARCHITECTURE 7). */
enum client_exit { CLIENT_OK = 0, CLIENT_REFUSED = 1, CLIENT_USAGE = 2, CLIENT_UNREACHABLE = 3 };

enum { CLIENT_URL_MAX_BYTES = 16 * 1024, CLIENT_REPLY_MAX_BYTES = 64 * 1024 * 1024 };

struct client {
    const char *api;   /* "http://host:port" */
    const char *token; /* NULL: none */
    const char *ca_file; /* NULL: the system's */
    bool json;         /* print JSON and no tables */
};

/* Runs `words` (noun, verb, arguments, options), at least one; prints to stdout and, what is wrong,
 * to stderr. A list is asked for page by page, unless --limit is given. */
enum client_exit client_run(const struct client *client, int count, char **words);

/* `godwitctl user import FILE.csv` and `domain import FILE.csv`: the columns of
 * client_import_read.c, which a first line with their names orders; without one
 * address,password,full_name,quota or name,tenant. Goes on behind a refused line, which
 * FILE.rejects names with its column and why; a repeat goes on where an earlier one broke off
 * (FILE.progress). */
enum client_exit client_import(const struct client *client, const char *noun,
                               const char *file_name);

/* All commands with their arguments and texts, on `to_stderr` or stdout; with a noun only its own
 * (NULL: all). False: there is no such noun. */
void client_usage(bool to_stderr);
bool client_help(const char *noun, bool to_stderr);

/* "500", "30M", "2G" to bytes (k, M, G, T are powers of 1024). False: none of these. */
bool client_size(struct span text, unsigned long long *ret_bytes);

/* One request. `*status` is the HTTP status; `*reply` is malloc'd, NUL-ended, the caller's. False,
 * with a line on stderr: not reachable. `body` may be NULL. */
bool client_call(const struct client *client, const char *method, const char *path,
                 const char *body, long *status, char **reply);

#ifdef __cplusplus
}
#endif
#endif
