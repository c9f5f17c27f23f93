#include <string.h>

#include "boot.h"
#include "conf.h"
#include "log.h"
#include "program.h"

static void take_conf(const struct conf *conf, struct log_options *options)
{
    options->level = (enum log_level)conf_number(conf, CONF_LOG_LEVEL);
    options->format = (enum log_format)conf_number(conf, CONF_LOG_FORMAT);
    options->rotate_bytes = conf_number(conf, CONF_LOG_ROTATE_BYTES);
    options->rotate_keep = (unsigned)conf_number(conf, CONF_LOG_ROTATE_KEEP);
}

/* As the rows say when nothing is set. */
static struct err take_defaults(struct log_options *options)
{
    struct conf *conf;
    struct conf_problem problem;
    TRY(conf_make(NULL, 0, 0, &conf, &problem));
    take_conf(conf, options);
    conf_unref(conf);
    return err_ok();
}

struct err program_log_start(const struct boot *boot)
{
    const char *directory = boot_text(boot, "log");
    struct log_options options = { .program = boot_text(boot, "name"),
                                   .to_stderr = LOG_STDERR_JSON };
    TRY(take_defaults(&options));
    if (directory[0] == '\0') return log_start(&options);
    struct log_options files = options;
    files.directory = directory;
    files.to_stderr = LOG_STDERR_NONE;
    struct err err = log_start(&files);
    if (err.code != ERR_IO) return err;
    TRY(log_start(&options));
    const char *reason = err.detail > 0 ? strerror(err.detail) : err_text(err);
    LOG(LOG_UNUSABLE, NULL, log_text(span_of(directory, strlen(directory))),
        log_text(span_of(reason, strlen(reason))));
    return err_ok();
}

void program_log_configure(const struct conf *conf)
{
    struct log_options options = { .program = "" };
    take_conf(conf, &options);
    log_configure(&options);
}
