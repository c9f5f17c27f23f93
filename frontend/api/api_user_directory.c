/* A user whom the domain's LDAP directory has (directory_mapping.h): his password is there, and
 * whether he is one is said there. Only the program itself takes users from a directory. */
#include <string.h>

#include "api_state_private.h"
#include "directory.h"
#include "directory_mapping.h"
#include "utf8.h"

void api_user_directory_show(const struct store_account *account, json_t *user)
{
    api_set_text(user, "directory_dn", account->directory_dn);
    api_set(user, "directory_gone", json_boolean(account->directory_gone));
}

static bool has_directory(const struct api_call *call)
{
    return call->account.directory_dn.len > 0 && call->known_domain->mapping != NULL;
}

/* As the directory says. */
static bool take_own(struct api_call *call)
{
    struct store_account *account = &call->account;
    const json_t *gone = json_object_get(call->in, "directory_gone");
    if (account->version > 0 && account->directory_dn.len == 0) { /* made since it was planned */
        api_refuse(call, 409, "Exists", "address: the user was made here");
        return false;
    }
    if (!api_in_text(call, "directory_dn", DIRECTORY_MAPPING_TEXT_MAX_BYTES,
                     &account->directory_dn)) {
        return false;
    }
    if (json_is_true(gone) && account->state == STORE_ACCOUNT_ACTIVE) {
        account->state = STORE_ACCOUNT_DISABLED;
        account->directory_gone = true;
    } else if (json_is_false(gone) && account->directory_gone) {
        account->state = STORE_ACCOUNT_ACTIVE;
        account->directory_gone = false;
    }
    return true;
}

/* As an administrator says, of a user who is the directory's. */
static bool take_others(struct api_call *call)
{
    struct store_account *account = &call->account;
    const json_t *enabled = json_object_get(call->in, "enabled");
    bool has_password = json_object_get(call->in, "password") != NULL ||
                        json_object_get(call->in, "password_hash") != NULL;
    if (has_password && has_directory(call)) {
        api_refuse(call, 400, "Bad value", "password: it is that of the user's entry in the "
                   "domain's directory");
        return false;
    }
    if (json_is_true(enabled) && account->directory_gone && has_directory(call)) {
        api_refuse(call, 409, "In use", "enabled: the domain's directory has the user no more; he "
                   "comes back when he is there again");
        return false;
    }
    /* The domain has no directory any more: from now on he is one of those who are made here. */
    if (has_password) account->directory_dn = SPAN("");
    if (enabled != NULL || has_password) account->directory_gone = false;
    return true;
}

bool api_user_directory_take(struct api_call *call)
{
    if (call->is_own) return take_own(call);
    return call->account.directory_dn.len == 0 || take_others(call);
}

bool api_user_directory_keeps(struct api_call *call)
{
    if (!has_directory(call) || call->account.directory_gone) return false;
    api_refuse(call, 409, "In use", "the domain's directory has the user, who would be made again: "
               "remove him there, or disable him");
    return true;
}
