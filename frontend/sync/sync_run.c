/* One look: search, list, plan, change. Each part sets off the next one when it is over; the run is
 * freed by sync_run_over() when nothing of it is under way. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "directory_mapping.h"
#include "hash.h"
#include "log.h"
#include "loop.h"
#include "sync_private.h"
#include "utf8.h"

enum { RUN_ARENA_MAX_BYTES = 512 << 20, WHOSE_BYTES = 300, ACCOUNTS_FEW = 256 };

static struct span words(const char *text) { return span_of(text, strlen(text)); }

void sync_run_tell(struct sync_run *run, struct span entry, struct span why)
{
    static const uint64_t key[2] = { 3, 4 };
    struct sync_told *told = &run->told[run->told_count];
    /* In whatever order they come. */
    run->refused_mark += hash_sip(key, entry) ^ (hash_sip(key, why) * 31);
    if (run->told_count == SYNC_TOLD_MAX) return;
    if (arena_copy(&run->arena, entry, &told->entry).code == ERR_OK &&
        arena_copy(&run->arena, why, &told->why).code == ERR_OK) {
        run->told_count++;
    }
}

/* ---- the changes */

static void run_more(struct sync_run *run);

static void on_changed(struct sync_call *call, unsigned status, const json_t *json,
                       const char *detail)
{
    struct sync_run *run = call->run;
    (void)json;
    run->under_way--;
    if (status >= 300) {
        run->failed++;
        sync_run_tell(run, call->change->address, words(detail));
    } else if (call->change->kind == SYNC_MAKE) {
        run->made++;
    } else if (call->change->kind == SYNC_GONE) {
        run->gone++;
    } else {
        run->changed++;
    }
    run_more(run);
}

static json_t *text_json(struct span text)
{
    return json_stringn(text.len > 0 ? text.ptr : "", text.len);
}

static struct err change_start(struct sync_run *run, const struct sync_change *change)
{
    bool is_new = change->kind == SYNC_MAKE;
    struct sync_ask ask = { .method = is_new ? SPAN("POST") : SPAN("PATCH"),
                            .path = is_new ? SPAN("/api/v1/users") : SPAN("/api/v1/users/"),
                            .argument = is_new ? SPAN("") : change->address,
                            .body = json_object(), .change = change, .done = on_changed };
    if (is_new) json_object_set_new(ask.body, "address", text_json(change->address));
    if (change->kind == SYNC_GONE) {
        json_object_set_new(ask.body, "directory_gone", json_true());
    } else {
        json_object_set_new(ask.body, "directory_dn", text_json(change->dn));
        json_object_set_new(ask.body, "full_name", text_json(change->full_name));
    }
    if (change->is_back) json_object_set_new(ask.body, "directory_gone", json_false());
    return sync_call_start(run, &ask);
}

static void run_more(struct sync_run *run)
{
    const struct sync_plan *plan = &run->plan;
    while (!run->is_given_up && run->under_way < SYNC_CHANGES_MAX &&
           run->next < plan->changes_count) {
        struct err err = change_start(run, &plan->changes[run->next]);
        if (err.code == ERR_BUSY && run->under_way > 0) return; /* goes on with the next answer */
        if (err.code == ERR_OK) run->under_way++;
        else run->failed++;
        run->next++;
    }
    if (run->under_way == 0) sync_run_over(run, "");
}

/* ---- the plan, on the crew */

static void plan_run(struct crew_job *job)
{
    struct sync_run *run = (struct sync_run *)(void *)job;
    struct sync_input input = { .rules = &run->rules, .entries = run->found.entries,
                                .entries_count = run->found.count, .accounts = run->accounts,
                                .accounts_count = run->accounts_count };
    run->plan_err = sync_plan_make(&input, &run->arena, &run->plan);
}

static void plan_done(struct crew_job *job)
{
    struct sync_run *run = (struct sync_run *)(void *)job;
    if (run->plan_err.code != ERR_OK || run->is_given_up) {
        sync_run_over(run, err_text(run->plan_err));
        return;
    }
    for (size_t i = 0; i < run->plan.refusals_count; i++) {
        const struct sync_refusal *refusal = &run->plan.refusals[i];
        sync_run_tell(run, refusal->dn, words(refusal->why));
    }
    run_more(run);
}

static void plan_start(struct sync_run *run)
{
    run->job = (struct crew_job){ .run = plan_run, .done = plan_done,
                                  .loop = run->sync->options.loop };
    struct err err = crew_run(run->sync->options.crew, &run->job);
    if (err.code != ERR_OK) sync_run_over(run, err_text(err));
}

/* ---- the users, page by page */

static void page_start(struct sync_run *run, struct span after);

static struct err account_take(struct sync_run *run, const json_t *user)
{
    static const char *const members[] = { "address", "directory_dn", "full_name" };
    if (run->accounts_count == run->accounts_size) {
        size_t size = 2 * run->accounts_size;
        struct sync_account *more = arena_alloc(&run->arena, size * sizeof(*more));
        if (more == NULL) return err_make(ERR_NOMEM, "users of a directory");
        memcpy(more, run->accounts, run->accounts_count * sizeof(*more));
        run->accounts = more;
        run->accounts_size = size;
    }
    struct sync_account *account = &run->accounts[run->accounts_count++];
    struct span *const texts[] = { &account->address, &account->dn, &account->full_name };
    *account = (struct sync_account){
        .enabled = json_is_true(json_object_get(user, "enabled")),
        .gone = json_is_true(json_object_get(user, "directory_gone"))
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const json_t *value = json_object_get(user, members[i]);
        struct span text = span_of(json_string_value(value), json_string_length(value));
        TRY(arena_copy(&run->arena, text, texts[i]));
    }
    return err_ok();
}

static void on_page(struct sync_call *call, unsigned status, const json_t *json, const char *detail)
{
    struct sync_run *run = call->run;
    const json_t *items = json_object_get(json, "items"), *next = json_object_get(json, "next");
    struct err err = err_ok();
    run->under_way--;
    if (status != 200 || !json_is_array(items) || run->is_given_up) {
        sync_run_over(run, status != 200 ? detail : "the list of users is none");
        return;
    }
    for (size_t i = 0; i < json_array_size(items) && err.code == ERR_OK; i++) {
        err = account_take(run, json_array_get(items, i));
    }
    struct span after = span_of(json_string_value(next), json_string_length(next));
    if (err.code != ERR_OK) sync_run_over(run, err_text(err));
    else if (after.len > 0) page_start(run, after);
    else plan_start(run);
}

static void page_start(struct sync_run *run, struct span after)
{
    char bytes[SYNC_PATH_BYTES], limit[16];
    struct buf query;
    buf_init(&query, bytes, sizeof(bytes));
    buf_put(&query, SPAN("domain="));
    sync_call_encode(&query, run->rules.name);
    snprintf(limit, sizeof(limit), "%d", SYNC_PAGE_USERS);
    buf_put(&query, SPAN("&limit="));
    buf_put(&query, words(limit));
    if (after.len > 0) buf_put(&query, SPAN("&after="));
    sync_call_encode(&query, after);
    struct sync_ask ask = { .method = SPAN("GET"), .path = SPAN("/api/v1/users"),
                            .argument = SPAN(""), .query = buf_span(&query), .done = on_page };
    struct err err = query.overflow ? err_make(ERR_TOO_BIG, "page") : sync_call_start(run, &ask);
    if (err.code == ERR_OK) run->under_way++;
    else sync_run_over(run, err_text(err));
}

/* ---- the directory */

static void on_searched(void *holder, struct err err, const char *said,
                        struct mapping_found *found)
{
    struct sync_run *run = holder;
    run->search = NULL;
    if (err.code != ERR_OK) {
        sync_run_over(run, said);
        return;
    }
    run->found = mapping_found_take(found);
    page_start(run, SPAN(""));
}

static struct err search_start(struct sync_run *run, const struct directory_domain *domain)
{
    const struct sync_options *options = &run->sync->options;
    char secret[DIRECTORY_MAPPING_TEXT_MAX_BYTES], whose[WHOSE_BYTES];
    struct buf password, place;
    struct err err = err_ok();
    buf_init(&password, secret, sizeof(secret));
    buf_init(&place, whose, sizeof(whose));
    if (domain->mapping->sealed_password.len > 0) {
        if (!api_domain_directory_whose(domain->name, &place)) {
            return err_make(ERR_TOO_BIG, "password of a directory");
        }
        err = options->unseal(options->holder, buf_span(&place), domain->mapping->sealed_password,
                              &password);
    }
    struct mapping_question question = { .loop = options->loop, .dns = options->dns,
                                         .domain = domain, .dn = SPAN(""),
                                         .password = buf_span(&password) };
    if (err.code == ERR_OK) {
        err = mapping_search_start(options->mapping, &question, on_searched, run, &run->search);
    }
    explicit_bzero(secret, sizeof(secret));
    return err;
}

static struct err rules_take(struct sync_run *run, const struct directory_domain *domain)
{
    struct sync_rules *rules = &run->rules;
    struct span *also = arena_alloc(&run->arena, (domain->also_count + 1) * sizeof(*also));
    if (also == NULL) return err_make(ERR_NOMEM, "directory");
    TRY(arena_copy(&run->arena, domain->name, &rules->name));
    for (size_t i = 0; i < domain->also_count; i++) {
        TRY(arena_copy(&run->arena, domain->also[i], &also[i]));
    }
    rules->also = also;
    rules->also_count = domain->also_count;
    rules->fold_case = domain->fold_case;
    rules->subaddress = domain->subaddress;
    run->own = (struct api_own){ domain->tenant, rules->name };
    run->accounts = arena_alloc(&run->arena, ACCOUNTS_FEW * sizeof(*run->accounts));
    run->accounts_size = ACCOUNTS_FEW;
    return run->accounts != NULL ? err_ok() : err_make(ERR_NOMEM, "directory");
}

struct err sync_run_start(struct sync *sync, struct sync_place *place,
                          const struct directory_domain *domain)
{
    struct sync_run *run = calloc(1, sizeof(*run));
    if (run == NULL) return err_make(ERR_NOMEM, "directory");
    run->sync = sync;
    run->place = place;
    arena_init(&run->arena, RUN_ARENA_MAX_BYTES);
    arena_init(&run->found.arena, 0);
    struct err err = rules_take(run, domain);
    if (err.code == ERR_OK) err = search_start(run, domain);
    if (err.code == ERR_OK) {
        place->run = run;
    } else {
        arena_clear(&run->arena);
        free(run);
    }
    return err;
}

void sync_run_give_up(struct sync_run *run)
{
    run->is_given_up = true;
    if (run->search == NULL) return; /* what is under way ends it */
    mapping_job_cancel(run->search);
    run->search = NULL;
    sync_run_over(run, "given up");
}
