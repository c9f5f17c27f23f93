/* api.h: the cluster API: HTTP and JSON (ARCHITECTURE 7). One table of routes, one file a resource.
 *
 * Every answer is JSON; what went wrong is a problem document (RFC 9457) that names what, where and
 * what is allowed. A request carries `Authorization: Bearer TOKEN`; a token has a role and a
 * tenant. /healthz, /readyz, /metrics and /api/v1/openapi.json need none. */
#ifndef MAIL_API_H
#define MAIL_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct api;
struct api_call;
struct buf;
struct http_header;
struct http_request;

enum { API_CALLS_MAX = 256, API_REPLY_MAX_BYTES = 16 * 1024 * 1024 };

struct api_answer {
    unsigned status;
    struct span content_type, body;
    const struct http_header *headers;
    size_t headers_count;
};

/* Once, on a later turn; `answer` dies when it returns. */
typedef void api_answered(void *holder, const struct api_answer *answer);

/* Starts to work on a request, which lives until the answer. ERR_BUSY: nothing is called. */
MUST_USE struct err api_start(struct api *api, const struct http_request *request,
                              const uint8_t client_ip[16], api_answered *done, void *holder,
                              struct api_call **ret);

/* A call that the program makes by itself for a domain's LDAP directory: as an administrator of
 * that domain only, who may also set `directory_dn` and `directory_gone` of its users. What it
 * changes is in the operations log under the name `directory`. `domain` and `request` live until
 * the answer. ERR_BUSY, ERR_NOMEM: nothing is called. */
struct api_own {
    uint32_t tenant;
    struct span domain;
};
MUST_USE struct err api_start_own(struct api *api, const struct api_own *own,
                                  const struct http_request *request, api_answered *done,
                                  void *holder);

/* The place that the password of a domain's directory is sealed for (directory_mapping.h). False:
 * no room. */
bool api_domain_directory_whose(struct span domain, struct buf *to);

#ifdef __cplusplus
}
#endif
#endif
