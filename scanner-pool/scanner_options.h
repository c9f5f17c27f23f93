/* scanner_options.h: the options of godwit-scanner, from its command line and the environment. */
#ifndef MAIL_SCANNER_OPTIONS_H
#define MAIL_SCANNER_OPTIONS_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SCANNER_WAITING_MAX = 4096 };

/* Strings are those of the arguments or the environment. */
struct scanner_options {
    const char *listen;        /* --listen, GODWIT_SCAN_LISTEN: "unix:/path" or "ip:port" */
    const char *data_dir;      /* --data, GODWIT_SCAN_DATA */
    const char *signature_dir; /* --signatures, GODWIT_SCAN_SIGNATURES */
    const char *user;          /* --user, GODWIT_USER; NULL: nobody, if we are root */
    unsigned workers;          /* --workers, GODWIT_SCAN_WORKERS; 0: as many as processors */
    unsigned waiting_max;      /* --waiting, GODWIT_SCAN_WAITING */
    unsigned scan_ms;          /* --scan-ms, GODWIT_SCAN_TIME_MS */
    unsigned poll_ms;          /* --poll-ms, GODWIT_SCAN_POLL_MS: the signature folder; 0: never */
    bool sandbox_required;     /* --sandbox require|best, GODWIT_SCAN_SANDBOX */
    uid_t uid;                 /* of `user` */
    gid_t gid;
};

/* ERR_SYNTAX: `what` says which option is missing or wrong; ERR_NOT_FOUND: no such user. */
MUST_USE struct err scanner_options_read(int count, char *const *arguments,
                                         struct scanner_options *ret);

#ifdef __cplusplus
}
#endif
#endif
