/* What decodes has one text only: encode(decode(x)) is x. Any bytes: decode(encode(x)) is x. No
 * exchange fails but in its own way, and credentials are within their bounds. */
#include <stdint.h>
#include <stdlib.h>

#include "base64.h"
#include "buf.h"
#include "check.h"
#include "login_sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_BYTES = 8192 };

static void exchange(struct span mechanism, struct span in)
{
    static struct login_sasl *sasl;
    struct login_exchange *exchange;
    struct span challenge, line, rest = in;
    enum login_step step = LOGIN_CHALLENGE;
    if (sasl == NULL) CHECK(login_sasl_new(&sasl).code == ERR_OK);
    CHECK(login_sasl_start(sasl, mechanism, &exchange).code == ERR_OK);
    while (step == LOGIN_CHALLENGE && span_cut(rest, '\n', &line, &rest)) {
        step = login_exchange_step(exchange, true, line, &challenge);
    }
    if (step == LOGIN_CREDENTIALS) {
        struct login_credentials found = login_exchange_credentials(exchange);
        CHECK(found.authcid.len > 0 && found.authcid.len <= LOGIN_NAME_MAX_BYTES);
        CHECK(found.authzid.len <= LOGIN_NAME_MAX_BYTES);
        CHECK(found.password.len > 0 && found.password.len <= LOGIN_PASSWORD_MAX_BYTES);
    }
    login_exchange_free(exchange);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char one_bytes[TEXT_BYTES], two_bytes[TEXT_BYTES];
    struct buf one, two;
    struct span in = span_of(data, size < 4096 ? size : 4096);
    buf_init(&one, one_bytes, sizeof(one_bytes));
    buf_init(&two, two_bytes, sizeof(two_bytes));
    if (base64_decode_strict(&one, in).code == ERR_OK) {
        base64_encode(&two, buf_span(&one));
        CHECK(span_eq(in, buf_span(&two)));
    }
    one.len = two.len = 0;
    base64_encode(&one, in);
    CHECK(base64_decode_strict(&two, buf_span(&one)).code == ERR_OK);
    CHECK(span_eq(in, buf_span(&two)));
    exchange(SPAN("PLAIN"), in);
    exchange(SPAN("LOGIN"), in);
    return 0;
}
