#include "mock/answers.h"

#include "mock/faults.h"
#include "mock/script.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct group {
    cfb_str name;
    cfb_str *answers; /* one per taught prompt, in the order of teaching: frequent answers are drawn often */
    size_t n, cap;
} group;

struct cfb_mock__answers {
    pthread_rwlock_t lock;
    cfb_arena_t *arena; /* texts and entries; nothing is given back before the end, so borrowed texts stay */
    cfb_mock__entry **buckets;
    size_t n_buckets, n_entries; /* n_buckets is a power of two */
    group *groups;
    size_t n_groups, cap_groups;
};

/* ---- table ---- */

static uint64_t hex_prefix(const char *hex) {
    uint64_t v = 0;
    for (int i = 0; i < 16; i++) {
        char c = hex[i];
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return v;
}

static bool is_sha256(cfb_str s) {
    if (s.ptr == NULL || s.len != 64) return false;
    for (size_t i = 0; i < 64; i++)
        if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f'))) return false;
    return true;
}

static cfb_mock__entry *find(const cfb_mock__answers *a, cfb_str sha256, uint64_t key) {
    cfb_mock__entry *e = a->buckets[key & (a->n_buckets - 1)];
    while (e != NULL && memcmp(e->sha256, sha256.ptr, 64) != 0) e = e->next;
    return e;
}

static void grow_table(cfb_mock__answers *a) {
    size_t n = a->n_buckets * 2;
    cfb_mock__entry **buckets = calloc(n, sizeof(*buckets));
    if (buckets == NULL) return; /* longer chains still work */
    for (size_t i = 0; i < a->n_buckets; i++) {
        for (cfb_mock__entry *e = a->buckets[i], *next; e != NULL; e = next) {
            next = e->next;
            e->next = buckets[e->key & (n - 1)];
            buckets[e->key & (n - 1)] = e;
        }
    }
    free(a->buckets);
    a->buckets = buckets;
    a->n_buckets = n;
}

/* The write lock is held. */
static cfb_mock__entry *find_or_add(cfb_mock__answers *a, cfb_str sha256) {
    uint64_t key = hex_prefix(sha256.ptr);
    cfb_mock__entry *e = find(a, sha256, key);
    if (e != NULL) return e;
    e = cfb_arena_calloc(a->arena, 1, sizeof *e);
    if (e == NULL) return NULL;
    if (a->n_entries >= a->n_buckets) grow_table(a);
    memcpy(e->sha256, sha256.ptr, 64);
    e->key = key;
    atomic_init(&e->tries, 0);
    atomic_init(&e->answered, false);
    e->next = a->buckets[key & (a->n_buckets - 1)];
    a->buckets[key & (a->n_buckets - 1)] = e;
    a->n_entries++;
    return e;
}

cfb_code cfb_mock__answers_new(cfb_mock__answers **out, cfb_err *err) {
    cfb_mock__answers *a = calloc(1, sizeof *a);
    if (a == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (pthread_rwlock_init(&a->lock, NULL) != 0) {
        free(a);
        return cfb_err_set(err, CFB_ENOMEM, "cannot make a lock");
    }
    a->n_buckets = 1024;
    a->buckets = calloc(a->n_buckets, sizeof(*a->buckets));
    cfb_code rc = a->buckets == NULL ? cfb_err_set(err, CFB_ENOMEM, "out of memory") : cfb_arena_new(0, &a->arena, err);
    if (rc != CFB_OK) {
        cfb_mock__answers_free(a);
        return rc;
    }
    *out = a;
    return CFB_OK;
}

void cfb_mock__answers_free(cfb_mock__answers *a) {
    if (a == NULL) return;
    for (size_t i = 0; i < a->n_groups; i++) free(a->groups[i].answers);
    free(a->groups);
    free(a->buckets);
    cfb_arena_free(a->arena);
    pthread_rwlock_destroy(&a->lock);
    free(a);
}

cfb_code cfb_mock__answers_entry(cfb_mock__answers *a, cfb_str sha256, cfb_mock__entry **out, cfb_err *err) {
    pthread_rwlock_rdlock(&a->lock);
    *out = find(a, sha256, hex_prefix(sha256.ptr));
    pthread_rwlock_unlock(&a->lock);
    if (*out != NULL) return CFB_OK;
    pthread_rwlock_wrlock(&a->lock);
    *out = find_or_add(a, sha256);
    pthread_rwlock_unlock(&a->lock);
    return *out != NULL ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
}

/* ---- groups ---- */

static group *find_or_add_group(cfb_mock__answers *a, cfb_str name) {
    /* the last group first: answers come task by task */
    for (size_t i = a->n_groups; i-- > 0;)
        if (cfb_str_eq(a->groups[i].name, name)) return &a->groups[i];
    if (a->n_groups == a->cap_groups) {
        size_t cap = a->cap_groups ? a->cap_groups * 2 : 8;
        group *groups = realloc(a->groups, cap * sizeof *groups);
        if (groups == NULL) return NULL;
        a->groups = groups;
        a->cap_groups = cap;
    }
    group *g = &a->groups[a->n_groups];
    *g = (group){0};
    if (cfb_arena_dup(a->arena, name, &g->name, NULL) != CFB_OK) return NULL;
    a->n_groups++;
    return g;
}

static group *add_to_group(cfb_mock__answers *a, cfb_str name, cfb_str answer) {
    group *g = find_or_add_group(a, name);
    if (g == NULL) return NULL;
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 64;
        cfb_str *answers = realloc(g->answers, cap * sizeof *answers);
        if (answers == NULL) return NULL;
        g->answers = answers;
        g->cap = cap;
    }
    g->answers[g->n++] = answer;
    return g;
}

/* Another answer of the group: a random place, then on to the first text that differs. */
static bool pick_other(const group *g, cfb_str not_this, double u, cfb_str *out) {
    size_t start = (size_t)(u * (double)g->n);
    for (size_t i = 0; i < g->n; i++) {
        cfb_str s = g->answers[(start + i) % g->n];
        if (cfb_str_eq(s, not_this)) continue;
        *out = s;
        return true;
    }
    return false;
}

/* ---- teaching and answering ---- */

static bool teach_locked(cfb_mock__answers *a, cfb_str sha256, cfb_str group_name, cfb_str answer) {
    cfb_mock__entry *e = find_or_add(a, sha256);
    if (e == NULL) return false;
    if (e->taught && cfb_str_eq(e->answer, answer) && e->has_group == (group_name.ptr != NULL) &&
        (!e->has_group || cfb_str_eq(a->groups[e->group].name, group_name)))
        return true;
    cfb_str copy;
    if (cfb_arena_dup(a->arena, answer, &copy, NULL) != CFB_OK) return false;
    if (group_name.ptr != NULL) {
        const group *g = add_to_group(a, group_name, copy);
        if (g == NULL) return false;
        e->group = (size_t)(g - a->groups);
    }
    e->has_group = group_name.ptr != NULL;
    e->answer = copy;
    e->taught = true;
    return true;
}

cfb_code cfb_mock__answers_teach(cfb_mock__answers *a, cfb_str sha256, cfb_str group_name, cfb_str answer, cfb_err *err) {
    if (!is_sha256(sha256))
        return cfb_err_set(err, CFB_EDATA, "'%.*s' is not a SHA-256 in 64 lower-case hex digits", CFB_STR_ARG(sha256));
    if (answer.ptr == NULL) return cfb_err_set(err, CFB_EDATA, "there is no answer to teach");
    pthread_rwlock_wrlock(&a->lock);
    bool ok = teach_locked(a, sha256, group_name, answer);
    pthread_rwlock_unlock(&a->lock);
    return ok ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
}

static cfb_code add_line(void *ctx, const cfb_mock__line *line, cfb_err *err) {
    cfb_mock__answers *a = ctx;
    if (!is_sha256(line->sha256)) return cfb_err_set(err, CFB_EDATA, "prompt_sha256 must be 64 lower-case hex digits");
    cfb_mock__line *copy = cfb_arena_calloc(a->arena, 1, sizeof *copy);
    cfb_mock__entry *e = find_or_add(a, line->sha256);
    if (copy == NULL || e == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    *copy = *line;
    copy->next = NULL;
    copy->sha256 = CFB_STR_NULL; /* the entry has it */
    cfb_code rc = cfb_arena_dup(a->arena, line->content, &copy->content, err);
    if (rc == CFB_OK) rc = cfb_arena_dup(a->arena, line->finish_reason, &copy->finish_reason, err);
    if (rc != CFB_OK) return rc;
    if (line->task.ptr != NULL && line->content.ptr != NULL) {
        const group *g = add_to_group(a, line->task, copy->content);
        if (g == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        copy->has_group = true;
        copy->group = (size_t)(g - a->groups);
    }
    copy->task = CFB_STR_NULL;
    if (e->script == NULL)
        e->script = copy;
    else
        e->script_last->next = copy;
    e->script_last = copy;
    return CFB_OK;
}

cfb_code cfb_mock__answers_load(cfb_mock__answers *a, const char *path, cfb_err *err) {
    return cfb_mock__script_read(path, add_line, a, err);
}

void cfb_mock__answers_pick(cfb_mock__answers *a, const cfb_mock__entry *e, uint64_t seed, uint64_t try_no, double error_rate,
                            cfb_mock__answer *out) {
    *out = (cfb_mock__answer){CFB_STR_NULL, CFB_STR_LIT("stop"), 200, -1, false};
    pthread_rwlock_rdlock(&a->lock);
    bool has_group = e->has_group;
    size_t group_no = e->group;
    const cfb_mock__line *line = e->script;
    if (line != NULL) {
        for (uint64_t i = 0; i < try_no && line->next != NULL; i++) line = line->next;
        out->content = line->content;
        if (line->finish_reason.ptr != NULL) out->finish_reason = line->finish_reason;
        out->status = line->status;
        out->delay_s = line->delay_s;
        has_group = line->has_group;
        group_no = line->group;
        out->known = true;
    } else if (e->taught) {
        out->content = e->answer;
        out->known = true;
    }
    /* As at temperature 0, an answer does not change when it is asked for again: the try plays no part. */
    if (has_group && out->status == 200 && cfb_mock__draw(seed, e->key, 0, CFB_MOCK__CHOICE_WRONG) < error_rate)
        pick_other(&a->groups[group_no], out->content, cfb_mock__draw(seed, e->key, 0, CFB_MOCK__CHOICE_OTHER), &out->content);
    pthread_rwlock_unlock(&a->lock);
}
