/* The directory of one loop, kept up with the rows of domains: a row is read when its revision is
 * another, for with 20,000 domains reading them all takes the loop a tenth of a second. */
#include <stdio.h>
#include <string.h>

#include "conf.h"
#include "coord.h"
#include "directory.h"
#include "frontend_loop.h"

enum { LEFTOVERS_MAX = 1000, PREFIX_BYTES = 8 };

static const struct span prefix = SPAN_INIT("domains/");

struct following {
    struct directory *directory;
    size_t at;   /* in the directory: up to here it is as the rows say */
    bool anew;   /* it can't be followed */
};

static void complain(const char *what, struct span why)
{
    char text[128];
    snprintf(text, sizeof(text), "%.*s", (int)(why.len < 100 ? why.len : 100), why.ptr);
    frontend_complain(what, text);
}

static void say_options(const struct directory *directory, size_t at)
{
    if (at < directory_count(directory) && directory_at(directory, at)->options_are_refused) {
        frontend_complain("domain", "its options are refused");
    }
}

/* ---- all of it */

static void row_add(void *holder, const struct coord_row *row)
{
    struct directory *directory = holder;
    struct span why = SPAN("no memory");
    if (directory_add_row(directory, row->value, row->revision, &why).code == ERR_OK) {
        say_options(directory, directory_count(directory) - 1);
    } else {
        complain("domain", why);
    }
}

static void tenant_add(void *holder, const struct coord_row *row)
{
    struct span why = SPAN("no memory");
    struct err err = directory_add_tenant(holder, row->value, &why);
    if (err.code != ERR_OK) complain("tenant", why);
}

static struct err make_anew(struct frontend_loop *loop)
{
    struct directory *directory;
    TRY(directory_new(0, &directory));
    directory_set_conf(directory, loop->front.settings->conf);
    coord_list(loop->coord, SPAN("tenants/"), tenant_add, directory);
    coord_list(loop->coord, prefix, row_add, directory);
    directory_unref(loop->resolver.directory);
    loop->resolver.directory = directory;
    return err_ok();
}

/* ---- what has changed */

static int order(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int difference = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    if (difference != 0) return difference;
    return a.len < b.len ? -1 : a.len > b.len;
}

/* The name of the domain that is next in the directory; false at the end. */
static bool next_name(const struct following *following, struct span *ret)
{
    if (following->at == directory_count(following->directory)) return false;
    *ret = directory_at(following->directory, following->at)->name;
    return true;
}

static void row_put(struct following *following, const struct coord_row *row, bool is_there)
{
    struct directory *directory = following->directory;
    struct span why = SPAN("no memory"), name, wanted = span_skip(row->key, PREFIX_BYTES);
    struct err err = directory_put(directory, row->value, row->revision, &why);
    if (err.code == ERR_SYNTAX && !is_there) {
        complain("domain", why);
        return;
    }
    /* One whose row has another name than its key has come to stand elsewhere. */
    following->anew = err.code != ERR_OK || !next_name(following, &name) || !span_eq(name, wanted);
    if (!following->anew) say_options(directory, following->at++);
}

/* Rows and directory are in the same order. */
static void row_follow(void *holder, const struct coord_row *row)
{
    struct following *following = holder;
    struct span name, wanted = span_skip(row->key, PREFIX_BYTES);
    while (!following->anew && next_name(following, &name) && order(name, wanted) < 0) {
        following->anew = !directory_remove(following->directory, following->at);
    }
    if (following->anew) return;
    bool is_there = next_name(following, &name) && span_eq(name, wanted);
    if (!is_there) {
        row_put(following, row, false);
    } else if (directory_at(following->directory, following->at)->revision == row->revision) {
        following->at++;
    } else {
        row_put(following, row, true);
    }
}

/* False: it has to be made anew. */
static bool follow(struct frontend_loop *loop)
{
    struct following following = { .directory = loop->resolver.directory };
    struct directory *directory = following.directory;
    struct conf *conf = loop->front.settings->conf;
    if (directory_conf(directory, SPAN("")) != conf && !directory_change_conf(directory, conf)) {
        return false;
    }
    if (directory_leftovers(directory) > LEFTOVERS_MAX + directory_count(directory) / 4) {
        return false;
    }
    coord_list(loop->coord, prefix, row_follow, &following);
    while (!following.anew && following.at < directory_count(directory)) {
        following.anew = !directory_remove(directory, following.at);
    }
    return !following.anew;
}

/* ---- tenants */

static void row_mark(void *holder, const struct coord_row *row)
{
    uint64_t *mark = holder;
    *mark = *mark * 1000003 + row->revision + row->key.len;
}

struct err frontend_domains_read(struct frontend_loop *loop)
{
    uint64_t tenants = 1;
    coord_list(loop->coord, SPAN("tenants/"), row_mark, &tenants);
    bool same = loop->resolver.directory != NULL && tenants == loop->tenants_seen;
    if (!same || !follow(loop)) {
        TRY(make_anew(loop));
        loop->tenants_seen = tenants;
    }
    const struct directory *directory = loop->resolver.directory;
    bool none = directory_count(directory) == 0;
    loop->login.primary_domain = none ? SPAN("") : directory_at(directory, 0)->name;
    return err_ok();
}
