#include "scan_stamp.h"

#include "bytes.h"

/* Numbers of Verdict in scan.proto. */
enum { VERDICT_CLEAN_NUMBER = 1, VERDICT_UNCHECKABLE_NUMBER = 3 };

void scan_stamp_write(const struct scan_stamp *stamp, char to[SCAN_STAMP_BYTES])
{
    to = bytes_put_u8(to, SCAN_STAMP_VERSION);
    to = bytes_put_u8(to, stamp->verdict);
    to = bytes_put_u8(to, stamp->why);
    to = bytes_put_u8(to, 0);
    to = bytes_put_u64(to, stamp->scanned_ms);
    to = bytes_put_u64(to, stamp->signatures_ms);
    to = bytes_put_u32(to, stamp->engine);
    (void)bytes_put_u16(to, stamp->parts_removed);
}

struct err scan_stamp_read(struct span bytes, struct scan_stamp *ret)
{
    struct scan_stamp stamp = { 0 };
    uint8_t version = 0, reserved = 0;
    if (!bytes_take_u8(&bytes, &version)) return err_make(ERR_SYNTAX, "no scan stamp");
    if (version > SCAN_STAMP_VERSION) return err_make(ERR_UNSUPPORTED, "a newer scan stamp");
    if (version != SCAN_STAMP_VERSION || bytes.len != SCAN_STAMP_BYTES - 1) {
        return err_make(ERR_SYNTAX, "not a scan stamp");
    }
    bool whole = bytes_take_u8(&bytes, &stamp.verdict) && bytes_take_u8(&bytes, &stamp.why)
        && bytes_take_u8(&bytes, &reserved) && bytes_take_u64(&bytes, &stamp.scanned_ms)
        && bytes_take_u64(&bytes, &stamp.signatures_ms) && bytes_take_u32(&bytes, &stamp.engine)
        && bytes_take_u16(&bytes, &stamp.parts_removed);
    if (!whole || reserved != 0 || stamp.why > SCAN_WHY_OPEN) {
        return err_make(ERR_SYNTAX, "not a scan stamp");
    }
    *ret = stamp;
    return err_ok();
}

int scan_stamp_lets_in(const struct scan_stamp *stamp)
{
    if (stamp->why != SCAN_WHY_SCANNED) return 1;
    return stamp->verdict == VERDICT_CLEAN_NUMBER || stamp->verdict == VERDICT_UNCHECKABLE_NUMBER;
}
