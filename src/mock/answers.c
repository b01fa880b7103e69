#include "mock/answers.h"

#include "mock/faults.h"
#include "mock/request.h"
#include "mock/script.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct group {
    cfb_str name;
    const cfb_mock__text **answers; /* one per taught prompt, in the order of teaching: frequent answers are drawn often */
    size_t n, cap;
} group;

/* Prompts are spread over shards, so that threads seldom meet at a lock. */
#define N_SHARDS 16

/* A prompt that was seen, by a fast hash of 128 bits. The mock trusts its clients not to look for collisions. */
typedef struct alias {
    struct alias *next;
    uint64_t print[2];
    cfb_mock__entry *entry;
} alias;

typedef struct shard {
    pthread_mutex_t lock;
    cfb_arena_t *arena; /* texts and entries; nothing is given back before the end, so borrowed texts stay */
    cfb_mock__entry **buckets;
    size_t n_buckets, n_entries; /* n_buckets is a power of two */
    alias **aliases;             /* buckets; in the shard that the fast hash names */
    size_t n_alias_buckets, n_aliases;
} shard;

struct cfb_mock__answers {
    shard shards[N_SHARDS];
    pthread_rwlock_t lock; /* of the groups; taken behind a shard's lock, never before it */
    cfb_arena_t *arena;
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

static cfb_mock__entry *find(const shard *h, cfb_str sha256, uint64_t key) {
    cfb_mock__entry *e = h->buckets[key & (h->n_buckets - 1)];
    while (e != NULL && memcmp(e->sha256, sha256.ptr, 64) != 0) e = e->next;
    return e;
}

static void grow_table(shard *h) {
    size_t n = h->n_buckets * 2;
    cfb_mock__entry **buckets = calloc(n, sizeof(*buckets));
    if (buckets == NULL) return; /* longer chains still work */
    for (size_t i = 0; i < h->n_buckets; i++) {
        for (cfb_mock__entry *e = h->buckets[i], *next; e != NULL; e = next) {
            next = e->next;
            e->next = buckets[e->key & (n - 1)];
            buckets[e->key & (n - 1)] = e;
        }
    }
    free(h->buckets);
    h->buckets = buckets;
    h->n_buckets = n;
}

/* The shard's lock is held. */
static cfb_mock__entry *find_or_add(shard *h, cfb_str sha256, uint64_t key) {
    cfb_mock__entry *e = find(h, sha256, key);
    if (e != NULL) return e;
    e = cfb_arena_calloc(h->arena, 1, sizeof *e);
    if (e == NULL) return NULL;
    if (h->n_entries >= h->n_buckets) grow_table(h);
    memcpy(e->sha256, sha256.ptr, 64);
    e->key = key;
    atomic_init(&e->tries, 0);
    atomic_init(&e->answered, false);
    atomic_init(&e->taught, NULL);
    e->next = h->buckets[key & (h->n_buckets - 1)];
    h->buckets[key & (h->n_buckets - 1)] = e;
    h->n_entries++;
    return e;
}

static shard *shard_of(cfb_mock__answers *a, uint64_t key) { return &a->shards[key >> 60]; }
_Static_assert(N_SHARDS == 16, "shard_of takes four bits");

cfb_code cfb_mock__answers_new(cfb_mock__answers **out, cfb_err *err) {
    cfb_mock__answers *a = calloc(1, sizeof *a);
    if (a == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    pthread_rwlock_init(&a->lock, NULL); /* neither can fail with default attributes */
    cfb_code rc = cfb_arena_new(0, &a->arena, err);
    for (size_t i = 0; i < N_SHARDS; i++) {
        shard *h = &a->shards[i];
        pthread_mutex_init(&h->lock, NULL);
        h->n_buckets = 64;
        h->buckets = calloc(h->n_buckets, sizeof(*h->buckets));
        h->n_alias_buckets = 64;
        h->aliases = calloc(h->n_alias_buckets, sizeof(*h->aliases));
        if (rc == CFB_OK)
            rc = h->buckets == NULL || h->aliases == NULL ? cfb_err_set(err, CFB_ENOMEM, "out of memory")
                                                          : cfb_arena_new(0, &h->arena, err);
    }
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
    cfb_arena_free(a->arena);
    for (size_t i = 0; i < N_SHARDS; i++) {
        free(a->shards[i].buckets);
        free(a->shards[i].aliases);
        cfb_arena_free(a->shards[i].arena);
        pthread_mutex_destroy(&a->shards[i].lock);
    }
    pthread_rwlock_destroy(&a->lock);
    free(a);
}

cfb_code cfb_mock__answers_entry(cfb_mock__answers *a, cfb_str sha256, cfb_mock__entry **out, cfb_err *err) {
    uint64_t key = hex_prefix(sha256.ptr);
    shard *h = shard_of(a, key);
    pthread_mutex_lock(&h->lock);
    *out = find_or_add(h, sha256, key);
    pthread_mutex_unlock(&h->lock);
    return *out != NULL ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
}

/* ---- finding by the prompt ---- */

static uint64_t mix(uint64_t a, uint64_t b) {
    unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Two lanes of 8 bytes each, which do not wait for one another. */
static void fingerprint(cfb_str s, uint64_t print[2]) {
    const uint64_t k0 = UINT64_C(0x9E3779B97F4A7C15), k1 = UINT64_C(0xC2B2AE3D27D4EB4F);
    uint64_t a = k1 ^ s.len, b = k0 + s.len, w[2];
    size_t i = 0;
    for (; s.len - i >= 16; i += 16) {
        memcpy(w, s.ptr + i, 16);
        a = mix(a ^ w[0], k0) + w[1];
        b = mix(b ^ w[1], k1) + w[0];
    }
    w[0] = w[1] = 0;
    memcpy(w, s.ptr + i, s.len - i);
    print[0] = mix(mix(a ^ w[0], k0) ^ w[1], k1);
    print[1] = mix(mix(b ^ w[1], k1) ^ w[0], k0);
}

static alias **alias_bucket(const shard *h, const uint64_t print[2]) { return &h->aliases[print[0] & (h->n_alias_buckets - 1)]; }

static void grow_aliases(shard *h) {
    size_t n = h->n_alias_buckets * 2;
    alias **buckets = calloc(n, sizeof(*buckets));
    if (buckets == NULL) return;
    for (size_t i = 0; i < h->n_alias_buckets; i++) {
        for (alias *x = h->aliases[i], *next; x != NULL; x = next) {
            next = x->next;
            x->next = buckets[x->print[0] & (n - 1)];
            buckets[x->print[0] & (n - 1)] = x;
        }
    }
    free(h->aliases);
    h->aliases = buckets;
    h->n_alias_buckets = n;
}

static void add_alias(shard *h, const uint64_t print[2], cfb_mock__entry *e) {
    pthread_mutex_lock(&h->lock);
    alias *x = cfb_arena_calloc(h->arena, 1, sizeof *x);
    if (x != NULL) { /* two threads may both add it: the later one is found, and both are right */
        if (h->n_aliases++ >= h->n_alias_buckets) grow_aliases(h);
        alias **bucket = alias_bucket(h, print);
        *x = (alias){*bucket, {print[0], print[1]}, e};
        *bucket = x;
    }
    pthread_mutex_unlock(&h->lock);
}

cfb_code cfb_mock__answers_find(cfb_mock__answers *a, cfb_str prompt, cfb_mock__entry **out, cfb_err *err) {
    uint64_t print[2];
    fingerprint(prompt, print);
    shard *h = shard_of(a, print[0]);
    pthread_mutex_lock(&h->lock);
    const alias *x = *alias_bucket(h, print);
    while (x != NULL && (x->print[0] != print[0] || x->print[1] != print[1])) x = x->next;
    pthread_mutex_unlock(&h->lock); /* an alias never changes, only its place in the list */
    if (x != NULL) {
        *out = x->entry;
        return CFB_OK;
    }
    char sha256[65];
    cfb_sha256_hex(prompt.ptr, prompt.len, sha256);
    cfb_code rc = cfb_mock__answers_entry(a, cfb_str_from(sha256), out, err);
    if (rc == CFB_OK) add_alias(h, print, *out);
    return rc;
}

static const cfb_mock__text *new_text(cfb_arena_t *arena, cfb_str text) {
    cfb_mock__text *t = cfb_arena_calloc(arena, 1, sizeof *t);
    cfb_buf quoted = CFB_BUF_INIT(SIZE_MAX / 4);
    bool ok = t != NULL && cfb_arena_dup(arena, text, &t->text, NULL) == CFB_OK &&
              cfb_json_quote(&quoted, text, NULL) == CFB_OK &&
              cfb_arena_dup(arena, cfb_buf_str(&quoted), &t->quoted, NULL) == CFB_OK;
    cfb_buf_free(&quoted);
    if (!ok) return NULL;
    t->n_chars = cfb_mock__count(text);
    return t;
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

/* Takes the groups' lock. SIZE_MAX: out of memory. */
static size_t add_to_group(cfb_mock__answers *a, cfb_str name, const cfb_mock__text *answer) {
    pthread_rwlock_wrlock(&a->lock);
    group *g = find_or_add_group(a, name);
    if (g != NULL && g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 64;
        const cfb_mock__text **answers = realloc(g->answers, cap * sizeof(*answers));
        if (answers != NULL) {
            g->answers = answers;
            g->cap = cap;
        }
    }
    size_t no = g != NULL && g->n < g->cap ? (size_t)(g - a->groups) : SIZE_MAX;
    if (no != SIZE_MAX) g->answers[g->n++] = answer;
    pthread_rwlock_unlock(&a->lock);
    return no;
}

static bool group_is(cfb_mock__answers *a, size_t no, cfb_str name) {
    pthread_rwlock_rdlock(&a->lock);
    bool same = cfb_str_eq(a->groups[no].name, name);
    pthread_rwlock_unlock(&a->lock);
    return same;
}

/* Another answer of the group: a random place, then on to the first text that differs. */
static const cfb_mock__text *pick_other(cfb_mock__answers *a, size_t no, const cfb_mock__text *not_this, double u) {
    const cfb_mock__text *other = not_this;
    pthread_rwlock_rdlock(&a->lock);
    const group *g = &a->groups[no];
    size_t start = (size_t)(u * (double)g->n);
    for (size_t i = 0; i < g->n && other == not_this; i++) {
        const cfb_mock__text *t = g->answers[(start + i) % g->n];
        if (!cfb_str_eq(t->text, not_this->text)) other = t;
    }
    pthread_rwlock_unlock(&a->lock);
    return other;
}

/* ---- teaching and answering ---- */

/* The shard's lock is held. */
static bool teach_locked(cfb_mock__answers *a, shard *h, cfb_mock__entry *e, cfb_str group_name, cfb_str answer) {
    const cfb_mock__taught *old = atomic_load(&e->taught);
    bool has_group = group_name.ptr != NULL;
    if (old != NULL && cfb_str_eq(old->answer->text, answer) && old->has_group == has_group &&
        (!has_group || group_is(a, old->group, group_name)))
        return true;
    cfb_mock__taught *t = cfb_arena_calloc(h->arena, 1, sizeof *t);
    const cfb_mock__text *text = new_text(h->arena, answer);
    if (t == NULL || text == NULL) return false;
    *t = (cfb_mock__taught){text, has_group, 0};
    if (has_group && (t->group = add_to_group(a, group_name, text)) == SIZE_MAX) return false;
    atomic_store(&e->taught, t);
    return true;
}

cfb_code cfb_mock__answers_teach(cfb_mock__answers *a, cfb_str sha256, cfb_str group_name, cfb_str answer, cfb_err *err) {
    if (!is_sha256(sha256))
        return cfb_err_set(err, CFB_EDATA, "'%.*s' is not a SHA-256 in 64 lower-case hex digits", CFB_STR_ARG(sha256));
    if (answer.ptr == NULL) return cfb_err_set(err, CFB_EDATA, "there is no answer to teach");
    uint64_t key = hex_prefix(sha256.ptr);
    shard *h = shard_of(a, key);
    pthread_mutex_lock(&h->lock);
    cfb_mock__entry *e = find_or_add(h, sha256, key);
    bool ok = e != NULL && teach_locked(a, h, e, group_name, answer);
    pthread_mutex_unlock(&h->lock);
    return ok ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
}

/* While loading there is one thread only. */
static cfb_code add_line(void *ctx, const cfb_mock__line *line, cfb_err *err) {
    cfb_mock__answers *a = ctx;
    if (!is_sha256(line->sha256)) return cfb_err_set(err, CFB_EDATA, "prompt_sha256 must be 64 lower-case hex digits");
    uint64_t key = hex_prefix(line->sha256.ptr);
    shard *h = shard_of(a, key);
    cfb_mock__line *copy = cfb_arena_calloc(h->arena, 1, sizeof *copy);
    cfb_mock__entry *e = find_or_add(h, line->sha256, key);
    if (copy == NULL || e == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    *copy = *line;
    copy->next = NULL;
    copy->sha256 = copy->content = CFB_STR_NULL; /* the entry and the text have them */
    cfb_code rc = cfb_arena_dup(h->arena, line->finish_reason, &copy->finish_reason, err);
    if (rc != CFB_OK) return rc;
    if (line->content.ptr != NULL && (copy->text = new_text(h->arena, line->content)) == NULL)
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (line->task.ptr != NULL && copy->text != NULL) {
        copy->has_group = true;
        copy->group = add_to_group(a, line->task, copy->text);
        if (copy->group == SIZE_MAX) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
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

void cfb_mock__answers_pick(cfb_mock__answers *a, cfb_mock__entry *e, uint64_t seed, uint64_t try_no, double error_rate,
                            cfb_mock__answer *out) {
    *out = (cfb_mock__answer){NULL, CFB_STR_LIT("stop"), 200, -1, false};
    const cfb_mock__taught *taught = atomic_load(&e->taught);
    bool has_group = false;
    size_t group_no = 0;
    const cfb_mock__line *line = e->script;
    if (line != NULL) {
        for (uint64_t i = 0; i < try_no && line->next != NULL; i++) line = line->next;
        out->content = line->text;
        if (line->finish_reason.ptr != NULL) out->finish_reason = line->finish_reason;
        out->status = line->status;
        out->delay_s = line->delay_s;
        has_group = line->has_group;
        group_no = line->group;
        out->known = true;
    } else if (taught != NULL) {
        out->content = taught->answer;
        has_group = taught->has_group;
        group_no = taught->group;
        out->known = true;
    }
    /* As at temperature 0, an answer does not change when it is asked for again: the try plays no part. */
    if (has_group && out->status == 200 && cfb_mock__draw(seed, e->key, 0, CFB_MOCK__CHOICE_WRONG) < error_rate)
        out->content = pick_other(a, group_no, out->content, cfb_mock__draw(seed, e->key, 0, CFB_MOCK__CHOICE_OTHER));
}
