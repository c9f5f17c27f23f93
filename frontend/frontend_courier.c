/* The courier of a loop: its options out of the configuration, and its reports back into intake. */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "conf.h"
#include "courier.h"
#include "directory.h"
#include "directory_resolve.h"
#include "dns.h"
#include "frontend_loop.h"
#include "loop.h"
#include "metrics.h"
#include "mime_footer.h"
#include "place_address.h"
#include "tls.h"

/* A report on its way to a sender: resolved like a recipient, then taken in like a message. */
struct report {
    struct frontend_loop *loop;
    struct body *message;
    char address[PLACE_ADDRESS_MAX_BYTES];
    size_t address_len;
    uint8_t trace_id[16];
    bool smtputf8, body_8bit;
    courier_posted *posted;
    void *posted_holder;
};

static void report_end(struct report *report, struct err err)
{
    report->posted(report->posted_holder, err);
    body_unref(report->message);
    free(report);
}

static void on_taken(void *holder, struct err err, struct span why)
{
    (void)why;
    report_end(holder, err);
}

static void on_resolved(void *holder, struct err err, const struct directory_resolution *found)
{
    struct report *report = holder;
    struct intake *intake;
    if (err.code == ERR_OK && found->targets_count + found->outside_count == 0) {
        err = err_make(ERR_NOT_FOUND, "sender of a report");
    }
    if (err.code == ERR_OK) {
        struct intake_recipient recipient = {
            .address = span_of(report->address, report->address_len),
            .targets = found->targets, .targets_count = found->targets_count,
            .outside = found->outside, .outside_count = found->outside_count
        };
        struct intake_message message = { .recipients = &recipient, .recipients_count = 1,
                                          .body = report->message, .helo = SPAN("localhost"),
                                          .with = SPAN("ESMTP"), .smtputf8 = report->smtputf8,
                                          .body_8bit = report->body_8bit, .ours = true };
        memcpy(message.trace_id, report->trace_id, sizeof(report->trace_id));
        err = intake_start(&report->loop->intake, &message, on_taken, report, &intake);
        if (err.code == ERR_OK) return;
    }
    report_end(report, err);
}

static void post(void *holder, const struct courier_post *from, courier_posted *posted,
                 void *posted_holder)
{
    struct frontend_loop *loop = holder;
    struct directory_resolve *resolve;
    struct report *report = calloc(1, sizeof(*report));
    struct span local, domain;
    if (report == NULL) {
        posted(posted_holder, err_make(ERR_NOMEM, "report"));
        return;
    }
    *report = (struct report){ .loop = loop, .message = body_ref(from->message),
                               .smtputf8 = from->smtputf8, .body_8bit = from->body_8bit,
                               .posted = posted, .posted_holder = posted_holder };
    if (from->trace_id.len == sizeof(report->trace_id)) {
        memcpy(report->trace_id, from->trace_id.ptr, sizeof(report->trace_id));
    }
    struct err err = err_make(ERR_SYNTAX, "sender of a report");
    if (from->recipient.len < sizeof(report->address) &&
        place_address_split(from->recipient, &local, &domain)) {
        memcpy(report->address, from->recipient.ptr, from->recipient.len);
        report->address_len = from->recipient.len;
        err =
            directory_resolve_start(&loop->resolver, local, domain, on_resolved, report, &resolve);
    }
    if (err.code != ERR_OK) report_end(report, err);
}

static bool host_of(void *holder, struct span domain, struct span *host)
{
    const struct frontend_loop *loop = holder;
    const struct directory_domain *found = directory_find(loop->resolver.directory, domain, NULL);
    if (found == NULL || found->forward_host.len == 0) return false;
    *host = found->forward_host;
    return true;
}

static bool footer_of(void *holder, struct span domain, struct mime_footer *footer)
{
    const struct frontend_loop *loop = holder;
    const struct directory_domain *found = directory_find(loop->resolver.directory, domain, NULL);
    if (found == NULL) return false;
    *footer = (struct mime_footer){ found->footer_text, found->footer_html };
    return true;
}

/* In the order of the metric's label. */
static void told(void *holder, const struct courier_event *event)
{
    (void)holder;
    metric_add(METRIC_DELIVERIES, (unsigned)event->kind, 1);
}

/* Each loop's part of what a frontend may do at a time. */
static uint32_t share(const struct frontend_loop *loop, enum conf_key key)
{
    uint64_t all = conf_number(loop->front.settings->conf, key);
    uint64_t loops = loop->frontend->loops_count > 0 ? loop->frontend->loops_count : 1;
    return (uint32_t)((all + loops - 1) / loops);
}

/* By courier.tls; NULL: none. */
static struct tls_context *client_tls(const struct frontend_loop *loop, uint64_t how)
{
    if (how == CONF_TLS_NONE) return NULL;
    return how == CONF_TLS_VERIFY ? loop->frontend->verify_tls : loop->frontend->client_tls;
}

static void make_options(struct frontend_loop *loop, struct courier_options *ret)
{
    const struct conf *conf = loop->front.settings->conf;
    uint64_t tls = conf_number(conf, CONF_COURIER_TLS);
    *ret = (struct courier_options){
        .loop = loop->loop,
        .route = loop->front.route,
        .dns = loop->dns,
        .crew = loop->frontend->crew,
        .budget = loop->frontend->budget,
        .tls = client_tls(loop, tls),
        .hostname = loop->front.settings->hostname,
        .smart_host = conf_text(conf, CONF_SMTP_SMARTHOST),
        .smart_user = conf_text(conf, CONF_SMTP_SMARTHOST_USER),
        .smart_password = conf_text(conf, CONF_SMTP_SMARTHOST_PASSWORD),
        .port = (uint16_t)conf_number(conf, CONF_SMTP_DELIVERY_PORT),
        .tls_must = tls == CONF_TLS_ENCRYPT || tls == CONF_TLS_VERIFY,
        .concurrency = share(loop, CONF_COURIER_CONCURRENCY),
        .per_destination = share(loop, CONF_COURIER_CONCURRENCY_HOST),
        .retry_first_ms = conf_ms(conf, CONF_COURIER_RETRY_FIRST),
        .retry_max_ms = conf_ms(conf, CONF_COURIER_RETRY_MAX),
        .retry_percent = (uint32_t)conf_number(conf, CONF_COURIER_RETRY_FACTOR),
        .lease_ms = conf_ms(conf, CONF_COURIER_LEASE),
        .warn_ms = conf_ms(conf, CONF_COURIER_WARN),
        .expire_ms = conf_ms(conf, CONF_COURIER_EXPIRE),
        .connect_ms = conf_ms(conf, CONF_COURIER_CONNECT),
        .reply_max_ms = conf_ms(conf, CONF_COURIER_REPLY),
        .post = post,
        .told = told,
        .host_of = host_of,
        .footer_of = footer_of,
        .holder = loop,
    };
}

/* The options' texts live in the settings, which may go: the courier keeps a reference to those it
 * was given last. */
static void keep_settings(struct frontend_loop *loop)
{
    struct front_settings *old = loop->courier_settings;
    loop->courier_settings = front_settings_ref(loop->front.settings);
    front_settings_unref(old);
}

static struct err open_dns(struct frontend_loop *loop, struct dns **ret)
{
    struct dns_options options = {
        .resolver = conf_text(loop->front.settings->conf, CONF_DNS_RESOLVER),
        .deadline_ms = conf_ms(loop->front.settings->conf, CONF_DNS_DEADLINE),
    };
    return dns_new(loop->loop, &options, ret);
}

struct err frontend_courier_open(struct frontend_loop *loop)
{
    struct courier_options options;
    TRY(open_dns(loop, &loop->dns));
    make_options(loop, &options);
    TRY(courier_new(&options, &loop->courier));
    keep_settings(loop);
    loop->intake.courier = loop->courier;
    return err_ok();
}

void frontend_courier_configure(struct frontend_loop *loop)
{
    struct courier_options options;
    if (loop->courier == NULL) return;
    struct span now = conf_text(loop->front.settings->conf, CONF_DNS_RESOLVER);
    struct span old = conf_text(loop->courier_settings->conf, CONF_DNS_RESOLVER);
    struct dns *before = loop->dns, *changed;
    if (!span_eq(now, old) && open_dns(loop, &changed).code == ERR_OK) loop->dns = changed;
    dns_deadline(loop->dns, conf_ms(loop->front.settings->conf, CONF_DNS_DEADLINE));
    make_options(loop, &options);
    if (courier_configure(loop->courier, &options).code == ERR_OK) {
        keep_settings(loop);
        if (loop->dns != before) dns_retire(before);
    } else if (loop->dns != before) { /* tried again when the settings change next */
        dns_free(loop->dns);
        loop->dns = before;
    }
}
