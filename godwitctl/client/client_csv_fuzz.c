/* Fields lie in their line, one behind the other; written with quotes they are cut the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "client_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *put_quoted(char *to, const char *field)
{
    *to++ = '"';
    for (; *field != '\0'; field++) {
        if (*field == '"') *to++ = '"';
        *to++ = *field;
    }
    *to++ = '"';
    return to;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *fields[CLIENT_FIELDS_MAX], *again[CLIENT_FIELDS_MAX], *line = malloc(size + 1);
    char *quoted = malloc(2 * size + 3 * CLIENT_FIELDS_MAX + 1);
    size_t count = 0, count_again = 0;
    CHECK(line != NULL && quoted != NULL);
    if (size > 0) memcpy(line, data, size);
    line[size] = '\0';
    size_t len = strlen(line);
    if (client_csv_cut(line, fields, &count)) {
        char *to = quoted;
        CHECK(count >= 1 && count <= CLIENT_FIELDS_MAX);
        for (size_t i = 0; i < count; i++) {
            CHECK(fields[i] >= line && fields[i] + strlen(fields[i]) <= line + len);
            CHECK(i == 0 || fields[i] > fields[i - 1] + strlen(fields[i - 1]));
            if (i > 0) *to++ = ',';
            to = put_quoted(to, fields[i]);
        }
        *to = '\0';
        CHECK(client_csv_cut(quoted, again, &count_again) && count_again == count);
        for (size_t i = 0; i < count; i++) CHECK(strcmp(fields[i], again[i]) == 0);
    }
    free(line);
    free(quoted);
    return 0;
}
