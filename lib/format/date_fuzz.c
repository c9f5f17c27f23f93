/* A date that is read is the same after it was written, in any zone. */
#include <stdint.h>

#include "buf.h"
#include "check.h"
#include "date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t ms, again;
    char text[DATE_TEXT_BYTES];
    struct buf out;
    if (date_read(span_of(data, size), &ms).code != ERR_OK) return 0;
    int zone = size == 0 ? 0 : (data[0] - 128) * 5;
    if (ms < 86400000 || ms > 253402210800000) return 0; /* what date_put() can say exactly */
    buf_init(&out, text, sizeof(text));
    date_put(&out, ms, zone);
    CHECK(!out.overflow && out.len == DATE_TEXT_BYTES);
    CHECK(date_read(buf_span(&out), &again).code == ERR_OK);
    CHECK(again == ms);
    return 0;
}
