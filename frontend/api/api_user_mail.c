/* How a user's mail goes: forwarding, the largest message that he may send, and whether he is
 * confined to his domain. A user who is does not forward to the outside. */
#include "api_private.h"
#include "directory_resolve.h"
#include "place_address.h"

void api_user_mail_show(const struct store_account *account, json_t *user)
{
    json_t *forward = json_array();
    for (size_t i = 0; i < account->forward_count; i++) {
        json_array_append_new(forward, api_json_text(account->forward[i]));
    }
    api_set(user, "forward", forward);
    api_set(user, "forward_keep", json_boolean(account->forward_keep));
    api_set(user, "size_max", json_integer((json_int_t)account->size_max));
    api_set(user, "domain_only", json_boolean(account->domain_only));
}

static bool take_flag(struct api_call *call, const char *member, bool *ret)
{
    const json_t *value = json_object_get(call->in, member);
    if (value != NULL && !json_is_boolean(value)) {
        api_refuse(call, 400, "Bad value", "%s: true or false", member);
        return false;
    }
    if (value != NULL) *ret = json_is_true(value);
    return true;
}

/* The addresses of the request, none twice and none the user's own. */
static bool take_forward(struct api_call *call)
{
    bool there;
    if (!api_in_addresses(call, "forward", &there)) return false;
    if (!there) return true;
    if (call->texts_count > RESOLVE_FORWARD_MAX) {
        api_refuse(call, 400, "Bad value", "forward: at most %d addresses", RESOLVE_FORWARD_MAX);
        return false;
    }
    for (size_t i = 0; i < call->texts_count; i++) {
        struct span text = call->texts[i];
        bool is_own = span_eq(text, call->address), is_twice = false;
        for (size_t k = 0; k < i; k++) is_twice = is_twice || span_eq(text, call->texts[k]);
        if (!is_own && !is_twice) continue;
        api_refuse(call, 400, "Bad value", "forward: %.*s %s", (int)text.len, text.ptr,
                   is_own ? "is the user's own" : "stands there twice");
        return false;
    }
    call->account.forward = call->texts;
    call->account.forward_count = call->texts_count;
    return true;
}

/* Whether what the user is to have then goes together. */
static bool fits_together(struct api_call *call)
{
    const struct store_account *account = &call->account;
    for (size_t i = 0; i < account->forward_count && account->domain_only; i++) {
        struct span text = account->forward[i], local, domain = SPAN("");
        place_address_split(text, &local, &domain);
        if (span_eq(domain, call->domain)) continue;
        api_refuse(call, 400, "Bad value", "forward: %.*s is outside of %.*s, to which the user is "
                   "confined (domain_only)", (int)text.len, text.ptr, (int)call->domain.len,
                   call->domain.ptr);
        return false;
    }
    return true;
}

bool api_user_mail_take(struct api_call *call)
{
    struct store_account *account = &call->account;
    return api_in_number(call, "size_max", &account->size_max) &&
           take_flag(call, "forward_keep", &account->forward_keep) &&
           take_flag(call, "domain_only", &account->domain_only) && take_forward(call) &&
           fits_together(call);
}
