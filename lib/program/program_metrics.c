/* What /metrics says of any program, beside its own rows. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "buf.h"
#include "log.h"
#include "metrics.h"
#include "metrics_text.h"
#include "program.h"
#include "program_monitor.h"

enum { STATM_BYTES = 128 };

static int64_t cpu_us(int who)
{
    struct rusage usage;
    if (getrusage(who, &usage) != 0) return 0;
    return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* Pages in memory: the second number of /proc/self/statm. No disk is behind that file. */
static int64_t resident_bytes(void)
{
    char text[STATM_BYTES];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0) return 0;
    text[n] = '\0';
    const char *second = strchr(text, ' ');
    return second == NULL ? 0 : strtoll(second, NULL, 10) * sysconf(_SC_PAGESIZE);
}

static int64_t open_files(void)
{
    int64_t count = -3; /* ".", ".." and the one that looks */
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) return 0;
    while (readdir(dir) != NULL) count++;
    closedir(dir);
    return count;
}

static void put_process(const struct metrics_text *text)
{
    const struct metrics_single rows[] = {
        { "resident_memory_bytes", "gauge", "Memory of this process", resident_bytes() },
        { "open_fds", "gauge", "Open files and connections", open_files() },
        { "log_lines_lost_total", "counter", "Log lines that could not be written",
          (int64_t)log_lost() },
    };
    metrics_text_head(text, "cpu_seconds_total", "counter", "Processor time of this process");
    metrics_text_us(text, "cpu_seconds_total", "", cpu_us(RUSAGE_SELF));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) metrics_text_single(text, &rows[i]);
}

void program_conf_metric(uint64_t revision, const struct metrics_text *text)
{
    const struct metrics_single row = { "config_revision", "gauge",
                                        "Revision of the options that are in force",
                                        (int64_t)revision };
    metrics_text_single(text, &row);
}

void program_metrics_put(const struct program_monitor_source *source, struct buf *to)
{
    const struct metrics_text text = { source->prefix, to };
    metrics_put((enum metrics_of)source->programs, source->prefix, to);
    put_process(&text);
    if (source->metrics != NULL) source->metrics(source->holder, &text);
}
