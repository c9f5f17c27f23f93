/* Users from LDAP directories: once a program, by its first loop. */
#include "frontend_loop.h"
#include "sync.h"

static struct directory *directory_now(void *holder)
{
    return ((struct frontend_loop *)holder)->resolver.directory;
}

static struct err unseal(void *holder, struct span whose, struct span text, struct buf *to)
{
    return frontend_unseal(((struct frontend_loop *)holder)->frontend, whose, text, to);
}

struct err frontend_sync_open(struct frontend_loop *loop)
{
    const struct frontend *frontend = loop->frontend;
    struct sync_options options = { .loop = loop->loop, .coord = loop->coord,
                                    .crew = frontend->crew, .api = loop->front.api,
                                    .mapping = frontend->mapping, .dns = &loop->dns,
                                    .name = frontend->name, .holder = loop,
                                    .directory = directory_now, .unseal = unseal };
    return loop->number == 0 ? sync_new(&options, &loop->sync) : err_ok();
}
