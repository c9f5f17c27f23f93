#include "check.h"
#include "coord_boot.h"
#include "program.h"
#include "roster_access.h"

struct err program_store_read(const struct boot *boot, unsigned kind, struct coord_options *ret)
{
    TRY(coord_boot_read(boot, ret));
    ret->prefixes_count = roster_access_prefixes((enum roster_kind)kind, ret->prefixes,
                                                 COORD_PREFIXES_MAX);
    CHECK(ret->prefixes_count <= COORD_PREFIXES_MAX);
    return err_ok();
}
