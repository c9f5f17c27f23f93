/* scanner_options.h: what godwit-scanner is told at its start (boot.h). */
#ifndef MAIL_SCANNER_OPTIONS_H
#define MAIL_SCANNER_OPTIONS_H

#include <stdbool.h>
#include <sys/types.h>

#include "coord.h"
#include "err.h"
#include "member.h"

#ifdef __cplusplus
extern "C" {
#endif

struct boot;
struct program_info;

enum { SCANNER_WAITING_MAX = 4096 };

/* The table of options. */
extern const struct program_info scanner_info;

/* Strings are those of `boot`. */
struct scanner_options {
    struct member_addresses listen;
    const char *certs;         /* empty: unix sockets only */
    const char *advertise;     /* empty: it is of no pool */
    const char *data_dir;
    const char *signature_dir;
    struct coord_options coord; /* neither directory nor endpoints: all options have defaults */
    const char *metrics;       /* empty: not served */
    const char *updater;       /* empty: there is none */
    unsigned workers;          /* 0: as the configuration says */
    unsigned waiting_max;
    unsigned scan_ms;
    unsigned poll_ms;          /* 0: never */
    bool sandbox_required;
    uid_t uid;                 /* what it becomes when it is root */
    gid_t gid;
};

/* ERR_SYNTAX, ERR_NOT_FOUND (no such user), with what is wrong in `problem`: the option, its value,
 * what is allowed. */
enum { SCANNER_PROBLEM_BYTES = 256 };
MUST_USE struct err scanner_options_read(const struct boot *boot, struct scanner_options *ret,
                                         char problem[SCANNER_PROBLEM_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
