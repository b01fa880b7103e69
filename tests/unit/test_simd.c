/* The byte loops of reading, on every instruction set that this machine has, against loops that look at one byte at a time. Also
 * run for AArch64 by tests/arm.sh. */
#include "test.h"

#include "base/bytes.h"
#include "cfbench/utf8.h"
#include "dataset/simd.h"

#define MOST_BLOCKS 24
#define N_TEXTS 3000

static const char *const names[] = {"avx512", "avx2", "neon", "portable"};
#define N_NAMES (sizeof names / sizeof *names)

/* ---- marks ---- */

enum state { FIELD_START, PLAIN, QUOTED, AFTER_QUOTE, AFTER_QUOTE_CR };

struct marks {
    uint32_t at[MOST_BLOCKS * SIMD_BLOCK];
    size_t n;
    uint64_t n_lines;
    bool odd;
};

/* RFC 4180 byte by byte. Stops behind the block that is odd, whose marks do not count. */
static enum state slow_marks(const char *p, size_t n_blocks, enum state s, struct marks *out) {
    for (size_t b = 0; b < n_blocks && !out->odd; b++) {
        size_t n_before = out->n;
        for (size_t i = b * SIMD_BLOCK; i < (b + 1) * SIMD_BLOCK; i++) {
            bool separator = p[i] == ',' || p[i] == '\n', quote = p[i] == '"';
            out->n_lines += p[i] == '\n';
            if (s == QUOTED) {
                if (quote) s = AFTER_QUOTE;
            } else if (separator && (p[i] == '\n' || s != AFTER_QUOTE_CR)) {
                out->at[out->n++] = (uint32_t)i;
                s = FIELD_START;
            } else if (s == FIELD_START) {
                s = quote ? QUOTED : PLAIN;
            } else if (s == AFTER_QUOTE && quote) {
                s = QUOTED;
            } else if (s == AFTER_QUOTE && p[i] == '\r') {
                s = AFTER_QUOTE_CR;
            } else if (s != PLAIN || quote) {
                out->odd = true;
                s = PLAIN;
            }
        }
        if (out->odd) out->n = n_before;
    }
    return s;
}

static size_t make_text(char *p, uint64_t seed) {
    static const char *const pieces[] = {"\"a,b\"", "\"line\nline\"", "\"say \"\"no\"\"\"", "\"\"", ",",    "\n",
                                         "\r\n",    "银行证券",       "plain text, more",   ",,",   "，\n", "\"\"\"\"\r\n"};
    size_t n = (1 + cfb_rand_u64(seed, 0, 0) % MOST_BLOCKS) * SIMD_BLOCK, at = 0;
    for (uint64_t i = 0; at < n; i++) {
        uint64_t v = cfb_rand_u64(seed, 1, i);
        const char *piece = pieces[v % 12];
        bool quoted = piece[0] == '"', odd = v >> 20 & 1 && seed % 4 == 0;
        for (size_t k = 0; piece[k] && at < n; k++) p[at++] = piece[k];
        if (quoted && !odd && at < n && piece[strlen(piece) - 1] != '\n') p[at++] = v >> 21 & 1 ? ',' : '\n';
        for (uint64_t k = v >> 30 & 1 ? v >> 32 & 255 : 0; k > 0 && at < n && !quoted; k--) p[at++] = 'x'; /* quiet stretches */
        if (!quoted && !odd && at < n) p[at++] = '\n';
    }
    return n / SIMD_BLOCK;
}

/* In one call and in several, so that what is carried from block to block shows. */
static void marks_are_those_of_a_slow_loop(void **state) {
    (void)state;
    static char text[MOST_BLOCKS * SIMD_BLOCK];
    static struct marks want, got;
    size_t n_odd = 0;
    for (uint64_t seed = 0; seed < N_TEXTS; seed++) {
        size_t n = make_text(text, seed);
        want.n = want.n_lines = 0;
        want.odd = false;
        slow_marks(text, n, FIELD_START, &want);
        n_odd += want.odd;
        for (size_t k = 0; k < N_NAMES; k++) {
            if (!cfb_simd_use(names[k])) continue;
            csv_marks m = {.prev_ok = 1};
            got.n = 0;
            size_t step = seed % 3 ? 1 + seed % 7 : n;
            for (size_t b = 0; b < n && !m.odd; b += step)
                got.n += cfb_simd__ops()->csv_scan(text + b * SIMD_BLOCK, n - b < step ? n - b : step, (uint32_t)(b * SIMD_BLOCK),
                                                   &m, got.at + got.n);
            assert_int_equal(m.odd, want.odd);
            assert_true(m.odd ? got.n >= want.n : got.n == want.n); /* the odd block's do not count */
            assert_memory_equal(got.at, want.at, want.n * sizeof *want.at);
            if (!m.odd) assert_int_equal(m.n_lines, want.n_lines);
        }
    }
    assert_true(n_odd > 100 && n_odd < N_TEXTS / 2);
    cfb_simd_use(NULL);
}

/* ---- UTF-8 ---- */

/* By what the bytes say: decode, then ask whether the shortest form of that code point has this length. */
static bool slow_valid(const unsigned char *p, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t more = p[i] < 0x80 ? 0 : (p[i] & 0xE0) == 0xC0 ? 1 : (p[i] & 0xF0) == 0xE0 ? 2 : (p[i] & 0xF8) == 0xF0 ? 3 : 9;
        if (more == 9 || n - i <= more) return false;
        uint32_t c = more == 0 ? p[i] : p[i] & (0x3Fu >> more);
        for (size_t k = 1; k <= more; k++) {
            if ((p[i + k] & 0xC0) != 0x80) return false;
            c = c << 6 | (p[i + k] & 0x3Fu);
        }
        size_t shortest = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        if (more != shortest || (c >= 0xD800 && c < 0xE000) || c > 0x10FFFF) return false;
        i += more + 1;
    }
    return true;
}

static void check_utf8(const unsigned char *p, size_t n) {
    bool want = slow_valid(p, n);
    for (size_t k = 0; k < N_NAMES; k++) {
        if (!cfb_simd_use(names[k])) continue;
        if (cfb_utf8_is_valid((cfb_str){(const char *)p, n}) != want) {
            fprintf(stderr, "%s: %zu bytes that are %svalid, and end in %02X %02X %02X\n", names[k], n, want ? "" : "not ",
                    n > 2 ? p[n - 3] : 0, n > 1 ? p[n - 2] : 0, n > 0 ? p[n - 1] : 0);
            fail();
        }
    }
}

/* All pairs of bytes, and triples and quadruples around every limit, at places that cross the edges of 16, 32 and 64 bytes. */
static void utf8_is_that_of_a_slow_loop(void **state) {
    (void)state;
    static const unsigned char edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0,
                                          0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF7, 0xF8, 0xFF};
    enum { N = sizeof edges };
    static const size_t places[] = {0, 13, 14, 15, 29, 30, 31, 62};
    unsigned char text[80];
    for (size_t at = 0; at < sizeof places / sizeof *places; at++) {
        size_t from = places[at];
        for (size_t i = 0; i < from; i++) text[i] = (unsigned char)("\xE4\xB8\xAD"[i % 3]);
        for (size_t i = from - from % 3; i < from; i++) text[i] = 'x';
        for (unsigned v = 0; v < 0x10000; v++) {
            text[from] = (unsigned char)(v >> 8);
            text[from + 1] = (unsigned char)v;
            if (at == v % 8 || at == 3) check_utf8(text, from + 2);
        }
        for (unsigned v = 0; v < N * N * N * N; v++) {
            if (at != v % 8) continue;
            text[from] = edges[v / (N * N * N)];
            text[from + 1] = edges[v / (N * N) % N];
            text[from + 2] = edges[v / N % N];
            text[from + 3] = edges[v % N];
            check_utf8(text, from + 3);
            check_utf8(text, from + 4);
            memcpy(text + from + 4, "\xE5\xA5\xBDok", 5);
            check_utf8(text, from + 9);
        }
    }
    cfb_simd_use(NULL);
}

static size_t slow_run(const unsigned char *p, size_t n) {
    size_t i = 0;
    while (i < n && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\') i++;
    return i;
}

/* Every byte at every place of texts of every length up to two blocks; it is not looked at what stands behind the text. */
static void plain_runs_are_those_of_a_slow_loop(void **state) {
    (void)state;
    enum { LONGEST = 130 };
    unsigned char text[LONGEST + 1];
    for (size_t k = 0; k < N_NAMES; k++) {
        if (!cfb_simd_use(names[k])) continue;
        for (size_t n = 0; n <= LONGEST; n++) {
            for (size_t i = 0; i < n; i++) text[i] = (unsigned char)("\xE4\xB8\xAD a~\x7F\xFF"[i % 8]);
            text[n] = '"';
            assert_int_equal(cfb_plain_run((const char *)text, n), n);
            for (size_t at = 0; at < n; at++) {
                unsigned char kept = text[at];
                for (unsigned c = n % 16; c < 256; c += 16) { /* every byte at every place, of one length in 16 */
                    text[at] = (unsigned char)c;
                    assert_int_equal(cfb_plain_run((const char *)text, n), slow_run(text, n));
                }
                for (const char *c = "\"\\\n\x1F !"; *c; c++) {
                    text[at] = (unsigned char)*c;
                    assert_int_equal(cfb_plain_run((const char *)text, n), slow_run(text, n));
                }
                text[at] = kept;
            }
        }
    }
    cfb_simd_use(NULL);
}

/* The place of the first wrong byte, in texts long enough for the fast way. */
static void the_place_of_broken_utf8_is_found(void **state) {
    (void)state;
    unsigned char text[300];
    for (size_t k = 0; k < N_NAMES; k++) {
        if (!cfb_simd_use(names[k])) continue;
        for (size_t n = 60; n < sizeof text; n += 3) {
            for (size_t i = 0; i < n; i++) text[i] = (unsigned char)("\xE4\xB8\xAD"[i % 3]);
            assert_true(cfb_utf8_find_invalid((cfb_str){(const char *)text, n}) == SIZE_MAX);
            assert_true(cfb_utf8_find_invalid((cfb_str){(const char *)text, n - 1}) == n - 3);
            for (size_t at = 0; at < n; at++) {
                unsigned char kept = text[at];
                text[at] = 0xFF;
                assert_true(cfb_utf8_find_invalid((cfb_str){(const char *)text, n}) == at - at % 3);
                text[at] = kept;
            }
        }
    }
    cfb_simd_use(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_are_those_of_a_slow_loop),
        cmocka_unit_test(utf8_is_that_of_a_slow_loop),
        cmocka_unit_test(plain_runs_are_those_of_a_slow_loop),
        cmocka_unit_test(the_place_of_broken_utf8_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
