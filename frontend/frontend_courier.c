/* The courier of a loop: its options out of the configuration, and its reports back into intake. */
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "courier.h"
#include "dns.h"
#include "frontend_loop.h"
#include "loop.h"
#include "tls.h"

void frontend_courier_options(struct frontend_loop *loop, struct courier_options *ret)
{
    const struct conf *conf = loop->front.settings->conf;
    *ret = (struct courier_options){
        .loop = loop->loop,
        .route = loop->front.route,
        .dns = loop->dns,
        .crew = loop->frontend->crew,
        .budget = loop->frontend->budget,
        .tls = loop->frontend->client_tls,
        .hostname = loop->front.settings->hostname,
        .smart_host = conf_text(conf, CONF_SMTP_SMARTHOST),
        .port = (uint16_t)conf_number(conf, CONF_SMTP_DELIVERY_PORT),
        .tls_must = conf_number(conf, CONF_COURIER_TLS) >= CONF_TLS_ENCRYPT,
        .concurrency = (uint32_t)conf_number(conf, CONF_COURIER_CONCURRENCY),
        .retry_first_ms = conf_ms(conf, CONF_COURIER_RETRY_FIRST),
        .retry_max_ms = conf_ms(conf, CONF_COURIER_RETRY_MAX),
        .warn_ms = conf_ms(conf, CONF_COURIER_WARN),
        .expire_ms = conf_ms(conf, CONF_COURIER_EXPIRE),
    };
}

struct err frontend_courier_open(struct frontend_loop *loop)
{
    struct courier_options options;
    frontend_courier_options(loop, &options);
    TRY(courier_new(&options, &loop->courier));
    loop->intake.courier = loop->courier;
    return err_ok();
}
