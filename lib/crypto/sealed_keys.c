#include <openssl/rand.h>
#include <sodium.h>
#include <stdio.h>

#include "crypto_private.h"
#include "file.h"
#include "id.h"
#include "sealed.h"

enum { KEY_HEX_BYTES = 2 * SEALED_KEY_BYTES, LINE_BYTES = 16 + KEY_HEX_BYTES };

static struct err bad(void) { return err_make(ERR_SYNTAX, "key file"); }

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static struct err parse_line(struct span line, struct sealed_key *ret)
{
    struct span id, hex;
    uint64_t number = 0;
    if (!span_cut(line, ' ', &id, &hex)) return bad();
    if (id.len == 0 || id.len > 10 || hex.len != KEY_HEX_BYTES) return bad();
    for (size_t i = 0; i < id.len; i++) {
        if (id.ptr[i] < '0' || id.ptr[i] > '9') return bad();
        number = number * 10 + (uint64_t)(id.ptr[i] - '0');
    }
    if (number == 0 || number > UINT32_MAX) return bad();
    for (size_t i = 0; i < SEALED_KEY_BYTES; i++) {
        int high = hex_digit(hex.ptr[2 * i]), low = hex_digit(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0) return bad();
        ret->bytes[i] = (uint8_t)(high << 4 | low);
    }
    ret->id = (uint32_t)number;
    return err_ok();
}

static struct err parse_into(struct span text, struct sealed_keys *keys)
{
    while (text.len > 0) {
        struct span line = text, rest = span_of(NULL, 0);
        span_cut(text, '\n', &line, &rest);
        text = rest;
        if (line.len == 0) continue;
        if (keys->count == SEALED_KEYS_MAX) return err_make(ERR_TOO_BIG, "key file");
        struct sealed_key *key = &keys->keys[keys->count];
        TRY(parse_line(line, key));
        for (unsigned i = 0; i < keys->count; i++) {
            if (keys->keys[i].id == key->id) return bad();
        }
        keys->count++;
    }
    return keys->count == 0 ? bad() : err_ok();
}

struct err sealed_keys_parse(struct span text, struct sealed_keys *ret)
{
    struct sealed_keys keys = { 0 };
    struct err err = parse_into(text, &keys);
    if (err.code == ERR_OK) *ret = keys;
    sealed_keys_clear(&keys);
    return err;
}

void sealed_keys_clear(struct sealed_keys *keys) { sodium_memzero(keys, sizeof(*keys)); }

/* ERR_NOT_FOUND: there is no file. */
static struct err read_keys(const char *path, struct sealed_keys *ret)
{
    char text[SEALED_FILE_MAX_BYTES];
    size_t len;
    struct err err = file_read(path, text, sizeof(text), &len);
    if (err.code == ERR_OK) err = sealed_keys_parse(span_of(text, len), ret);
    else err = err_make_detail(err.code, err.detail, "key file");
    sodium_memzero(text, sizeof(text));
    return err;
}

static struct err make_file(const char *path)
{
    uint8_t key[SEALED_KEY_BYTES];
    char line[LINE_BYTES] = "1 ";
    if (RAND_bytes(key, sizeof(key)) != 1) return crypto_err("random bytes");
    id_hex(key, sizeof(key), line + 2);
    line[2 + KEY_HEX_BYTES] = '\n';
    struct err err = crypto_file_new(path, span_of(line, 3 + KEY_HEX_BYTES), 0600);
    sodium_memzero(key, sizeof(key));
    sodium_memzero(line, sizeof(line));
    return err.code == ERR_EXISTS ? err_ok() : err;
}

struct err sealed_keys_load(const char *path, struct sealed_keys *ret)
{
    struct err err = read_keys(path, ret);
    if (err.code != ERR_NOT_FOUND) return err;
    TRY(make_file(path));
    return read_keys(path, ret);
}
