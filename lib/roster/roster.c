/* Ids, names and keys of the rows. */
#include "roster.h"

#include <stdio.h>

#include "buf.h"
#include "roster_words_private.h"

bool roster_id_eq(const struct roster_id *a, const struct roster_id *b)
{
    return memcmp(a->bytes, b->bytes, ID_BYTES) == 0;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

struct err roster_id_read(struct span text, struct roster_id *ret)
{
    if (text.len != ID_TEXT_BYTES) return err_make(ERR_SYNTAX, "id of 32 hexadecimal digits");
    for (size_t i = 0; i < ID_BYTES; i++) {
        int high = digit(text.ptr[2 * i]), low = digit(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0) return err_make(ERR_SYNTAX, "id of 32 hexadecimal digits");
        ret->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return err_ok();
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_' || c == '.';
}

struct err roster_name_set(struct roster_name *name, struct span text)
{
    if (text.len == 0 || text.len > ROSTER_NAME_MAX_BYTES) {
        return err_make(ERR_SYNTAX, "name of 1 to 63 characters");
    }
    for (size_t i = 0; i < text.len; i++) {
        if (!name_char(text.ptr[i])) {
            return err_make(ERR_SYNTAX, "name of letters, digits, '-', '_' and '.'");
        }
    }
    name->len = (uint8_t)text.len;
    memcpy(name->text, text.ptr, text.len);
    return err_ok();
}

struct span roster_name_span(const struct roster_name *name)
{
    return span_of(name->text, name->len);
}

bool roster_copies_have(const struct roster_copies *copies, const struct roster_id *id)
{
    for (uint32_t i = 0; i < copies->count; i++) {
        if (roster_id_eq(&copies->ids[i], id)) return true;
    }
    return false;
}

static void put_text(struct buf *out, const char *text)
{
    buf_put(out, span_of(text, strlen(text)));
}

void roster_key_id(struct buf *out, const char *folder, const struct roster_id *id)
{
    char text[ID_TEXT_BYTES];
    id_hex(id->bytes, ID_BYTES, text);
    put_text(out, folder);
    buf_put(out, SPAN("/"));
    buf_put(out, span_of(text, sizeof(text)));
}

void roster_key_number(struct buf *out, const char *folder, uint32_t number)
{
    char text[16];
    int len = snprintf(text, sizeof(text), "%05u", number);
    put_text(out, folder);
    buf_put(out, SPAN("/"));
    buf_put(out, span_of(text, (size_t)len));
}

void roster_key_name(struct buf *out, const char *folder, struct span name)
{
    put_text(out, folder);
    buf_put(out, SPAN("/"));
    buf_put(out, name);
}

const char *roster_kind_text(enum roster_kind kind) { return roster_kind_words[kind]; }

void roster_key_program(struct buf *out, enum roster_kind kind, struct span name)
{
    put_text(out, "programs/");
    roster_key_name(out, roster_kind_words[kind], name);
}

/* What follows "folder/"; an empty span when the key is another. */
static struct span below(struct span key, const char *folder)
{
    size_t len = strlen(folder);
    if (key.len <= len + 1 || memcmp(key.ptr, folder, len) != 0 || key.ptr[len] != '/') {
        return span_of(NULL, 0);
    }
    return span_skip(key, len + 1);
}

struct err roster_key_read_id(struct span key, const char *folder, struct roster_id *ret)
{
    return roster_id_read(below(key, folder), ret);
}

struct err roster_key_read_number(struct span key, const char *folder, uint32_t *ret)
{
    struct span text = below(key, folder);
    uint32_t number = 0;
    if (text.len != 5) return err_make(ERR_SYNTAX, "number of five digits");
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return err_make(ERR_SYNTAX, "number of five digits");
        }
        number = number * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    *ret = number;
    return err_ok();
}

struct err roster_key_read_program(struct span key, enum roster_kind *kind,
                                   struct roster_name *ret)
{
    struct span rest = below(key, "programs"), word, name;
    if (!span_cut(rest, '/', &word, &name)) return err_make(ERR_SYNTAX, "key of a program");
    for (unsigned i = 0; i < ROSTER_KINDS; i++) {
        if (!span_eq(word, span_of(roster_kind_words[i], strlen(roster_kind_words[i])))) continue;
        *kind = (enum roster_kind)i;
        return roster_name_set(ret, name);
    }
    return err_make(ERR_SYNTAX, "key of a program");
}
