#include "login_check.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "buf.h"
#include "crew.h"
#include "directory.h"
#include "directory_resolve.h"
#include "id.h"
#include "later.h"
#include "list.h"
#include "login_cache.h"
#include "login_remake.h"
#include "loop.h"
#include "mapping_pool.h"
#include "place_address.h"
#include "route.h"
#include "slot.h"
#include "store_msg.h"
#include "timer.h"

enum {
    LOGIN_ARENA_MAX_BYTES = 64 * 1024,
    LOGIN_DEADLINE_MS = 10000,
    LOGIN_PLACE_MS = 30000,   /* for a place in the counters: a temporary error then */
    LOGIN_PLACE_LOOK_MS = 20, /* between two questions for one, and as much more by chance */
};

/* Freed in login_end() and nowhere else. */
struct login_check {
    struct crew_job job;
    const struct login_services *services;
    login_checked *done;
    void *holder;
    struct arena arena;
    struct route_call *call;
    struct store_address_get_request address_request;
    struct store_account_get_request account_request;
    struct login_subject subject;
    struct login_identity identity;
    struct login_lockout lockout;
    struct later locked;      /* an answer that is known from the start */
    struct err lockout_err;   /* what the address's counter came to */
    struct span address, stored;
    struct span dn;           /* of its entry in the domain's directory, which has the password */
    bool known, cancelled, fits;
    bool waits;               /* for the address's counter */
    bool is_ready;            /* for the hash, but for that */
    struct timer place;       /* until it is asked for a place again */
    uint64_t place_until_ms;  /* loop_now_ms(); 0: there was one */
    bool waits_for_place;
    bool is_at_address;       /* its row is under way, and a place with it */
    size_t password_len;
    char address_bytes[RESOLVE_ADDRESS_MAX_BYTES];
    char password[LOGIN_CHECK_PASSWORD_MAX_BYTES];
};

static void login_end(struct login_check *check, struct err err)
{
    if (!check->cancelled) {
        check->done(check->holder, err, err.code == ERR_OK ? &check->identity : NULL);
    }
    login_lockout_cancel(&check->lockout);
    timer_stop(&check->place);
    arena_clear(&check->arena);
    explicit_bzero(check->password, sizeof(check->password));
    free(check);
}

/* ---- the hash, on the crew */

static void hash_run(struct crew_job *job)
{
    struct login_check *check = LIST_ITEM(job, struct login_check, job);
    check->fits = check->services->verify(check->stored,
                                          span_of(check->password, check->password_len));
}

static void on_counted(void *holder, struct err err)
{
    struct login_check *check = holder;
    if (err.code == ERR_OK) {
        err = err_make_detail(ERR_DENIED, (int)check->lockout.began, "log-in");
    }
    login_end(check, err);
}

/* The password is wrong: counted first, answered then. */
static void login_wrong(struct login_check *check)
{
    struct err err = err_ok();
    if (!check->cancelled && login_lockout_failed(&check->lockout, on_counted, check, &err)) return;
    login_end(check, err.code != ERR_OK ? err : err_make(ERR_DENIED, "log-in"));
}

static void login_right(struct login_check *check)
{
    const struct login_services *services = check->services;
    if (login_lockout_is_held(&check->lockout)) { /* since it began */
        login_end(check, err_make(ERR_LOCKED, ""));
        return;
    }
    struct span password = span_of(check->password, check->password_len);
    login_lockout_worked(&check->lockout);
    login_cache_put(services->cache, &check->subject, password, loop_now_ms(services->loop));
    if (check->dn.len == 0) login_remake(services, &check->subject, check->stored, password);
    login_end(check, err_ok());
}

static void hash_done(struct crew_job *job)
{
    struct login_check *check = LIST_ITEM(job, struct login_check, job);
    if (check->fits && check->known) login_right(check);
    else login_wrong(check);
}

/* What takes the place of a hash that is not there. A copy: the decoy may change meanwhile. */
static struct err login_decoy(struct login_check *check)
{
    check->known = false;
    return arena_copy(&check->arena, check->services->decoy, &check->stored);
}

/* Checks the password against `stored`; a decoy's when there is no such user. */
static void login_hash(struct login_check *check)
{
    const struct login_services *services = check->services;
    struct err err = err_ok();
    if (!check->known || check->stored.len == 0) err = login_decoy(check);
    check->job = (struct crew_job){ .run = hash_run, .done = hash_done, .loop = services->loop };
    if (err.code == ERR_OK) err = crew_run(services->crew, &check->job);
    if (err.code != ERR_OK) login_end(check, err);
}

/* ---- the domain's directory */

/* What is refused takes a hash as well: the time tells little of who is in the directory. */
static void login_refused(struct login_check *check)
{
    check->known = false;
    login_hash(check);
}

static void on_outside(void *holder, struct err err)
{
    struct login_check *check = holder;
    if (check->cancelled || (err.code != ERR_OK && err.code != ERR_DENIED)) login_end(check, err);
    else if (err.code == ERR_OK) login_right(check);
    else login_refused(check);
}

/* The directory alone knows the password. An empty one is never asked about: it would be let in. */
static void login_outside(struct login_check *check, struct span password)
{
    const struct login_services *services = check->services;
    size_t at = check->address.len;
    while (at > 0 && check->address.ptr[at - 1] != '@') at--;
    struct mapping_question question = {
        .loop = services->loop, .dns = services->dns, .dn = check->dn, .password = password,
        .domain = directory_find(services->resolver->directory, span_skip(check->address, at), NULL)
    };
    bool has_directory = services->mapping != NULL && question.domain != NULL &&
                         question.domain->mapping != NULL;
    if (!has_directory || password.len == 0) {
        login_refused(check);
        return;
    }
    struct mapping_job *job; /* ends by itself, also when the log-in is given up */
    struct err err = mapping_check_start(services->mapping, &question, on_outside, check, &job);
    if (err.code != ERR_OK) login_end(check, err);
}

/* ---- either */

static void login_password(struct login_check *check)
{
    const struct login_services *services = check->services;
    struct span password = span_of(check->password, check->password_len);
    if (check->known && login_cache_has(services->cache, &check->subject, password,
                                        loop_now_ms(services->loop))) {
        login_lockout_worked(&check->lockout);
        login_end(check, err_ok());
        return;
    }
    if (check->known && check->dn.len > 0) login_outside(check, password);
    else login_hash(check);
}

static void on_place_timer(void *holder);

/* As many passwords are being looked at as may be wrong. */
static void login_place(struct login_check *check)
{
    uint64_t now_ms = loop_now_ms(check->services->loop);
    uint8_t chance;
    login_lockout_give_back(&check->lockout);
    if (check->place_until_ms == 0) check->place_until_ms = now_ms + LOGIN_PLACE_MS;
    if (now_ms >= check->place_until_ms) {
        login_end(check, err_make(ERR_TIMEOUT, "log-ins under way"));
        return;
    }
    check->waits_for_place = true;
    id_random(&chance, 1);
    timer_start(check->services->loop, &check->place,
                LOGIN_PLACE_LOOK_MS + chance % LOGIN_PLACE_LOOK_MS, on_place_timer, check);
}

static void on_place(void *holder, struct err err)
{
    struct login_check *check = holder;
    check->waits_for_place = false;
    if (err.code == ERR_OK && login_lockout_is_held(&check->lockout)) {
        err = err_make(ERR_LOCKED, "");
    }
    if (err.code != ERR_OK) login_end(check, err);
    else if (login_lockout_is_busy(&check->lockout)) login_place(check);
    else login_password(check);
}

static void on_place_timer(void *holder)
{
    struct login_check *check = holder;
    struct err err = err_ok();
    if (!login_lockout_look(&check->lockout, on_place, check, &err)) login_end(check, err);
}

/* All is there but, maybe, the address's counter. */
static void login_ready(struct login_check *check)
{
    check->is_ready = true;
    if (check->waits) return;
    struct err err = check->lockout_err;
    if (err.code == ERR_OK && login_lockout_is_held(&check->lockout)) {
        err = err_make(ERR_LOCKED, "");
    }
    if (check->cancelled || err.code != ERR_OK) {
        login_end(check, err);
    } else if (login_lockout_is_busy(&check->lockout)) {
        login_place(check);
    } else {
        login_password(check);
    }
}

static void on_asked(void *holder, struct err err)
{
    struct login_check *check = holder;
    check->waits = false;
    check->lockout_err = err;
    if (check->is_ready) login_ready(check);
}

/* ---- the account */

static void on_account(void *holder, struct route_call *call, const void *message)
{
    struct login_check *check = holder;
    const struct store_account_reply *reply = message;
    const struct store_account *account = &reply->account;
    struct login_identity *identity = &check->identity;
    (void)call;
    if (!reply->has_account || account->state != STORE_ACCOUNT_ACTIVE) return;
    /* Only the primary address is a name to log in by. */
    if (!span_eq(account->address, check->address)) return;
    identity->tenant = account->tenant;
    identity->account = account->account;
    identity->role = account->role;
    identity->address = check->address;
    check->subject = (struct login_subject){ account->tenant, account->account, account->version };
    if (arena_copy(&check->arena, account->password, &check->stored).code != ERR_OK) return;
    if (arena_copy(&check->arena, account->directory_dn, &check->dn).code != ERR_OK) return;
    for (size_t i = 0; i < account->addresses_count && i < 16; i++) {
        struct span *to = &identity->addresses[identity->addresses_count];
        if (arena_copy(&check->arena, account->addresses[i], to).code != ERR_OK) return;
        identity->addresses_count++;
    }
    check->known = true;
}

static void on_account_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct login_check *check = holder;
    (void)call;
    (void)info;
    check->call = NULL;
    if (check->cancelled || (err.code != ERR_OK && err.code != ERR_NOT_FOUND)) {
        login_end(check, err);
        return;
    }
    login_ready(check);
}

static struct err ask(struct login_check *check, unsigned method, const void *request,
                      unsigned slot, const struct route_call_user *user)
{
    struct route_call_options options = { .slot = slot, .deadline_ms = LOGIN_DEADLINE_MS };
    return route_call_start(check->services->resolver->route, store_method_find(method), request,
                            &options, user, check, &check->call);
}

static void on_address(void *holder, struct route_call *call, const void *message)
{
    struct login_check *check = holder;
    const struct store_address_reply *reply = message;
    (void)call;
    login_lockout_heard(&check->lockout, reply);
    if (reply->kind != STORE_ADDRESS_ACCOUNT || reply->state != STORE_ADDRESS_ACTIVE) return;
    check->account_request = (struct store_account_get_request){ .tenant = reply->tenant,
                                                                 .account = reply->account };
}

static void on_address_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    static const struct route_call_user user = { NULL, on_account, on_account_done };
    struct login_check *check = holder;
    (void)call;
    (void)info;
    check->call = NULL;
    check->is_at_address = false;
    if (check->cancelled || (err.code != ERR_OK && err.code != ERR_NOT_FOUND)) {
        login_end(check, err);
        return;
    }
    if (check->account_request.account == 0 || check->lockout.is_held) {
        login_ready(check);
        return;
    }
    err = ask(check, STORE_METHOD_ACCOUNT_GET, &check->account_request,
              slot_of_account(check->account_request.account), &user);
    if (err.code != ERR_OK) login_end(check, err);
}

/* ---- the start */

/* The canonical address of a user name. False: it can't be one. `*tenant` of its domain. */
static bool login_name(struct login_check *check, struct span user, uint32_t *tenant)
{
    const struct directory *directory = check->services->resolver->directory;
    struct span local = user, domain = check->services->primary_domain;
    size_t at = user.len;
    while (at > 0 && user.ptr[at - 1] != '@') at--;
    if (at > 0) {
        local = span_head(user, at - 1);
        domain = span_skip(user, at);
    }
    if (local.len == 0 || domain.len == 0) return false;
    if (!directory_canonical(directory, local, domain, check->address_bytes, &check->address)) {
        return false;
    }
    at = check->address.len;
    while (at > 0 && check->address.ptr[at - 1] != '@') at--;
    /* Another name of a domain is for mail only: it canonicalises to the real one, so compare. */
    bool other = false;
    char plain[PLACE_DOMAIN_MAX_BYTES];
    struct buf name;
    buf_init(&name, plain, sizeof(plain));
    if (place_domain(domain, &name).code != ERR_OK || name.overflow) return false;
    const struct directory_domain *found = directory_find(directory, buf_span(&name), &other);
    if (found == NULL || other) return false;
    *tenant = found->tenant;
    return true;
}

static void on_locked(struct later *later)
{
    login_end(LIST_ITEM(later, struct login_check, locked), err_make(ERR_LOCKED, ""));
}

/* Sets off what has to be known before the password is looked at. */
static struct err login_go(struct login_check *check, bool has_name)
{
    static const struct route_call_user address_user = { NULL, on_address, on_address_done };
    const struct login_services *services = check->services;
    struct err err;
    if (login_lockout_is_held(&check->lockout)) {
        later_post(loop_later(services->loop), &check->locked, on_locked);
        return err_ok();
    }
    check->waits = login_lockout_ask(&check->lockout, on_asked, check, &err);
    if (err.code != ERR_OK) return err;
    if (has_name) {
        login_lockout_ask_name(&check->lockout, &check->address_request);
        check->is_at_address = true;
        return ask(check, STORE_METHOD_ADDRESS_GET, &check->address_request,
                   slot_of_name(check->address), &address_user);
    }
    if (check->waits) {
        check->is_ready = true;
        return err_ok();
    }
    TRY(login_decoy(check));
    check->job = (struct crew_job){ .run = hash_run, .done = hash_done, .loop = services->loop };
    return crew_run(services->crew, &check->job);
}

struct err login_check_start(const struct login_services *services,
                             const struct login_attempt *attempt, login_checked *done,
                             void *holder, struct login_check **ret)
{
    struct span user = attempt->user, password = attempt->password;
    uint32_t tenant = 0;
    if (user.len > LOGIN_CHECK_USER_MAX_BYTES || password.len > LOGIN_CHECK_PASSWORD_MAX_BYTES) {
        return err_make(ERR_DENIED, "log-in");
    }
    struct login_check *check = calloc(1, sizeof(*check));
    if (check == NULL) return err_make(ERR_NOMEM, "log-in");
    check->services = services;
    check->done = done;
    check->holder = holder;
    check->lockout_err = err_ok();
    arena_init(&check->arena, LOGIN_ARENA_MAX_BYTES);
    memcpy(check->password, password.ptr, password.len);
    check->password_len = password.len;
    login_lockout_begin(&check->lockout, services->meter, &services->lockout, attempt->client);
    bool has_name = login_name(check, user, &tenant);
    if (has_name) {
        check->address_request = (struct store_address_get_request){ .tenant = tenant,
                                                                     .address = check->address };
        login_lockout_name(&check->lockout, tenant, check->address);
    }
    struct err err = login_go(check, has_name);
    if (err.code != ERR_OK) {
        check->cancelled = true;
        login_end(check, err);
        return err;
    }
    *ret = check;
    return err_ok();
}

void login_check_cancel(struct login_check *check)
{
    if (check == NULL) return;
    check->cancelled = true;
    if (check->waits_for_place) login_end(check, err_make(ERR_CANCELLED, ""));
    else if (check->call != NULL && !check->is_at_address) route_call_cancel(check->call);
}
