/* login_sasl.h: SASL exchanges (RFC 4422) as machines, the same for SMTP, IMAP and POP3.
 *
 * An exchange takes the client's responses and gives challenges until it has credentials, which
 * the shell then checks; nothing is looked up here. A mechanism that needs the account's stored
 * secret in the middle (SCRAM) will get one more result that asks for it; users handle the results
 * by a switch, so that the compiler shows them where. */
#ifndef MAIL_LOGIN_SASL_H
#define MAIL_LOGIN_SASL_H

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    LOGIN_NAME_MAX_BYTES = 320,     /* of authcid and authzid */
    LOGIN_PASSWORD_MAX_BYTES = 1024,
    LOGIN_RESPONSE_MAX_BYTES = 4096, /* decoded */
    LOGIN_LINE_MAX_BYTES = 12288,    /* of base64, RFC 4954 section 4 */
};

struct buf;
struct login_sasl;
struct login_exchange;

/* Spans live until the exchange is freed, which wipes them. */
struct login_credentials {
    struct span authcid;  /* who logs in; never empty */
    struct span authzid;  /* whom he acts for; empty: himself, also when he said so */
    struct span password; /* never empty */
};

/* What mechanisms there are. One per loop; it outlives its exchanges, which share it on one
 * thread. */
MUST_USE struct err login_sasl_new(struct login_sasl **ret);
void login_sasl_free(struct login_sasl *sasl);

/* "PLAIN LOGIN", for EHLO and CAPABILITY. */
struct span login_sasl_names(void);

/* Begins an exchange. ERR_NOT_FOUND: no such mechanism (ASCII case aside). */
MUST_USE struct err login_sasl_start(struct login_sasl *sasl, struct span mechanism,
                                     struct login_exchange **ret);

enum login_step {
    LOGIN_CHALLENGE,   /* `challenge` is to be sent, and the answer given to the next step */
    LOGIN_CREDENTIALS, /* login_exchange_credentials() has them */
    LOGIN_FAILED,      /* the response is malformed or over a bound; free the exchange */
};

/* Takes one response as bytes. A client that sent none with its command starts with
 * `has_response` false, which gives the mechanism's first challenge. `*challenge` lives until the
 * next call for this exchange; it may be empty. */
enum login_step login_exchange_step(struct login_exchange *exchange, bool has_response,
                                    struct span response, struct span *challenge);

/* The same for protocols that send base64 lines: _begin when no response came with the command,
 * else _line. "=" is an empty initial response (RFC 4954 section 4), an empty line an empty later
 * one. Appends the challenge as base64 to `out`. */
enum login_step login_exchange_begin(struct login_exchange *exchange, struct buf *out);
enum login_step login_exchange_line(struct login_exchange *exchange, bool is_initial,
                                    struct span line, struct buf *out);

/* After LOGIN_CREDENTIALS. */
struct login_credentials login_exchange_credentials(const struct login_exchange *exchange);

/* Wipes and frees; takes NULL. */
void login_exchange_free(struct login_exchange *exchange);

#ifdef __cplusplus
}
#endif
#endif
