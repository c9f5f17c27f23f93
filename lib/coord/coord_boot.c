#include "coord_boot.h"

#include "boot.h"

struct err coord_boot_read(const struct boot *boot, struct coord_options *ret)
{
    struct coord_options options = { .cluster = boot_text(boot, "cluster"),
                                     .user = boot_text(boot, "etcd-user"),
                                     .password_file = boot_text(boot, "etcd-password-file"),
                                     .ca_file = boot_text(boot, "etcd-ca"),
                                     .cert_file = boot_text(boot, "etcd-cert"),
                                     .key_file = boot_text(boot, "etcd-key") };
    size_t count = boot_list_count(boot, "etcd");
    if (count > COORD_ENDPOINTS_MAX) {
        return err_make(ERR_TOO_BIG, "endpoints of etcd: at most 16");
    }
    options.endpoints_count = count;
    for (size_t i = 0; i < count; i++) options.endpoints[i] = boot_list(boot, "etcd", i);
    if (count == 0) options.directory = boot_text(boot, "coord");
    *ret = options;
    return err_ok();
}
