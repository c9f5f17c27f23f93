#include <clamav.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <dirent.h>

#include "clam_private.h"

enum { CLAM_DEPTH_MAX = 64 }; /* of layers whose file names are remembered */

struct clam {
    struct cl_engine *engine;
    struct cl_scan_options options;
    uint32_t signatures;
    uint64_t signatures_ms;
    char version[ENGINES_VERSION_MAX_BYTES];
    size_t version_len;
    clam_said said; /* while loading */
    void *holder;
};

/* libclamav gives its message function no context of ours; there is one engine in a process. */
static struct clam *clam_loading;

static void clam_on_message(enum cl_msg severity, const char *full, const char *text, void *context)
{
    (void)full;
    (void)context;
    if (clam_loading == NULL || severity < CL_MSG_WARN) return;
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == '\n') len--;
    clam_loading->said(clam_loading->holder, span_of(text, len));
}

/* The layer being looked at and the names of the files around it. */
struct clam_scan {
    struct engines_result *result;
    struct span part;
    uint32_t depth;
    uint16_t name_len[CLAM_DEPTH_MAX];
    char name[CLAM_DEPTH_MAX][ENGINES_FILE_NAME_MAX_BYTES];
};

static uint16_t clam_copy(struct span from, char *to, size_t size)
{
    size_t len = from.len < size ? from.len : size;
    if (len > 0) memcpy(to, from.ptr, len);
    return (uint16_t)len;
}

static cl_error_t clam_on_file(int fd, const char *type, const char **ancestors, size_t parent_size,
                               const char *name, size_t size, const char *bytes, uint32_t level,
                               uint32_t attributes, void *context)
{
    (void)fd, (void)type, (void)ancestors, (void)parent_size, (void)size, (void)bytes;
    (void)attributes;
    struct clam_scan *scan = context;
    if (scan == NULL || level >= CLAM_DEPTH_MAX) return CL_CLEAN;
    scan->depth = level;
    /* Level 0 is what we gave in; its name stands there already. */
    if (level > 0) {
        struct span text = span_of(name, name == NULL ? 0 : strlen(name));
        scan->name_len[level] = clam_copy(text, scan->name[level], sizeof(scan->name[level]));
    }
    return CL_CLEAN;
}

/* The innermost name around the layer that is being looked at. */
static struct span clam_file_name(const struct clam_scan *scan)
{
    for (uint32_t level = scan->depth + 1; level-- > 0;) {
        if (scan->name_len[level] > 0) return span_of(scan->name[level], scan->name_len[level]);
    }
    return span_of(NULL, 0);
}

static void clam_add(struct clam_scan *scan, struct span name)
{
    struct engines_result *result = scan->result;
    for (uint32_t i = 0; i < result->findings_count; i++) {
        struct engines_finding *have = &result->findings[i];
        if (span_eq(span_of(have->name, have->name_len), name) &&
            span_eq(span_of(have->part, have->part_len), scan->part)) {
            return;
        }
    }
    if (result->findings_count == ENGINES_FINDINGS_MAX) return;
    struct engines_finding *finding = &result->findings[result->findings_count++];
    finding->name_len = clam_copy(name, finding->name, sizeof(finding->name));
    finding->part_len = clam_copy(scan->part, finding->part, sizeof(finding->part));
    finding->file_name_len = clam_copy(clam_file_name(scan), finding->file_name,
                                       sizeof(finding->file_name));
}

static void clam_on_virus(int fd, const char *name, void *context)
{
    (void)fd;
    if (context != NULL && name != NULL) clam_add(context, span_of(name, strlen(name)));
}

/* Tables of other character sets are loaded by the C library when first used; a worker can open no
 * file, so the usual ones are made ready for all of them here. They are never closed. */
static void clam_load_charsets(void)
{
    static const char *const names[] = { "UTF-16LE", "UTF-16BE", "UTF-16", "UTF-32", "UCS-4",
        "UTF-7", "ISO-8859-1", "ISO-8859-2", "ISO-8859-15", "WINDOWS-1250", "WINDOWS-1251",
        "WINDOWS-1252", "KOI8-R", "SHIFT_JIS", "EUC-JP", "GB18030", "BIG5", "EUC-KR" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)iconv_open("UTF-8", names[i]);
        (void)iconv_open("UTF-16BE", names[i]);
    }
}

static uint64_t clam_folder_ms(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) return 0;
    uint64_t newest_ms = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct stat stat;
        if (fstatat(dirfd(dir), entry->d_name, &stat, 0) != 0 || !S_ISREG(stat.st_mode)) continue;
        uint64_t ms = (uint64_t)stat.st_mtim.tv_sec * 1000 +
                      (uint64_t)stat.st_mtim.tv_nsec / 1000000;
        if (ms > newest_ms) newest_ms = ms;
    }
    closedir(dir);
    return newest_ms;
}

static int clam_put_reach(struct cl_engine *engine, const struct engines_reach *reach)
{
    int code = cl_engine_set_num(engine, CL_ENGINE_MAX_SCANSIZE, (long long)reach->scan_bytes_max);
    if (code != CL_SUCCESS) return code;
    code = cl_engine_set_num(engine, CL_ENGINE_MAX_FILESIZE, (long long)reach->file_bytes_max);
    if (code != CL_SUCCESS) return code;
    code = cl_engine_set_num(engine, CL_ENGINE_MAX_FILES, reach->files_max);
    if (code != CL_SUCCESS) return code;
    return cl_engine_set_num(engine, CL_ENGINE_MAX_RECURSION, reach->recursion_max);
}

static int clam_set_limits(struct cl_engine *engine, const struct engines_limits *limits)
{
    const struct {
        enum cl_engine_field field;
        long long value;
    } rows[] = {
        { CL_ENGINE_MAX_SCANTIME, limits->scan_ms },
        /* Its key is MD5: who makes two files of one sum could have a virus taken for clean. */
        { CL_ENGINE_DISABLE_CACHE, 1 },
        /* No memory of a worker is ever both written and executed. */
        { CL_ENGINE_BYTECODE_MODE, CL_BYTECODE_MODE_INTERPRETER },
        { CL_ENGINE_BYTECODE_TIMEOUT, limits->scan_ms },
        { CL_ENGINE_DISABLE_PE_STATS, 1 },
    };
    int code = clam_put_reach(engine, &limits->reach);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && code == CL_SUCCESS; i++) {
        code = cl_engine_set_num(engine, rows[i].field, rows[i].value);
    }
    if (code != CL_SUCCESS) return code;
    return cl_engine_set_str(engine, CL_ENGINE_TMPDIR, ".");
}

static void clam_set_options(struct clam *clam)
{
    clam->options = (struct cl_scan_options){
        .general = CL_SCAN_GENERAL_HEURISTICS,
        .parse = CL_SCAN_PARSE_ARCHIVE | CL_SCAN_PARSE_ELF | CL_SCAN_PARSE_PDF |
                 CL_SCAN_PARSE_SWF | CL_SCAN_PARSE_HWP3 | CL_SCAN_PARSE_XMLDOCS |
                 CL_SCAN_PARSE_MAIL | CL_SCAN_PARSE_OLE2 | CL_SCAN_PARSE_HTML |
                 CL_SCAN_PARSE_PE | CL_SCAN_PARSE_ONENOTE | CL_SCAN_PARSE_IMAGE |
                 CL_SCAN_PARSE_IMAGE_FUZZY_HASH,
        .heuristic = CL_SCAN_HEURISTIC_EXCEEDS_MAX | CL_SCAN_HEURISTIC_ENCRYPTED_ARCHIVE |
                     CL_SCAN_HEURISTIC_ENCRYPTED_DOC,
    };
}

static int clam_read(struct clam *clam, const char *folder, const struct engines_limits *limits)
{
    int code = cl_init(CL_INIT_DEFAULT);
    if (code != CL_SUCCESS) return code;
    clam->engine = cl_engine_new();
    if (clam->engine == NULL) return CL_EMEM;
    code = clam_set_limits(clam->engine, limits);
    if (code != CL_SUCCESS) return code;
    unsigned count = 0;
    code = cl_load(folder, clam->engine, &count, CL_DB_STDOPT);
    if (code != CL_SUCCESS) return code;
    cl_engine_set_clcb_virus_found(clam->engine, clam_on_virus);
    cl_engine_set_clcb_file_inspection(clam->engine, clam_on_file);
    clam->signatures = count;
    return cl_engine_compile(clam->engine);
}

struct err clam_load(const char *folder, const struct engines_limits *limits, clam_said said,
                     void *holder, struct clam **ret, const char **why)
{
    struct clam *clam = calloc(1, sizeof(*clam));
    if (clam == NULL) return err_make(ERR_NOMEM, "engine");
    clam->said = said;
    clam->holder = holder;
    clam_set_options(clam);
    clam->signatures_ms = clam_folder_ms(folder);
    clam_loading = clam;
    cl_set_clcb_msg(clam_on_message);
    int code = clam_read(clam, folder, limits);
    clam_loading = NULL;
    if (code != CL_SUCCESS || clam->signatures == 0) {
        *why = code != CL_SUCCESS ? cl_strerror((cl_error_t)code) : "no signatures";
        if (clam->engine != NULL) cl_engine_free(clam->engine);
        free(clam);
        return err_make_detail(code == CL_EMEM ? ERR_NOMEM : ERR_CORRUPT, code, "signatures");
    }
    clam_load_charsets();
    long long number = cl_engine_get_num(clam->engine, CL_ENGINE_DB_VERSION, NULL);
    int len = snprintf(clam->version, sizeof(clam->version), "%s/%lld", cl_retver(), number);
    if (len > 0) clam->version_len = (size_t)len;
    if (clam->version_len >= sizeof(clam->version)) clam->version_len = sizeof(clam->version) - 1;
    *ret = clam;
    return err_ok();
}

uint32_t clam_signatures(const struct clam *clam) { return clam->signatures; }
uint64_t clam_signatures_ms(const struct clam *clam) { return clam->signatures_ms; }
struct span clam_version(const struct clam *clam)
{
    return span_of(clam->version, clam->version_len);
}

void clam_set_reach(struct clam *clam, const struct engines_reach *reach)
{
    (void)clam_put_reach(clam->engine, reach); /* the same fields were taken when it was loaded */
}

void clam_set_time(struct clam *clam, uint32_t scan_ms)
{
    (void)cl_engine_set_num(clam->engine, CL_ENGINE_MAX_SCANTIME, scan_ms == 0 ? 1 : scan_ms);
}

/* What a code of libclamav means for the message as a whole. */
static enum engines_outcome clam_outcome(int code)
{
    switch (code) {
    case CL_CLEAN:
    case CL_VIRUS: return ENGINES_DONE;
    case CL_EMAXREC:
    case CL_EMAXSIZE:
    case CL_EMAXFILES: return ENGINES_LIMIT;
    case CL_EUNPACK:
    case CL_EFORMAT:
    case CL_EPARSE: return ENGINES_BROKEN;
    case CL_ETIMEOUT: return ENGINES_NO_TIME;
    case CL_EMEM:
    case CL_EMAP:
    case CL_EWRITE:
    case CL_ECREAT:
    case CL_ETMPFILE:
    case CL_ETMPDIR: return ENGINES_NO_MEMORY;
    default: return ENGINES_FAILED;
    }
}

void clam_scan(struct clam *clam, struct span bytes, struct span part, struct span file_name,
               struct engines_result *result)
{
    if (bytes.len == 0) return;
    static struct clam_scan scan; /* large; a worker does one thing at a time */
    memset(&scan, 0, offsetof(struct clam_scan, name));
    scan.result = result;
    scan.part = part;
    scan.name_len[0] = clam_copy(file_name, scan.name[0], sizeof(scan.name[0]));
    cl_fmap_t *map = cl_fmap_open_memory(bytes.ptr, bytes.len);
    if (map == NULL) {
        result->outcome = ENGINES_NO_MEMORY;
        return;
    }
    const char *name = NULL;
    unsigned long scanned = 0;
    int code = cl_scanmap_callback(map, NULL, &name, &scanned, clam->engine, &clam->options, &scan);
    cl_fmap_close(map);
    if (code == CL_VIRUS && name != NULL) clam_add(&scan, span_of(name, strlen(name)));
    enum engines_outcome outcome = clam_outcome(code);
    if (outcome > result->outcome) result->outcome = outcome;
}
