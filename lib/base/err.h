/* err.h: the one way a function says that it did not do its work. */
#ifndef MAIL_ERR_H
#define MAIL_ERR_H

#ifdef __cplusplus
extern "C" {
#endif

/* What a caller should do about an error; replies to SMTP, IMAP and RPC peers derive from it. */
enum err_class {
    ERR_NONE,      /* it worked */
    ERR_TEMPORARY, /* trying again later may work: SMTP 4xx, IMAP NO [UNAVAILABLE] */
    ERR_PERMANENT, /* it never will: SMTP 5xx, IMAP NO/BAD */
    ERR_GONE,      /* the other end or the operation is closed: say nothing more */
};

/* code, number, class, text. The numbers are on the wire between programs: they never change. */
#define ERR_TABLE(X)                                                             \
    X(OK, 0, ERR_NONE, "ok")                                                     \
    X(NOMEM, 1, ERR_TEMPORARY, "out of memory")                                  \
    X(IO, 2, ERR_TEMPORARY, "input or output failed")                            \
    X(TIMEOUT, 3, ERR_TEMPORARY, "no answer in time")                            \
    X(BUSY, 4, ERR_TEMPORARY, "a limit is reached for now")                      \
    X(SYNTAX, 5, ERR_PERMANENT, "not well formed")                               \
    X(TOO_BIG, 6, ERR_PERMANENT, "over a fixed limit")                           \
    X(NOT_FOUND, 7, ERR_PERMANENT, "no such thing")                              \
    X(DENIED, 8, ERR_PERMANENT, "not allowed")                                   \
    X(CORRUPT, 9, ERR_TEMPORARY, "stored data fails its own checks")             \
    X(CANCELLED, 10, ERR_GONE, "given up before it was done")                    \
    X(EXISTS, 11, ERR_PERMANENT, "there is one already")                         \
    X(CONFLICT, 12, ERR_PERMANENT, "changed by somebody else meanwhile")         \
    X(QUOTA, 13, ERR_PERMANENT, "over quota")                                    \
    X(FULL, 14, ERR_TEMPORARY, "the disk is full")                               \
    X(MOVED, 15, ERR_TEMPORARY, "led by another node")                           \
    X(UNREACHABLE, 16, ERR_TEMPORARY, "the other program can't be reached")      \
    X(UNKNOWN, 17, ERR_TEMPORARY, "the outcome is not known; ask again")         \
    X(UNSUPPORTED, 18, ERR_PERMANENT, "not supported, or of a newer version")    \
    X(INFECTED, 19, ERR_PERMANENT, "a virus was found")                          \
    X(LOOP, 20, ERR_PERMANENT, "goes round in a ring")                           \
    X(LOCKED, 21, ERR_TEMPORARY, "too many failed log-ins, try again later")

enum err_code {
#define X(code, number, class_, text) ERR_##code = (number),
    ERR_TABLE(X)
#undef X
};

/* Passed and returned by value. */
struct err {
    enum err_code code;
    int detail;       /* errno, libuv or OpenSSL number behind it; 0 when there is none */
    const char *what; /* string literal: what was being done; never built at run time */
};

#define MUST_USE __attribute__((warn_unused_result))

/* Returns the caller's caller an error as it came. The only macro with a hidden return. */
#define TRY(call)                                      \
    do {                                               \
        struct err try_err_ = (call);                  \
        if (try_err_.code != ERR_OK) return try_err_;  \
    } while (0)

struct err err_ok(void);
struct err err_make(enum err_code code, const char *what);
struct err err_make_detail(enum err_code code, int detail, const char *what);
enum err_class err_class(struct err err);
const char *err_text(struct err err);

/* The code for a number from the wire; ERR_UNKNOWN for one that this build does not know. */
enum err_code err_code_of(unsigned number);
/* The code's name, like "NOT_FOUND". */
const char *err_name(enum err_code code);

#ifdef __cplusplus
}
#endif
#endif
