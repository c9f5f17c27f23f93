/* up_private.h: what the files of this folder share. */
#ifndef MAIL_UP_PRIVATE_H
#define MAIL_UP_PRIVATE_H

#include "up.h"
#include "up_process.h"

enum { UP_SECRET_MAX_BYTES = 128 };

struct up {
    struct up_options options;
    char data[UP_PATH_MAX_BYTES]; /* absolute */
    char programs[UP_PATH_MAX_BYTES];
    char address[64];
    uid_t uid; /* 0: not started as root */
    gid_t gid;
    char token[UP_SECRET_MAX_BYTES], admin_user[UP_SECRET_MAX_BYTES * 3],
        admin_password[UP_SECRET_MAX_BYTES];
    bool first_start; /* the domain and the administrator are still to be made */
    struct up_process processes[UP_PROCESSES_MAX];
    unsigned processes_count;
    int lock_fd;
};

/* Where storage node and scanner tell of health and metrics. */
#define UP_METRICS_HOST "127.0.0.1"
enum { UP_METRICS_STORAGE_NODE = 9464, UP_METRICS_SCANNER = 9465 };

/* The protocols of endpoints.env with their standard ports. */
#define UP_PORTS(X)                                                                             \
    X(SMTP, 25, "smtp") X(SUBMISSION, 587, "submission") X(SMTPS, 465, "smtps")                 \
    X(LMTP, 24, "lmtp") X(IMAP, 143, "imap") X(IMAPS, 993, "imaps") X(POP3, 110, "pop3")        \
    X(POP3S, 995, "pop3s") X(HTTP, 8080, "http") X(HTTPS, 8443, "https")

/* Makes what is missing in the data directory: folders, certificate, secrets, configuration.
 * Prints what is wrong. */
MUST_USE struct err up_bootstrap(struct up *up);

/* Makes the first domain and the administrator through the API, once it answers. */
MUST_USE struct err up_first_accounts(struct up *up);

/* Writes endpoints.env anew (by rename). */
MUST_USE struct err up_endpoints_write(const struct up *up);

/* The signatures that come with the programs, into the data directory. */
MUST_USE struct err up_signatures_write(const char *data);

/* Gives files that were made as root to the programs' user. */
MUST_USE struct err up_give_away(const struct up *up);

/* The first line of a file of at most UP_SECRET_MAX_BYTES - 1 bytes. ERR_NOT_FOUND, ERR_IO,
 * ERR_TOO_BIG. */
MUST_USE struct err up_file_read(const char *path, char to[UP_SECRET_MAX_BYTES]);
/* Writes a file whole or not at all, with this mode. */
MUST_USE struct err up_file_write(const char *path, const char *text, mode_t mode);

#endif
