/* Which scanners there are: those of --scanner, or else those that the configuration store lists
 * (roster_scanner.h), as they come and go. */
#include "frontend_loop.h"
#include "log.h"
#include "roster_scanner.h"
#include "scan_balance.h"
#include "scan_call.h"

struct listed {
    unsigned count;
    struct span addresses[SCAN_BALANCE_PEERS_MAX];
    struct roster_scanner rows[SCAN_BALANCE_PEERS_MAX];
    bool is_too_many, has_bad;
};

static void on_row(void *holder, const struct coord_row *row)
{
    struct listed *listed = holder;
    if (listed->count == SCAN_BALANCE_PEERS_MAX) {
        listed->is_too_many = true;
        return;
    }
    struct roster_scanner *scanner = &listed->rows[listed->count];
    if (roster_scanner_read(row->value, scanner).code != ERR_OK) {
        listed->has_bad = true;
        return;
    }
    listed->addresses[listed->count++] = span_of(scanner->address, scanner->address_len);
}

static void on_rows(void *holder)
{
    struct frontend_loop *loop = holder;
    struct listed listed = { .count = 0 };
    coord_list(loop->coord, SPAN("scanners/"), on_row, &listed);
    struct err err = scan_pool_set(loop->scan, listed.addresses, listed.count);
    if (loop->number != 0) return; /* all loops see the same */
    if (err.code != ERR_OK) frontend_complain("row of a scanner", err_text(err));
    if (listed.has_bad) {
        frontend_complain("row of a scanner", "it is of no form that this version knows");
    }
    if (listed.is_too_many) frontend_complain("rows of scanners", "the first 64 are used");
    if (listed.count == loop->scanners_said) return;
    loop->scanners_said = listed.count;
    LOG(SCANNERS_KNOWN, NULL, log_number(listed.count));
}

struct err frontend_scanners_open(struct frontend_loop *loop)
{
    if (loop->frontend->scanners_count > 0) return err_ok();
    return coord_watch_start(loop->coord, SPAN("scanners/"), on_rows, loop,
                             &loop->scanners_watch);
}
