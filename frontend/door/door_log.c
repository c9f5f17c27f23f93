/* What the shells tell the log: messages and refused connections, with the client's address. */
#include "body.h"
#include "door_private.h"
#include "door_smtp_private.h"
#include "log.h"
#include "policy.h"

enum { DOOR_LOG_SENDER_BYTES = 330, DOOR_LOG_ID_BYTES = 32 };

struct span door_service_name(const struct door_conn *door)
{
    static const struct span names[DOOR_SERVICES] = {
        [DOOR_SMTP] = SPAN_INIT("SMTP"),   [DOOR_SUBMISSION] = SPAN_INIT("Submission"),
        [DOOR_SMTPS] = SPAN_INIT("SMTPS"), [DOOR_LMTP] = SPAN_INIT("LMTP"),
        [DOOR_IMAP] = SPAN_INIT("IMAP"),   [DOOR_IMAPS] = SPAN_INIT("IMAPS"),
        [DOOR_POP3] = SPAN_INIT("POP3"),   [DOOR_POP3S] = SPAN_INIT("POP3S"),
        [DOOR_HTTP] = SPAN_INIT("HTTP"),   [DOOR_HTTPS] = SPAN_INIT("HTTPS"),
    };
    return names[door->service];
}

void door_log_refused(const struct door_conn *door, uint32_t limit)
{
    char ip[ENDPOINT_TEXT_BYTES];
    LOG(CONNECTIONS_TOO_MANY, NULL, log_text(door_service_name(door)),
        log_text(endpoint_ip_text(&door->peer, ip)), log_number(limit));
}

void door_log_message(const struct door_smtp_conn *smtp, const struct policy_verdict *verdict,
                      struct err err, struct span why)
{
    static const char digits[] = "0123456789abcdef";
    const struct smtp_envelope *envelope = &smtp->session.envelope;
    char ip[ENDPOINT_TEXT_BYTES], sender_bytes[DOOR_LOG_SENDER_BYTES], id[DOOR_LOG_ID_BYTES];
    struct buf sender;
    buf_init(&sender, sender_bytes, sizeof(sender_bytes));
    if (envelope->local.len > 0) {
        buf_put(&sender, envelope->local);
        buf_put(&sender, SPAN("@"));
        buf_put(&sender, envelope->domain);
    }
    for (size_t i = 0; i < DOOR_LOG_ID_BYTES / 2; i++) {
        id[2 * i] = digits[smtp->delivered_id[i] >> 4];
        id[2 * i + 1] = digits[smtp->delivered_id[i] & 15];
    }
    struct log_value from = log_text(buf_span(&sender));
    struct log_value address = log_text(endpoint_ip_text(&smtp->door.peer, ip));
    for (size_t i = 0; i < smtp->recipients_count; i++) {
        struct log_value to = log_text(smtp->recipients[i].address);
        if (err.code == ERR_INFECTED) LOG(VIRUS_FOUND, NULL, from, to, log_text(why));
        if (verdict->code / 100 != 2) {
            LOG(MAIL_REFUSED, NULL, from, to, address, log_number(verdict->code));
            continue;
        }
        LOG(MAIL_RECEIVED, NULL, log_text(span_of(id, sizeof(id))),
            log_text(door_service_name(&smtp->door)), from, to,
            log_number(body_size(envelope->body)),
            log_text(smtp->session.account.address), address,
            log_text(smtp->door.tls_active ? SPAN("yes") : SPAN("no")));
    }
}
