/* What is read is written and read again as the same keys, and so is what a turn leaves. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "door_tickets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DIGITS = 2 * DOOR_TICKET_KEY_BYTES };

/* Two letters a byte. */
static struct err seal(void *holder, struct span from, struct buf *to)
{
    (void)holder;
    for (size_t i = 0; i < from.len; i++) {
        unsigned char c = (unsigned char)from.ptr[i];
        const char two[2] = { (char)('a' + c / 16), (char)('a' + c % 16) };
        buf_put(to, span_of(two, 2));
    }
    return err_ok();
}

static struct err open_text(void *holder, struct span from, struct buf *to)
{
    (void)holder;
    if (from.len % 2 != 0 || from.len > DIGITS) return err_make(ERR_CORRUPT, "test");
    for (size_t i = 0; i < from.len; i += 2) {
        unsigned high = (unsigned)(unsigned char)from.ptr[i] - 'a';
        unsigned low = (unsigned)(unsigned char)from.ptr[i + 1] - 'a';
        if (high > 15 || low > 15) return err_make(ERR_CORRUPT, "test");
        const char c = (char)(high * 16 + low);
        buf_put(to, span_of(&c, 1));
    }
    return err_ok();
}

static void check(const struct door_tickets *tickets)
{
    char text[DOOR_TICKETS_TEXT_MAX_BYTES];
    struct buf to;
    struct door_tickets again;
    buf_init(&to, text, sizeof(text));
    CHECK(tickets->count <= DOOR_TICKETS_MAX);
    CHECK(door_tickets_write(tickets, seal, NULL, &to).code == ERR_OK);
    CHECK(door_tickets_read(buf_span(&to), open_text, NULL, &again).code == ERR_OK);
    CHECK(again.count == tickets->count);
    for (unsigned i = 0; i < again.count; i++) {
        CHECK(again.tickets[i].made_ms == tickets->tickets[i].made_ms);
        const uint8_t *key = tickets->tickets[i].key;
        CHECK(memcmp(again.tickets[i].key, key, DOOR_TICKET_KEY_BYTES) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct door_tickets tickets;
    uint8_t fresh[DOOR_TICKET_KEY_BYTES];
    if (door_tickets_read(span_of(data, size), open_text, NULL, &tickets).code != ERR_OK) return 0;
    check(&tickets);
    memset(fresh, 'f', sizeof(fresh));
    (void)door_tickets_turn(&tickets, 1700000000000, 60000, fresh);
    CHECK(tickets.count > 0 || tickets.foreign_ms > 0);
    CHECK(door_tickets_wait_ms(&tickets, 1700000000000, 60000) > 0);
    check(&tickets);
    return 0;
}
