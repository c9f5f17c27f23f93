/* api_users_private.h: the steps of making a user, for one and for many at a time. */
#ifndef MAIL_API_USERS_PRIVATE_H
#define MAIL_API_USERS_PRIVATE_H

#include <stdbool.h>

struct api_call;
struct flow;

/* The members of a user that is made. */
#define API_USER_MEMBERS \
    "address password password_hash full_name description quota_bytes quota_items role enabled " \
    "addresses forward forward_keep size_max domain_only"
/* Of a domain's directory. */
#define API_DIRECTORY_MEMBERS \
    "directory_hosts directory_tls directory_ca directory_bind_dn directory_password " \
    "directory_base directory_filter directory_address directory_name directory_full_name " \
    "directory_sync directory_timeout directory_users_max"
/* And of a domain. */
#define API_DOMAIN_MEMBERS \
    "name tenant also subaddress quota_bytes quota_items users_max size_max forward_host " \
    "forward_all footer_text footer_html footer_inside " API_DIRECTORY_MEMBERS

/* Takes the request into call->account, with a fresh number. */
void api_create_take(struct flow *flow);
/* Looks whether further addresses are free. */
void api_further_look(struct flow *flow);
/* Writes those that are new. */
void api_further_put(struct flow *flow);
/* Takes away those that the account had. */
void api_further_drop(struct flow *flow);
void api_create_index(struct flow *flow);
/* The request for the account with its first mailboxes, into call->ask. */
void api_create_ask(struct api_call *call);

/* The password of the request into call->account: whether it may be; hashed. */
void api_step_password_check(struct flow *flow);
void api_step_password_hash(struct flow *flow);

#endif
