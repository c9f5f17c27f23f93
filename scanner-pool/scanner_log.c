#include "scanner_log.h"

#include <string.h>

#include "log.h"

enum kind { KIND_LOADED, KIND_REFUSED, KIND_DIED, KIND_SANDBOX };

static const struct {
    const char *event;
    enum kind kind;
} rows[] = {
    { "set-live", KIND_LOADED },
    { "set-refused", KIND_REFUSED },
    { "signatures-refused", KIND_REFUSED },
    { "zygote-not-started", KIND_REFUSED },
    { "zygote-died", KIND_REFUSED },
    { "worker-died", KIND_DIED },
    { "worker-timeout", KIND_DIED },
    { "worker-unsound", KIND_DIED },
    { "worker-not-shut-in", KIND_DIED },
    { "worker-crashed", KIND_DIED },
    { "worker-not-started", KIND_DIED },
    { "scan-timeout", KIND_DIED },
    { "sandbox-lacks", KIND_SANDBOX },
};

static void log_row(enum kind kind, struct span event, struct span text, unsigned signatures)
{
    switch (kind) {
    case KIND_LOADED:
        LOG(SIGNATURES_LOADED, NULL, log_text(text), log_number(signatures));
        break;
    case KIND_REFUSED: LOG(SIGNATURES_FAILED, NULL, log_text(text)); break;
    case KIND_DIED: LOG(ENGINE_DIED, NULL, log_text(text), log_text(event)); break;
    case KIND_SANDBOX: LOG(SANDBOX_WEAK, NULL, log_text(text)); break;
    }
}

void scanner_log(const char *event, struct span text, unsigned signatures)
{
    struct span name = span_of(event, strlen(event));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].event, event) != 0) continue;
        log_row(rows[i].kind, name, text, signatures);
        return;
    }
    LOG(ENGINE_SAID, NULL, log_text(name), log_text(text));
}
