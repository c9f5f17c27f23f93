/* What came of a look, for those who ask the API: the row `directory/synced/DOMAIN`,
 *
 *   tenant      whose the domain is; of another tenant the row says nothing
 *   looked_ms   wall time of the last look
 *   error       why it was not whole; "": it was
 *   synced_ms   wall time of the last whole look; 0: there was none. Of that one:
 *   entries     how many the search found
 *   made, changed, disabled   users
 *   refused     entries and changes that came to nothing; the log names them
 *
 * What is news is written at once; that all is as it was, at most every SYNC_TELL_MS, and no more
 * than a row each SYNC_TELL_EACH_MS for all domains together: frontends hear of every row. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "coord.h"
#include "loop.h"
#include "sync_private.h"
#include "utf8.h"

enum { SWEEP_MAX = 64 };

static const struct span synced = SPAN_INIT("directory/synced/");

/* A row on its way. The domain may be forgotten before it is there. */
struct telling {
    struct sync *sync;
    size_t len; /* of the key */
    char key[COORD_KEY_MAX_BYTES];
};

static struct span telling_key(const struct telling *telling)
{
    return span_of(telling->key, telling->len);
}

static void on_told(void *holder, struct err err)
{
    struct telling *telling = holder;
    struct sync *sync = telling->sync;
    struct sync_place *place = map_get(&sync->places, span_skip(telling_key(telling), synced.len));
    if (err.code != ERR_OK && place != NULL) place->told_ms = 0; /* with the next look */
    free(telling);
    sync->telling--;
    sync_end(sync);
}

/* A NULL pointer in `value` deletes the row. */
static bool tell(struct sync *sync, struct span name, struct span value)
{
    struct telling *telling = calloc(1, sizeof(*telling));
    struct buf key;
    if (telling == NULL) return false;
    telling->sync = sync;
    buf_init(&key, telling->key, sizeof(telling->key));
    buf_put(&key, synced);
    buf_put(&key, name);
    telling->len = key.len;
    struct coord_row row = { telling_key(telling), value, COORD_ANY };
    struct err err = key.overflow ? err_make(ERR_TOO_BIG, "directory")
                                  : coord_put_start(sync->options.coord, sync->options.crew, &row,
                                                    on_told, telling);
    if (err.code == ERR_OK) sync->telling++;
    else free(telling);
    return err.code == ERR_OK;
}

/* ---- a row */

/* The one that is there, if it is the tenant's, or an empty one. */
static json_t *row_before(struct sync *sync, struct span name, uint32_t tenant)
{
    char bytes[COORD_KEY_MAX_BYTES];
    struct coord_row row;
    struct buf key;
    json_t *json = NULL;
    buf_init(&key, bytes, sizeof(bytes));
    buf_put(&key, synced);
    buf_put(&key, name);
    if (!key.overflow && coord_get(sync->options.coord, buf_span(&key), &row)) {
        json = json_loadb(row.value.ptr, row.value.len, 0, NULL);
    }
    if (json_integer_value(json_object_get(json, "tenant")) == (json_int_t)tenant) return json;
    json_decref(json);
    return json_object();
}

static void put_number(json_t *row, const char *member, uint64_t number)
{
    json_object_set_new(row, member, json_integer((json_int_t)number));
}

static char *row_text(struct sync *sync, struct span name, const struct sync_said *said)
{
    char clean[3 * SYNC_SAID_BYTES];
    struct buf error;
    uint64_t now_ms = clock_wall_ms();
    json_t *row = row_before(sync, name, said->tenant);
    buf_init(&error, clean, sizeof(clean));
    utf8_put_clean(&error, span_of(said->failure, strnlen(said->failure, SYNC_SAID_BYTES - 1)));
    put_number(row, "tenant", said->tenant);
    put_number(row, "looked_ms", now_ms);
    json_object_set_new(row, "error", json_stringn(clean, error.len));
    if (said->failure[0] == '\0') {
        put_number(row, "synced_ms", now_ms);
        put_number(row, "entries", said->entries);
        put_number(row, "made", said->made);
        put_number(row, "changed", said->changed);
        put_number(row, "disabled", said->disabled);
        put_number(row, "refused", said->refused);
    }
    char *text = json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(row);
    return text;
}

static uint64_t mark_of(const struct sync_said *said)
{
    const size_t numbers[] = { said->entries, said->made, said->changed, said->disabled,
                               said->refused };
    uint64_t mark = said->failure[0] != '\0';
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        mark = mark * 1000003 + numbers[i];
    }
    return mark;
}

void sync_tell(struct sync *sync, struct sync_place *place, const struct sync_said *said)
{
    uint64_t now = loop_now_ms(sync->options.loop), mark = mark_of(said);
    uint64_t every_ms = sync->places.count * (uint64_t)SYNC_TELL_EACH_MS;
    bool is_news = mark != place->told_mark || said->is_news || place->told_ms == 0;
    if (every_ms < SYNC_TELL_MS) every_ms = SYNC_TELL_MS;
    if (!is_news && now - place->told_ms < every_ms) return;
    char *text = row_text(sync, place->name, said);
    bool is_told = text != NULL && tell(sync, place->name, span_of(text, strlen(text)));
    free(text);
    place->told_mark = mark;
    place->told_ms = is_told ? now : 0;
}

void sync_untell(struct sync *sync, struct span name)
{
    (void)tell(sync, name, span_of(NULL, 0));
}

/* ---- rows of domains that have no directory any more */

struct sweep {
    const struct directory *directory;
    struct sync *sync;
    unsigned count;
    struct span names[SWEEP_MAX]; /* until the loop turns */
};

static void sweep_row(void *holder, const struct coord_row *row)
{
    struct sweep *sweep = holder;
    struct span name = span_skip(row->key, synced.len);
    const struct directory_domain *domain = directory_find(sweep->directory, name, NULL);
    if (sweep->count == SWEEP_MAX || (domain != NULL && domain->mapping != NULL)) return;
    sweep->names[sweep->count++] = name;
}

void sync_sweep(struct sync *sync)
{
    struct sweep sweep = { .sync = sync,
                           .directory = sync->options.directory(sync->options.holder) };
    coord_list(sync->options.coord, synced, sweep_row, &sweep);
    for (unsigned i = 0; i < sweep.count; i++) sync_untell(sync, sweep.names[i]);
}
