/* Shards of scores, read: mapped, checked once from end to end, and then looked into from any thread. */
#include "score/shard.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct section {
    uint32_t source;
    cfb_str task;
    const unsigned char *records;
    uint64_t n;
};

struct shard {
    const char *name;
    const unsigned char *data;
    size_t len;
    bool mapped;
    cfb_score_shard_head head;
    cfb_arena_t *texts;
    struct section *sections;
    size_t n_sections;
    cfb_str counts; /* of the tail */
    uint32_t n_counts;
    const struct section *now;
};

struct cfb_score_shards {
    struct shard *shards; /* (n), by index */
    size_t n;
    uint64_t n_rows;
};

/* ---- a cursor over untrusted bytes: once it has failed it gives zeros ---- */

struct cursor {
    const unsigned char *p, *end;
    bool bad;
};

static const unsigned char *take(struct cursor *c, size_t n) {
    if (c->bad || (size_t)(c->end - c->p) < n) {
        c->bad = true;
        return NULL;
    }
    c->p += n;
    return c->p - n;
}

static uint64_t get(const unsigned char *p, int bytes) {
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static uint32_t get_u32(struct cursor *c) {
    const unsigned char *p = take(c, 4);
    return p ? (uint32_t)get(p, 4) : 0;
}

static uint64_t get_u64(struct cursor *c) {
    const unsigned char *p = take(c, 8);
    return p ? get(p, 8) : 0;
}

static cfb_str get_text(struct cursor *c) {
    uint32_t n = get_u32(c);
    if (n == SHARD_NO_TEXT || c->bad) return CFB_STR_NULL;
    const unsigned char *p = take(c, n);
    return p ? (cfb_str){(const char *)p, n} : CFB_STR_NULL;
}

/* A number of things, each of which takes some bytes at least. */
static uint64_t get_count(struct cursor *c, uint64_t n, size_t least) {
    if (n > (uint64_t)(c->end - c->p) / least) c->bad = true;
    return c->bad ? 0 : n;
}

/* ---- rows ---- */

static uint64_t number_of(const struct section *s, uint64_t i) { return get(s->records + i * SHARD_RECORD, 8); }

uint64_t cfb_score_shard_number(const unsigned char record[SHARD_RECORD]) { return get(record, 8); }

/* False: not what cfb_score_shard_pack writes. */
static bool unpack(const unsigned char *p, cfb_score_row *row, uint32_t *texts) {
    double reals[4];
    uint32_t wholes[6];
    for (int k = 0; k < 4; k++) {
        uint64_t bits = get(p + 8 + 8 * k, 8);
        memcpy(&reals[k], &bits, 8);
        if (!isfinite(reals[k])) return false;
    }
    for (int k = 0; k < 6; k++) wholes[k] = (uint32_t)get(p + 40 + 4 * k, 4);
    if ((wholes[5] & SHARD_STATE_MASK) >= CFB_ROW_STATE_COUNT) return false;
    *row = (cfb_score_row){.score = reals[0],
                           .set_precision = reals[1],
                           .set_recall = reals[2],
                           .set_f1 = reals[3],
                           .true_positives = wholes[0],
                           .predicted_positives = wholes[1],
                           .actual_positives = wholes[2],
                           .response_chars = wholes[3],
                           .output_chars = wholes[4],
                           .state = (cfb_row_state)(wholes[5] & SHARD_STATE_MASK),
                           .reference_unmatchable = (wholes[5] & SHARD_UNMATCHABLE) != 0};
    *texts = wholes[5] >> SHARD_TEXTS_SHIFT;
    return true;
}

bool cfb_score_shard_unpack(const unsigned char record[SHARD_RECORD], uint64_t texts, cfb_score_row *out) {
    uint32_t have;
    return unpack(record, out, &have) && have == (uint32_t)(texts >> 44);
}

static cfb_code check_rows(const struct shard *s, const struct section *of, uint64_t check, cfb_err *err) {
    uint64_t h = SHARD_CHECK_SEED;
    bool good = true;
    for (uint64_t i = 0; i < of->n && good; i++) {
        cfb_score_row row;
        uint32_t texts;
        h = cfb_hash64(of->records + i * SHARD_RECORD, SHARD_RECORD, h);
        good = unpack(of->records + i * SHARD_RECORD, &row, &texts) && (i == 0 || number_of(of, i) > number_of(of, i - 1));
    }
    return good && h == check ? CFB_OK : cfb_err_set(err, CFB_EDATA, "%s: damaged (its rows)", s->name);
}

/* ---- the tail ---- */

static const char *keep_text(struct shard *s, cfb_str text, bool *bad) {
    cfb_str copy = CFB_STR_NULL;
    if (text.ptr == NULL || memchr(text.ptr, 0, text.len) != NULL || cfb_arena_dup(s->texts, text, &copy, NULL) != CFB_OK)
        *bad = true;
    return copy.ptr;
}

static bool read_head(struct shard *s, struct cursor *c) {
    cfb_score_shard_head *h = &s->head;
    h->index = get_u64(c);
    h->count = get_u64(c);
    if (get_u32(c) != CFB_METRIC_N_COUNTS || h->count == 0 || h->index >= h->count) c->bad = true;
    h->command = keep_text(s, get_text(c), &c->bad);
    h->n_words = (size_t)get_count(c, get_u32(c), 4);
    const char **words = cfb_arena_calloc(s->texts, h->n_words + 1, sizeof *words);
    for (size_t i = 0; words && i < h->n_words; i++) words[i] = keep_text(s, get_text(c), &c->bad);
    h->words = words;
    h->n_sources = (size_t)get_count(c, get_u32(c), 12);
    cfb_score_shard_source *sources = cfb_arena_calloc(s->texts, h->n_sources + 1, sizeof *sources);
    for (size_t i = 0; sources && i < h->n_sources; i++) {
        sources[i].path = keep_text(s, get_text(c), &c->bad);
        sources[i].bytes = get_u64(c);
    }
    h->sources = sources;
    return words && sources && !c->bad;
}

static cfb_code read_sections(struct shard *s, struct cursor *c, const unsigned char *rows, const unsigned char *rows_end,
                              cfb_err *err) {
    s->n_sections = (size_t)get_count(c, get_u32(c), 24);
    s->sections = cfb_arena_calloc(s->texts, s->n_sections + 1, sizeof *s->sections);
    if (s->sections == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (%s)", s->name);
    for (size_t i = 0; i < s->n_sections && !c->bad; i++) {
        struct section *to = &s->sections[i];
        to->source = get_u32(c);
        to->task = get_text(c);
        to->n = get_u64(c);
        to->records = rows;
        uint64_t check = get_u64(c);
        if (to->task.ptr == NULL || to->source >= s->head.n_sources || to->n > (uint64_t)(rows_end - rows) / SHARD_RECORD)
            c->bad = true;
        if (c->bad) break;
        cfb_code rc = check_rows(s, to, check, err);
        if (rc != CFB_OK) return rc;
        rows += to->n * SHARD_RECORD;
    }
    if (rows != rows_end) c->bad = true;
    return CFB_OK;
}

static void get_sums(struct cursor *c, cfb_metric_sums *out) {
    for (size_t i = 0; i < CFB_METRIC_N_COUNTS; i++) out->counts[i] = get_u64(c);
}

static bool same_text(cfb_str a, cfb_str b) { return (a.ptr == NULL) == (b.ptr == NULL) && cfb_str_eq(a, b); }

/* One result's counts; wanted NULL: they are only looked at. */
static cfb_code read_counts(struct cursor *c, cfb_score_shard_key *key, const cfb_score_shard_key *wanted, cfb_scorer_t *to,
                            cfb_err *err) {
    cfb_metric_sums all, answered;
    key->source = get_u32(c);
    key->model = get_text(c);
    key->setting = get_text(c);
    key->task = get_text(c);
    get_sums(c, &all);
    get_sums(c, &answered);
    uint64_t n = get_count(c, get_u64(c), 28);
    bool here = wanted && key->source == wanted->source && same_text(key->model, wanted->model) &&
                same_text(key->setting, wanted->setting) && same_text(key->task, wanted->task);
    if (here && !c->bad) cfb_scorer_add_sums(to, &all, &answered);
    for (uint64_t i = 0; i < n && !c->bad; i++) {
        cfb_str label = get_text(c);
        uint64_t actual = get_u64(c), predicted = get_u64(c), correct = get_u64(c);
        if (label.len == 0 || correct > actual || correct > predicted) c->bad = true;
        cfb_code rc = here && !c->bad ? cfb_scorer_add_label(to, label, actual, predicted, correct, err) : CFB_OK;
        if (rc != CFB_OK) return rc;
    }
    return CFB_OK;
}

static cfb_code read_shard(struct shard *s, cfb_err *err) {
    if (s->len < 16 || memcmp(s->data, CFB_SCORE_SHARD_MAGIC, 15) != 0)
        return cfb_err_set(err, CFB_EDATA, "%s: not a shard of scores", s->name);
    if (s->data[15] != CFB_SCORE_SHARD_MAGIC[15])
        return cfb_err_set(err, CFB_EUNSUPPORTED, "%s: written by another version of cfbench", s->name);
    if (s->len < 32) return cfb_err_set(err, CFB_ETRUNCATED, "%s: ends too early", s->name);
    const unsigned char *end = s->data + s->len - 16;
    uint64_t tail = get(end, 8), room = s->len - 32;
    if (tail > room || (room - tail) % SHARD_RECORD != 0 || tail > SHARD_TAIL_MAX)
        return cfb_err_set(err, CFB_ETRUNCATED, "%s: damaged, or it ends too early", s->name);
    struct cursor c = {end - tail, end, false};
    if (cfb_hash64(c.p, (size_t)tail, SHARD_CHECK_SEED) != get(end + 8, 8))
        return cfb_err_set(err, CFB_EDATA, "%s: damaged (its tail)", s->name);
    cfb_code rc = cfb_arena_new(0, &s->texts, err);
    if (rc != CFB_OK) return rc;
    if (read_head(s, &c)) rc = read_sections(s, &c, s->data + 16, end - tail, err);
    if (rc != CFB_OK) return rc;
    s->n_counts = get_u32(&c);
    s->counts = (cfb_str){(const char *)c.p, (size_t)(c.end - c.p)};
    cfb_score_shard_key key;
    for (uint32_t i = 0; i < s->n_counts && !c.bad; i++)
        if ((rc = read_counts(&c, &key, NULL, NULL, err)) != CFB_OK) return rc;
    return c.bad || c.p != c.end ? cfb_err_set(err, CFB_EDATA, "%s: damaged (its tail)", s->name) : CFB_OK;
}

/* ---- several ---- */

static cfb_code map_file(const char *path, struct shard *s, cfb_err *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    s->name = path;
    if (fd < 0) return cfb_err_set_errno(err, errno, "cannot open %s", path);
    cfb_code rc = CFB_OK;
    if (fstat(fd, &st) != 0 || st.st_size < 16)
        rc = cfb_err_set(err, CFB_ETRUNCATED, "%s: ends too early", path);
    else if ((s->data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        rc = cfb_err_set_errno(err, errno, "cannot map %s", path);
    else
        s->mapped = true;
    if (rc == CFB_OK) s->len = (size_t)st.st_size;
    close(fd);
    return rc;
}

static bool same_sources(const cfb_score_shard_head *a, const cfb_score_shard_head *b) {
    if (a->n_sources != b->n_sources) return false;
    for (size_t i = 0; i < a->n_sources; i++)
        if (strcmp(a->sources[i].path, b->sources[i].path) != 0 || a->sources[i].bytes != b->sources[i].bytes) return false;
    return true;
}

static int by_index(const void *a, const void *b) {
    uint64_t x = ((const struct shard *)a)->head.index, y = ((const struct shard *)b)->head.index;
    return (x > y) - (x < y);
}

static cfb_code missing(uint64_t first, uint64_t count, cfb_err *err) {
    return cfb_err_set(err, CFB_EUSAGE, "not given: shard %llu/%llu, and maybe more; all %llu are needed, each once",
                       (unsigned long long)first, (unsigned long long)count, (unsigned long long)count);
}

/* Are these all shards of one scoring, each once? */
static cfb_code check_set(cfb_score_shards_t *s, cfb_err *err) {
    const struct shard *first = &s->shards[0];
    for (size_t i = 1; i < s->n; i++) {
        const struct shard *x = &s->shards[i];
        if (x->head.count != first->head.count)
            return cfb_err_set(err, CFB_EUSAGE, "%.180s is one of %llu shards, %.180s one of %llu", x->name,
                               (unsigned long long)x->head.count, first->name, (unsigned long long)first->head.count);
        if (strcmp(x->head.command, first->head.command) != 0)
            return cfb_err_set(err, CFB_EUSAGE, "%.120s was made by '%.120s', %.120s by '%.120s': not one scoring", x->name,
                               x->head.command, first->name, first->head.command);
        if (!same_sources(&x->head, &first->head))
            return cfb_err_set(err, CFB_EUSAGE, "%.200s and %.200s were made from other files, or files that have changed",
                               x->name, first->name);
    }
    qsort(s->shards, s->n, sizeof *s->shards, by_index);
    for (size_t i = 0; i < s->n; i++) {
        uint64_t index = s->shards[i].head.index;
        if (i > 0 && index == s->shards[i - 1].head.index)
            return cfb_err_set(err, CFB_EUSAGE, "shard %llu/%llu is given twice: %.180s and %.180s", (unsigned long long)index,
                               (unsigned long long)first->head.count, s->shards[i - 1].name, s->shards[i].name);
        if (index != i) return missing(i, s->shards[i].head.count, err);
    }
    return s->n == s->shards[0].head.count ? CFB_OK : missing(s->n, s->shards[0].head.count, err);
}

static cfb_code new_set(size_t n, cfb_score_shards_t **out, cfb_err *err) {
    cfb_score_shards_t *s = calloc(1, sizeof *s);
    if (s) s->shards = calloc(n ? n : 1, sizeof *s->shards);
    if (s == NULL || s->shards == NULL) {
        free(s);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory (%zu shards)", n);
    }
    s->n = n;
    *out = s;
    return CFB_OK;
}

static void count_rows(cfb_score_shards_t *s) {
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->shards[i].n_sections; k++) s->n_rows += s->shards[i].sections[k].n;
}

cfb_code cfb_score_shards_open(const char *const *paths, size_t n, cfb_score_shards_t **out, cfb_err *err) {
    cfb_score_shards_t *s = NULL;
    if (n == 0) return cfb_err_set(err, CFB_EUSAGE, "no shard was given");
    cfb_code rc = new_set(n, &s, err);
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        rc = map_file(paths[i], &s->shards[i], err);
        if (rc == CFB_OK) rc = read_shard(&s->shards[i], err);
    }
    if (rc == CFB_OK) rc = check_set(s, err);
    if (rc != CFB_OK) {
        cfb_score_shards_close(s);
        return rc;
    }
    count_rows(s);
    *out = s;
    return CFB_OK;
}

cfb_code cfb_score_shards_open_memory(const char *name, const void *data, size_t len, cfb_score_shards_t **out, cfb_err *err) {
    cfb_score_shards_t *s = NULL;
    cfb_code rc = new_set(1, &s, err);
    if (rc != CFB_OK) return rc;
    s->shards[0] = (struct shard){.name = name, .data = data, .len = len};
    rc = read_shard(&s->shards[0], err);
    if (rc != CFB_OK) {
        cfb_score_shards_close(s);
        return rc;
    }
    count_rows(s);
    *out = s;
    return CFB_OK;
}

void cfb_score_shards_close(cfb_score_shards_t *s) {
    if (s == NULL) return;
    for (size_t i = 0; i < s->n; i++) {
        struct shard *x = &s->shards[i];
        if (x->mapped) munmap((void *)(uintptr_t)x->data, x->len);
        cfb_arena_free(x->texts);
    }
    free(s->shards);
    free(s);
}

const cfb_score_shard_head *cfb_score_shards_head(const cfb_score_shards_t *s) { return &s->shards[0].head; }
uint64_t cfb_score_shards_n_rows(const cfb_score_shards_t *s) { return s->n_rows; }

bool cfb_score_shard_is_one(const char *path) {
    char head[15];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is = fd >= 0 && read(fd, head, sizeof head) == (ssize_t)sizeof head && memcmp(head, CFB_SCORE_SHARD_MAGIC, 15) == 0;
    if (fd >= 0) close(fd);
    return is;
}

/* ---- looking ---- */

void cfb_score_shards_select(cfb_score_shards_t *s, size_t source, cfb_str task) {
    for (size_t i = 0; i < s->n; i++) {
        struct shard *x = &s->shards[i];
        x->now = NULL;
        for (size_t k = 0; k < x->n_sections && x->now == NULL; k++)
            if (x->sections[k].source == source && cfb_str_eq(x->sections[k].task, task)) x->now = &x->sections[k];
    }
}

/* Rows are spread evenly: where a number should be, and from there in growing steps to where it is. */
static uint64_t place_of(const struct section *s, uint64_t number) {
    uint64_t last = number_of(s, s->n - 1);
    if (number > last || number < number_of(s, 0)) return s->n;
    uint64_t at = last ? (uint64_t)((double)number / (double)last * (double)(s->n - 1)) : 0, step = 1, low, high;
    if (at >= s->n) at = s->n - 1;
    if (number_of(s, at) <= number) {
        for (low = at; s->n - low > step && number_of(s, low + step) <= number; step *= 2) low += step;
        high = s->n - low > step ? low + step : s->n;
    } else {
        for (high = at; high > step && number_of(s, high - step) > number; step *= 2) high -= step;
        low = high > step ? high - step : 0;
    }
    while (high - low > 1) { /* number_of(low) <= number < number_of(high) */
        uint64_t middle = low + (high - low) / 2;
        if (number_of(s, middle) <= number)
            low = middle;
        else
            high = middle;
    }
    return number_of(s, low) == number ? low : s->n;
}

cfb_code cfb_score_shards_find(const cfb_score_shards_t *s, uint64_t shard, uint64_t number, uint64_t texts, cfb_score_row *out,
                               cfb_err *err) {
    const struct shard *x = shard < s->n ? &s->shards[shard] : NULL;
    uint64_t at = x && x->now && x->now->n > 0 ? place_of(x->now, number) : 0;
    if (x == NULL || x->now == NULL || at == x->now->n)
        return cfb_err_set(err, CFB_ENOTFOUND, "%.200s: row %llu is not in it", x ? x->name : "?", (unsigned long long)number);
    if (!cfb_score_shard_unpack(x->now->records + at * SHARD_RECORD, texts, out))
        return cfb_err_set(err, CFB_EDATA, "%.200s: row %llu has other texts now", x->name, (unsigned long long)number);
    return CFB_OK;
}

cfb_code cfb_score_shards_add_counts(const cfb_score_shards_t *s, const cfb_score_shard_key *key, cfb_scorer_t *to,
                                     cfb_err *err) {
    for (size_t i = 0; i < s->n; i++) {
        const unsigned char *p = (const unsigned char *)s->shards[i].counts.ptr;
        struct cursor c = {p, p + s->shards[i].counts.len, false};
        cfb_score_shard_key found;
        for (uint32_t k = 0; k < s->shards[i].n_counts; k++) {
            cfb_code rc = read_counts(&c, &found, key, to, err);
            if (rc != CFB_OK) return rc;
        }
    }
    return CFB_OK;
}
