/* coord_boot.h: where a program finds the configuration store: rows for its table of boot
 * options. */
#ifndef MAIL_COORD_BOOT_H
#define MAIL_COORD_BOOT_H

#include "coord.h"

#ifdef __cplusplus
extern "C" {
#endif

struct boot;

/* `directory` is the default of the back end `file`; empty: none. */
#define COORD_BOOT_OPTIONS(directory)                                                              \
    { "coord", BOOT_TEXT, directory, "configuration store: a directory, unless --etcd is given" }, \
    { "etcd", BOOT_LIST, "", "configuration store: endpoints of etcd, https://host:port" },        \
    { "cluster", BOOT_TEXT, "default", "name of the cluster: its keys are /godwit/NAME/" },      \
    { "etcd-user", BOOT_TEXT, "", "user to log in to etcd" },                                      \
    { "etcd-password-file", BOOT_TEXT, "", "file with the user's password, in one line" },         \
    { "etcd-ca", BOOT_TEXT, "", "certificates to know etcd by, PEM; empty: the system's" },        \
    { "etcd-cert", BOOT_TEXT, "", "our certificate for etcd, PEM, without a CommonName" },         \
    { "etcd-key", BOOT_TEXT, "", "its key, PEM" }

/* Texts live as long as `boot`; coord_open_options() checks them. ERR_TOO_BIG: endpoints. */
MUST_USE struct err coord_boot_read(const struct boot *boot, struct coord_options *ret);

#ifdef __cplusplus
}
#endif
#endif
