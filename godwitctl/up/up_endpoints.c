#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "up_private.h"

struct err up_file_read(const char *path, char to[UP_SECRET_MAX_BYTES])
{
    size_t len;
    TRY(file_read(path, to, UP_SECRET_MAX_BYTES - 1, &len));
    to[len] = '\0';
    to[strcspn(to, "\r\n")] = '\0';
    return err_ok();
}

struct err up_file_write(const char *path, const char *text, mode_t mode)
{
    char temporary[UP_PATH_MAX_BYTES + 8];
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0) return err_make_detail(ERR_IO, errno, "make a file");
    size_t len = strlen(text), done = 0;
    bool ok = fchmod(fd, mode) == 0;
    while (ok && done < len) {
        ssize_t n = write(fd, text + done, len - done);
        ok = n > 0;
        done += ok ? (size_t)n : 0;
    }
    ok = ok && fsync(fd) == 0;
    int number = errno;
    close(fd);
    if (!ok || rename(temporary, path) != 0) {
        unlink(temporary);
        return err_make_detail(ERR_IO, number, "write a file");
    }
    return err_ok();
}

/* "storage-node-1" -> "storage_node_1" */
static void underscores(const char *name, char *to, size_t size)
{
    snprintf(to, size, "%s", name);
    for (char *c = to; *c != '\0'; c++) {
        if (*c == '-') *c = '_';
    }
}

/* An address to call, where one listens on all. */
static const char *host_of(const struct up *up)
{
    return strcmp(up->address, "0.0.0.0") == 0 ? "127.0.0.1" : up->address;
}

static void put_processes(const struct up *up, FILE *file)
{
    char name[64];
    unsigned offset = up->options.port_offset;
    for (unsigned i = 0; i < up->processes_count; i++) {
        underscores(up->processes[i].name, name, sizeof(name));
        fprintf(file, "PID_%s=%d\n", name, (int)up->processes[i].pid);
    }
    fprintf(file, "METRICS_frontend_1=%s:%u\n", host_of(up), 8080 + offset);
    fprintf(file, "METRICS_storage_node_1=" UP_METRICS_HOST ":%u\n",
            UP_METRICS_STORAGE_NODE + offset);
    fprintf(file, "METRICS_scanner_1=" UP_METRICS_HOST ":%u\n", UP_METRICS_SCANNER + offset);
    fprintf(file, "ADDR_storage_node_1=unix:%s/run/storage-node-1.sock\n", up->data);
}

struct err up_endpoints_write(const struct up *up)
{
    static char text[16 * 1024];
    char path[UP_PATH_MAX_BYTES];
    const char *host = host_of(up);
    unsigned offset = up->options.port_offset;
    FILE *file = fmemopen(text, sizeof(text), "w");
    if (file == NULL) return err_make(ERR_NOMEM, "endpoints");
#define X(name, port, flag) fprintf(file, #name "=%s:%u\n", host, (unsigned)(port) + offset);
    UP_PORTS(X)
#undef X
    fprintf(file, "API=http://%s:%u\nAPI_TOKEN=%s\n", host, 8080 + offset, up->token);
    fprintf(file, "CA_FILE=%s/tls/cert.pem\n", up->data);
    fprintf(file, "ADMIN_USER=%s\nADMIN_PASSWORD=%s\n", up->admin_user, up->admin_password);
    put_processes(up, file);
    bool fits = fflush(file) == 0 && ftell(file) < (long)sizeof(text) - 1;
    fclose(file);
    if (!fits) return err_make(ERR_TOO_BIG, "endpoints");
    snprintf(path, sizeof(path), "%.400s/endpoints.env", up->data);
    return up_file_write(path, text, 0600);
}
