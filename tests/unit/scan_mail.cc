#include "scan_mail.h"

#include <zlib.h>

namespace {

std::string Base64(const std::string &bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    unsigned column = 0;
    for (size_t i = 0; i < bytes.size(); i += 3) {
        uint32_t three = 0;
        for (size_t k = 0; k < 3; k++) three = three << 8 | (i + k < bytes.size() ? uint8_t(bytes[i + k]) : 0u);
        for (unsigned k = 0; k < 4; k++) {
            out += k > bytes.size() - i ? '=' : digits[three >> (18 - 6 * k) & 63];
        }
        if (++column % 19 == 0) out += "\r\n";
    }
    return out + "\r\n";
}

std::string QuotedPrintable(const std::string &bytes)
{
    std::string out;
    for (unsigned char byte : bytes) {
        char text[4];
        snprintf(text, sizeof(text), "=%02X", byte);
        out += text;
        if (out.size() % 70 < 3) out += "=\r\n";
    }
    return out + "\r\n";
}

std::string Uuencode(const std::string &bytes, const std::string &name)
{
    std::string out = "begin 644 " + name + "\r\n";
    for (size_t at = 0; at < bytes.size(); at += 45) {
        std::string line = bytes.substr(at, 45);
        out += char(' ' + line.size());
        line.resize((line.size() + 2) / 3 * 3);
        for (size_t i = 0; i < line.size(); i += 3) {
            uint32_t three = uint32_t(uint8_t(line[i])) << 16 | uint32_t(uint8_t(line[i + 1])) << 8 |
                             uint8_t(line[i + 2]);
            for (int k = 18; k >= 0; k -= 6) out += char((three >> k & 63) == 0 ? '`' : ' ' + (three >> k & 63));
        }
        out += "\r\n";
    }
    return out + "`\r\nend\r\n";
}

void Put(std::string *to, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) *to += char(i < 8 ? value >> (8 * i) & 255 : 0);
}

std::string Deflated(const std::string &bytes)
{
    std::string out(compressBound(uLong(bytes.size())) + 64, 0);
    z_stream stream = {};
    deflateInit2(&stream, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
    stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data()));
    stream.avail_in = uInt(bytes.size());
    stream.next_out = reinterpret_cast<Bytef *>(out.data());
    stream.avail_out = uInt(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

struct Entry {
    std::string name, bytes;
};

// APPNOTE 4.3: local headers, then the central directory. Bit 0 of the flags: encrypted; then the
// 12 bytes before the data that the cipher would have made are any bytes.
std::string Zip(const std::vector<Entry> &entries, bool encrypted = false)
{
    std::string out, central;
    for (const auto &entry : entries) {
        std::string packed = Deflated(entry.bytes);
        if (encrypted) packed = std::string("\x31\x41\x59\x26\x53\x58\x97\x93\x23\x84\x62\x64") + packed;
        std::string common;
        Put(&common, 20, 2);
        Put(&common, encrypted ? 1 : 0, 2);
        Put(&common, 8, 2);
        Put(&common, 0x5a210000, 4);
        Put(&common, crc32(0, reinterpret_cast<const Bytef *>(entry.bytes.data()), uInt(entry.bytes.size())), 4);
        Put(&common, packed.size(), 4);
        Put(&common, entry.bytes.size(), 4);
        Put(&common, entry.name.size(), 2);
        Put(&common, 0, 2);
        size_t offset = out.size();
        out += "PK\x03\x04" + common + entry.name + packed;
        central += "PK\x01\x02";
        Put(&central, 20, 2);
        central += common;
        Put(&central, 0, 10);
        Put(&central, offset, 4);
        central += entry.name;
    }
    size_t start = out.size();
    out += central + "PK\x05\x06";
    Put(&out, 0, 4);
    Put(&out, entries.size(), 2);
    Put(&out, entries.size(), 2);
    Put(&out, central.size(), 4);
    Put(&out, start, 4);
    Put(&out, 0, 2);
    return out;
}

std::string Attached(const std::string &encoding, const std::string &encoded, const std::string &name)
{
    return "From: a@example.org\r\nTo: b@example.org\r\nSubject: test\r\nMIME-Version: 1.0\r\n"
           "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n"
           "--b\r\nContent-Type: text/plain\r\n\r\nsee below\r\n"
           "--b\r\nContent-Type: application/octet-stream; name=\"" + name + "\"\r\n"
           "Content-Disposition: attachment; filename=\"" + name + "\"\r\n"
           "Content-Transfer-Encoding: " + encoding + "\r\n\r\n" + encoded + "\r\n--b--\r\n";
}

}  // namespace

std::string Eicar()
{
    // In two halves, so that no file of ours is one.
    return std::string("X5O!P%@AP[4\\PZX54(P^)7CC)7}$") + "EICAR-STANDARD-" + "ANTIVIRUS-TEST-FILE!$H+H*";
}

std::vector<ScanMail> EicarMails()
{
    std::string eicar = Eicar();
    std::string zip = Zip({ { "eicar.com", eicar } });
    std::string nested = Zip({ { "inner.zip", Zip({ { "a.txt", "harmless" }, { "deep.zip", zip } }) } });
    std::string attached = Attached("base64", Base64(eicar), "eicar.com");
    return {
        { "plain", "Subject: x\r\n\r\n" + eicar + "\r\n", "1", nullptr },
        { "an unusual first header", "Zebra: x\r\nMIME-Version: 1.0\r\n"
              "Content-Transfer-Encoding: base64\r\n\r\n" + Base64(eicar), "1", nullptr },
        { "attached as text", Attached("7bit", eicar, "eicar.com"), "2", "eicar.com" },
        { "base64", attached, "2", "eicar.com" },
        { "quoted-printable", Attached("quoted-printable", QuotedPrintable(eicar), "eicar.com"), "2", "eicar.com" },
        { "uuencoded by header", Attached("x-uuencode", Uuencode(eicar, "eicar.com"), "eicar.com"), "2", nullptr },
        { "uuencoded in the text", "Subject: x\r\n\r\nhello\r\n\r\n" + Uuencode(eicar, "eicar.com") + "\r\n", nullptr, nullptr },
        { "zip", Attached("base64", Base64(zip), "a.zip"), "2", "eicar.com" },
        { "zip in zip in zip", Attached("base64", Base64(nested), "n.zip"), "2", "eicar.com" },
        { "forwarded", "Subject: fwd\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"o\"\r\n\r\n"
              "--o\r\nContent-Type: message/rfc822\r\n\r\n" + attached + "\r\n--o--\r\n", "1.2", "eicar.com" },
    };
}

std::vector<ScanMail> HarmlessMails()
{
    std::string zip = Zip({ { "notes.txt", std::string(5000, 'n') } });
    return {
        { "text", "Subject: x\r\n\r\nhello\r\n", nullptr, nullptr },
        { "no header", "hello\r\n", nullptr, nullptr },
        { "only an end of line", "\r\n", nullptr, nullptr },
        { "NUL", std::string("Subject: x\r\n\r\n\0\0\0\r\n", 19), nullptr, nullptr },
        { "zip", Attached("base64", Base64(zip), "notes.zip"), nullptr, nullptr },
        { "words about it", "Subject: x\r\n\r\nthe EICAR-STANDARD-ANTIVIRUS-TEST file\r\n", nullptr, nullptr },
        { "broken MIME", "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\r\n\r\n--\r\n----\r\n", nullptr, nullptr },
        { "larger than a slot", BigMail(3 << 20), nullptr, nullptr },
    };
}

std::string EncryptedZipMail()
{
    return Attached("base64", Base64(Zip({ { "secret.txt", std::string(500, 's') } }, true)), "secret.zip");
}

std::string ZipBombMail()
{
    std::string inner = Zip({ { "zeros", std::string(60 << 20, '\0') } });
    std::vector<Entry> entries;
    for (int i = 0; i < 20; i++) entries.push_back({ std::to_string(i) + ".zip", inner });
    return Attached("base64", Base64(Zip(entries)), "bomb.zip");
}

std::string ArchiveMail(unsigned depth, unsigned files)
{
    std::vector<Entry> entries;
    for (unsigned i = 0; i < files; i++) entries.push_back({ std::to_string(i) + ".txt", "number " + std::to_string(i) });
    std::string zip = Zip(entries);
    for (unsigned i = 1; i < depth; i++) zip = Zip({ { "inner.zip", zip } });
    return Attached("base64", Base64(zip), "archive.zip");
}

std::string BigMail(size_t size)
{
    std::string bytes(size * 3 / 4, 0);
    uint32_t state = 7;
    for (char &byte : bytes) {
        state = state * 1664525 + 1013904223;
        byte = char(state >> 24);
    }
    return Attached("base64", Base64(bytes), "noise.bin");
}
