/* choice.c - which of the choices A..E a text names. The rules, in their order, are in docs/metrics.md; change both together. */
#include "cfbench/metrics.h"
#include "cfbench/text.h"

#define MAX_FILLERS 16

typedef const char *const *words;

/* Rule 2: what announces an answer, and what may stand between that and the letter. "选" has conditions of its own. */
static const char *const markers[] = {"答案", "正确选项", "正确的选项", "正确的是", "正确项", "选", NULL};
static const char *const latin_markers[] = {"answer", "correct option", "correct choice", "choose", NULL};
static const char *const fillers[] = {"：", ":",  "是",   "为",   "应",      "该",     "当",       "就", "即", "最",
                                      "终", "的", "选项", "选择", "选",      "项",     "（",       "(",  "【", "[",
                                      "{",  "“",  "\"",   "‘",    "'",       "「",     "*",        "_",  "`",  "$",
                                      "<",  "《", "=",    "#",    "\\boxed", "\\text", "\\mathrm", NULL};
static const char *const latin_fillers[] = {"is", "be", "should", "option", "choice", "the", "correct", NULL};
/* Rule 3: what may stand between a letter and the verdict on it. */
static const char *const behind[] = {"选项", "选择", "项", "选", "是", "为", "的", "最", "说法", "描述",
                                     "表述", "答案", "）", ")",  "】", "]",  "”",  "\"", "’",    "'",
                                     "」",   "*",    "_",  "`",  "$",  "}",  ".",  "》", ">",    NULL};
static const char *const verdicts[] = {"正确", "符合题意", "当选", "恰当", "合适", "准确", NULL};
static const char *const latin_verdicts[] = {"correct", "right", NULL};
/* Words that begin with a letter and name no choice: A股, B轮, C类, D级, E档. */
static const char *const things[] = {"股", "轮", "类", "级", "档", "+", NULL};
/* Rules 1 and 4: what may stand around an answer. */
static const char *const openers[] = {"（", "(", "【", "[", "{", "“", "\"", "‘",  "'", "「", "『",
                                      "*",  "_", "`",  "$", "#", ">", "<",  "《", "-", NULL};
static const char *const closers[] = {"）", ")",  "】", "]",  "}", "”",  "\"", "’",  "'", "」", "』", "*", "_",  "`", "$",
                                      ">",  "》", ".",  "。", ":", "：", ",",  "，", ";", "；", "、", "!", "！", NULL};

static bool starts_with(cfb_str t, size_t at, const char *z) {
    size_t n = strlen(z);
    return t.len - at >= n && memcmp(t.ptr + at, z, n) == 0;
}

/* Length of the first of the words that stands at `at`, or 0. */
static size_t match_word(cfb_str t, size_t at, words list) {
    for (; *list != NULL; list++)
        if (starts_with(t, at, *list)) return strlen(*list);
    return 0;
}

static bool is_ascii_letter(unsigned char c) { return (c | 0x20u) - 'a' < 26u; }
static unsigned lower(unsigned char c) { return is_ascii_letter(c) ? c | 0x20u : c; }

/* The same for Latin words in any case, which must end where they end. */
static size_t match_latin(cfb_str t, size_t at, words list) {
    for (; *list != NULL; list++) {
        size_t n = strlen(*list), i = 0;
        while (i < n && at + i < t.len && lower((unsigned char)t.ptr[at + i]) == (unsigned char)(*list)[i]) i++;
        if (i == n && (at + n == t.len || !is_ascii_letter((unsigned char)t.ptr[at + n]))) return n;
    }
    return 0;
}

static size_t space_at(cfb_str t, size_t at) {
    if (at >= t.len) return 0;
    size_t next = at;
    return cfb_text_is_space(cfb_utf8_next(t, &next)) ? next - at : 0;
}

static size_t skip_space(cfb_str t, size_t at) {
    for (size_t n; (n = space_at(t, at)) > 0;) at += n;
    return at;
}

static uint32_t char_before(cfb_str t, size_t at, size_t *begin) {
    if (at == 0) {
        *begin = 0;
        return 0;
    }
    do at--;
    while (at > 0 && ((unsigned char)t.ptr[at] & 0xC0) == 0x80);
    *begin = at;
    return cfb_utf8_next(t, &at);
}

static uint32_t char_at(cfb_str t, size_t at) { return at < t.len ? cfb_utf8_next(t, &at) : 0; }

/* Full-width letters and digits as ASCII. */
static uint32_t narrow(uint32_t c) { return c - 0xFF01u < 0x5Eu ? c - 0xFEE0u : c; }

/* Would a letter A..E be part of a word beside this character? */
static bool is_wordy(uint32_t c) {
    c = narrow(c);
    if (c < 0x80) return (c | 0x20u) - 'a' < 26u || c - '0' < 10u || c == '_';
    return c >= 0xC0 && c < 0x2000 && cfb_text_class_of(c) == CFB_TEXT_WORD;
}

/* 0..4 for a letter A..E of either width, -1 for anything else; *next is behind it. */
static int letter_at(cfb_str t, size_t at, bool small, size_t *next) {
    if (at >= t.len) return -1;
    *next = at;
    uint32_t c = narrow(cfb_utf8_next(t, next));
    if (small && c - 'a' < 5u) return (int)(c - 'a');
    return c - 'A' < 5u ? (int)(c - 'A') : -1;
}

/* Does what stands before (behind) a letter make a word with it? An underscore only inside of one: not in __B__. */
static bool joined_before(cfb_str t, size_t at) {
    uint32_t c = char_before(t, at, &at);
    if (c == '_' || c == '-') {
        c = char_before(t, at, &at);
        return c != '_' && is_wordy(c);
    }
    return is_wordy(c) || c == '&' || c == '+';
}

static bool joined_behind(cfb_str t, size_t at) {
    uint32_t c = char_at(t, at);
    if (c == '_' || c == '-' || c == '&' || c == '\'') {
        c = char_at(t, at + 1);
        return c != '_' && is_wordy(c);
    }
    return is_wordy(c);
}

typedef struct group {
    unsigned choices;
    size_t end;
} group;

enum { LOWER = 1, ARTICLE = 2 }; /* small letters count too; "A word" counts too */

/* A run of letters that belong to no word, each later in the alphabet than `after`: B, ABD, ＡＢ. choices is 0 if there is none.
 */
static group read_run(cfb_str t, size_t at, int after, unsigned flags) {
    group g = {0, at}, none = {0, at};
    size_t next = at;
    if (joined_before(t, at)) return none;
    for (int letter; (letter = letter_at(t, g.end, flags & LOWER, &next)) >= 0; g.end = next) {
        if (letter <= after) return none;
        after = letter;
        g.choices |= 1u << letter;
    }
    if (g.choices == 0 || joined_behind(t, g.end) || match_word(t, g.end, things)) return none;
    bool article = g.choices == 1 && char_at(t, g.end) == ' ' && char_at(t, g.end + 1) - 'a' < 26u;
    return article && !(flags & ARTICLE) ? none : g;
}

/* Between two runs of a group. *list: a separator of lists, behind which text may go on at once ("A、B选项"). */
static size_t separator(cfb_str t, size_t at, bool *list) {
    static const char *const of_lists[] = {"、", "以及", "和", "与", "及", NULL};
    static const char *const others[] = {",", "，", ";", "；", "/", NULL};
    size_t begin = at;
    at = skip_space(t, at);
    size_t n = match_word(t, at, of_lists);
    *list = n > 0;
    if (n == 0) n = match_word(t, at, others);
    if (n == 0 && at > begin && match_latin(t, at, (const char *const[]){"and", NULL})) n = 3;
    if (n == 0 && memchr(t.ptr + begin, '\n', at - begin)) return 0;
    return skip_space(t, at + n) - begin;
}

/* Runs with separators between them, ascending: A, ABD, "A、C", "B and D". */
static group read_group(cfb_str t, size_t at, unsigned flags) {
    group g = read_run(t, at, -1, flags);
    if (g.choices == 0) return g;
    for (;;) {
        bool list;
        size_t n = separator(t, g.end, &list);
        int last = 31 - __builtin_clz(g.choices);
        if (n == 0) return g;
        group more = read_run(t, g.end + n, last, flags & LOWER);
        if (more.choices == 0) return g;
        if (!list && cfb_text_class_of(char_at(t, more.end)) != CFB_TEXT_BREAK) return g; /* "选A，B错误" */
        g.choices |= more.choices;
        g.end = more.end;
    }
}

/* ---- rule 1: nothing but the answer ---- */

static unsigned whole_text(cfb_str t) {
    size_t at = 0;
    for (size_t n; (n = space_at(t, at)) > 0 || (n = match_word(t, at, openers)) > 0;) at += n;
    group g = read_group(t, at, LOWER | ARTICLE);
    if (g.choices == 0) return 0;
    for (size_t n; (n = space_at(t, g.end)) > 0 || (n = match_word(t, g.end, closers)) > 0;) g.end += n;
    return g.end == t.len ? g.choices : 0;
}

/* ---- rule 2: the last announced answer ---- */

/* 不选, 不应选, 别选: what stands before "选", helping verbs skipped. */
static bool is_negated(cfb_str t, size_t at) {
    static const char helping[] = "应该能可以会宜要需";
    static const char negations[] = "不勿别未没非";
    while (at > 0) {
        size_t begin = 0;
        char_before(t, at, &begin);
        cfb_str c = {t.ptr + begin, at - begin};
        if (c.len != 3) return false;
        if (cfb_str_find(CFB_STR_LIT(negations), c, 0) != SIZE_MAX) return true;
        if (cfb_str_find(CFB_STR_LIT(helping), c, 0) == SIZE_MAX) return false;
        at = begin;
    }
    return false;
}

static size_t marker_at(cfb_str t, size_t at) {
    unsigned char c = (unsigned char)t.ptr[at];
    if (c < 0x80) {
        size_t begin;
        if (!is_ascii_letter(c) || (at > 0 && is_wordy(char_before(t, at, &begin)))) return 0;
        return match_latin(t, at, latin_markers);
    }
    if (c != 0xE6 && c != 0xE7 && c != 0xE9) return 0; /* none of their first bytes */
    size_t n = match_word(t, at, markers);
    if (n == strlen("选") && (starts_with(t, at + n, "项") || is_negated(t, at))) return 0;
    return n;
}

static unsigned announced(cfb_str t) {
    unsigned choices = 0;
    for (size_t i = 0; i < t.len; i++) {
        size_t n = marker_at(t, i), at = i + n;
        if (n == 0) continue;
        for (int k = 0; k < MAX_FILLERS; k++, at += n) {
            n = space_at(t, at);
            if (n == 0) n = match_word(t, at, fillers);
            if (n == 0 && at < t.len && is_ascii_letter((unsigned char)t.ptr[at])) n = match_latin(t, at, latin_fillers);
            if (n == 0) break;
        }
        group g = read_group(t, at, ARTICLE);
        if (g.choices) choices = g.choices;
    }
    return choices;
}

/* ---- rules 3 to 5: over all groups of the text ---- */

/* Where the next letter that could begin a group stands, or t.len. */
static size_t next_letter(cfb_str t, size_t at) {
    for (; at < t.len; at++) {
        unsigned char c = (unsigned char)t.ptr[at];
        if (c - (unsigned)'A' < 5u || (c == 0xEF && starts_with(t, at, "\xEF\xBC"))) return at;
    }
    return at;
}

static unsigned judged_right(cfb_str t) {
    unsigned choices = 0;
    for (size_t i = next_letter(t, 0); i < t.len;) {
        group g = read_group(t, i, ARTICLE);
        if (g.choices == 0) {
            i = next_letter(t, i + 1);
            continue;
        }
        size_t at = g.end, n;
        while ((n = space_at(t, at)) > 0 || (n = match_word(t, at, behind)) > 0 ||
               (n = match_latin(t, at, (const char *const[]){"is", "are", NULL})) > 0)
            at += n;
        if (match_word(t, at, verdicts) || match_latin(t, at, latin_verdicts)) choices |= g.choices;
        i = next_letter(t, g.end);
    }
    return choices;
}

/* The lines that begin with a group all name the same. */
static unsigned line_starts(cfb_str t) {
    unsigned choices = 0;
    for (size_t at = 0; at < t.len;) {
        for (size_t n; at < t.len && t.ptr[at] != '\n' && ((n = space_at(t, at)) > 0 || (n = match_word(t, at, openers)) > 0);)
            at += n;
        group g = at < t.len ? read_group(t, at, 0) : (group){0, at};
        if (g.choices && cfb_text_class_of(char_at(t, g.end)) == CFB_TEXT_BREAK) {
            if (choices && choices != g.choices) return 0;
            choices = g.choices;
        }
        size_t end = cfb_str_find(t, CFB_STR_LIT("\n"), at);
        if (end == SIZE_MAX) break;
        at = end + 1;
    }
    return choices;
}

static unsigned only_named(cfb_str t) {
    unsigned choices = 0;
    for (size_t i = next_letter(t, 0); i < t.len;) {
        group g = read_group(t, i, 0);
        if (g.choices == 0) {
            i = next_letter(t, i + 1);
            continue;
        }
        if (choices && choices != g.choices) return 0;
        choices = g.choices;
        i = next_letter(t, g.end);
    }
    return choices;
}

cfb_code cfb_metric_choices(cfb_str text, unsigned *choices, cfb_err *err) {
    *choices = 0;
    if (cfb_text_count_valid(text) == SIZE_MAX) return cfb_err_set(err, CFB_EENCODING, "text is not valid UTF-8");
    if (text.len == 0) return CFB_OK;
    unsigned (*const rules[])(cfb_str) = {whole_text, announced, judged_right, line_starts, only_named};
    for (size_t i = 0; *choices == 0 && i < sizeof rules / sizeof *rules; i++) *choices = rules[i](text);
    return CFB_OK;
}

cfb_code cfb_metric_accuracy(cfb_str response, cfb_str output, double *out, bool *unmatchable, cfb_err *err) {
    unsigned want, got;
    cfb_code rc = cfb_metric_choices(response, &want, err);
    if (rc == CFB_OK) rc = cfb_metric_choices(output, &got, err);
    if (rc != CFB_OK) return rc;
    *unmatchable = want == 0;
    *out = want != 0 && want == got ? 1.0 : 0.0;
    return CFB_OK;
}
