#include "front.h"

#include <stdlib.h>

#include "conf.h"

struct front_settings *front_settings_ref(struct front_settings *settings)
{
    __atomic_fetch_add(&settings->references, 1, __ATOMIC_RELAXED);
    return settings;
}

void front_settings_unref(struct front_settings *settings)
{
    if (settings == NULL) return;
    if (__atomic_fetch_sub(&settings->references, 1, __ATOMIC_ACQ_REL) != 1) return;
    conf_unref(settings->conf);
    free(settings);
}

bool front_is_relay_client(const struct front_settings *settings, const uint8_t ip[16])
{
    return conf_has_address(settings->conf, CONF_SMTP_RELAY_NETWORKS, ip);
}

bool front_is_proxy(const struct front_settings *settings, const uint8_t ip[16])
{
    return conf_has_address(settings->conf, CONF_PROXY_TRUSTED, ip);
}

bool front_may_login_plain(const struct front_settings *settings, const uint8_t ip[16])
{
    return conf_has_address(settings->conf, CONF_LOGIN_WITHOUT_TLS, ip);
}
