#include "roster_access.h"

#define READ false
#define WRITE true
const struct roster_access roster_accesses[ROSTER_ACCESSES] = {
#define ROSTER_ACCESS(kind, prefix, right) { ROSTER_##kind, SPAN_INIT(prefix), right },
#include "roster_access.def"
};
#undef READ
#undef WRITE

size_t roster_access_prefixes(enum roster_kind kind, struct span *prefixes, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < ROSTER_ACCESSES; i++) {
        if (roster_accesses[i].kind != kind) continue;
        if (count < max) prefixes[count] = roster_accesses[i].prefix;
        count++;
    }
    return count;
}
