#include "tls.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

#include "arena.h"
#include "check.h"
#include "map.h"
#include "tls_private.h"

enum {
    TLS_NAME_MAX_BYTES = 253,
    TLS_NAMES_ARENA_BYTES = TLS_NAMES_MAX * (TLS_NAME_MAX_BYTES + 1),
    TLS_BULK_READ_BYTES = 64 * 1024,
    TLS_TICKETS = 1, /* a connection; each costs the client and us some 200 bytes and an HMAC */
};

struct tls_context {
    unsigned references; /* atomic */
    SSL_CTX **each;      /* one for each certificate; a client has one in any case */
    unsigned count;
    enum tls_verify verify;
    enum tls_min min;
    bool client, bulk;
    struct map names; /* lower case, "*.example.org" too -> SSL_CTX */
    struct arena names_arena;
    struct tls_ticket_key keys[TLS_TICKET_KEYS_MAX];
    unsigned keys_count;
    unsigned char protocols[TLS_PROTOCOLS_MAX_BYTES]; /* as on the wire: length, name, ... */
    unsigned protocols_len;
};

bool tls_context_is_client(const struct tls_context *context) { return context->client; }

bool tls_context_verifies(const struct tls_context *context)
{
    return context->verify == TLS_VERIFY_REQUIRED;
}

SSL *tls_context_session(struct tls_context *context) { return SSL_new(context->each[0]); }

/* ---- tickets: RFC 5077 section 4: key name, IV, AES-256-CBC, HMAC-SHA256 */

static int tls_on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int encrypt)
{
    const struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    unsigned at = 0;
    if (encrypt) {
        if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1) return -1;
        memcpy(name, context->keys[0].name, sizeof(context->keys[0].name));
    } else {
        while (at < context->keys_count &&
               memcmp(name, context->keys[at].name, sizeof(context->keys[at].name)) != 0) {
            at++;
        }
        if (at == context->keys_count) return 0; /* a full handshake */
    }
    struct tls_ticket_key key = context->keys[at];
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac, sizeof(key.mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    if (EVP_MAC_CTX_set_params(mac, params) != 1) return -1;
    if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.aes, iv, encrypt) != 1) return -1;
    return at == 0 ? 1 : 2; /* 2: taken, but give the client a new one */
}

/* ---- which certificate */

/* Lower case of a host name into `to`; empty when it is too long. */
static struct span tls_name_lower(struct span name, char to[TLS_NAME_MAX_BYTES + 1])
{
    if (name.len > TLS_NAME_MAX_BYTES) return span_of(to, 0);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        to[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return span_of(to, name.len);
}

static SSL_CTX *tls_context_find(const struct tls_context *context, struct span asked)
{
    char lower[TLS_NAME_MAX_BYTES + 1], wild[TLS_NAME_MAX_BYTES + 1];
    struct span name = tls_name_lower(asked, lower), first, rest;
    SSL_CTX *found = map_get(&context->names, name);
    if (found != NULL || !span_cut(name, '.', &first, &rest) || first.len == 0) return found;
    wild[0] = '*';
    wild[1] = '.';
    memcpy(wild + 2, rest.ptr, rest.len); /* `first` is a byte at least */
    return map_get(&context->names, span_of(wild, rest.len + 2));
}

static int tls_on_name(SSL *ssl, int *alert, void *holder)
{
    const struct tls_context *context = holder;
    (void)alert;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL) return SSL_TLSEXT_ERR_NOACK;
    SSL_CTX *found = tls_context_find(context, span_of(name, strlen(name)));
    if (found == NULL) return SSL_TLSEXT_ERR_NOACK; /* the first certificate */
    return SSL_set_SSL_CTX(ssl, found) == found ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int tls_on_protocols(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                            const unsigned char *in, unsigned in_len, void *holder)
{
    const struct tls_context *context = holder;
    unsigned char *chosen = NULL;
    (void)ssl;
    int found = SSL_select_next_proto(&chosen, out_len, context->protocols, context->protocols_len,
                                      in, in_len);
    if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2 */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static struct err tls_add_name(struct tls_context *context, struct span name, SSL_CTX *ctx)
{
    char lower[TLS_NAME_MAX_BYTES + 1];
    struct span key = tls_name_lower(name, lower);
    if (key.len == 0 || map_get(&context->names, key) != NULL) return err_ok(); /* first wins */
    TRY(arena_copy(&context->names_arena, key, &key));
    struct err err = map_put(&context->names, key, ctx);
    if (err.code == ERR_BUSY) return err_make(ERR_TOO_BIG, "names in certificates");
    return err;
}

static struct span tls_asn1_span(const ASN1_STRING *string)
{
    int len = ASN1_STRING_length(string);
    return span_of(ASN1_STRING_get0_data(string), len < 0 ? 0 : (size_t)len);
}

static struct err tls_add_names(struct tls_context *context, const X509 *leaf, SSL_CTX *ctx)
{
    struct err err = err_ok();
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && err.code == ERR_OK; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS) continue;
        err = tls_add_name(context, tls_asn1_span(name->d.dNSName), ctx);
    }
    bool had_names = names != NULL;
    GENERAL_NAMES_free(names);
    if (had_names || err.code != ERR_OK) return err;
    const X509_NAME *subject = X509_get_subject_name(leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0) return err_ok();
    const ASN1_STRING *name = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    return tls_add_name(context, tls_asn1_span(name), ctx);
}

/* ---- PEM */

static int tls_no_password(char *buf, int size, int writing, void *holder)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)holder;
    return -1; /* an encrypted key is an error, not a question on the terminal */
}

static BIO *tls_bio(struct span pem)
{
    if (pem.len > INT32_MAX) return NULL;
    return BIO_new_mem_buf(pem.len == 0 ? "" : pem.ptr, (int)pem.len);
}

/* True when the PEM reader stopped at the end and not at something wrong. */
static bool tls_pem_ended(void)
{
    bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    return ended;
}

static bool tls_use_chain(SSL_CTX *ctx, struct span pem)
{
    BIO *bio = tls_bio(pem);
    X509 *leaf = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, tls_no_password, NULL);
    bool good = leaf != NULL && SSL_CTX_use_certificate(ctx, leaf) == 1;
    X509_free(leaf);
    while (good) {
        X509 *next = PEM_read_bio_X509(bio, NULL, tls_no_password, NULL);
        if (next == NULL) {
            good = tls_pem_ended();
            break;
        }
        good = SSL_CTX_add0_chain_cert(ctx, next) == 1;
        if (!good) X509_free(next);
    }
    BIO_free(bio);
    return good;
}

static bool tls_use_key(SSL_CTX *ctx, struct span pem)
{
    BIO *bio = tls_bio(pem);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, tls_no_password, NULL);
    bool good = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
                SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    BIO_free(bio);
    return good;
}

static bool tls_use_ca(SSL_CTX *ctx, struct span pem, bool client)
{
    if (pem.len == 0) return SSL_CTX_set_default_verify_paths(ctx) == 1;
    BIO *bio = tls_bio(pem);
    bool good = bio != NULL;
    for (unsigned count = 0; good; count++) {
        X509 *ca = PEM_read_bio_X509(bio, NULL, tls_no_password, NULL);
        if (ca == NULL) {
            good = tls_pem_ended() && count > 0;
            break;
        }
        good = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) == 1 &&
               (client || SSL_CTX_add_client_CA(ctx, ca) == 1);
        X509_free(ca);
    }
    BIO_free(bio);
    return good;
}

/* ---- making one */

static void tls_rules(SSL_CTX *ctx, const struct tls_context *context)
{
    bool is_strict = context->min == TLS_MIN_1_3;
    SSL_CTX_set_min_proto_version(ctx, is_strict ? TLS1_3_VERSION : TLS1_2_VERSION);
    /* No chain is put together from the CAs that we trust: the other end has its own. */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_NO_AUTO_CHAIN);
    if (context->bulk) {
        SSL_CTX_set_default_read_buffer_len(ctx, TLS_BULK_READ_BYTES);
    } else {
        SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    }
    /* An end without close_notify is an end: our protocols say themselves where a message ends. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL");
    /* The cheaper one first: nobody breaks either. */
    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                  "TLS_CHACHA20_POLY1305_SHA256");
    SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384");
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(ctx, 1); /* a record in one read, not its head and then its rest */
    static const unsigned char session_context[] = "godwit";
    SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1);
    if (!context->client && context->keys_count > 0) {
        SSL_CTX_set_num_tickets(ctx, TLS_TICKETS);
        SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, tls_on_ticket);
    } else {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
    }
    if (context->verify == TLS_VERIFY_REQUIRED) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
}

static bool tls_use_protocols(SSL_CTX *ctx, struct tls_context *context)
{
    if (context->protocols_len == 0) return true;
    if (context->client) {
        return SSL_CTX_set_alpn_protos(ctx, context->protocols, context->protocols_len) == 0;
    }
    SSL_CTX_set_alpn_select_cb(ctx, tls_on_protocols, context);
    return true;
}

/* The next SSL_CTX, with its certificate when there is one. */
static struct err tls_add(struct tls_context *context, const struct tls_options *options)
{
    unsigned at = context->count;
    SSL_CTX *ctx = SSL_CTX_new(context->client ? TLS_client_method() : TLS_server_method());
    if (ctx == NULL) return err_make(ERR_NOMEM, "TLS context");
    context->each[context->count++] = ctx;
    SSL_CTX_set_app_data(ctx, context);
    tls_rules(ctx, context);
    if (!tls_use_protocols(ctx, context)) return err_make(ERR_NOMEM, "TLS context");
    if (!context->client) {
        SSL_CTX_set_tlsext_servername_callback(ctx, tls_on_name);
        SSL_CTX_set_tlsext_servername_arg(ctx, context);
    }
    if (options->verify == TLS_VERIFY_REQUIRED && !tls_use_ca(ctx, options->ca, context->client)) {
        return err_make(ERR_SYNTAX, "CA certificates");
    }
    if (at >= options->certificates_count) return err_ok();
    const struct tls_certificate *certificate = &options->certificates[at];
    if (!tls_use_chain(ctx, certificate->chain)) {
        return err_make_detail(ERR_SYNTAX, (int)at + 1, "certificate chain");
    }
    if (!tls_use_key(ctx, certificate->key)) {
        return err_make_detail(ERR_SYNTAX, (int)at + 1, "key of a certificate");
    }
    return tls_add_names(context, SSL_CTX_get0_certificate(ctx), ctx);
}

static struct err tls_copy_options(struct tls_context *context, const struct tls_options *options)
{
    if (options->certificates_count > TLS_CERTIFICATES_MAX ||
        options->ticket_keys_count > TLS_TICKET_KEYS_MAX) {
        return err_make(ERR_TOO_BIG, "TLS options");
    }
    context->client = options->client;
    context->bulk = options->bulk;
    context->verify = options->verify;
    context->min = options->min;
    context->keys_count = options->ticket_keys_count;
    for (unsigned i = 0; i < options->ticket_keys_count; i++) {
        context->keys[i] = options->ticket_keys[i];
    }
    const char *const *name = options->protocols;
    for (; name != NULL && *name != NULL; name++) {
        size_t len = strlen(*name);
        if (len == 0 || len + 1 > TLS_PROTOCOLS_MAX_BYTES - context->protocols_len) {
            return err_make(ERR_TOO_BIG, "TLS protocols");
        }
        context->protocols[context->protocols_len] = (unsigned char)len;
        memcpy(context->protocols + context->protocols_len + 1, *name, len);
        context->protocols_len += (unsigned)len + 1;
    }
    return err_ok();
}

struct err tls_context_new(const struct tls_options *options, struct tls_context **ret)
{
    CHECK(options->client || options->certificates_count > 0);
    struct tls_context *context = calloc(1, sizeof(*context));
    if (context == NULL) return err_make(ERR_NOMEM, "TLS context");
    context->references = 1;
    map_init(&context->names, TLS_NAMES_MAX);
    arena_init(&context->names_arena, TLS_NAMES_ARENA_BYTES);
    struct err err = tls_copy_options(context, options);
    unsigned count = options->certificates_count == 0 ? 1 : options->certificates_count;
    if (err.code == ERR_OK) {
        context->each = calloc(count, sizeof(SSL_CTX *));
        if (context->each == NULL) err = err_make(ERR_NOMEM, "TLS context");
    }
    while (err.code == ERR_OK && context->count < count) err = tls_add(context, options);
    if (err.code != ERR_OK) {
        ERR_clear_error();
        tls_context_unref(context);
        return err;
    }
    *ret = context;
    return err_ok();
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    __atomic_fetch_add(&context->references, 1, __ATOMIC_RELAXED);
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (context == NULL) return;
    if (__atomic_fetch_sub(&context->references, 1, __ATOMIC_ACQ_REL) != 1) return;
    for (unsigned i = 0; i < context->count; i++) SSL_CTX_free(context->each[i]);
    free(context->each);
    map_free(&context->names);
    arena_clear(&context->names_arena);
    OPENSSL_cleanse(context->keys, sizeof(context->keys));
    free(context);
}

uint64_t tls_context_expires_ms(const struct tls_context *context, unsigned at)
{
    CHECK(at < context->count);
    const X509 *leaf = SSL_CTX_get0_certificate(context->each[at]);
    struct tm when;
    if (leaf == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &when) != 1) return 0;
    time_t seconds = timegm(&when);
    return seconds < 0 ? 0 : (uint64_t)seconds * 1000;
}
