/* program.h: what main() of every program does in the same way: its options, its log, the
 * configuration it follows. Each call is for the program's main thread. */
#ifndef MAIL_PROGRAM_H
#define MAIL_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct boot;
struct boot_option;
struct conf;
struct metrics_text;
struct coord;
struct coord_options;

/* Rows of boot.h that every program's table has. `name_`: its default, like "frontend". */
#define PROGRAM_OPTIONS(name_)                                                                \
    { "name", BOOT_TEXT, name_, "what this one of several is called in logs" },               \
    { "log", BOOT_TEXT, "", "folder of the logs; empty: standard error, as JSON" },           \
    { "announce", BOOT_TEXT, "",                                                              \
      "ip:port at which the cluster's other programs ask this one for its health; empty: that " \
      "of its HTTP" }

struct program_info {
    const char *program; /* "godwit-frontend" */
    const struct boot_option *options;
    size_t options_count;
};

/* Reads flags, environment and file, and raises the limit of open files as far as it goes. False:
 * main returns `*status`; help was printed (0), or what is wrong (2). */
bool program_boot(const struct program_info *info, int argc, char **argv, struct boot **ret,
                  int *status);
const char *program_version(void);

/* Says on standard error why the program can't go on: before it logs, and beside its log. */
void program_complain(const char *program, const char *what, struct err err);
/* The same, and logs it. Returns what main then returns. */
int program_fail(const char *program, const char *what, struct err err);

/* Starts the log as --name and --log say, with defaults for the options log.*. A folder that can't
 * be used is said on standard error, where everything is then logged. ERR_NOMEM, ERR_TOO_BIG. */
MUST_USE struct err program_log_start(const struct boot *boot);
/* Brings the options log.* into force. */
void program_log_configure(const struct conf *conf);

/* Where the store is (coord_boot.h), and which of its rows a program of `kind` (enum roster_kind)
 * keeps: roster_access.def. ERR_TOO_BIG: endpoints. */
MUST_USE struct err program_store_read(const struct boot *boot, unsigned kind,
                                       struct coord_options *ret);

/* The options of the installation as the store has them, with their revision as version. What is
 * wrong with them is logged (CONFIG_REFUSED). Errors as conf_from_json. */
MUST_USE struct err program_conf_read(struct coord *coord, struct conf **ret);

/* The options of a program with one loop, followed: what is changed in the store comes into force
 * here at once, and is logged; what is refused leaves things as they are. */
struct program_conf;
/* Reads for the first time (errors as above); log.* is in force then. `changed(holder)` comes on a
 * later turn of the coord's loop, after each change that was taken. */
MUST_USE struct err program_conf_open(struct coord *coord, void (*changed)(void *holder),
                                      void *holder, struct program_conf **ret);
/* Valid until the loop turns. */
const struct conf *program_conf_now(const struct program_conf *conf);
/* The metric "config_revision" of each program: the revision of the row of options that is in force
 * here, 0 when there is none. When all programs show that of the last change, it is in force. */
void program_conf_metric(uint64_t revision, const struct metrics_text *text);
/* Takes NULL. */
void program_conf_close(struct program_conf *conf);

#ifdef __cplusplus
}
#endif
#endif
