/* conf_key.h: the options, one name each, from the rows. */
#ifndef MAIL_CONF_KEY_H
#define MAIL_CONF_KEY_H

#ifdef __cplusplus
extern "C" {
#endif

/* CONF_SMTP_SIZE_MAX and so on. Not persisted: what is stored are the key texts. */
enum conf_key {
#define CONF_ROW(name, key, scope, type, unit, min, max, default_, when, text) CONF_##name,
#include "conf_rows.def"
#undef CONF_ROW
    CONF_KEYS
};

/* The words of options that are choices, in the order of their rows. */
enum conf_infected { CONF_INFECTED_REFUSE, CONF_INFECTED_REMOVE };
enum conf_log_level { CONF_LOG_ERROR, CONF_LOG_WARNING, CONF_LOG_INFO, CONF_LOG_DEBUG };

#ifdef __cplusplus
}
#endif
#endif
