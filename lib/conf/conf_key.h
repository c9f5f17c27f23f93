/* conf_key.h: the options, one name each, from the rows. */
#ifndef MAIL_CONF_KEY_H
#define MAIL_CONF_KEY_H

#ifdef __cplusplus
extern "C" {
#endif

/* CONF_SMTP_SIZE_MAX and so on. Not persisted: what is stored are the key texts. */
enum conf_key {
#define CONF(name, key, scope, type, unit, min, max, value, effect, text) CONF_##name,
#include "conf_rows.def"
#undef CONF
    CONF_KEYS_COUNT
};

/* The words of options that are choices, in the order of their rows. */
enum conf_quota_full { CONF_QUOTA_FULL_TEMPORARY, CONF_QUOTA_FULL_PERMANENT };
enum conf_infected { CONF_INFECTED_REFUSE, CONF_INFECTED_REMOVE };
enum conf_courier_tls { CONF_TLS_NONE, CONF_TLS_MAY, CONF_TLS_ENCRYPT, CONF_TLS_VERIFY };
enum conf_tls_min { CONF_TLS_1_2, CONF_TLS_1_3 };
enum conf_log_level { CONF_LOG_ERROR, CONF_LOG_WARNING, CONF_LOG_INFO, CONF_LOG_DEBUG };
enum conf_log_format { CONF_LOG_BOTH, CONF_LOG_JSON, CONF_LOG_TEXT };

#ifdef __cplusplus
}
#endif
#endif
