#include "up_process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "check.h"

void up_process_word(struct up_process *process, const char *format, ...)
{
    va_list arguments;
    CHECK(process->count + 1 < UP_ARGUMENTS_MAX);
    va_start(arguments, format);
    vsnprintf(process->text[process->count], UP_PATH_MAX_BYTES, format, arguments);
    va_end(arguments);
    process->count++;
}

/* In the child: never returns. */
__attribute__((noreturn)) static void child(struct up_process *process, pid_t parent)
{
    char *words[UP_ARGUMENTS_MAX];
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* a Ctrl-C at the terminal goes to the parent alone, which stops us in order */
    if (process->uid != 0) {
        if (setgroups(0, NULL) != 0 || setgid(process->gid) != 0 || setuid(process->uid) != 0) {
            _exit(126);
        }
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(125);
    int log = open(process->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || null < 0) _exit(124);
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    for (unsigned i = 0; i < process->count; i++) words[i] = process->text[i];
    words[process->count] = NULL;
    execv(words[0], words);
    dprintf(STDERR_FILENO, "%s: cannot be started (errno %d)\n", words[0], errno);
    _exit(127);
}

struct err up_process_start(struct up_process *process, uint64_t now_ms)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) return err_make_detail(ERR_IO, errno, "fork");
    if (pid == 0) child(process, parent);
    process->pid = pid;
    process->started_ms = now_ms;
    process->restart_at_ms = 0;
    return err_ok();
}

void up_process_ended(struct up_process *process, uint64_t now_ms)
{
    process->pid = 0;
    if (now_ms - process->started_ms >= UP_STABLE_MS) process->wait_ms = 0;
    process->restart_at_ms = now_ms + process->wait_ms;
    process->wait_ms = process->wait_ms == 0 ? UP_RESTART_FIRST_MS : process->wait_ms * 2;
    if (process->wait_ms > UP_RESTART_MAX_MS) process->wait_ms = UP_RESTART_MAX_MS;
}
