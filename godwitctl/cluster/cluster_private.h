/* cluster_private.h: shared by the files of this folder. */
#ifndef MAIL_CLUSTER_PRIVATE_H
#define MAIL_CLUSTER_PRIVATE_H

#include "cluster.h"
#include "cluster_authority.h"
#include "coord_boot.h"
#include "sealed.h"
#include "span.h"

struct boot;

/* The rows of boot.h for where the cluster is. */
#define CLUSTER_OPTIONS                                                                          \
    COORD_BOOT_OPTIONS(""),                                                                      \
    { "kek-file", BOOT_TEXT, NULL, "file with the installation's key-encryption keys" }

/* The store, opened for a command; nobody else's changes are seen before cluster_open() is called
 * again. */
struct cluster {
    struct coord_options store; /* its texts live longer */
    struct loop *loop;
    struct coord *coord;
    struct sealed_keys keys;
    char id[CLUSTER_ID_BYTES]; /* empty: there is none */
    unsigned incarnation;
    uint64_t authorities_revision;
    struct authorities authorities; /* count 0: there are none */
};

/* Opens and reads. The key file has to be there. `problem` says what is wrong. */
MUST_USE struct err cluster_open(struct cluster *cluster, const struct coord_options *store,
                                 const char *kek_file, char problem[CLUSTER_PROBLEM_BYTES]);
/* What the store is called in messages. */
const char *cluster_store_name(const struct coord_options *store);
/* The same for a cluster that must be there. */
MUST_USE struct err cluster_open_founded(struct cluster *cluster, const struct boot *boot,
                                         char problem[CLUSTER_PROBLEM_BYTES]);
void cluster_close(struct cluster *cluster);

/* Writes a row if its revision is still that one; 0: if it is not there. ERR_CONFLICT. */
MUST_USE struct err cluster_put(const struct cluster *cluster, const char *key, struct span value,
                                uint64_t revision);
/* The row of the authorities. */
MUST_USE struct err cluster_put_authorities(const struct cluster *cluster);

/* Fills `problem` and makes the error. */
struct err cluster_problem(char problem[CLUSTER_PROBLEM_BYTES], struct err err, const char *about);

/* The commands. */
int cluster_init(const struct boot *boot);
int cluster_cert_issue(const struct boot *boot);
int cluster_access(const struct boot *boot);
int cluster_ca_list(const struct boot *boot, bool json);
int cluster_ca_change(const struct boot *boot, const char *verb, const char *id);

#endif
