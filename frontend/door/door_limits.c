#include "door_limits.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "map.h"

/* Freed with its last connection. */
struct door_address {
    uint8_t ip[16]; /* the map's key */
    uint32_t counts[DOOR_KINDS];
};

struct door_limits {
    pthread_mutex_t lock;
    struct map addresses;
    uint32_t count;
};

struct err door_limits_new(struct door_limits **ret)
{
    struct door_limits *limits = calloc(1, sizeof(*limits));
    if (limits == NULL) return err_make(ERR_NOMEM, "limits");
    CHECK(pthread_mutex_init(&limits->lock, NULL) == 0);
    map_init(&limits->addresses, DOOR_LIMITS_ADDRESSES_MAX);
    *ret = limits;
    return err_ok();
}

void door_limits_free(struct door_limits *limits)
{
    if (limits == NULL) return;
    CHECK(limits->addresses.count == 0);
    map_free(&limits->addresses);
    pthread_mutex_destroy(&limits->lock);
    free(limits);
}

struct err door_limits_open(struct door_limits *limits, uint32_t max)
{
    pthread_mutex_lock(&limits->lock);
    bool is_full = limits->count >= max;
    if (!is_full) limits->count++;
    pthread_mutex_unlock(&limits->lock);
    return is_full ? err_make(ERR_BUSY, "connections") : err_ok();
}

void door_limits_close(struct door_limits *limits)
{
    pthread_mutex_lock(&limits->lock);
    CHECK(limits->count > 0);
    limits->count--;
    pthread_mutex_unlock(&limits->lock);
}

uint32_t door_limits_count(struct door_limits *limits)
{
    pthread_mutex_lock(&limits->lock);
    uint32_t count = limits->count;
    pthread_mutex_unlock(&limits->lock);
    return count;
}

static struct err limits_find(struct door_limits *limits, const uint8_t ip[16],
                              struct door_address **ret)
{
    struct door_address *address = map_get(&limits->addresses, span_of(ip, 16));
    if (address == NULL) {
        address = calloc(1, sizeof(*address));
        if (address == NULL) return err_make(ERR_NOMEM, "connection");
        memcpy(address->ip, ip, sizeof(address->ip));
        struct err err = map_put(&limits->addresses, span_of(address->ip, 16), address);
        if (err.code != ERR_OK) {
            free(address);
            return err;
        }
    }
    *ret = address;
    return err_ok();
}

static void limits_drop(struct door_limits *limits, struct door_address *address)
{
    for (unsigned i = 0; i < DOOR_KINDS; i++) {
        if (address->counts[i] > 0) return;
    }
    (void)map_remove(&limits->addresses, span_of(address->ip, 16));
    free(address);
}

struct err door_limits_enter(struct door_limits *limits, const uint8_t ip[16],
                             enum door_kind kind, uint32_t max, struct door_address **ret)
{
    struct door_address *address = NULL;
    pthread_mutex_lock(&limits->lock);
    struct err err = limits_find(limits, ip, &address);
    if (err.code == ERR_OK && address->counts[kind] >= max) {
        err = err_make(ERR_BUSY, "connections of one address");
        limits_drop(limits, address);
    } else if (err.code == ERR_OK) {
        address->counts[kind]++;
        *ret = address;
    }
    pthread_mutex_unlock(&limits->lock);
    return err;
}

void door_limits_leave(struct door_limits *limits, struct door_address *address,
                       enum door_kind kind)
{
    if (address == NULL) return;
    pthread_mutex_lock(&limits->lock);
    CHECK(address->counts[kind] > 0);
    address->counts[kind]--;
    limits_drop(limits, address);
    pthread_mutex_unlock(&limits->lock);
}
