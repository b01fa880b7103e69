/* findings.c - the list of facts and findings; small readers that the checks share. */
#include "cfbench/base.h"
#include "doctor/internal.h"

#include <stdarg.h>
#include <stdlib.h>

struct cfb_doctor {
    cfb_arena_t *arena;
    cfb_fact *facts;
    cfb_finding *findings;
    size_t n_facts, n_findings, cap_facts, cap_findings;
    bool lost;
};

cfb_code cfb_doctor_new(cfb_doctor_t **out, cfb_err *err) {
    cfb_doctor_t *d = calloc(1, sizeof *d);
    if (d == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_code rc = cfb_arena_new(0, &d->arena, err);
    if (rc != CFB_OK) {
        free(d);
        return rc;
    }
    *out = d;
    return CFB_OK;
}

void cfb_doctor_free(cfb_doctor_t *d) {
    if (d == NULL) return;
    cfb_arena_free(d->arena);
    free(d->facts);
    free(d->findings);
    free(d);
}

static const char *vtext(cfb_doctor_t *d, const char *fmt, va_list args) {
    char buf[1024];
    cfb_str copy;
    vsnprintf(buf, sizeof buf, fmt, args);
    if (cfb_arena_dup(d->arena, cfb_str_from(buf), &copy, NULL) == CFB_OK) return copy.ptr;
    d->lost = true;
    return "";
}

const char *cfb_doctor_text(cfb_doctor_t *d, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    const char *text = vtext(d, fmt, args);
    va_end(args);
    return text;
}

static void *grow(void *list, size_t *cap, size_t n, size_t size) {
    if (n < *cap) return list;
    size_t more = *cap ? *cap * 2 : 32;
    void *p = realloc(list, more * size);
    if (p != NULL) *cap = more;
    return p;
}

static void add_fact(cfb_doctor_t *d, cfb_fact f) {
    cfb_fact *more = grow(d->facts, &d->cap_facts, d->n_facts, sizeof *more);
    if (more == NULL) {
        d->lost = true;
        return;
    }
    d->facts = more;
    d->facts[d->n_facts++] = f;
}

void cfb_doctor_fact(cfb_doctor_t *d, const char *group, const char *name, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    const char *text = vtext(d, fmt, args);
    va_end(args);
    add_fact(d, (cfb_fact){group, name, text, false});
}

void cfb_doctor_number(cfb_doctor_t *d, const char *group, const char *name, double v) {
    char buf[32];
    if (v > -1e15 && v < 1e15 && v == (double)(int64_t)v)
        snprintf(buf, sizeof buf, "%lld", (long long)v);
    else
        snprintf(buf, sizeof buf, "%.6g", v);
    add_fact(d, (cfb_fact){group, name, cfb_doctor_text(d, "%s", buf), true});
}

void cfb_doctor_find(cfb_doctor_t *d, cfb_finding_level level, const char *id, const char *what, const char *why,
                     const char *mend) {
    cfb_finding *more = grow(d->findings, &d->cap_findings, d->n_findings, sizeof *more);
    if (more == NULL) {
        d->lost = true;
        return;
    }
    d->findings = more;
    d->findings[d->n_findings++] =
        (cfb_finding){id, level, cfb_doctor_text(d, "%s", what), cfb_doctor_text(d, "%s", why), cfb_doctor_text(d, "%s", mend)};
}

size_t cfb_doctor_facts(const cfb_doctor_t *d, const cfb_fact **out) {
    *out = d->facts;
    return d->n_facts;
}

size_t cfb_doctor_findings(const cfb_doctor_t *d, const cfb_finding **out) {
    *out = d->findings;
    return d->n_findings;
}

size_t cfb_doctor_count(const cfb_doctor_t *d, cfb_finding_level level) {
    size_t n = 0;
    for (size_t i = 0; i < d->n_findings; i++) n += d->findings[i].level == level;
    return n;
}

cfb_code cfb_doctor_status(const cfb_doctor_t *d, cfb_err *err) {
    return d->lost ? cfb_err_set(err, CFB_ENOMEM, "out of memory: not all findings are listed") : CFB_OK;
}

/* ---- readers ---- */

static FILE *open_below(const char *root, const char *path) {
    char full[4096];
    int n = snprintf(full, sizeof full, "%s%s", root, path);
    return n > 0 && (size_t)n < sizeof full ? fopen(full, "re") : NULL;
}

FILE *cfb_doctor__open(const cfb_doctor_want *w, const char *path) { return open_below(w->root ? w->root : "", path); }

int64_t cfb_doctor__number_in(const char *root, const char *path, const char *name) {
    FILE *f = open_below(root, path);
    char line[256];
    long long v = -1;
    size_t n = strlen(name);
    while (f != NULL && v < 0 && fgets(line, sizeof line, f) != NULL) {
        if (n > 0 && (strncmp(line, name, n) != 0 || strchr(" :\t", line[n]) == NULL)) continue;
        if (sscanf(line + (n ? n + 1 : 0), "%lld", &v) != 1) v = -1;
        if (n == 0) break;
    }
    if (f != NULL) fclose(f);
    return v;
}

int64_t cfb_doctor__env_number(const char *name) {
    const char *text = getenv(name);
    int64_t v;
    if (text == NULL) return -1;
    char first[32];
    snprintf(first, sizeof first, "%.*s", (int)strcspn(text, ",("), text); /* "4,2" and "2(x3)": the first one counts */
    return cfb_parse_int(first, &v) && v >= 0 ? v : -1;
}

int64_t cfb_doctor__stack_bytes(const char *text) {
    char *end;
    while (*text == ' ') text++;
    unsigned long long v = strtoull(text, &end, 10);
    if (end == text || *text < '0' || *text > '9' || v > (1u << 30)) return -1;
    while (*end == ' ') end++;
    int shift = 10;
    switch (*end) {
    case 'b':
    case 'B': shift = 0; break;
    case 'k':
    case 'K': break;
    case 'm':
    case 'M': shift = 20; break;
    case 'g':
    case 'G': shift = 30; break;
    case '\0': return (int64_t)v << 10;
    default: return -1;
    }
    for (end++; *end == ' '; end++) {
    }
    return *end == '\0' ? (int64_t)v << shift : -1;
}

static bool is_below(const char *path, const char *point) {
    size_t n = strlen(point);
    if (n == 1) return true; /* "/" */
    return strncmp(path, point, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* "36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw,errors=continue" */
static bool read_mount(const char *line, cfb_mount *m) {
    char own[256], super[256];
    const char *dash = strstr(line, " - ");
    if (dash == NULL || sscanf(line, "%*s %*s %*s %*s %255s %255s", m->point, own) != 2 ||
        sscanf(dash + 3, "%63s %*s %255s", m->type, super) != 2)
        return false;
    snprintf(m->options, sizeof m->options, "%s,%s", own, super);
    return true;
}

bool cfb_doctor__find_mount(cfb_str text, const char *path, cfb_mount *out) {
    bool found = false;
    for (size_t at = 0; at < text.len;) {
        char line[1024];
        size_t end = at;
        while (end < text.len && text.ptr[end] != '\n') end++;
        snprintf(line, sizeof line, "%.*s", (int)(end - at < sizeof line ? end - at : sizeof line - 1), text.ptr + at);
        at = end + 1;
        cfb_mount m;
        if (!read_mount(line, &m) || !is_below(path, m.point)) continue;
        if (!found || strlen(m.point) >= strlen(out->point)) *out = m; /* of equal ones the last mounted is on top */
        found = true;
    }
    return found;
}

bool cfb_doctor__is_network(const char *type) {
    static const char *const names[] = {"nfs",         "nfs4",         "cifs",        "smb3",           "smbfs",     "9p",
                                        "afs",         "ceph",         "coda",        "gfs2",           "gpfs",      "lustre",
                                        "ocfs2",       "pvfs2",        "orangefs",    "beegfs",         "panfs",     "wekafs",
                                        "glusterfs",   "vastnfs",      "fuse.sshfs",  "fuse.glusterfs", "fuse.s3fs", "fuse.ceph",
                                        "fuse.rclone", "fuse.gcsfuse", "fuse.juicefs"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], type) == 0) return true;
    return false;
}
