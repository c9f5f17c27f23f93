#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "wire_private.h"

union wire_control {
    struct cmsghdr head; /* for its alignment */
    char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
};

bool wire_send(int fd, const void *record, size_t size, const int *fds, unsigned fds_count)
{
    CHECK(fds_count <= WIRE_FDS_MAX);
    char *bytes = NULL;
    memcpy(&bytes, &record, sizeof(bytes)); /* iovec is not const; sendmsg only reads */
    struct iovec piece = { bytes, size };
    union wire_control control = { 0 };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
    if (fds_count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(fds_count * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(fds_count * sizeof(int));
        memcpy(CMSG_DATA(head), fds, fds_count * sizeof(int));
    }
    for (;;) {
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n >= 0) return (size_t)n == size;
        if (errno != EINTR) return false;
    }
}

/* Takes the descriptors out of the message, closing what there is no room for. */
static void wire_take_fds(struct msghdr *message, int *fds, unsigned *fds_count, unsigned room)
{
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL;
         head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(fd));
            if (fds != NULL && *fds_count < room) {
                fds[(*fds_count)++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

enum wire_got wire_take(int fd, void *record, size_t size, int *fds, unsigned *fds_count)
{
    struct iovec piece = { record, size };
    union wire_control control = { 0 };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
    unsigned none = 0;
    if (fds_count == NULL) fds_count = &none;
    *fds_count = 0;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof(control.bytes);
    ssize_t n;
    do {
        n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? WIRE_NOTHING : WIRE_CLOSED;
    wire_take_fds(&message, fds, fds_count, WIRE_FDS_MAX);
    if ((size_t)n == size && (message.msg_flags & MSG_TRUNC) == 0) return WIRE_GOT;
    for (unsigned i = 0; fds != NULL && i < *fds_count; i++) close(fds[i]);
    *fds_count = 0;
    return WIRE_CLOSED;
}

bool wire_answer_is_sound(const struct wire_answer *answer)
{
    const struct engines_result *result = &answer->result;
    uint32_t outcome;
    memcpy(&outcome, &result->outcome, sizeof(outcome)); /* may be no value of the enum */
    if (outcome >= ENGINES_OUTCOMES || result->findings_count > ENGINES_FINDINGS_MAX) return false;
    for (uint32_t i = 0; i < result->findings_count; i++) {
        const struct engines_finding *finding = &result->findings[i];
        if (finding->name_len > ENGINES_NAME_MAX_BYTES ||
            finding->part_len > ENGINES_PART_MAX_BYTES ||
            finding->file_name_len > ENGINES_FILE_NAME_MAX_BYTES) {
            return false;
        }
    }
    return true;
}
