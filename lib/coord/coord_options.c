/* The text of a store in etcd, as the file `data` of one that was moved holds it: a line for each
 * text that was given, "endpoint" as often as there are endpoints:
 *
 *   endpoint=https://10.0.0.1:2379
 *   cluster=default
 *   user=godwit
 *   password-file=/etc/godwit/etcd.password */
#include "coord_options.h"

#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "coord_rows.h"

/* The texts of the options, but for the endpoints. */
static const struct text_row {
    const char *name; /* in the text; NULL: not there */
    size_t offset;
} texts[] = {
    { NULL, offsetof(struct coord_options, directory) },
    { "cluster", offsetof(struct coord_options, cluster) },
    { "user", offsetof(struct coord_options, user) },
    { "password-file", offsetof(struct coord_options, password_file) },
    { "ca-file", offsetof(struct coord_options, ca_file) },
    { "cert-file", offsetof(struct coord_options, cert_file) },
    { "key-file", offsetof(struct coord_options, key_file) },
};
enum { TEXTS = sizeof(texts) / sizeof(texts[0]), LINES_MAX = TEXTS + COORD_ENDPOINTS_MAX };

static const char **text_of(struct coord_options *options, size_t i)
{
    return (const char **)(void *)((char *)options + texts[i].offset);
}

static const char *text_get(const struct coord_options *options, size_t i)
{
    struct coord_options copy = *options;
    const char *text = *text_of(&copy, i);
    return text == NULL ? "" : text;
}

static bool given(const char *text) { return text != NULL && text[0] != '\0'; }

/* ---- checks */

/* "http://" or "https://", a name or address, and a port. */
static bool is_endpoint(const char *text)
{
    size_t digits = 0;
    if (strncmp(text, "http://", 7) == 0) text += 7;
    else if (strncmp(text, "https://", 8) == 0) text += 8;
    else return false;
    const char *port = strrchr(text, ':');
    if (port == NULL || port == text) return false;
    for (const char *c = text; c < port; c++) {
        bool good = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || strchr(".-_[]:", *c) != NULL;
        if (!good) return false;
    }
    for (port++; *port >= '0' && *port <= '9'; port++) digits++;
    return *port == '\0' && digits > 0 && digits <= 5;
}

static bool is_cluster(const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len > COORD_CLUSTER_MAX_BYTES) return false;
    for (size_t i = 0; i < len; i++) {
        bool good = (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9') ||
                    text[i] == '-';
        if (!good) return false;
    }
    return true;
}

static struct err check_etcd(const struct coord_options *options)
{
    if (options->endpoints_count == 0) {
        return err_make(ERR_SYNTAX, "neither a directory nor an endpoint of etcd is given");
    }
    for (size_t i = 0; i < options->endpoints_count; i++) {
        if (is_endpoint(options->endpoints[i])) continue;
        return err_make(ERR_SYNTAX, "endpoint of etcd: http://HOST:PORT or https://HOST:PORT");
    }
    if (!is_cluster(options->cluster == NULL ? "" : options->cluster)) {
        return err_make(ERR_SYNTAX, "cluster: 1 to 64 of a-z, 0-9 and hyphen");
    }
    if (given(options->user) != given(options->password_file)) {
        return err_make(ERR_SYNTAX, "user and password file of etcd: both or neither");
    }
    if (given(options->cert_file) != given(options->key_file)) {
        return err_make(ERR_SYNTAX, "certificate and key for etcd: both or neither");
    }
    return err_ok();
}

static struct err check_text(const char *text)
{
    if (strlen(text) >= COORD_OPTION_MAX_BYTES) {
        return err_make(ERR_TOO_BIG, "option of the configuration store");
    }
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text >= ' ') continue;
        return err_make(ERR_SYNTAX, "option of the configuration store: control character");
    }
    return err_ok();
}

static struct err check(const struct coord_options *options)
{
    if (options->endpoints_count > COORD_ENDPOINTS_MAX) {
        return err_make(ERR_TOO_BIG, "endpoints of etcd: at most 16");
    }
    if (options->prefixes_count > COORD_PREFIXES_MAX) {
        return err_make(ERR_TOO_BIG, "prefixes of the configuration store: at most 32");
    }
    for (size_t i = 0; i < TEXTS; i++) TRY(check_text(text_get(options, i)));
    for (size_t i = 0; i < options->endpoints_count; i++) {
        if (given(options->endpoints[i]) &&
            strlen(options->endpoints[i]) < COORD_OPTION_MAX_BYTES) {
            continue;
        }
        return err_make(ERR_SYNTAX, "endpoint of etcd: http://HOST:PORT or https://HOST:PORT");
    }
    for (size_t i = 0; i < options->prefixes_count; i++) {
        if (options->prefixes[i].len <= COORD_KEY_MAX_BYTES) continue;
        return err_make(ERR_TOO_BIG, "prefix of the configuration store");
    }
    return given(options->directory) ? err_ok() : check_etcd(options);
}

/* ---- the copy */

static struct err order_prefixes(struct coord_options *options)
{
    for (size_t i = 1; i < options->prefixes_count; i++) {
        struct span prefix = options->prefixes[i];
        size_t at = i;
        for (; at > 0 && span_order(options->prefixes[at - 1], prefix) > 0; at--) {
            options->prefixes[at] = options->prefixes[at - 1];
        }
        options->prefixes[at] = prefix;
    }
    for (size_t i = 1; i < options->prefixes_count; i++) {
        if (!coord_key_under(options->prefixes[i], options->prefixes[i - 1])) continue;
        return err_make(ERR_SYNTAX, "one prefix of the configuration store begins another");
    }
    return err_ok();
}

static size_t copy_size(const struct coord_options *options)
{
    size_t size = 1;
    for (size_t i = 0; i < TEXTS; i++) size += strlen(text_get(options, i)) + 1;
    for (size_t i = 0; i < options->endpoints_count; i++) {
        size += strlen(options->endpoints[i]) + 1;
    }
    for (size_t i = 0; i < options->prefixes_count; i++) size += options->prefixes[i].len;
    return size;
}

/* The text at `*to`, with its NUL. */
static const char *keep(char **to, const char *text)
{
    char *kept = *to;
    memcpy(kept, text, strlen(text) + 1);
    *to += strlen(text) + 1;
    return kept;
}

struct err coord_options_copy(const struct coord_options *options, struct coord_options_copy **ret)
{
    TRY(check(options));
    struct coord_options_copy *copy = calloc(1, sizeof(*copy) + copy_size(options));
    if (copy == NULL) return err_make(ERR_NOMEM, "options of the configuration store");
    struct coord_options *kept = &copy->options;
    char *to = copy->bytes;
    *kept = *options;
    for (size_t i = 0; i < TEXTS; i++) *text_of(kept, i) = keep(&to, text_get(options, i));
    for (size_t i = 0; i < kept->endpoints_count; i++) {
        kept->endpoints[i] = keep(&to, options->endpoints[i]);
    }
    for (size_t i = 0; i < kept->prefixes_count; i++) {
        struct span prefix = options->prefixes[i];
        if (prefix.len > 0) memcpy(to, prefix.ptr, prefix.len);
        kept->prefixes[i] = span_of(to, prefix.len);
        to += prefix.len;
    }
    if (kept->prefixes_count == 0) kept->prefixes[kept->prefixes_count++] = span_of(to, 0);
    struct err err = order_prefixes(kept);
    if (err.code == ERR_OK) *ret = copy;
    else free(copy);
    return err;
}

bool coord_options_keep(const struct coord_options *options, struct span key)
{
    for (size_t i = 0; i < options->prefixes_count; i++) {
        if (coord_key_under(key, options->prefixes[i])) return true;
    }
    return false;
}

/* ---- the text */

static void put_line(struct buf *out, const char *name, const char *value)
{
    buf_put(out, span_of(name, strlen(name)));
    buf_put(out, SPAN("="));
    buf_put(out, span_of(value, strlen(value)));
    buf_put(out, SPAN("\n"));
}

void coord_options_write(struct buf *out, const struct coord_options *options)
{
    for (size_t i = 0; i < options->endpoints_count; i++) {
        put_line(out, "endpoint", options->endpoints[i]);
    }
    for (size_t i = 0; i < TEXTS; i++) {
        const char *text = text_get(options, i);
        if (texts[i].name != NULL && text[0] != '\0') put_line(out, texts[i].name, text);
    }
}

static struct err bad(void) { return err_make(ERR_SYNTAX, "where the configuration store went"); }

/* `value` ends in a NUL. */
static struct err set_text(struct coord_options *options, struct span name, const char *value)
{
    if (span_eq(name, SPAN("endpoint"))) {
        if (options->endpoints_count == COORD_ENDPOINTS_MAX) return bad();
        options->endpoints[options->endpoints_count++] = value;
        return err_ok();
    }
    for (size_t i = 0; i < TEXTS; i++) {
        if (texts[i].name == NULL) continue;
        if (!span_eq(name, span_of(texts[i].name, strlen(texts[i].name)))) continue;
        if (*text_of(options, i) != NULL) return bad();
        *text_of(options, i) = value;
        return err_ok();
    }
    return bad();
}

static struct err read_lines(char *text, size_t len, struct coord_options *ret)
{
    struct span rest = span_of(text, len), line, name, value;
    if (len > 0 && memchr(text, '\0', len) != NULL) return bad();
    for (size_t lines = 0; rest.len > 0; lines++) {
        if (lines == LINES_MAX || !span_cut(rest, '\n', &line, &rest)) return bad();
        if (!span_cut(line, '=', &name, &value)) return bad();
        text[value.ptr - text + (ptrdiff_t)value.len] = '\0'; /* where the line ended */
        TRY(set_text(ret, name, text + (value.ptr - text)));
    }
    return err_ok();
}

struct err coord_options_read(struct span text, const struct coord_options *with,
                              struct coord_options_copy **ret)
{
    struct coord_options options = { .directory = NULL };
    char *bytes = malloc(text.len + 1);
    if (bytes == NULL) return err_make(ERR_NOMEM, "options of the configuration store");
    if (text.len > 0) memcpy(bytes, text.ptr, text.len);
    struct err err = read_lines(bytes, text.len, &options);
    options.prefixes_count = with->prefixes_count;
    memcpy(options.prefixes, with->prefixes, sizeof(options.prefixes));
    if (err.code == ERR_OK) err = coord_options_copy(&options, ret);
    free(bytes);
    return err;
}
