/* Warning mail to those whose box is nearly full: at most once a day from each loop. The operation
 * id is made of the account and the hour, so several loops and frontends write one message. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "body.h"
#include "clock.h"
#include "frontend_loop.h"
#include "hash.h"
#include "id.h"
#include "list.h"
#include "loop.h"
#include "map.h"
#include "mime_facts.h"
#include "route.h"
#include "scan_stamp.h"
#include "slot.h"
#include "store_msg.h"
#include "stored_body.h"
#include "trace.h"

enum {
    WARN_ACCOUNTS_MAX = 65536,
    WARN_PERIOD_MS = 24 * 3600 * 1000,
    WARN_MESSAGE_BYTES = 4096,
    WARN_DEADLINE_MS = 10000,
    HOUR_SECONDS = 3600,
};

struct warned {
    uint64_t account, at_ms;
};

struct frontend_warn {
    struct frontend_loop *loop;
    struct map done;
};

/* One warning under way. */
struct warning {
    struct frontend_loop *loop;
    struct body *stored;
    char *facts;
    struct store_deliver_target target;
    struct store_deliver_request request;
    uint8_t operation[OPERATION_ID_BYTES];
    char stamp[SCAN_STAMP_BYTES];
};

static void warning_free(struct warning *warning)
{
    body_unref(warning->stored);
    free(warning->facts);
    free(warning);
}

static void on_reply(void *holder, struct route_call *call, const void *reply)
{
    (void)holder;
    (void)call;
    (void)reply;
}

static void on_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    (void)call;
    (void)err; /* the next full box is warned again */
    (void)info;
    warning_free(holder);
}

static int write_message(const struct frontend_loop *loop, const struct directory_target *target,
                         char to[WARN_MESSAGE_BYTES])
{
    char date[64];
    struct buf out;
    struct span host = loop->front.settings->hostname;
    buf_init(&out, date, sizeof(date));
    trace_date(clock_wall_ms(), &out);
    return snprintf(to, WARN_MESSAGE_BYTES,
                    "Date: %.*s\r\nFrom: Mail server <postmaster@%.*s>\r\nTo: <%.*s>\r\n"
                    "Subject: Your mailbox is nearly full: quota warning\r\n"
                    "Message-ID: <quota.%016llx.%llu@%.*s>\r\nAuto-Submitted: auto-generated\r\n"
                    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
                    "Your mailbox has reached the limit at which you are warned, or is full.\r\n"
                    "New mail is refused once it is full. Please delete or move some messages.\r\n",
                    (int)out.len, date, (int)host.len, host.ptr, (int)target->address.len,
                    target->address.ptr, (unsigned long long)target->account,
                    (unsigned long long)clock_wall_ms(), (int)host.len, host.ptr);
}

static struct err make(struct warning *warning, const struct directory_target *target)
{
    char message[WARN_MESSAGE_BYTES];
    struct mime_facts_out facts;
    struct scan_stamp stamp = { .why = SCAN_WHY_OURS, .scanned_ms = clock_wall_ms() };
    int len = write_message(warning->loop, target, message);
    if (len < 0 || len >= WARN_MESSAGE_BYTES) return err_make(ERR_TOO_BIG, "warning");
    struct span text = span_of(message, (size_t)len);
    TRY(stored_body_make(text, warning->loop->frontend->budget, &warning->stored));
    TRY(mime_facts(text, &facts));
    warning->facts = facts.row;
    scan_stamp_write(&stamp, warning->stamp);
    uint32_t hour = (uint32_t)(clock_wall_ms() / 1000 / HOUR_SECONDS * HOUR_SECONDS);
    const uint64_t key[2] = { 0x71756f7461207761u, 0x726e696e67000000u };
    uint64_t hash = hash_sip(key, span_of(&target->account, sizeof(target->account)));
    for (int i = 0; i < 4; i++) warning->operation[i] = (uint8_t)(hour >> (24 - 8 * i));
    memcpy(warning->operation + 4, &hash, sizeof(hash));
    warning->target = (struct store_deliver_target){
        .operation_id = span_of(warning->operation, sizeof(warning->operation)),
        .tenant = target->tenant, .account = target->account, .mailbox = SPAN("INBOX")
    };
    warning->request = (struct store_deliver_request){
        .targets = &warning->target, .targets_count = 1,
        .facts = span_of(facts.row, facts.row_len), .size = (uint32_t)len,
        .internaldate_ms = clock_wall_ms(),
        .scan_stamp = span_of(warning->stamp, sizeof(warning->stamp)), .ignore_quota = true
    };
    return err_ok();
}

static void warn(void *holder, const struct directory_target *target)
{
    static const struct route_call_user user = { NULL, on_reply, on_done };
    struct frontend_warn *all = holder;
    uint64_t now = loop_now_ms(all->loop->loop);
    struct span key = span_of(&target->account, sizeof(target->account));
    struct warned *warned = map_get(&all->done, key);
    if (warned != NULL && now - warned->at_ms < WARN_PERIOD_MS) return;
    if (warned == NULL) {
        warned = calloc(1, sizeof(*warned));
        if (warned == NULL) return;
        warned->account = target->account;
        struct span own = span_of(&warned->account, sizeof(warned->account));
        if (map_put(&all->done, own, warned).code != ERR_OK) {
            free(warned); /* the table is full: not warned by this loop */
            return;
        }
    }
    warned->at_ms = now;
    struct warning *warning = calloc(1, sizeof(*warning));
    if (warning == NULL) return;
    warning->loop = all->loop;
    struct route_call *call;
    struct route_call_options options = { .slot = slot_of_account(target->account),
                                          .deadline_ms = WARN_DEADLINE_MS };
    struct err err = make(warning, target);
    options.body = warning->stored;
    if (err.code == ERR_OK) {
        err = route_call_start(all->loop->front.route, store_method_find(STORE_METHOD_DELIVER),
                               &warning->request, &options, &user, warning, &call);
    }
    if (err.code != ERR_OK) warning_free(warning);
}

struct err frontend_warn_new(struct frontend_loop *loop, struct frontend_warn **ret)
{
    struct frontend_warn *all = calloc(1, sizeof(*all));
    if (all == NULL) return err_make(ERR_NOMEM, "warnings");
    all->loop = loop;
    map_init(&all->done, WARN_ACCOUNTS_MAX);
    loop->front.warn = warn;
    loop->front.warn_holder = all;
    *ret = all;
    return err_ok();
}

void frontend_warn_free(struct frontend_warn *all)
{
    if (all == NULL) return;
    size_t at = 0;
    for (void *one; (one = map_next(&all->done, &at)) != NULL;) free(one);
    map_free(&all->done);
    free(all);
}
