/* Lines of comma-separated values (RFC 4180). */
#include "client_private.h"

bool client_csv_cut(char *line, char *fields[CLIENT_FIELDS_MAX], size_t *ret_count)
{
    size_t count = 0;
    char *at = line;
    for (;;) {
        if (count == CLIENT_FIELDS_MAX) return false;
        char *to = at;
        fields[count++] = at;
        bool quoted = *at == '"';
        if (quoted) at++;
        for (;; at++) {
            if (quoted && at[0] == '"' && at[1] == '"') {
                at++;
            } else if (quoted && at[0] == '"') {
                quoted = false;
                continue;
            } else if (at[0] == '\0') {
                if (quoted) return false;
                *to = '\0';
                *ret_count = count;
                return true;
            } else if (!quoted && at[0] == ',') {
                break;
            }
            *to++ = *at;
        }
        at++;
        *to = '\0';
    }
}
