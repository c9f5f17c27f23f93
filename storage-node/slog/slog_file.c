#include "slog_file.h"

struct err slog_file_write(struct slog_files *files, int file, struct span bytes, uint64_t at)
{
    while (bytes.len > 0) {
        size_t written = 0;
        TRY(files->calls->write(files, file, bytes, at, &written));
        if (written == 0) return err_make(ERR_IO, "write to the log");
        bytes = span_skip(bytes, written);
        at += written;
    }
    return err_ok();
}

struct err slog_file_read(struct slog_files *files, int file, char *to, size_t size, uint64_t at)
{
    size_t got = 0;
    TRY(files->calls->read(files, file, to, size, at, &got));
    return got == size ? err_ok() : err_make(ERR_CORRUPT, "end of a log file");
}
