/* Addresses are found in bounded time whatever the list is, and say nothing that could end a line;
 * a scratch of the list's own size is enough. */
#include <stdint.h>
#include <stdlib.h>

#include "address.h"
#include "buf.h"
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(struct span text)
{
    for (size_t i = 0; i < text.len; i++) CHECK(text.ptr[i] != '\r' && text.ptr[i] != '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct address_reader reader;
    struct address address;
    struct buf scratch;
    char *bytes = malloc(size + 1);
    size_t groups = 0, ends = 0, all = 0;
    CHECK(bytes != NULL);
    buf_init(&scratch, bytes, size);
    address_reader_init(&reader, span_of(data, size));
    while (address_next(&reader, &scratch, &address)) {
        groups += address.kind == ADDRESS_GROUP_START;
        ends += address.kind == ADDRESS_GROUP_END;
        CHECK(ends <= groups && groups <= ends + 1);
        check_line(address.name);
        check_line(address.route);
        check_line(address.local);
        check_line(address.domain);
        CHECK(address.name.len + address.route.len + address.local.len + address.domain.len <=
              size);
        CHECK(++all <= 2 * size + 1);
    }
    CHECK(groups == ends);
    free(bytes);
    return 0;
}
