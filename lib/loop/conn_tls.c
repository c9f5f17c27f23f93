/* TLS of a connection. libssl reads straight from the socket and writes into a buffer that the loop
 * lends, from which all records of a turn leave in one write; so an idle connection costs libssl's
 * own state and nothing of ours. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "conn_private.h"
#include "tls_private.h"

struct tls {
    SSL *ssl;
    struct tls_context *context;
    bool open;
    bool dry;   /* the kernel had no more when it was last asked; ask again when it says so */
    bool more;  /* a read stopped for want of room, not of bytes */
    char *left; /* records that could not be sent at once; NULL: none */
    uint32_t left_at, left_len, left_size;
    uint64_t dropped_bytes;
};

enum { CONN_TLS_LEFT_MAX_BYTES = 256 * 1024 };

static int conn_bio_read(BIO *bio, char *to, int size)
{
    struct conn *conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (conn->tls->dry) {
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t count = recv(conn->fd, to, (size_t)size, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
    if (count < size) conn->tls->dry = count != 0;
    return (int)count;
}

static int conn_bio_write(BIO *bio, const char *from, int len)
{
    struct conn *conn = BIO_get_data(bio);
    struct loop *loop = conn->loop;
    BIO_clear_retry_flags(bio);
    size_t room = LOOP_CIPHER_BYTES - loop->cipher_len;
    if (room == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    if ((size_t)len < room) room = (size_t)len;
    memcpy(loop->cipher + loop->cipher_len, from, room);
    loop->cipher_len += room;
    return (int)room;
}

static long conn_bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *conn_bio_method;
static pthread_once_t conn_bio_once = PTHREAD_ONCE_INIT;

/* The one thing here that is made once and never changes; libssl wants it made at run time. */
static void conn_bio_make(void)
{
    BIO_METHOD *made = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "connection");
    if (made == NULL) return;
    BIO_meth_set_read(made, conn_bio_read);
    BIO_meth_set_write(made, conn_bio_write);
    BIO_meth_set_ctrl(made, conn_bio_ctrl);
    conn_bio_method = made;
}

static BIO *conn_bio_new(struct conn *conn)
{
    pthread_once(&conn_bio_once, conn_bio_make);
    BIO *bio = conn_bio_method == NULL ? NULL : BIO_new(conn_bio_method);
    if (bio == NULL) return NULL;
    BIO_set_data(bio, conn);
    BIO_set_init(bio, 1);
    return bio;
}

/* Whether a reason of libssl is about a certificate: the peer has none, or its alert says that it
 * does not take ours. */
static bool conn_tls_is_denial(int reason)
{
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) return true;
    switch (reason - SSL_AD_REASON_OFFSET) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_DECRYPT_ERROR: /* its signature is wrong: of a CA that only has the same name */
    case SSL_AD_CERTIFICATE_REQUIRED: return true;
    default: return false;
    }
}

/* What libssl says of a call that gave `result`; sets conn->why on failure. Its texts are literals
 * of libcrypto and libssl. */
static ssize_t conn_tls_result(struct conn *conn, int result, const char *what)
{
    int number = SSL_get_error(conn->tls->ssl, result);
    if (number == SSL_ERROR_WANT_READ || number == SSL_ERROR_WANT_WRITE) return CONN_IO_AGAIN;
    if (number == SSL_ERROR_ZERO_RETURN) return CONN_IO_END;
    unsigned long first = ERR_peek_error();
    long verified = SSL_get_verify_result(conn->tls->ssl);
    enum err_code code = ERR_SYNTAX;
    const char *text = first == 0 ? NULL : ERR_reason_error_string(first);
    if (first == 0) code = ERR_CANCELLED; /* the peer went away */
    if (verified != X509_V_OK) text = X509_verify_cert_error_string(verified);
    if (verified != X509_V_OK || conn_tls_is_denial(ERR_GET_REASON(first))) code = ERR_DENIED;
    conn->why = err_make_detail(code, ERR_GET_REASON(first), text == NULL ? what : text);
    ERR_clear_error();
    return CONN_IO_FAILED;
}

bool conn_tls_is_open(const struct conn *conn) { return conn->tls->open; }

bool conn_tls_has_more(const struct conn *conn)
{
    return conn->tls->open && (conn->tls->more || SSL_pending(conn->tls->ssl) > 0);
}

bool conn_tls_step(struct conn *conn)
{
    struct tls *tls = conn->tls;
    if (tls->open) return true;
    tls->dry = false;
    ERR_clear_error();
    int result = SSL_do_handshake(tls->ssl);
    ssize_t outcome = result == 1 ? 1 : conn_tls_result(conn, result, "TLS handshake");
    struct err why = conn->why;
    (void)conn_cipher_send(conn); /* an alert too */
    if (conn->state == CONN_GONE) return false;
    conn->why = why;
    if (outcome == CONN_IO_AGAIN) return true;
    if (outcome == CONN_IO_END) conn->why = err_make(ERR_CANCELLED, "TLS handshake");
    tls->open = outcome == 1;
    tls->more = tls->open && SSL_has_pending(tls->ssl);
    return tls->open;
}

ssize_t conn_tls_read(struct conn *conn, char *to, size_t size)
{
    struct tls *tls = conn->tls;
    size_t len = 0;
    ssize_t outcome = 1;
    tls->dry = tls->more = false;
    ERR_clear_error();
    while (len < size) {
        size_t want = size - len;
        int result = SSL_read(tls->ssl, to + len, want > INT_MAX ? INT_MAX : (int)want);
        if (result <= 0) {
            outcome = conn_tls_result(conn, result, "TLS read");
            break;
        }
        len += (size_t)result;
    }
    tls->more = outcome == 1;
    struct err why = conn->why;
    (void)conn_cipher_send(conn); /* answers to key updates, alerts */
    if (conn->state == CONN_GONE) return CONN_IO_FAILED;
    conn->why = why;
    if (len == 0) return outcome;
    /* An end or a failure behind bytes is said again by the next read. */
    if (outcome == CONN_IO_END || outcome == CONN_IO_FAILED) tls->more = true;
    return (ssize_t)len;
}

ssize_t conn_tls_write(struct conn *conn, struct span bytes)
{
    ERR_clear_error();
    int result = SSL_write(conn->tls->ssl, bytes.ptr, (int)bytes.len);
    if (result > 0) return result;
    return conn_tls_result(conn, result, "TLS write");
}

void conn_tls_say_goodbye(struct conn *conn)
{
    if (conn->tls == NULL || !conn->tls->open) return;
    if (SSL_get_shutdown(conn->tls->ssl) & SSL_SENT_SHUTDOWN) return;
    ERR_clear_error();
    (void)SSL_shutdown(conn->tls->ssl);
    ERR_clear_error();
    (void)conn_cipher_send(conn);
}

struct span conn_tls_left(const struct conn *conn)
{
    const struct tls *tls = conn->tls;
    if (tls == NULL) return span_of(NULL, 0);
    return span_of(tls->left == NULL ? NULL : tls->left + tls->left_at, tls->left_len);
}

void conn_tls_left_sent(struct conn *conn, size_t count)
{
    struct tls *tls = conn->tls;
    CHECK(count <= tls->left_len);
    tls->left_at += (uint32_t)count;
    tls->left_len -= (uint32_t)count;
    if (tls->left_len > 0) return;
    free(tls->left);
    tls->left = NULL;
    tls->left_at = tls->left_size = 0;
}

struct err conn_tls_left_add(struct conn *conn, struct span bytes)
{
    struct tls *tls = conn->tls;
    if (tls->left_len + bytes.len > CONN_TLS_LEFT_MAX_BYTES) {
        return err_make(ERR_BUSY, "the peer takes no TLS records");
    }
    size_t size = tls->left_len + bytes.len;
    char *made = malloc(size);
    if (made == NULL) return err_make(ERR_NOMEM, "TLS records");
    if (tls->left_len > 0) memcpy(made, tls->left + tls->left_at, tls->left_len);
    memcpy(made + tls->left_len, bytes.ptr, bytes.len);
    free(tls->left);
    tls->left = made;
    tls->left_at = 0;
    tls->left_len = tls->left_size = (uint32_t)size;
    return err_ok();
}

void conn_tls_dropped(struct conn *conn, size_t count)
{
    if (conn->tls != NULL) conn->tls->dropped_bytes += count;
}

void conn_tls_free(struct conn *conn)
{
    struct tls *tls = conn->tls;
    if (tls == NULL) return;
    conn->tls = NULL;
    SSL_free(tls->ssl);
    tls_context_unref(tls->context);
    free(tls->left);
    free(tls);
    conn->loop->cipher_len = 0;
}

/* An address is checked like a name, but is none to ask for (RFC 6066 section 3). */
static bool conn_tls_name(SSL *ssl, const struct tls_context *context, const char *name)
{
    char copy[TLSEXT_MAXLEN_host_name + 1]; /* OpenSSL's macro casts const away */
    uint8_t ip[16];
    if (name == NULL) return true;
    if (inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1) {
        if (!tls_context_verifies(context)) return true;
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    }
    if (strlen(name) > TLSEXT_MAXLEN_host_name) return false;
    memcpy(copy, name, strlen(name) + 1);
    if (SSL_set_tlsext_host_name(ssl, copy) != 1) return false;
    if (!tls_context_verifies(context)) return true;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, name) == 1;
}

struct err conn_start_tls(struct conn *conn, struct tls_context *context, const char *server_name)
{
    if (!conn_is_live(conn)) return err_make(ERR_CANCELLED, "TLS");
    if (conn->tls != NULL) return err_make(ERR_EXISTS, "TLS");
    struct tls *tls = calloc(1, sizeof(*tls));
    SSL *ssl = tls == NULL ? NULL : tls_context_session(context);
    BIO *bio = ssl == NULL ? NULL : conn_bio_new(conn);
    if (bio == NULL || !conn_tls_name(ssl, context, server_name)) {
        BIO_free(bio);
        SSL_free(ssl);
        free(tls);
        ERR_clear_error();
        return err_make(ERR_NOMEM, "TLS");
    }
    SSL_set_bio(ssl, bio, bio);
    if (tls_context_is_client(context)) {
        SSL_set_connect_state(ssl);
    } else {
        SSL_set_accept_state(ssl);
    }
    tls->ssl = ssl;
    tls->context = tls_context_ref(context);
    tls->dropped_bytes = conn->held_len;
    free(conn->held);
    conn->held = NULL;
    conn->held_len = 0;
    conn->tls = tls;
    conn->plain_bytes = conn->out_bytes;
    conn->drop_rest = conn->in_bytes;
    conn_post(conn);
    return err_ok();
}

static void conn_copy_text(char *to, const void *bytes, int len)
{
    size_t count = len < 0 ? 0 : (size_t)len;
    if (count > CONN_NAME_BYTES - 1) count = CONN_NAME_BYTES - 1;
    if (count > 0) memcpy(to, bytes, count);
    to[count] = '\0';
}

static void conn_peer_names(const SSL *ssl, struct conn_tls_info *info)
{
    X509 *peer = SSL_get0_peer_certificate(ssl);
    if (peer == NULL) return;
    info->peer_verified = SSL_get_verify_result(ssl) == X509_V_OK &&
                          SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE;
    const X509_NAME *subject = X509_get_subject_name(peer);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0) {
        const ASN1_STRING *name = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
        conn_copy_text(info->peer_name, ASN1_STRING_get0_data(name), ASN1_STRING_length(name));
    }
    GENERAL_NAMES *names = X509_get_ext_d2i(peer, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI) continue;
        const ASN1_STRING *uri = name->d.uniformResourceIdentifier;
        conn_copy_text(info->peer_uri, ASN1_STRING_get0_data(uri), ASN1_STRING_length(uri));
        break;
    }
    GENERAL_NAMES_free(names);
}

bool conn_tls_info(const struct conn *conn, struct conn_tls_info *ret)
{
    if (conn->tls == NULL || !conn->tls->open) return false;
    const SSL *ssl = conn->tls->ssl;
    int bits = SSL_CIPHER_get_bits(SSL_get_current_cipher(ssl), NULL);
    *ret = (struct conn_tls_info){
        .version = SSL_get_version(ssl),
        .cipher = SSL_get_cipher_name(ssl),
        .secret_bits = bits < 0 ? 0 : (unsigned)bits,
        .resumed = SSL_session_reused(ssl) == 1,
        .dropped_bytes = conn->tls->dropped_bytes,
    };
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name != NULL && SSL_is_server(ssl)) conn_copy_text(ret->name, name, (int)strlen(name));
    const unsigned char *protocol = NULL;
    unsigned protocol_len = 0;
    SSL_get0_alpn_selected(ssl, &protocol, &protocol_len);
    if (protocol != NULL) conn_copy_text(ret->protocol, protocol, (int)protocol_len);
    conn_peer_names(ssl, ret);
    return true;
}
