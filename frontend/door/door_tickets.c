#include "door_tickets.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "tls.h"

enum { KEY_BYTES = DOOR_TICKET_KEY_BYTES };
static_assert(sizeof(struct tls_ticket_key) == KEY_BYTES, "nothing stands between its fields");
static_assert((int)DOOR_TICKETS_MAX <= (int)TLS_TICKET_KEYS_MAX, "a context takes them all");

/* ---- text */

static bool take_number(struct span text, uint64_t *ret)
{
    uint64_t number = 0;
    if (text.len == 0 || text.len > 15) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        number = number * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *ret = number;
    return true;
}

struct err door_tickets_read(struct span text, door_tickets_turn_text *open, void *holder,
                             struct door_tickets *ret)
{
    struct door_tickets read = { 0 };
    struct span line, when, sealed;
    for (unsigned lines = 0; text.len > 0; lines++) {
        struct door_ticket *ticket = &read.tickets[read.count];
        char bytes[KEY_BYTES + 1];
        struct buf key;
        if (lines == DOOR_TICKETS_MAX || !span_cut(text, '\n', &line, &text) ||
            !span_cut(line, ' ', &when, &sealed) || !take_number(when, &ticket->made_ms)) {
            return err_make(ERR_SYNTAX, "keys of TLS tickets");
        }
        buf_init(&key, bytes, sizeof(bytes));
        if (open(holder, sealed, &key).code == ERR_OK && key.len == KEY_BYTES) {
            memcpy(ticket->key, bytes, KEY_BYTES);
            read.count++;
        } else if (ticket->made_ms > read.foreign_ms) {
            read.foreign_ms = ticket->made_ms;
        }
        explicit_bzero(bytes, sizeof(bytes));
    }
    *ret = read;
    return err_ok();
}

struct err door_tickets_write(const struct door_tickets *tickets, door_tickets_turn_text *seal,
                              void *holder, struct buf *to)
{
    for (unsigned i = 0; i < tickets->count; i++) {
        const struct door_ticket *ticket = &tickets->tickets[i];
        char when[24];
        int len = snprintf(when, sizeof(when), "%llu ", (unsigned long long)ticket->made_ms);
        buf_put(to, span_of(when, (size_t)len));
        TRY(seal(holder, span_of(ticket->key, KEY_BYTES), to));
        buf_put(to, SPAN("\n"));
    }
    return to->overflow ? err_make(ERR_TOO_BIG, "keys of TLS tickets") : err_ok();
}

/* ---- time */

/* Whether `lives` lives are over for it. */
static bool is_over(uint64_t made_ms, uint64_t now_ms, uint64_t life_ms, unsigned lives)
{
    if (made_ms > now_ms) return made_ms - now_ms > life_ms;
    return now_ms - made_ms >= lives * life_ms;
}

bool door_tickets_turn(struct door_tickets *tickets, uint64_t now_ms, uint64_t life_ms,
                       const uint8_t fresh[DOOR_TICKET_KEY_BYTES])
{
    struct door_tickets next = { 0 };
    bool is_due = door_tickets_wait_ms(tickets, now_ms, life_ms) == 0;
    if (is_due) {
        next.tickets[0].made_ms = now_ms;
        memcpy(next.tickets[0].key, fresh, KEY_BYTES);
        next.count = 1;
    }
    for (unsigned i = 0; i < tickets->count && next.count < DOOR_TICKETS_MAX; i++) {
        const struct door_ticket *ticket = &tickets->tickets[i];
        if (!is_over(ticket->made_ms, now_ms, life_ms, 2)) next.tickets[next.count++] = *ticket;
    }
    /* What we can't open is not ours to drop either, while it has its time. */
    bool has_changed = is_due || (next.count != tickets->count && tickets->foreign_ms == 0);
    if (has_changed) *tickets = next;
    return has_changed;
}

uint64_t door_tickets_wait_ms(const struct door_tickets *tickets, uint64_t now_ms,
                              uint64_t life_ms)
{
    uint64_t made_ms = tickets->foreign_ms;
    if (made_ms == 0 || is_over(made_ms, now_ms, life_ms, 1)) {
        if (tickets->count == 0) return 0;
        made_ms = tickets->tickets[0].made_ms;
    }
    return is_over(made_ms, now_ms, life_ms, 1) ? 0 : made_ms + life_ms - now_ms;
}
