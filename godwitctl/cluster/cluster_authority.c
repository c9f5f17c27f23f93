#include "cluster_authority.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "buf.h"
#include "certificate.h"
#include "sealed.h"

enum { FORMAT = 1, WHOSE_BYTES = 32, KEY_BYTES = 1024 };

/* ---- the row */

static bool copy_text(const json_t *json, const char *name, char *to, size_t size)
{
    const json_t *value = json_object_get(json, name);
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (text == NULL || len == 0 || len >= size || strlen(text) != len) return false;
    memcpy(to, text, len + 1);
    return true;
}

static bool read_one(const json_t *json, struct authority *ret)
{
    json_int_t id = json_integer_value(json_object_get(json, "id"));
    if (id < 1 || id > INT32_MAX) return false;
    ret->id = (uint32_t)id;
    return copy_text(json, "cert", ret->cert, sizeof(ret->cert)) &&
           copy_text(json, "key", ret->key, sizeof(ret->key));
}

static struct authority *find(struct authorities *authorities, uint32_t id)
{
    for (unsigned i = 0; i < authorities->count; i++) {
        if (authorities->each[i].id == id) return &authorities->each[i];
    }
    return NULL;
}

static struct err corrupt(void) { return err_make(ERR_CORRUPT, "authorities of the cluster"); }

static struct err read_all(const json_t *json, struct authorities *to)
{
    const json_t *list = json_object_get(json, "authorities");
    json_int_t format = json_integer_value(json_object_get(json, "format"));
    json_int_t issuer = json_integer_value(json_object_get(json, "issuer"));
    if (format > FORMAT) return err_make(ERR_UNSUPPORTED, "authorities of the cluster");
    if (format != FORMAT || json_array_size(list) == 0 || json_array_size(list) > AUTHORITIES_MAX) {
        return corrupt();
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct authority *at = &to->each[to->count];
        if (!read_one(json_array_get(list, i), at) || find(to, at->id) != NULL) return corrupt();
        to->count++;
    }
    if (issuer < 1 || issuer > INT32_MAX || find(to, (uint32_t)issuer) == NULL) return corrupt();
    to->issuer = (uint32_t)issuer;
    return err_ok();
}

struct err authorities_read(struct span json, struct authorities *ret)
{
    struct authorities *made = calloc(1, sizeof(*made));
    if (made == NULL) return err_make(ERR_NOMEM, "authorities of the cluster");
    json_t *object = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    struct err err = read_all(object, made);
    if (err.code == ERR_OK) *ret = *made;
    json_decref(object);
    free(made);
    return err;
}

struct err authorities_write(const struct authorities *authorities, struct buf *to)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < authorities->count; i++) {
        const struct authority *at = &authorities->each[i];
        json_array_append_new(list, json_pack("{s:i,s:s,s:s}", "id", (int)at->id, "cert", at->cert,
                                              "key", at->key));
    }
    json_t *object = json_pack("{s:i,s:i,s:o}", "format", FORMAT, "issuer",
                               (int)authorities->issuer, "authorities", list);
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    if (text != NULL) buf_put(to, span_of(text, strlen(text)));
    bool made = text != NULL;
    free(text);
    json_decref(object);
    if (!made) return err_make(ERR_NOMEM, "authorities of the cluster");
    return to->overflow ? err_make(ERR_TOO_BIG, "authorities of the cluster") : err_ok();
}

/* ---- keys */

/* What the additional data of a sealed key says: whose it is. */
static struct span whose_key(uint32_t id, char to[WHOSE_BYTES])
{
    int len = snprintf(to, WHOSE_BYTES, "certs/ca/%u/key", (unsigned)id);
    return span_of(to, len < 0 ? 0 : (size_t)len);
}

static struct err seal(const struct sealed_keys *keys, struct span key, struct authority *to)
{
    char whose[WHOSE_BYTES], sealed[KEY_BYTES + SEALED_OVERHEAD_BYTES];
    struct buf bytes, text;
    buf_init(&bytes, sealed, sizeof(sealed));
    buf_init(&text, to->key, sizeof(to->key) - 1);
    TRY(sealed_make(keys, whose_key(to->id, whose), key, &bytes));
    base64_encode(&text, buf_span(&bytes));
    if (text.overflow) return err_make(ERR_TOO_BIG, "key of an authority");
    to->key[text.len] = '\0';
    return err_ok();
}

static struct err unseal(const struct sealed_keys *keys, const struct authority *from,
                         struct buf *to)
{
    char whose[WHOSE_BYTES], sealed[AUTHORITY_KEY_MAX_BYTES];
    struct buf bytes;
    buf_init(&bytes, sealed, sizeof(sealed));
    struct err err = base64_decode_strict(&bytes, span_of(from->key, strlen(from->key)));
    if (err.code != ERR_OK) return corrupt();
    return sealed_open(keys, whose_key(from->id, whose), buf_span(&bytes), to);
}

/* ---- changes */

struct err authorities_add(struct authorities *authorities, struct span cluster,
                           const struct sealed_keys *keys)
{
    char name[64];
    uint32_t id = 1;
    struct certificate made;
    if (authorities->count == AUTHORITIES_MAX) return err_make(ERR_TOO_BIG, "authorities");
    for (unsigned i = 0; i < authorities->count; i++) {
        if (authorities->each[i].id >= id) id = authorities->each[i].id + 1;
    }
    /* A name of its own: who verifies finds the issuer of a certificate by it. */
    snprintf(name, sizeof(name), "ca-%u.%.8s.godwit", (unsigned)id, cluster.ptr);
    const char *const names[] = { name };
    const struct certificate_options options = { .kind = CERTIFICATE_CA, .names = names,
                                                 .names_count = 1, .days = AUTHORITY_DAYS };
    TRY(certificate_make(&options, NULL, &made));
    struct authority *at = &authorities->each[authorities->count];
    at->id = id;
    struct err err = made.cert_len >= sizeof(at->cert)
                         ? err_make(ERR_TOO_BIG, "certificate of an authority")
                         : seal(keys, span_of(made.key, made.key_len), at);
    if (err.code == ERR_OK) {
        memcpy(at->cert, made.cert, made.cert_len + 1);
        authorities->count++;
        if (authorities->issuer == 0) authorities->issuer = id;
    }
    certificate_free(&made);
    return err;
}

struct err authorities_use(struct authorities *authorities, uint32_t id)
{
    if (find(authorities, id) == NULL) return err_make(ERR_NOT_FOUND, "authority");
    authorities->issuer = id;
    return err_ok();
}

struct err authorities_remove(struct authorities *authorities, uint32_t id)
{
    struct authority *at = find(authorities, id);
    if (at == NULL) return err_make(ERR_NOT_FOUND, "authority");
    if (id == authorities->issuer) return err_make(ERR_CONFLICT, "authority that signs");
    size_t behind = (size_t)(&authorities->each[authorities->count] - (at + 1));
    memmove(at, at + 1, behind * sizeof(*at));
    authorities->count--;
    return err_ok();
}

/* ---- use */

const struct authority *authorities_issuer(const struct authorities *authorities)
{
    for (unsigned i = 0; i < authorities->count; i++) {
        if (authorities->each[i].id == authorities->issuer) return &authorities->each[i];
    }
    return NULL;
}

struct err authorities_issue(const struct authorities *authorities, const struct sealed_keys *keys,
                             const struct certificate_options *options, struct certificate *ret)
{
    char key[KEY_BYTES];
    struct buf opened;
    struct certificate ca = { .cert = NULL };
    const struct authority *issuer = authorities_issuer(authorities);
    if (issuer == NULL) return err_make(ERR_NOT_FOUND, "authority");
    buf_init(&opened, key, sizeof(key));
    struct err err = unseal(keys, issuer, &opened);
    ca.cert_len = strlen(issuer->cert);
    ca.cert = strdup(issuer->cert);
    ca.key = key;
    ca.key_len = opened.len;
    if (err.code == ERR_OK && ca.cert == NULL) err = err_make(ERR_NOMEM, "certificate");
    if (err.code == ERR_OK) err = certificate_make(options, &ca, ret);
    explicit_bzero(key, sizeof(key));
    free(ca.cert);
    return err;
}

void authorities_bundle(const struct authorities *authorities, struct buf *to)
{
    const struct authority *first = authorities_issuer(authorities);
    if (first != NULL) buf_put(to, span_of(first->cert, strlen(first->cert)));
    for (unsigned i = 0; i < authorities->count; i++) {
        const struct authority *at = &authorities->each[i];
        if (at != first) buf_put(to, span_of(at->cert, strlen(at->cert)));
    }
}
