/* boot.h: the few options that a program needs before it has a configuration: where its data is,
 * where it listens, how it finds the others. From flags, the environment and a file.
 *
 * Each program has a table of its own:  {"data", BOOT_TEXT, "/var/lib/godwit", "..."}. The value is
 * that of the flag (--data=X or --data X; a BOOT_SWITCH also as --name alone), else of the
 * environment (GODWIT_DATA; hyphens become underscores), else of the file that --config or
 * GODWIT_CONFIG names ("data = X"), else the default. A BOOT_LIST may be given several times or
 * with commas; a source that has it replaces those below. */
#ifndef MAIL_BOOT_H
#define MAIL_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    BOOT_OPTIONS_MAX = 64,
    BOOT_LIST_MAX = 64,
    BOOT_VALUE_MAX_BYTES = 4095,
    BOOT_FILE_MAX_BYTES = 256 * 1024,
    BOOT_PROBLEM_BYTES = 512,
};

enum boot_type { BOOT_TEXT, BOOT_NUMBER, BOOT_SWITCH, BOOT_LIST };

struct boot_option {
    const char *name;
    enum boot_type type;
    const char *value; /* the default; NULL: it must be given */
    const char *text;
};

struct boot;

/* `environment` ends with NULL, as the third argument of main. Besides the table it knows --config,
 * --help and --version. ERR_SYNTAX with the reason in `problem` (a line without its end);
 * ERR_NOT_FOUND: --help or --version was asked for (boot_usage, then exit with 0); ERR_NOMEM. The
 * table lives as long. */
struct boot_input {
    const struct boot_option *options;
    size_t options_count;
    int argc;
    char *const *argv;
    char *const *environment;
};
MUST_USE struct err boot_read(const struct boot_input *input, struct boot **ret,
                              char problem[BOOT_PROBLEM_BYTES]);
void boot_free(struct boot *boot);

/* Values by name (CHECK: the table has it, with this type); they live as long as `boot` and end in
 * a NUL. */
const char *boot_text(const struct boot *boot, const char *name);
uint64_t boot_number(const struct boot *boot, const char *name);
bool boot_switch(const struct boot *boot, const char *name);
size_t boot_list_count(const struct boot *boot, const char *name);
const char *boot_list(const struct boot *boot, const char *name, size_t at);

/* Writes what --help shows. */
struct buf;
void boot_usage(const struct boot_input *input, struct buf *to);

/* Takes an address to listen on or to call: "unix:/path", "127.0.0.1:25", "[::1]:25", ":25" (all
 * addresses), "name:25". False: it is none. */
struct boot_address {
    struct span host; /* of unix: the path; empty: all */
    uint16_t port;    /* of unix: 0 */
    bool is_unix;
};
bool boot_address_parse(struct span text, struct boot_address *ret);

#ifdef __cplusplus
}
#endif
#endif
