#include "err.h"

struct err err_ok(void)
{
    return (struct err){ .code = ERR_OK, .what = "" };
}

struct err err_make(enum err_code code, const char *what)
{
    return (struct err){ .code = code, .what = what };
}

struct err err_make_detail(enum err_code code, int detail, const char *what)
{
    return (struct err){ .code = code, .detail = detail, .what = what };
}

enum err_class err_class(struct err err)
{
    static const enum err_class classes[] = {
#define X(code, number, class_, text) [ERR_##code] = (class_),
        ERR_TABLE(X)
#undef X
    };
    return classes[err.code];
}

const char *err_text(struct err err)
{
    static const char *const texts[] = {
#define X(code, number, class_, text) [ERR_##code] = (text),
        ERR_TABLE(X)
#undef X
    };
    return texts[err.code];
}

const char *err_name(enum err_code code)
{
    static const char *const names[] = {
#define X(code, number, class_, text) [ERR_##code] = #code,
        ERR_TABLE(X)
#undef X
    };
    return names[code];
}

enum err_code err_code_of(unsigned number)
{
    switch (number) {
#define X(code, n, class_, text) case (n): return ERR_##code;
        ERR_TABLE(X)
#undef X
    default: return ERR_UNKNOWN;
    }
}
