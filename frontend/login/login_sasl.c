/* Over GNU SASL. Its LOGIN asks with "User Name" and "Password", which some clients do not know:
 * they compare with the words of draft-murchison-sasl-login, so those are sent in their place. */
#include "login_sasl.h"

#include <gsasl.h>
#include <stdlib.h>

#include "base64.h"
#include "buf.h"

struct login_sasl {
    Gsasl *gsasl;
};

struct login_exchange {
    Gsasl_session *session;
    char *challenge; /* by gsasl; NULL: none */
    bool is_login;
    unsigned steps;
    struct login_credentials found; /* point into `bytes` */
    size_t used_bytes;
    char bytes[2 * LOGIN_NAME_MAX_BYTES + LOGIN_PASSWORD_MAX_BYTES];
};

enum { LOGIN_STEPS_MAX = 8 };

/* Copies a property into the exchange, so that it can be wiped there. */
static bool login_take(struct login_exchange *exchange, Gsasl_property which, size_t max_bytes,
                       struct span *ret)
{
    const char *text = gsasl_property_fast(exchange->session, which);
    struct span value = span_of(text, text == NULL ? 0 : strlen(text));
    if (value.len > max_bytes) return false;
    char *to = exchange->bytes + exchange->used_bytes;
    if (value.len > 0) memcpy(to, value.ptr, value.len);
    exchange->used_bytes += value.len;
    *ret = span_of(to, value.len);
    return true;
}

/* Called in the middle of a step when PLAIN or LOGIN has everything. Checking a password takes
 * long, so here it is only kept, and the exchange ends as one with credentials. */
static int login_callback(Gsasl *gsasl, Gsasl_session *session, Gsasl_property asked)
{
    (void)gsasl;
    if (asked != GSASL_VALIDATE_SIMPLE) return GSASL_NO_CALLBACK;
    struct login_exchange *exchange = gsasl_session_hook_get(session);
    struct login_credentials found;
    if (!login_take(exchange, GSASL_AUTHID, LOGIN_NAME_MAX_BYTES, &found.authcid) ||
        !login_take(exchange, GSASL_AUTHZID, LOGIN_NAME_MAX_BYTES, &found.authzid) ||
        !login_take(exchange, GSASL_PASSWORD, LOGIN_PASSWORD_MAX_BYTES, &found.password)) {
        return GSASL_AUTHENTICATION_ERROR;
    }
    if (found.authcid.len == 0 || found.password.len == 0) return GSASL_AUTHENTICATION_ERROR;
    /* gsasl puts the one in the place of an empty other. */
    if (span_eq(found.authzid, found.authcid)) found.authzid = SPAN("");
    exchange->found = found;
    return GSASL_OK;
}

struct err login_sasl_new(struct login_sasl **ret)
{
    struct login_sasl *sasl = calloc(1, sizeof(*sasl));
    if (sasl == NULL) return err_make(ERR_NOMEM, "SASL");
    int rc = gsasl_init(&sasl->gsasl);
    if (rc != GSASL_OK) {
        free(sasl);
        return err_make_detail(ERR_NOMEM, rc, "SASL");
    }
    gsasl_callback_set(sasl->gsasl, login_callback);
    *ret = sasl;
    return err_ok();
}

void login_sasl_free(struct login_sasl *sasl)
{
    if (sasl == NULL) return;
    gsasl_done(sasl->gsasl);
    free(sasl);
}

static const struct login_mechanism {
    struct span name;
    const char *gsasl_name;
    bool is_login;
} login_mechanisms[] = {
    { SPAN_INIT("PLAIN"), "PLAIN", false },
    { SPAN_INIT("LOGIN"), "LOGIN", true },
};

struct span login_sasl_names(void) { return SPAN("PLAIN LOGIN"); }

struct err login_sasl_start(struct login_sasl *sasl, struct span mechanism,
                            struct login_exchange **ret)
{
    const struct login_mechanism *found = NULL;
    for (size_t i = 0; i < sizeof(login_mechanisms) / sizeof(login_mechanisms[0]); i++) {
        if (span_eq_nocase(mechanism, login_mechanisms[i].name)) found = &login_mechanisms[i];
    }
    if (found == NULL) return err_make(ERR_NOT_FOUND, "mechanism");
    struct login_exchange *exchange = calloc(1, sizeof(*exchange));
    if (exchange == NULL) return err_make(ERR_NOMEM, "SASL exchange");
    int rc = gsasl_server_start(sasl->gsasl, found->gsasl_name, &exchange->session);
    if (rc != GSASL_OK) {
        free(exchange);
        return err_make_detail(rc == GSASL_MALLOC_ERROR ? ERR_NOMEM : ERR_NOT_FOUND, rc,
                               "mechanism");
    }
    exchange->is_login = found->is_login;
    gsasl_session_hook_set(exchange->session, exchange);
    *ret = exchange;
    return err_ok();
}


static void login_challenge_clear(struct login_exchange *exchange)
{
    gsasl_free(exchange->challenge);
    exchange->challenge = NULL;
}

static enum login_step login_run(struct login_exchange *exchange, struct span response,
                                 struct span *challenge)
{
    size_t len = 0;
    login_challenge_clear(exchange);
    if (response.len > LOGIN_RESPONSE_MAX_BYTES) return LOGIN_FAILED;
    if (++exchange->steps > LOGIN_STEPS_MAX) return LOGIN_FAILED;
    int rc = gsasl_step(exchange->session, response.len == 0 ? NULL : response.ptr, response.len,
                        &exchange->challenge, &len);
    if (rc == GSASL_OK) return exchange->found.authcid.len > 0 ? LOGIN_CREDENTIALS : LOGIN_FAILED;
    if (rc != GSASL_NEEDS_MORE) return LOGIN_FAILED;
    *challenge = span_of(exchange->challenge, len);
    if (exchange->is_login) {
        *challenge = exchange->steps == 1 ? SPAN("Username:") : SPAN("Password:");
    }
    return LOGIN_CHALLENGE;
}

enum login_step login_exchange_step(struct login_exchange *exchange, bool has_response,
                                    struct span response, struct span *challenge)
{
    if (!has_response) return login_run(exchange, SPAN(""), challenge);
    /* LOGIN asks before it listens: an initial response answers its first question. */
    if (exchange->is_login && exchange->steps == 0) {
        enum login_step step = login_run(exchange, SPAN(""), challenge);
        if (step != LOGIN_CHALLENGE) return step;
    }
    /* gsasl takes an empty response for none and asks again. PLAIN and LOGIN have no empty one. */
    if (response.len == 0) return LOGIN_FAILED;
    return login_run(exchange, response, challenge);
}

enum login_step login_exchange_begin(struct login_exchange *exchange, struct buf *out)
{
    struct span challenge = SPAN("");
    enum login_step step = login_exchange_step(exchange, false, SPAN(""), &challenge);
    if (step == LOGIN_CHALLENGE) base64_encode(out, challenge);
    return step;
}

enum login_step login_exchange_line(struct login_exchange *exchange, bool is_initial,
                                    struct span line, struct buf *out)
{
    char bytes[LOGIN_RESPONSE_MAX_BYTES];
    struct buf decoded;
    struct span challenge = SPAN("");
    buf_init(&decoded, bytes, sizeof(bytes));
    if (is_initial && span_eq(line, SPAN("="))) line = SPAN("");
    enum login_step step = LOGIN_FAILED;
    if (base64_decode_strict(&decoded, line).code == ERR_OK) {
        step = login_exchange_step(exchange, true, buf_span(&decoded), &challenge);
    }
    explicit_bzero(bytes, decoded.len);
    if (step == LOGIN_CHALLENGE) base64_encode(out, challenge);
    return step;
}

struct login_credentials login_exchange_credentials(const struct login_exchange *exchange)
{
    return exchange->found;
}

void login_exchange_free(struct login_exchange *exchange)
{
    if (exchange == NULL) return;
    login_challenge_clear(exchange);
    gsasl_finish(exchange->session);
    explicit_bzero(exchange, sizeof(*exchange));
    free(exchange);
}
