// Keys of TLS tickets: their text, and whose time has come.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "door_tickets.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

// Keys of one letter, sealed as "<letter>"; "<!>" can't be opened.
struct err Seal(void *, struct span from, struct buf *to)
{
    std::string text = std::string("<") + from.ptr[0] + ">";
    buf_put(to, S(text));
    return err_ok();
}
struct err Open(void *, struct span from, struct buf *to)
{
    if (from.len != 3 || from.ptr[0] != '<' || from.ptr[1] == '!') return err_make(ERR_CORRUPT, "test");
    std::string key(from.ptr[1] == '-' ? DOOR_TICKET_KEY_BYTES - 1 : DOOR_TICKET_KEY_BYTES, from.ptr[1]);
    buf_put(to, S(key));
    return err_ok();
}

struct door_tickets Read(const std::string &text)
{
    struct door_tickets tickets = {};
    EXPECT_EQ(ERR_OK, door_tickets_read(S(text), Open, nullptr, &tickets).code) << text;
    return tickets;
}
std::string Text(const struct door_tickets &tickets)
{
    char bytes[DOOR_TICKETS_TEXT_MAX_BYTES];
    struct buf to;
    buf_init(&to, bytes, sizeof(bytes));
    EXPECT_EQ(ERR_OK, door_tickets_write(&tickets, Seal, nullptr, &to).code);
    return std::string(to.bytes, to.len);
}

TEST(DoorTickets, Text)
{
    const struct { const char *in, *out; } good[] = {
        { "", "" }, { "5 <a>\n", "5 <a>\n" }, { "0 <a>\n007 <b>\n", "0 <a>\n7 <b>\n" },
        { "9 <a>\n8 <b>\n7 <c>\n6 <d>\n", "9 <a>\n8 <b>\n7 <c>\n6 <d>\n" },
        { "9 <!>\n8 <b>\n", "8 <b>\n" },  // sealed with a key that is gone
        { "9 <->\n8 <b>\n", "8 <b>\n" },  // too short for a key
        { "9 \n8 <b>\n", "8 <b>\n" }, { "999999999999999 <a>\n", "999999999999999 <a>\n" },
    };
    for (const auto &row : good) EXPECT_EQ(row.out, Text(Read(row.in))) << row.in;
    const char *bad[] = {
        "x", "5", "5 <a>", "<a>\n", " <a>\n", "x <a>\n", "-5 <a>\n", "5<a>\n", "1000000000000000 <a>\n", "\n",
        "5 <a>\n\n", "5 <a>\nx", "9 <a>\n8 <b>\n7 <c>\n6 <d>\n5 <e>\n",
    };
    for (const char *text : bad) {
        struct door_tickets tickets = Read("1 <z>\n");
        EXPECT_EQ(ERR_SYNTAX, door_tickets_read(S(text), Open, nullptr, &tickets).code) << text;
        EXPECT_EQ("1 <z>\n", Text(tickets));
    }
    struct buf small;
    char bytes[10];
    buf_init(&small, bytes, sizeof(bytes));
    struct door_tickets two = Read("9 <a>\n8 <b>\n");
    EXPECT_EQ(ERR_TOO_BIG, door_tickets_write(&two, Seal, nullptr, &small).code);
}

// tls.ticket.life, at its bounds: a key is the first for one life, and taken for another.
TEST(DoorTickets, Turn)
{
    for (uint64_t life : { uint64_t(60000), uint64_t(604800) * 1000 }) {
        const uint64_t now = 10 * life;
        auto at = [&](uint64_t when, char key) { return std::to_string(when) + " <" + key + ">\n"; };
        const std::string fresh = at(now, 'n');
        const struct { const char *name; std::string before, after; uint64_t wait_ms; } rows[] = {
            { "none", "", fresh, 0 },
            { "new", at(now, 'a'), at(now, 'a'), life },
            { "nearly due", at(now - life + 1, 'a'), at(now - life + 1, 'a'), 1 },
            { "due", at(now - life, 'a'), fresh + at(now - life, 'a'), 0 },
            { "long due", at(now - 2 * life + 1, 'a'), fresh + at(now - 2 * life + 1, 'a'), 0 },
            { "over", at(now - 2 * life, 'a'), fresh, 0 },
            { "the second goes", at(now - 5, 'a') + at(now - 2 * life, 'b'), at(now - 5, 'a'), life - 5 },
            { "the second stays", at(now - 5, 'a') + at(now - 2 * life + 1, 'b'), at(now - 5, 'a') + at(now - 2 * life + 1, 'b'), life - 5 },
            { "no more than fit", at(now - life, 'a') + at(now - life, 'b') + at(now - life, 'c') + at(now - life, 'd'),
              fresh + at(now - life, 'a') + at(now - life, 'b') + at(now - life, 'c'), 0 },
            { "foreign, fresh", at(now - 5, '!') + at(now - life, 'b'), at(now - life, 'b'), life - 5 },
            { "foreign and alone", at(now - life + 1, '!'), "", 1 },
            { "foreign, and what is over", at(now - 5, '!') + at(now - 2 * life, 'b'), at(now - 2 * life, 'b'), life - 5 },
            { "foreign, due", at(now - life, '!') + at(now - life, 'b'), fresh + at(now - life, 'b'), 0 },
            { "foreign, of a clock that was wrong", at(now + life + 1, '!'), fresh, 0 },
            { "a little ahead", at(now + life, 'a'), at(now + life, 'a'), 2 * life },
            { "of a clock that was wrong", at(now + life + 1, 'a') + at(now - 5, 'b'), fresh + at(now - 5, 'b'), 0 },
        };
        for (const auto &row : rows) {
            struct door_tickets tickets = Read(row.before);
            uint8_t key[DOOR_TICKET_KEY_BYTES];
            memset(key, 'n', sizeof(key));
            EXPECT_EQ(row.wait_ms, door_tickets_wait_ms(&tickets, now, life)) << row.name;
            std::string opened = Text(tickets);
            EXPECT_EQ(opened != row.after, door_tickets_turn(&tickets, now, life, key)) << row.name;
            EXPECT_EQ(row.after, Text(tickets)) << row.name;
            EXPECT_FALSE(door_tickets_turn(&tickets, now, life, key)) << row.name;
        }
    }
}

} // namespace
