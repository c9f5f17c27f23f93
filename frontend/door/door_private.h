/* door_private.h: a connection as the shells of the protocols see it. */
#ifndef MAIL_DOOR_PRIVATE_H
#define MAIL_DOOR_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "conn.h"
#include "door.h"
#include "door_limits.h"
#include "endpoint.h"
#include "front.h"
#include "list.h"
#include "login_check.h"
#include "span.h"
#include "timer.h"

struct door_conn;

/* What a protocol's shell does. All calls on the loop. */
struct door_protocol {
    size_t size; /* of the shell's struct, which begins with a door_conn */
    /* The connection stands, with TLS if the service begins with it: greet. */
    struct err (*start)(struct door_conn *);
    size_t (*bytes)(struct door_conn *, struct span in);
    void (*tls_up)(struct door_conn *); /* after door_start_tls() */
    void (*drained)(struct door_conn *);
    void (*idle)(struct door_conn *);   /* the idle timer of door_idle() ran out */
    void (*end)(struct door_conn *);    /* the program is going down, or can't serve yet */
    /* The connection is gone. Calls door_conn_free() now, or once what is under way has come back.
     */
    void (*closed)(struct door_conn *);
};

enum door_stage {
    DOOR_IN_PROXY, DOOR_IN_COUNT, DOOR_IN_HANDSHAKE, DOOR_IN_SESSION, DOOR_IN_STARTTLS
};

struct door_conn {
    struct list link;
    struct front *front;
    struct front_settings *settings; /* a reference */
    const struct door_protocol *protocol;
    struct conn *conn; /* NULL once it is gone */
    struct timer timer;
    struct door_address *address; /* counted there; NULL: not yet */
    struct meter_seat *seat;      /* and at the leader of its address; NULL: not */
    uint64_t idle_ms;
    struct endpoint peer;
    uint8_t service; /* enum door_service */
    uint8_t stage;   /* enum door_stage */
    bool tls_active;
};

extern const struct door_protocol door_smtp, door_imap, door_pop3, door_http;

/* Sends; a peer that takes nothing is hung up on. */
void door_send(struct door_conn *door, struct span out);
/* (Re)arms the idle timer. */
void door_idle(struct door_conn *door, uint64_t idle_ms);
void door_start_tls(struct door_conn *door);
void door_hang_up(struct door_conn *door);
/* "SMTP", for the log. */
struct span door_service_name(const struct door_conn *door);
/* As login_check_start(); fills in the client. */
MUST_USE struct err door_login(struct door_conn *door, struct login_attempt *attempt,
                               login_checked *done, void *holder, struct login_check **ret);
/* A log-in did not work: what is counted and logged of it. True: the answer is held back. */
bool door_login_failed(const struct door_conn *door, struct err err, struct span user);
/* More connections from its address than `limit`. */
void door_log_refused(const struct door_conn *door, uint32_t limit);
/* The client's address as policy wants it: IPv4 as ::ffff:a.b.c.d. */
void door_client_ip(const struct door_conn *door, uint8_t ip[16]);
/* Frees the shell's struct. Only from or after closed(). */
void door_conn_free(struct door_conn *door);

#endif
