// Raw DEFLATE a piece at a time, against zlib by itself.
#include <gtest/gtest.h>
#include <zlib.h>

#include <random>
#include <string>

#include "deflate.h"

namespace {

span S(const std::string &s) { return span_of(s.data(), s.size()); }

std::string ZlibPack(const std::string &text, int flush)
{
    z_stream z = {};
    EXPECT_EQ(Z_OK, deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY));
    std::string out(deflateBound(&z, text.size()) + 64, '\0');
    z.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(text.data())), z.avail_in = static_cast<uInt>(text.size());
    z.next_out = reinterpret_cast<Bytef *>(out.data()), z.avail_out = static_cast<uInt>(out.size());
    ::deflate(&z, flush);
    out.resize(z.total_out);
    deflateEnd(&z);
    return out;
}

class DeflateTest : public testing::Test {
protected:
    DeflateTest() { EXPECT_EQ(ERR_OK, deflate_new(&stream).code); }
    ~DeflateTest() override { deflate_free(stream); }

    std::string Pack(const std::string &text, size_t room = 4096)
    {
        std::string packed, piece(room, '\0');
        span in = S(text);
        for (bool more = true; more;) {
            size_t len = room;
            EXPECT_EQ(ERR_OK, deflate_pack(stream, &in, piece.data(), &len, &more).code);
            packed.append(piece, 0, len);
        }
        EXPECT_EQ(0u, in.len);
        return packed;
    }

    err_code Unpack(const std::string &packed, std::string *text, size_t room = 4096)
    {
        std::string piece(room, '\0');
        span in = S(packed);
        for (;;) {
            size_t len = room;
            err e = deflate_unpack(stream, &in, piece.data(), &len);
            if (e.code != ERR_OK) return e.code;
            if (len == 0) return ERR_OK;
            text->append(piece, 0, len);
        }
    }
    struct deflate *stream;
};

std::string Random(std::mt19937 *random, size_t len)
{
    std::string text;
    while (text.size() < len) text += (*random)() % 3 == 0 ? "* 1 FETCH (FLAGS ())\r\n" : std::string((*random)() % 40, char((*random)()));
    return text;
}

// Each piece can be read as soon as it is sent, whatever room there is.
TEST_F(DeflateTest, ThereAndBack)
{
    std::mt19937 random(1);
    struct deflate *reader;
    ASSERT_EQ(ERR_OK, deflate_new(&reader).code);
    std::swap(stream, reader);
    for (size_t round = 0; round < 200; round++) {
        auto text = Random(&random, round * 37 % 9000);
        std::string back;
        std::swap(stream, reader);
        auto packed = Pack(text, DEFLATE_ROOM_MIN_BYTES + random() % 3000);
        if (round % 5 == 0) deflate_rest(stream);
        std::swap(stream, reader);
        ASSERT_EQ(ERR_OK, Unpack(packed, &back, 1 + random() % 3000)) << round;
        ASSERT_EQ(text, back) << round;
    }
    deflate_free(reader);
}

TEST_F(DeflateTest, ReadsAndIsReadByZlib)
{
    std::mt19937 random(2);
    auto text = Random(&random, 200000);
    std::string back;
    ASSERT_EQ(ERR_OK, Unpack(ZlibPack(text, Z_SYNC_FLUSH), &back));
    EXPECT_TRUE(text == back);
    auto packed = Pack(text);
    deflate_rest(stream);
    packed += Pack("and more");
    z_stream z = {};
    ASSERT_EQ(Z_OK, inflateInit2(&z, -15));
    std::string out(text.size() + 100, '\0');
    z.next_in = reinterpret_cast<Bytef *>(packed.data()), z.avail_in = static_cast<uInt>(packed.size());
    z.next_out = reinterpret_cast<Bytef *>(out.data()), z.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(Z_OK, inflate(&z, Z_SYNC_FLUSH));
    out.resize(z.total_out);
    inflateEnd(&z);
    EXPECT_TRUE(out == text + "and more");
    EXPECT_LT(packed.size(), text.size() / 2);
}

// A bomb comes out in the room that there is, and no faster.
TEST_F(DeflateTest, BombInPieces)
{
    auto packed = ZlibPack(std::string(10 << 20, 'x'), Z_SYNC_FLUSH);
    ASSERT_LT(packed.size(), 20000u);
    span in = S(packed);
    char piece[1000];
    size_t all = 0, left = 0;
    for (size_t len = 1; len > 0; all += len) {
        len = sizeof(piece);
        ASSERT_EQ(ERR_OK, deflate_unpack(stream, &in, piece, &len).code);
        if (all == 0) left = in.len;
    }
    EXPECT_EQ(10u << 20, all);
    EXPECT_GT(left, packed.size() / 2); // it was not all taken in for the first piece
}

TEST_F(DeflateTest, ByteByByte)
{
    std::mt19937 random(3);
    auto text = Random(&random, 3000), packed = ZlibPack(text, Z_SYNC_FLUSH);
    std::string back;
    for (char c : packed) ASSERT_EQ(ERR_OK, Unpack(std::string(1, c), &back, 7));
    EXPECT_EQ(text, back);
}

TEST_F(DeflateTest, BadOnes)
{
    std::string back;
    EXPECT_EQ(ERR_OK, Unpack("", &back));
    EXPECT_EQ(ERR_SYNTAX, Unpack("a NOOP\r\n", &back)); // no compression at all
    deflate_free(stream);
    ASSERT_EQ(ERR_OK, deflate_new(&stream).code);
    EXPECT_EQ(ERR_SYNTAX, Unpack(std::string("\x07", 1), &back)); // a block type that is none
    deflate_free(stream);
    ASSERT_EQ(ERR_OK, deflate_new(&stream).code);
    EXPECT_EQ(ERR_SYNTAX, Unpack(std::string("\x78\x9c\x03\x00\x00\x00", 6), &back)); // the head of zlib's own format
    deflate_free(stream);
    ASSERT_EQ(ERR_OK, deflate_new(&stream).code);
    EXPECT_EQ(ERR_SYNTAX, Unpack(std::string("\xfd\xff\xff\xff\xff\xff\xff\xff", 8), &back)); // codes without end
    deflate_free(stream);
    ASSERT_EQ(ERR_OK, deflate_new(&stream).code);
    back.clear();
    EXPECT_EQ(ERR_SYNTAX, Unpack(ZlibPack("the end", Z_FINISH) + "behind it", &back));
    deflate_free(stream);
    deflate_free(nullptr);
    ASSERT_EQ(ERR_OK, deflate_new(&stream).code);
}

}  // namespace
