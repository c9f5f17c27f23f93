#include "mapping_ldap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openldap.h>

#include "clock.h"
#include "directory_mapping.h"
#include "mapping_ldap_private.h"

enum { URL_BYTES = 300, PATH_BYTES = 40, PORT = 389, PORT_TLS = 636 };

/* Where Debian keeps those that the machine trusts. */
static const char trusted[] = "/etc/ssl/certs/ca-certificates.crt";

void mapping_ldap_init(void)
{
    int version = LDAP_VERSION3;
    (void)setenv("LDAPNOINIT", "1", 1);
    ldap_set_option(NULL, LDAP_OPT_PROTOCOL_VERSION, &version);
}

/* ---- what went wrong, in words */

/* Of each text as much as there is room for. */
static void say(struct mapping_visit *visit, struct span text)
{
    size_t at = strlen(visit->said), room = sizeof(visit->said) - 1 - at;
    if (text.len > room) text.len = room;
    if (text.len > 0) memcpy(visit->said + at, text.ptr, text.len);
    visit->said[at + text.len] = '\0';
}

static void say_words(struct mapping_visit *visit, const char *words)
{
    say(visit, span_of(words, strlen(words)));
}

struct err mapping_failed(struct mapping_visit *visit, enum err_code code, const char *why)
{
    visit->said[0] = '\0';
    say(visit, visit->mapping->hosts[visit->host]);
    say_words(visit, ": ");
    say_words(visit, why);
    return err_make(code, "directory");
}

struct err mapping_result(const struct mapping_host *host, enum err_code code, int result)
{
    struct mapping_visit *visit = host->visit;
    char *more = NULL;
    struct err err = mapping_failed(visit, code, ldap_err2string(result));
    ldap_get_option(host->ldap, LDAP_OPT_DIAGNOSTIC_MESSAGE, &more);
    if (more != NULL && more[0] != '\0') {
        say_words(visit, ": ");
        say_words(visit, more);
    }
    ldap_memfree(more);
    return err;
}

/* ---- bind */

void mapping_deadline(struct mapping_host *host)
{
    host->wire.until_ms = clock_boot_ms() + host->visit->mapping->timeout_s * 1000ull;
}

struct err mapping_answer(struct mapping_host *host, int id, int all, LDAPMessage **ret)
{
    struct timeval wait = { .tv_sec = host->visit->mapping->timeout_s };
    int result = LDAP_SERVER_DOWN;
    mapping_deadline(host);
    int type = ldap_result(host->ldap, id, all, &wait, ret);
    if (type > 0) return err_ok();
    if (type == 0) return mapping_failed(host->visit, ERR_UNREACHABLE, "no answer in time");
    ldap_get_option(host->ldap, LDAP_OPT_RESULT_CODE, &result);
    return mapping_result(host, ERR_UNREACHABLE, result);
}

/* Takes the result of an answer and frees it. */
static struct err answer_result(struct mapping_host *host, LDAPMessage *message, int *ret)
{
    int parsed = ldap_parse_result(host->ldap, message, ret, NULL, NULL, NULL, NULL, 1);
    return parsed == LDAP_SUCCESS ? err_ok() : mapping_result(host, ERR_UNREACHABLE, parsed);
}

/* What a result of a bind means. Servers differ in how they say that an entry is gone, without a
 * password, locked or disabled; all else says nothing of the password. */
static enum err_code bind_code(int result)
{
    switch (result) {
    case LDAP_SUCCESS: return ERR_OK;
    case LDAP_INVALID_CREDENTIALS:
    case LDAP_NO_SUCH_OBJECT:
    case LDAP_INAPPROPRIATE_AUTH:
    case LDAP_INSUFFICIENT_ACCESS:
    case LDAP_CONSTRAINT_VIOLATION:
    case LDAP_UNWILLING_TO_PERFORM: return ERR_DENIED;
    default: return ERR_UNREACHABLE;
    }
}

struct err mapping_bind(struct mapping_host *host, struct span dn, struct span password)
{
    char name[MAPPING_DN_MAX_BYTES + 1], secret[DIRECTORY_MAPPING_TEXT_MAX_BYTES + 1];
    LDAPMessage *message = NULL;
    int id, result;
    if (dn.len >= sizeof(name) || password.len >= sizeof(secret) ||
        memchr(dn.ptr, '\0', dn.len) != NULL) {
        return mapping_failed(host->visit, ERR_DENIED, "DN or password is too long");
    }
    memcpy(name, dn.ptr, dn.len);
    name[dn.len] = '\0';
    memcpy(secret, password.ptr, password.len);
    struct berval value = { .bv_len = password.len, .bv_val = secret };
    mapping_deadline(host);
    result = ldap_sasl_bind(host->ldap, name, LDAP_SASL_SIMPLE, &value, NULL, NULL, &id);
    explicit_bzero(secret, sizeof(secret));
    if (result != LDAP_SUCCESS) {
        enum err_code code = result == LDAP_INVALID_DN_SYNTAX ? ERR_DENIED : ERR_UNREACHABLE;
        return mapping_result(host, code, result);
    }
    TRY(mapping_answer(host, id, LDAP_MSG_ALL, &message));
    TRY(answer_result(host, message, &result));
    enum err_code code = bind_code(result);
    return code == ERR_OK ? err_ok() : mapping_result(host, code, result);
}

/* ---- a connection */

/* libldap takes certificates from files only: one that is in memory. -1: there is none. */
static int ca_open(struct span ca, char path[PATH_BYTES])
{
    int fd = memfd_create("ca", MFD_CLOEXEC);
    if (fd < 0) return -1;
    for (struct span rest = ca; rest.len > 0;) {
        ssize_t put = write(fd, rest.ptr, rest.len);
        if (put <= 0) {
            close(fd);
            return -1;
        }
        rest = span_skip(rest, (size_t)put);
    }
    snprintf(path, PATH_BYTES, "/proc/self/fd/%d", fd);
    return fd;
}

static int set_tls(LDAP *ldap, const char *ca_path)
{
    int demand = LDAP_OPT_X_TLS_DEMAND, client = 0;
    int oldest = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2;
    int result = ldap_set_option(ldap, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand);
    if (result == 0) result = ldap_set_option(ldap, LDAP_OPT_X_TLS_CACERTFILE, ca_path);
    if (result == 0) result = ldap_set_option(ldap, LDAP_OPT_X_TLS_PROTOCOL_MIN, &oldest);
    return result == 0 ? ldap_set_option(ldap, LDAP_OPT_X_TLS_NEWCTX, &client) : result;
}

static int set_options(struct mapping_host *host, const char *ca_path)
{
    ber_len_t message_max = MAPPING_MESSAGE_MAX_BYTES;
    int version = LDAP_VERSION3;
    Sockbuf *sockbuf = NULL;
    ldap_set_option(host->ldap, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(host->ldap, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
    ldap_set_option(host->ldap, LDAP_OPT_RESTART, LDAP_OPT_ON);
    if (ldap_get_option(host->ldap, LDAP_OPT_SOCKBUF, &sockbuf) != 0 || sockbuf == NULL) return -1;
    if (ber_sockbuf_ctrl(sockbuf, LBER_SB_OPT_SET_MAX_INCOMING, &message_max) < 0) return -1;
    return host->visit->mapping->tls == DIRECTORY_TLS_NONE ? 0 : set_tls(host->ldap, ca_path);
}

/* Asks for TLS on a connection without it (RFC 4511 4.14). */
static struct err ask_for_tls(struct mapping_host *host)
{
    LDAPMessage *message = NULL;
    int id, result;
    mapping_deadline(host);
    result = ldap_start_tls(host->ldap, NULL, NULL, &id);
    if (result != LDAP_SUCCESS) return mapping_result(host, ERR_UNREACHABLE, result);
    TRY(mapping_answer(host, id, LDAP_MSG_ALL, &message));
    TRY(answer_result(host, message, &result));
    return result == LDAP_SUCCESS ? err_ok() : mapping_result(host, ERR_UNREACHABLE, result);
}

static struct err take_tls(struct mapping_host *host)
{
    mapping_deadline(host);
    if (ldap_install_tls(host->ldap) == LDAP_SUCCESS) return err_ok();
    bool is_late = clock_boot_ms() >= host->wire.until_ms;
    return mapping_failed(host->visit, ERR_UNREACHABLE,
                          is_late ? "no TLS in time"
                                  : "no TLS, or its certificate is not good for that name");
}

/* With the wire connected; `name` is what its certificate has to be good for. */
static struct err open_ldap(struct mapping_host *host, struct span name, const char *ca_path)
{
    char url[URL_BYTES];
    enum directory_tls tls = host->visit->mapping->tls;
    bool is_ip6 = memchr(name.ptr, ':', name.len) != NULL;
    snprintf(url, sizeof(url), "ldap://%s%.*s%s", is_ip6 ? "[" : "", (int)name.len, name.ptr,
             is_ip6 ? "]" : "");
    if (ldap_init_fd(host->wire.fd, LDAP_PROTO_EXT, url, &host->ldap) != LDAP_SUCCESS ||
        !mapping_wire_attach(&host->wire, host->ldap)) {
        return mapping_failed(host->visit, ERR_UNREACHABLE, "libldap can't use the connection");
    }
    if (set_options(host, ca_path) != 0) {
        return mapping_failed(host->visit, ERR_UNREACHABLE, "certificates can't be used");
    }
    if (tls == DIRECTORY_TLS_START) TRY(ask_for_tls(host));
    return tls == DIRECTORY_TLS_NONE ? err_ok() : take_tls(host);
}

static struct err visit_host(struct mapping_visit *visit, const char *ca_path,
                             mapping_host_use *use, void *holder)
{
    struct span name;
    struct mapping_host host = { .visit = visit };
    uint16_t port = visit->mapping->tls == DIRECTORY_TLS_LDAPS ? PORT_TLS : PORT;
    if (!mapping_wire_split(visit->mapping->hosts[visit->host], &name, &port)) {
        return mapping_failed(visit, ERR_UNREACHABLE, "that is no host");
    }
    mapping_deadline(&host);
    const char *why = mapping_wire_connect(&host.wire, visit, port);
    if (why != NULL) return mapping_failed(visit, ERR_UNREACHABLE, why);
    struct err err = open_ldap(&host, name, ca_path);
    if (err.code == ERR_OK) err = use(&host, holder);
    mapping_deadline(&host);
    if (host.ldap != NULL) ldap_unbind_ext(host.ldap, NULL, NULL);
    mapping_wire_close(&host.wire);
    return err;
}

struct err mapping_at_host(struct mapping_visit *visit, mapping_host_use *use, void *holder)
{
    const struct directory_mapping *mapping = visit->mapping;
    char path[PATH_BYTES];
    int fd = -1;
    snprintf(path, sizeof(path), "%s", trusted);
    if (mapping->ca.len > 0 && (fd = ca_open(mapping->ca, path)) < 0) {
        return mapping_failed(visit, ERR_UNREACHABLE, "no memory for certificates");
    }
    struct err err = visit_host(visit, path, use, holder);
    if (fd >= 0) close(fd);
    return err;
}

/* ---- passwords */

struct login {
    struct span dn, password;
};

static struct err check_at(struct mapping_host *host, void *holder)
{
    const struct login *login = holder;
    return mapping_bind(host, login->dn, login->password);
}

struct err mapping_ldap_check(struct mapping_visit *visit, struct span dn, struct span password)
{
    struct login login = { dn, password };
    if (dn.len == 0 || password.len == 0) {
        return mapping_failed(visit, ERR_DENIED, "an empty DN or password checks nothing");
    }
    return mapping_at_host(visit, check_at, &login);
}
