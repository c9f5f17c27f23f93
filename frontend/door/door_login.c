/* What the log-ins of all protocols have in common. */
#include "door_private.h"
#include "log.h"
#include "login_check.h"
#include "metrics.h"

enum { DOOR_MINUTE_MS = 60000 };

struct err door_login(struct door_conn *door, struct login_attempt *attempt, login_checked *done,
                      void *holder, struct login_check **ret)
{
    door_client_ip(door, attempt->client);
    return login_check_start(door->front->login, attempt, done, holder, ret);
}

static struct log_value minutes(uint64_t time_ms)
{
    return log_number((time_ms + DOOR_MINUTE_MS - 1) / DOOR_MINUTE_MS);
}

bool door_login_failed(const struct door_conn *door, struct err err, struct span user)
{
    const struct login_lockout_options *lockout = &door->front->login->lockout;
    char ip[ENDPOINT_TEXT_BYTES];
    struct log_value service = log_text(door_service_name(door)), name = log_text(user);
    struct log_value address = log_text(endpoint_ip_text(&door->peer, ip));
    if (err.code == ERR_LOCKED) {
        metric_add(METRIC_LOGINS_LOCKED, 0, 1);
        LOG(LOGIN_LOCKED, NULL, service, name, address);
        return true;
    }
    if (err.code != ERR_DENIED) return false;
    metric_add(METRIC_LOGINS_FAILED, 0, 1);
    LOG(LOGIN_FAILED, NULL, service, name, address, log_text(SPAN("PLAIN")));
    if ((err.detail & LOGIN_LOCKED_ADDRESS) != 0) {
        LOG(ADDRESS_LOCKED, NULL, service, address, minutes(lockout->address_hold_ms));
    }
    if ((err.detail & LOGIN_LOCKED_USER) != 0) {
        LOG(USER_LOCKED, NULL, service, name, address, minutes(lockout->user_hold_ms));
    }
    return true;
}
