/* Where a store went: what reads is written as text that reads as the same. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "coord_options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_BYTES = 64 * 1024 };

static struct span write_text(const struct coord_options *options, char bytes[TEXT_BYTES])
{
    struct buf out;
    buf_init(&out, bytes, TEXT_BYTES);
    coord_options_write(&out, options);
    CHECK(!out.overflow);
    return buf_span(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char first[TEXT_BYTES], second[TEXT_BYTES];
    const struct coord_options with = { .directory = NULL };
    struct coord_options_copy *copy, *again;
    if (coord_options_read(span_of(data, size), &with, &copy).code != ERR_OK) return 0;
    CHECK(copy->options.endpoints_count > 0 && copy->options.directory[0] == '\0');
    struct span text = write_text(&copy->options, first);
    CHECK(coord_options_read(text, &with, &again).code == ERR_OK);
    CHECK(span_eq(text, write_text(&again->options, second)));
    free(again);
    free(copy);
    return 0;
}
