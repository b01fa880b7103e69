/* align.c - longest common subsequence and Levenshtein distance, 64 cells of a column at a time.
 *
 * LCS: Hyyro 2004 ("Bit-parallel LCS-length computation revisited"). Distance: Myers 1999 ("A fast bit-vector algorithm for
 * approximate string matching based on dynamic programming"), cut into blocks of rows as in Hyyro 2003 ("A bit-vector algorithm
 * for computing Levenshtein and Damerau edit distances").
 * The rows (one text, the pattern) are cut into strips of up to 8 words. A strip goes over all columns (the other text) with its
 * words in registers, and leaves what its last row hands down, per column, to the next strip. So memory is linear in the texts,
 * and only the match masks of one strip are needed at a time. */
#include "metrics/scratch.h"

#define STRIP_WORDS ((size_t)8)
#define STRIP_ROWS (64 * STRIP_WORDS)

typedef struct span {
    const uint32_t *p;
    size_t n;
} span;

static inline unsigned popcount(uint64_t v) { return (unsigned)__builtin_popcountll(v); }

/* Equal symbols at both ends match each other in some best alignment. Returns how many there are; a and b lose them. */
static size_t strip_ends(span *a, span *b) {
    size_t n = a->n < b->n ? a->n : b->n, head = 0, tail = 0;
    while (head < n && a->p[head] == b->p[head]) head++;
    while (tail < n - head && a->p[a->n - 1 - tail] == b->p[b->n - 1 - tail]) tail++;
    a->p += head;
    b->p += head;
    a->n -= head + tail;
    b->n -= head + tail;
    return head + tail;
}

/* The pattern is the text for which fewer words are computed. */
static void choose_pattern(span *pattern, span *text) {
    uint64_t as_is = (uint64_t)((pattern->n + 63) / 64) * text->n, swapped = (uint64_t)((text->n + 63) / 64) * pattern->n;
    if (as_is <= swapped) return;
    span t = *pattern;
    *pattern = *text;
    *text = t;
}

static cfb_code check_size(span a, span b, cfb_err *err) {
    if ((uint64_t)a.n * b.n <= CFB_METRIC_MAX_CELLS) return CFB_OK;
    return cfb_err_set(err, CFB_ELIMIT,
                       "texts of %zu and %zu tokens are too long to be aligned (rougeL and edit compare at most 2^40 pairs)", a.n,
                       b.n);
}

static bool reserve(cfb_metric_scratch_t *s, size_t n_rows, size_t n_columns) {
    if (s->n_symbols * STRIP_WORDS > s->cap_masks) {
        uint64_t *more = metric_grow_zeroed(s->masks, &s->cap_masks, s->n_symbols * STRIP_WORDS, sizeof *more);
        if (more == NULL) return false;
        s->masks = more;
    }
    if (n_rows > STRIP_ROWS && n_columns > s->cap_carry) {
        uint8_t *more = metric_grow_zeroed(s->carry, &s->cap_carry, n_columns, sizeof *more);
        if (more == NULL) return false;
        s->carry = more;
    }
    return true;
}

/* Bit i of a symbol's masks: it stands in row i of the strip. */
static void set_masks(uint64_t *masks, const uint32_t *rows, size_t n, size_t words) {
    for (size_t i = 0; i < n; i++) masks[rows[i] * words + i / 64] |= UINT64_C(1) << i % 64;
}
static void clear_masks(uint64_t *masks, const uint32_t *rows, size_t n, size_t words) {
    for (size_t i = 0; i < n; i++) masks[rows[i] * words + i / 64] = 0;
}

/* Words that the kernels are written for. */
static size_t words_of(size_t n_rows) { return n_rows <= 64 ? 1 : n_rows <= 128 ? 2 : n_rows <= 256 ? 4 : 8; }

/* carry: what the strip above hands down, replaced by what this one does; NULL if there is one strip only (in: 0, out: unused).
 * begin: what the row above the first strip hands down. */
typedef void (*columns_fn)(const uint64_t *masks, span text, uint64_t *state, uint8_t *carry);

/* ---- eight words side by side ----
 *
 * A word needs what the word above hands down in the same column. So lane w is w columns behind: at step t it works on column
 * t - w, and what lane w - 1 handed down at step t - 1 was for that column. The compiler makes of it what the machine has; on
 * x86-64 there are versions for AVX2 and AVX-512, chosen at run time. All give the same bits. */
typedef uint64_t lanes __attribute__((vector_size(64)));
#define LANES 8
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* The match masks of step t; 0 where a lane has no column. */
ALWAYS_INLINE void masks_at(const uint64_t *masks, span text, size_t t, lanes *m) {
    uint64_t w[LANES];
    for (size_t k = 0; k < LANES; k++) w[k] = t >= k && t - k < text.n ? masks[(size_t)text.p[t - k] * LANES + k] : 0;
    *m = (lanes){w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]};
}
ALWAYS_INLINE void masks_inside(const uint64_t *masks, const uint32_t *at, lanes *m) {
#define LANE(k) masks[(size_t)at[-(k)] * LANES + (k)]
    *m = (lanes){LANE(0), LANE(1), LANE(2), LANE(3), LANE(4), LANE(5), LANE(6), LANE(7)};
#undef LANE
}
/* What each lane gets: from the lane before it; the first one from outside. */
ALWAYS_INLINE void hand_down(lanes *v, uint64_t first) {
    lanes in = {first};
    *v = __builtin_shufflevector(in, *v, 0, 8, 9, 10, 11, 12, 13, 14);
}

/* ---- longest common subsequence ---- */

/* One word of a column: v is 0 where the row adds one to the length. c: carry in and out. */
#define LCS_WORD(v, w)                                               \
    do {                                                             \
        uint64_t m_ = m[w], u_ = (v)&m_, t_ = (v) + u_, s_ = t_ + c; \
        c = (uint64_t)(t_ < u_) | (uint64_t)(s_ < t_);               \
        (v) = s_ | ((v) & ~m_);                                      \
    } while (0)

static void lcs_columns_1(const uint64_t *masks, span text, uint64_t *state, uint8_t *carry) {
    uint64_t v = state[0];
    for (size_t j = 0; j < text.n; j++) {
        const uint64_t *m = masks + text.p[j];
        uint64_t c = carry ? carry[j] : 0;
        LCS_WORD(v, 0);
        if (carry) carry[j] = (uint8_t)c;
    }
    state[0] = v;
}

static void lcs_columns_2(const uint64_t *masks, span text, uint64_t *state, uint8_t *carry) {
    uint64_t v0 = state[0], v1 = state[1];
    for (size_t j = 0; j < text.n; j++) {
        const uint64_t *m = masks + (size_t)text.p[j] * 2;
        uint64_t c = carry ? carry[j] : 0;
        LCS_WORD(v0, 0);
        LCS_WORD(v1, 1);
        if (carry) carry[j] = (uint8_t)c;
    }
    state[0] = v0;
    state[1] = v1;
}

static void lcs_columns_4(const uint64_t *masks, span text, uint64_t *state, uint8_t *carry) {
    uint64_t v0 = state[0], v1 = state[1], v2 = state[2], v3 = state[3];
    for (size_t j = 0; j < text.n; j++) {
        const uint64_t *m = masks + (size_t)text.p[j] * 4;
        uint64_t c = carry ? carry[j] : 0;
        LCS_WORD(v0, 0);
        LCS_WORD(v1, 1);
        LCS_WORD(v2, 2);
        LCS_WORD(v3, 3);
        if (carry) carry[j] = (uint8_t)c;
    }
    state[0] = v0;
    state[1] = v1;
    state[2] = v2;
    state[3] = v3;
}

/* A column beyond the last has no matches and no carry, and changes nothing: the words that are behind just run on. */
ALWAYS_INLINE void lcs_lanes(const uint64_t *masks, span text, uint64_t *state, uint8_t *carry) {
    lanes v, c = {0}, m = {0};
    memcpy(&v, state, sizeof v);
    for (size_t t = 0; t < text.n + LANES - 1; t++) {
        if (t >= LANES - 1 && t < text.n)
            masks_inside(masks, text.p + t, &m);
        else
            masks_at(masks, text, t, &m);
        hand_down(&c, carry && t < text.n ? carry[t] : 0);
        lanes u = v & m, s = v + u + c;
        c = (u | (v & ~s)) >> 63;
        v = s | (v & ~m);
        if (carry && t >= LANES - 1) carry[t - (LANES - 1)] = (uint8_t)c[LANES - 1];
    }
    memcpy(state, &v, sizeof v);
}

static size_t count_rows(const uint64_t *bits, size_t n_rows) {
    size_t n = 0;
    for (size_t i = 0; i < n_rows; i += 64) {
        uint64_t v = bits[i / 64];
        if (n_rows - i < 64) v &= (UINT64_C(1) << (n_rows - i)) - 1;
        n += popcount(v);
    }
    return n;
}

/* ---- Levenshtein distance ---- */

/* One word of a column. pv, mv: rows where the distance grows or falls by one against the row above. hp, hm: does it grow or
 * fall along the row above the word, from the column before to this one; then the same for the word's last row. */
#define EDIT_WORD(pv, mv, w)                                 \
    do {                                                     \
        uint64_t e_ = m[w], x_ = e_ | (mv);                  \
        e_ |= hm;                                            \
        uint64_t d_ = (((e_ & (pv)) + (pv)) ^ (pv)) | e_;    \
        uint64_t p_ = (mv) | ~(d_ | (pv)), n_ = (pv)&d_;     \
        uint64_t p_in_ = p_ << 1 | hp, n_in_ = n_ << 1 | hm; \
        hp = p_ >> 63;                                       \
        hm = n_ >> 63;                                       \
        (pv) = n_in_ | ~(x_ | p_in_);                        \
        (mv) = p_in_ & x_;                                   \
    } while (0)

/* carry: bit 0 hp, bit 1 hm. In the first strip all are 1: the row above it is 0, 1, 2, ... */
#define EDIT_CARRY_IN uint64_t hp = carry ? carry[j] & 1u : 1, hm = carry ? carry[j] >> 1 : 0
#define EDIT_CARRY_OUT \
    if (carry) carry[j] = (uint8_t)(hp | hm << 1)

static void edit_columns_1(const uint64_t *masks, span text, uint64_t *state, uint8_t *carry) {
    uint64_t p0 = state[0], m0 = state[8];
    for (size_t j = 0; j < text.n; j++) {
        const uint64_t *m = masks + text.p[j];
        EDIT_CARRY_IN;
        EDIT_WORD(p0, m0, 0);
        EDIT_CARRY_OUT;
    }
    state[0] = p0;
    state[8] = m0;
}

static void edit_columns_2(const uint64_t *masks, span text, uint64_t *state, uint8_t *carry) {
    uint64_t p0 = state[0], p1 = state[1], m0 = state[8], m1 = state[9];
    for (size_t j = 0; j < text.n; j++) {
        const uint64_t *m = masks + (size_t)text.p[j] * 2;
        EDIT_CARRY_IN;
        EDIT_WORD(p0, m0, 0);
        EDIT_WORD(p1, m1, 1);
        EDIT_CARRY_OUT;
    }
    state[0] = p0;
    state[1] = p1;
    state[8] = m0;
    state[9] = m1;
}

static void edit_columns_4(const uint64_t *masks, span text, uint64_t *state, uint8_t *carry) {
    uint64_t p0 = state[0], p1 = state[1], p2 = state[2], p3 = state[3];
    uint64_t m0 = state[8], m1 = state[9], m2 = state[10], m3 = state[11];
    for (size_t j = 0; j < text.n; j++) {
        const uint64_t *m = masks + (size_t)text.p[j] * 4;
        EDIT_CARRY_IN;
        EDIT_WORD(p0, m0, 0);
        EDIT_WORD(p1, m1, 1);
        EDIT_WORD(p2, m2, 2);
        EDIT_WORD(p3, m3, 3);
        EDIT_CARRY_OUT;
    }
    state[0] = p0;
    state[1] = p1;
    state[2] = p2;
    state[3] = p3;
    state[8] = m0;
    state[9] = m1;
    state[10] = m2;
    state[11] = m3;
}

/* Before its first column, a word without matches that gets nothing handed down stays as it is; behind its last one it must be
 * held. */
ALWAYS_INLINE void edit_lanes(const uint64_t *masks, span text, uint64_t *state, uint8_t *carry) {
    lanes pv, mv, hp = {0}, hm = {0}, e = {0};
    const lanes number = {0, 1, 2, 3, 4, 5, 6, 7};
    memcpy(&pv, state, sizeof pv);
    memcpy(&mv, state + STRIP_WORDS, sizeof mv);
    for (size_t t = 0; t < text.n + LANES - 1; t++) {
        bool inside = t < text.n;
        if (t >= LANES - 1 && inside)
            masks_inside(masks, text.p + t, &e);
        else
            masks_at(masks, text, t, &e);
        hand_down(&hp, carry && inside ? carry[t] & 1u : 1);
        hand_down(&hm, carry && inside ? carry[t] >> 1 : 0);
        lanes x = e | mv;
        e |= hm;
        lanes d = (((e & pv) + pv) ^ pv) | e;
        lanes p = mv | ~(d | pv), n = pv & d;
        lanes p_in = p << 1 | hp, n_in = n << 1 | hm;
        hp = p >> 63;
        hm = n >> 63;
        lanes new_pv = n_in | ~(x | p_in), new_mv = p_in & x;
        if (!inside) { /* lane w ends with step text.n - 1 + w */
            lanes going = (lanes)(number > t - text.n);
            new_pv = (new_pv & going) | (pv & ~going);
            new_mv = (new_mv & going) | (mv & ~going);
        }
        pv = new_pv;
        mv = new_mv;
        if (carry && t >= LANES - 1) carry[t - (LANES - 1)] = (uint8_t)(hp[LANES - 1] | hm[LANES - 1] << 1);
    }
    memcpy(state, &pv, sizeof pv);
    memcpy(state + STRIP_WORDS, &mv, sizeof mv);
}

#define LANES_FOR(name, target)                                                                         \
    target static void lcs_##name(const uint64_t *masks, span text, uint64_t *state, uint8_t *carry) {  \
        lcs_lanes(masks, text, state, carry);                                                           \
    }                                                                                                   \
    target static void edit_##name(const uint64_t *masks, span text, uint64_t *state, uint8_t *carry) { \
        edit_lanes(masks, text, state, carry);                                                          \
    }
LANES_FOR(plain, )
#if defined(__x86_64__)
LANES_FOR(avx2, __attribute__((target("avx2"))))
LANES_FOR(avx512, __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl"))))
#else
#define lcs_avx2 lcs_plain
#define lcs_avx512 lcs_plain
#define edit_avx2 edit_plain
#define edit_avx512 edit_plain
#endif

int metric_simd_level(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) return 2;
    if (__builtin_cpu_supports("avx2")) return 1;
#endif
    return 0;
}

/* The kernel for so many words. */
static columns_fn lcs_kernel(const cfb_metric_scratch_t *s, size_t words) {
    static const columns_fn few[] = {NULL, lcs_columns_1, lcs_columns_2, NULL, lcs_columns_4};
    static const columns_fn eight[] = {lcs_plain, lcs_avx2, lcs_avx512};
    return words < LANES ? few[words] : eight[s->simd];
}
static columns_fn edit_kernel(const cfb_metric_scratch_t *s, size_t words) {
    static const columns_fn few[] = {NULL, edit_columns_1, edit_columns_2, NULL, edit_columns_4};
    static const columns_fn eight[] = {edit_plain, edit_avx2, edit_avx512};
    return words < LANES ? few[words] : eight[s->simd];
}

/* ---- the whole ---- */

static size_t lcs_strip(cfb_metric_scratch_t *s, span rows, span text, uint8_t *carry) {
    uint64_t v[STRIP_WORDS];
    size_t words = words_of(rows.n);
    memset(v, 0xFF, sizeof v);
    set_masks(s->masks, rows.p, rows.n, words);
    lcs_kernel(s, words)(s->masks, text, v, carry);
    clear_masks(s->masks, rows.p, rows.n, words);
    return rows.n - count_rows(v, rows.n);
}

/* Drops the symbols that only one side has: they are in no common subsequence. */
static bool keep_common(cfb_metric_scratch_t *s) {
    metric_text *a = &s->text[REFERENCE], *b = &s->text[OUTPUT];
    if (s->n_symbols >= s->cap_counts) {
        uint32_t *more = metric_grow_zeroed(s->counts, &s->cap_counts, s->n_symbols, sizeof *more);
        if (more == NULL) return false;
        s->counts = more;
    }
    uint32_t *seen = s->counts;
    for (size_t i = 0; i < a->n_symbols; i++) seen[a->symbols[i]] |= 1;
    for (size_t i = 0; i < b->n_symbols; i++) seen[b->symbols[i]] |= 2;
    for (int side = 0; side < 2; side++) {
        metric_text *t = &s->text[side];
        size_t n = 0; /* alive holds the symbols that stay */
        for (size_t i = 0; i < t->n_symbols; i++) {
            t->alive[n] = t->symbols[i];
            n += seen[t->symbols[i]] == 3;
        }
        t->n_alive = n;
    }
    memset(seen, 0, s->n_symbols * sizeof *seen);
    return true;
}

cfb_code metric_lcs(cfb_metric_scratch_t *s, uint64_t *length, cfb_err *err) {
    if (!keep_common(s)) return metric_no_memory(err);
    span pattern = {s->text[REFERENCE].alive, s->text[REFERENCE].n_alive},
         text = {s->text[OUTPUT].alive, s->text[OUTPUT].n_alive};
    *length = strip_ends(&pattern, &text);
    choose_pattern(&pattern, &text);
    cfb_code rc = check_size(pattern, text, err);
    if (rc != CFB_OK || pattern.n == 0 || text.n == 0) return rc;
    if (!reserve(s, pattern.n, text.n)) return metric_no_memory(err);
    uint8_t *carry = pattern.n > STRIP_ROWS ? s->carry : NULL;
    if (carry) memset(carry, 0, text.n);
    for (size_t i = 0; i < pattern.n; i += STRIP_ROWS) {
        span rows = {pattern.p + i, pattern.n - i < STRIP_ROWS ? pattern.n - i : STRIP_ROWS};
        *length += lcs_strip(s, rows, text, carry);
    }
    return CFB_OK;
}

/* Adds to d what the strip's rows add in the last column: the rows where the distance grows less those where it falls. */
static void edit_strip(cfb_metric_scratch_t *s, span rows, span text, uint8_t *carry, uint64_t *d) {
    uint64_t state[2 * STRIP_WORDS] = {0}; /* pv, mv */
    memset(state, 0xFF, STRIP_WORDS * sizeof *state);
    size_t words = words_of(rows.n);
    set_masks(s->masks, rows.p, rows.n, words);
    edit_kernel(s, words)(s->masks, text, state, carry);
    clear_masks(s->masks, rows.p, rows.n, words);
    *d = *d + count_rows(state, rows.n) - count_rows(state + STRIP_WORDS, rows.n);
}

cfb_code metric_levenshtein(cfb_metric_scratch_t *s, uint64_t *distance, cfb_err *err) {
    span pattern = {s->text[REFERENCE].symbols, s->text[REFERENCE].n_symbols};
    span text = {s->text[OUTPUT].symbols, s->text[OUTPUT].n_symbols};
    strip_ends(&pattern, &text);
    choose_pattern(&pattern, &text);
    *distance = pattern.n + text.n; /* right where one of them is empty */
    cfb_code rc = check_size(pattern, text, err);
    if (rc != CFB_OK || pattern.n == 0 || text.n == 0) return rc;
    if (!reserve(s, pattern.n, text.n)) return metric_no_memory(err);
    uint8_t *carry = pattern.n > STRIP_ROWS ? s->carry : NULL;
    if (carry) memset(carry, 1, text.n);
    *distance = text.n; /* of row 0, last column */
    for (size_t i = 0; i < pattern.n; i += STRIP_ROWS) {
        span rows = {pattern.p + i, pattern.n - i < STRIP_ROWS ? pattern.n - i : STRIP_ROWS};
        edit_strip(s, rows, text, carry, distance);
    }
    return CFB_OK;
}
