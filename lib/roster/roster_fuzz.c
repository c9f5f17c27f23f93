/* A row that reads is written and reads again as the same; the first byte chooses which. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "roster.h"
#include "roster_scanner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads, writes, reads, writes: both writings are the same bytes. */
#define AGAIN(kind, in)                                                                     \
    do {                                                                                    \
        static struct roster_##kind one, two;                                               \
        struct buf first, second;                                                           \
        memset(&one, 0, sizeof(one));                                                       \
        memset(&two, 0, sizeof(two));                                                       \
        if (roster_##kind##_read((in), &one).code != ERR_OK) return 0;                      \
        buf_init(&first, bytes[0], sizeof(bytes[0]));                                       \
        buf_init(&second, bytes[1], sizeof(bytes[1]));                                      \
        roster_##kind##_put(&first, &one);                                                  \
        CHECK(!first.overflow);                                                             \
        CHECK(roster_##kind##_read(buf_span(&first), &two).code == ERR_OK);                 \
        roster_##kind##_put(&second, &two);                                                 \
        CHECK(span_eq(buf_span(&first), buf_span(&second)));                                \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[2][ROSTER_VALUE_MAX_BYTES];
    if (size == 0) return 0;
    struct span in = span_of(data + 1, size - 1);
    switch (data[0] % 10) {
    case 0: AGAIN(program, in); break;
    case 1: AGAIN(store, in); break;
    case 2: AGAIN(live, in); break;
    case 3: AGAIN(place, in); break;
    case 4: AGAIN(shard, in); break;
    case 5: AGAIN(map_head, in); break;
    case 6: AGAIN(map_chunk, in); break;
    case 7: AGAIN(scanner, in); break;
    case 8: AGAIN(reload, in); break;
    default: AGAIN(bad, in); break;
    }
    return 0;
}
