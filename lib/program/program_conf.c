#include <stdlib.h>

#include "conf_json.h"
#include "coord.h"
#include "log.h"
#include "program.h"

static const struct span conf_row = SPAN_INIT("policy/config");

struct program_conf {
    struct coord *coord;
    struct coord_watch *watch;
    struct conf *now;
    void (*changed)(void *holder);
    void *holder;
    uint64_t refused; /* revision that was complained of */
};

static struct err read_row(struct coord *coord, struct conf **ret, uint64_t *revision)
{
    struct coord_row row = { .revision = 0 };
    struct conf_problem problem = { .text = "" };
    if (!coord_get(coord, conf_row, &row)) row.value = SPAN("");
    *revision = row.revision;
    struct err err = conf_from_json(row.value, row.revision, ret, &problem);
    const char *why = err.code == ERR_SYNTAX ? problem.text : err_text(err);
    if (err.code != ERR_OK) LOG(CONFIG_REFUSED, NULL, log_text(span_of(why, strlen(why))));
    return err;
}

struct err program_conf_read(struct coord *coord, struct conf **ret)
{
    uint64_t revision;
    return read_row(coord, ret, &revision);
}

static void on_change(void *holder)
{
    struct program_conf *conf = holder;
    struct coord_row row = { .revision = 0 };
    struct conf *fresh = NULL;
    uint64_t revision;
    bool there = coord_get(conf->coord, conf_row, &row);
    if (there && (row.revision == conf_version(conf->now) || row.revision == conf->refused)) return;
    if (!there && conf_version(conf->now) == 0) return;
    if (read_row(conf->coord, &fresh, &revision).code != ERR_OK) {
        conf->refused = revision;
        return;
    }
    conf_unref(conf->now);
    conf->now = fresh;
    program_log_configure(fresh);
    LOG(CONFIG_TAKEN, NULL, log_number(revision));
    conf->changed(conf->holder);
}

struct err program_conf_open(struct coord *coord, void (*changed)(void *holder), void *holder,
                             struct program_conf **ret)
{
    struct program_conf *conf = calloc(1, sizeof(*conf));
    if (conf == NULL) return err_make(ERR_NOMEM, "configuration");
    conf->coord = coord;
    conf->changed = changed;
    conf->holder = holder;
    struct err err = program_conf_read(coord, &conf->now);
    if (err.code == ERR_OK) {
        err = coord_watch_start(coord, conf_row, on_change, conf, &conf->watch);
    }
    if (err.code != ERR_OK) {
        program_conf_close(conf);
        return err;
    }
    program_log_configure(conf->now);
    *ret = conf;
    return err_ok();
}

const struct conf *program_conf_now(const struct program_conf *conf) { return conf->now; }

void program_conf_close(struct program_conf *conf)
{
    if (conf == NULL) return;
    coord_watch_stop(conf->watch);
    conf_unref(conf->now);
    free(conf);
}
