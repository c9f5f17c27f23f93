/* A body that is taken is an object of known members, each once; what is refused says why in UTF-8,
 * and leaves nothing behind. */
#include <stdint.h>
#include <string.h>

#include "api_private.h"
#include "check.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char members[] = "address password full_name quota_bytes enabled addresses";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char detail[API_DETAIL_BYTES] = "";
    json_t *in = NULL, *value;
    const char *key;
    if (!api_body_read(span_of(data, size), members, &in, detail)) {
        CHECK(in == NULL && detail[0] != '\0' && strlen(detail) < sizeof(detail));
        return 0;
    }
    CHECK(json_is_object(in) && detail[0] == '\0');
    json_object_foreach(in, key, value) {
        const char *at = strstr(members, key);
        CHECK(at != NULL && key[0] != '\0' && strchr(key, ' ') == NULL);
        (void)value;
    }
    bool is_empty = json_object_size(in) == 0;
    json_decref(in);
    CHECK(api_body_read(span_of(data, size), "", &in, detail) == is_empty);
    if (is_empty) json_decref(in);
    return 0;
}
