/* What is taken can be read whole; what is refused says why. */
#include <stdlib.h>

#include "check.h"
#include "conf_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf *conf = NULL;
    struct conf_problem problem = { .text = "" };
    struct err err = conf_from_json(span_of(data, size), 7, &conf, &problem);
    CHECK((err.code == ERR_OK) == (conf != NULL));
    if (err.code == ERR_SYNTAX) CHECK(problem.text[0] != '\0');
    if (err.code == ERR_OK) {
        CHECK(conf_version(conf) == 7 && conf_ms(conf, CONF_SMTP_IDLE) > 0);
        CHECK(conf_number(conf, CONF_SMTP_SIZE_MAX) >= 1024);
    }
    conf_unref(conf);
    return 0;
}
