/* The attempts to get out, and words for logs. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.h"

static bool sandbox_reach_network(void)
{
    static const int families[] = { AF_INET, AF_INET6, AF_UNIX, AF_NETLINK };
    bool reached = false;
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        int fd = socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0) continue;
        close(fd);
        reached = true;
    }
    return reached;
}

/* In a child; or, when there can be none, here with a folder in the program's place, so that we
 * stay. The kernel answers that with EACCES, so EPERM shows that it was stopped before. */
static bool sandbox_reach_program(void)
{
    char name[] = "godwit", *arguments[] = { name, NULL };
    pid_t child = fork();
    if (child == 0) {
        execve("/bin/true", arguments, arguments + 1);
        _exit(127);
    }
    if (child < 0) {
        execve("/", arguments, arguments + 1);
        return errno != EPERM;
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool sandbox_reach_process(void)
{
    pid_t child = fork();
    if (child < 0) return false;
    if (child == 0) _exit(0);
    waitpid(child, NULL, 0);
    return true;
}

static bool sandbox_reach_file(void)
{
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static bool sandbox_reach_write(void)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static bool sandbox_reach_signal(void) { return kill(getppid(), 0) == 0; }

static bool sandbox_reach_code(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                    -1, 0);
    if (at == MAP_FAILED) return false;
    munmap(at, size);
    return true;
}

/* One table for the attempts and their words. */
static const struct {
    uint32_t bit;
    bool (*reach)(void);
    struct span text;
} sandbox_attempts[] = {
    { SANDBOX_REACH_NETWORK, sandbox_reach_network, SPAN_INIT("network") },
    { SANDBOX_REACH_PROGRAM, sandbox_reach_program, SPAN_INIT("program") },
    { SANDBOX_REACH_PROCESS, sandbox_reach_process, SPAN_INIT("process") },
    { SANDBOX_REACH_FILE, sandbox_reach_file, SPAN_INIT("file") },
    { SANDBOX_REACH_SIGNAL, sandbox_reach_signal, SPAN_INIT("signal") },
    { SANDBOX_REACH_CODE, sandbox_reach_code, SPAN_INIT("code") },
    { SANDBOX_REACH_WRITE, sandbox_reach_write, SPAN_INIT("write") },
};
enum { SANDBOX_ATTEMPTS = sizeof(sandbox_attempts) / sizeof(sandbox_attempts[0]) };

static const struct {
    uint32_t bit;
    struct span text;
} sandbox_layers[] = {
    { SANDBOX_NAMESPACES, SPAN_INIT("namespaces") },
    { SANDBOX_PRIVATE_ROOT, SPAN_INIT("private-root") },
    { SANDBOX_LIMITS, SPAN_INIT("limits") },
    { SANDBOX_NO_RIGHTS, SPAN_INIT("no-rights") },
    { SANDBOX_LANDLOCK, SPAN_INIT("landlock") },
    { SANDBOX_SECCOMP, SPAN_INIT("seccomp") },
};

uint32_t sandbox_reach(void)
{
    uint32_t reach = 0;
    for (unsigned i = 0; i < SANDBOX_ATTEMPTS; i++) {
        if (sandbox_attempts[i].reach()) reach |= sandbox_attempts[i].bit;
    }
    return reach;
}

static void sandbox_word(struct span word, struct buf *to)
{
    if (to->len > 0) buf_put(to, SPAN(" "));
    buf_put(to, word);
}

void sandbox_layers_text(uint32_t layers, struct buf *to)
{
    for (size_t i = 0; i < sizeof(sandbox_layers) / sizeof(sandbox_layers[0]); i++) {
        if ((layers & sandbox_layers[i].bit) != 0) sandbox_word(sandbox_layers[i].text, to);
    }
}

void sandbox_reach_text(uint32_t reach, struct buf *to)
{
    for (unsigned i = 0; i < SANDBOX_ATTEMPTS; i++) {
        if ((reach & sandbox_attempts[i].bit) != 0) sandbox_word(sandbox_attempts[i].text, to);
    }
}
