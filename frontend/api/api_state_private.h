/* api_state_private.h: the API of one loop. */
#ifndef MAIL_API_STATE_PRIVATE_H
#define MAIL_API_STATE_PRIVATE_H

#include <stdio.h>

#include "api_options.h"
#include "api_private.h"
#include "directory.h"
#include "directory_resolve.h"
#include "loop.h"

struct api {
    struct api_options options;
    unsigned calls;
    unsigned tails; /* that wait for events (api_logs.c) */
    struct admin_pool *programs; /* where they are asked for events */
};

#endif
