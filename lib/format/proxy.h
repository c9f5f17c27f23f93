/* proxy.h: the PROXY protocol, versions 1 and 2 (HAProxy, doc/proxy-protocol.txt). Pure.
 *
 * A load balancer says at the head of a connection whom it speaks for. Only from addresses that
 * are trusted to tell the truth; there it is required, so that nothing is guessed.
 *
 *   v1   "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443" CRLF, at most 107 bytes; TCP6 likewise;
 *        "PROXY UNKNOWN" anything CRLF
 *   v2   "\r\n\r\n\0\r\nQUIT\n" | u8 0x20 LOCAL or 0x21 PROXY | u8 family and transport
 *        | u16 BE length of what follows | addresses | TLVs (skipped, but well formed) */
#ifndef MAIL_PROXY_H
#define MAIL_PROXY_H

#include <stddef.h>
#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PROXY_V1_MAX_BYTES = 107,  /* with CRLF */
    PROXY_V2_HEAD_BYTES = 16,
    PROXY_MAX_BYTES = 4096,    /* a v2 header with all its TLVs; longer ones are PROXY_BAD */
    PROXY_ADDRESS_BYTES = 16,
};

enum proxy_state {
    PROXY_OK,   /* outputs are set, `*used` bytes are done with */
    PROXY_MORE, /* not whole yet; outputs untouched */
    PROXY_BAD,  /* will never be one; outputs untouched */
};

enum proxy_family {
    PROXY_NONE, /* LOCAL, UNKNOWN, UNSPEC, unix: the connection is the balancer's own, or it does
                   not tell; the peer's own address stands */
    PROXY_IP4,
    PROXY_IP6,
};

/* Addresses in network order, the first 4 bytes for IPv4 and the others 0. All 0 for PROXY_NONE. */
struct proxy_header {
    enum proxy_family family;
    uint8_t source[PROXY_ADDRESS_BYTES], destination[PROXY_ADDRESS_BYTES];
    uint16_t source_port, destination_port;
};

/* Takes a header of either version off the front of `in`. */
enum proxy_state proxy_take(struct span in, struct proxy_header *ret, size_t *used);

#ifdef __cplusplus
}
#endif
#endif
