/* suggest.c - "did you mean": nearest names by edit distance. */
#include "config/options.h"

#define NAME_MAX_LEN 48u
#define MAX_SUGGESTIONS 3

static size_t min2(size_t a, size_t b) { return a < b ? a : b; }

static char fold(char c) {
    if (c >= 'A' && c <= 'Z') return (char)(c - 'A' + 'a');
    return c == '_' ? '-' : c;
}

/* Insertions, deletions, replacements and swaps of neighbours; upper case and _ count as lower case and -. */
static size_t edit_distance(const char *a, const char *b) {
    size_t na = strlen(a), nb = strlen(b);
    if (na > NAME_MAX_LEN || nb > NAME_MAX_LEN) return SIZE_MAX;
    size_t row[3][NAME_MAX_LEN + 1];
    for (size_t j = 0; j <= nb; j++) row[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t cost = fold(a[i - 1]) == fold(b[j - 1]) ? 0 : 1;
            size_t d = min2(min2(up[j] + 1, now[j - 1] + 1), up[j - 1] + cost);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]))
                d = min2(d, up2[j - 2] + 1);
            now[j] = d;
        }
    }
    return row[na % 3][nb];
}

static bool is_duplicate(const char *name, const char *const *best, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(best[i], name) == 0) return true;
    return false;
}

void cfb_suggest(const char *typed, const char *const *names, size_t n, const char *prefix, char *buf, size_t size) {
    const char *best[MAX_SUGGESTIONS];
    size_t n_best = 0, typed_len = strlen(typed);
    buf[0] = '\0';
    if (typed_len < 2) return;
    size_t limit = typed_len <= 3 ? 1 : typed_len <= 8 ? 2 : 3;
    for (size_t d = 0; d <= limit && n_best == 0; d++) /* only the nearest ones */
        for (size_t i = 0; i < n && n_best < MAX_SUGGESTIONS; i++)
            if (edit_distance(typed, names[i]) == d && !is_duplicate(names[i], best, n_best)) best[n_best++] = names[i];
    for (size_t i = 0; i < n && n_best < MAX_SUGGESTIONS && typed_len >= 3; i++) /* and those that contain it */
        if (strstr(names[i], typed) != NULL && !is_duplicate(names[i], best, n_best)) best[n_best++] = names[i];
    size_t used = 0;
    for (size_t i = 0; i < n_best && used < size; i++) {
        const char *before = i == 0 ? " (did you mean " : i + 1 == n_best ? " or " : ", ";
        int w = snprintf(buf + used, size - used, "%s%s%s", before, prefix, best[i]);
        if (w < 0) return;
        used += (size_t)w;
    }
    if (used + 3 > size)
        buf[0] = '\0'; /* rather nothing than half of it */
    else if (n_best > 0)
        memcpy(buf + used, "?)", 3);
}
