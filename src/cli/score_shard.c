/* Scoring as several processes: which rows are this one's, what it found, and the joining of what all have found. Joining is
 * scoring once more, from the same files, with every row's scores looked up: so what comes out is what one process writes. */
#include "cfbench/cluster.h"
#include "cli/scoring.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t cfb_scoring_texts(cfb_str response, cfb_str output, cfb_row_state state) {
    uint64_t a = response.len ? cfb_hash64_long(response.ptr, response.len) : 1;
    uint64_t both[3] = {a, output.len ? cfb_hash64_long(output.ptr, output.len) : 1, (uint64_t)state};
    return cfb_hash64(both, sizeof both, 5);
}

uint64_t cfb_scoring_shard_of(const cfb_scoring_t *s, const char *task, cfb_str id, uint64_t number) {
    return id.len > 0 ? (uint64_t)cfb_shard_of((int64_t)s->shard_count, cfb_str_from(task), id) : number % s->shard_count;
}

bool cfb_scoring_is_mine(const cfb_scoring_t *s, const char *task, cfb_str id, uint64_t number) {
    return s->ranks ? cfb_ranks_has(s->ranks, number) : cfb_scoring_shard_of(s, task, id, number) == (uint64_t)s->c->shard_index;
}

static cfb_code look_up(cfb_scoring_t *s, uint64_t shard, uint64_t number, uint64_t texts, cfb_score_row *out, cfb_err *err) {
    cfb_code rc = cfb_score_shards_find(s->shards_in, shard, number, texts, out, err);
    if (rc == CFB_OK) atomic_fetch_add_explicit(&s->n_looked_up, 1, memory_order_relaxed);
    return rc;
}

cfb_code cfb_scoring_look_up(cfb_scoring_t *s, const cfb_target *t, cfb_str id, uint64_t number, const cfb_score_row_in *texts,
                             cfb_score_row *out, cfb_err *err) {
    return look_up(s, cfb_scoring_shard_of(s, t->name, id, number), number,
                   cfb_scoring_texts(texts->response, texts->output, texts->state), out, err);
}

/* Where sources are joined, the one that a result was met in first says nothing. */
static cfb_score_shard_key key_of(const cfb_scoring_t *s, const cfb_target *t) {
    return (cfb_score_shard_key){.source = strcmp(s->c->duplicates, "join") == 0 ? 0 : t->source_index,
                                 .model = t->key_model ? cfb_str_from(t->key_model) : CFB_STR_NULL,
                                 .setting = t->setting ? cfb_str_from(t->setting) : CFB_STR_NULL,
                                 .task = cfb_str_from(t->name)};
}

cfb_code cfb_scoring_put_counts(cfb_scoring_t *s, cfb_target *t, cfb_err *err) {
    cfb_score_shard_key key = key_of(s, t);
    return cfb_score_shard_put_counts(s->shard_out, &key, cfb_sink_scorer(t->sink), err);
}

cfb_code cfb_scoring_add_counts(cfb_scoring_t *s, cfb_target *t, cfb_err *err) {
    cfb_score_shard_key key = key_of(s, t);
    if (s->ranks) return cfb_ranks_add_counts(s->ranks, &key, cfb_sink_scorer(t->sink), err);
    return cfb_score_shards_add_counts(s->shards_in, &key, cfb_sink_scorer(t->sink), err);
}

/* ---- the beginning: the sources are known ---- */

static cfb_code open_own(cfb_scoring_t *s, const char *command, cfb_score_shard_source *sources, cfb_err *err) {
    char path[PATH_MAX];
    s->shard_count = (uint64_t)s->c->shard_count;
    s->shard_head = (cfb_score_shard_head){.index = (uint64_t)s->c->shard_index,
                                           .count = s->shard_count,
                                           .command = command,
                                           .words = s->c->words,
                                           .n_words = s->c->n_words,
                                           .sources = sources,
                                           .n_sources = s->n_sources};
    cfb_code rc = cfb_mkdir_p(s->c->out, err);
    if (rc == CFB_OK) rc = cfb_path_join(path, sizeof path, s->c->out, CFB_SCORE_SHARD_FILE, err);
    return rc == CFB_OK ? cfb_score_shard_create(path, &s->shard_head, &s->shard_out, err) : rc;
}

static cfb_code check_same(cfb_scoring_t *s, const char *command, const cfb_score_shard_source *sources, cfb_err *err) {
    const cfb_score_shard_head *h = cfb_score_shards_head(s->shards_in);
    s->shard_count = h->count;
    if (strcmp(h->command, command) != 0)
        return cfb_err_set(
            err, CFB_EUSAGE,
            "the shards were made by '%.150s', which would now be '%.150s': the environment or the config file has "
            "changed",
            h->command, command);
    bool same = h->n_sources == s->n_sources;
    for (size_t i = 0; same && i < s->n_sources; i++) {
        if (strcmp(h->sources[i].path, sources[i].path) == 0 && h->sources[i].bytes == sources[i].bytes) continue;
        return cfb_err_set(err, CFB_EUSAGE, "%.200s is not as it was when the shards were scored; score them again",
                           sources[i].path);
    }
    return same ? CFB_OK
                : cfb_err_set(err, CFB_EUSAGE, "the shards were made from %zu files, and now there are %zu; score them again",
                              h->n_sources, s->n_sources);
}

cfb_code cfb_scoring_begin_shard(cfb_scoring_t *s, cfb_err *err) {
    const char *command = NULL;
    if (s->c->shard_count == 0 && s->shards_in == NULL) return CFB_OK;
    cfb_score_shard_source *sources = cfb_arena_calloc(s->arena, s->n_sources + 1, sizeof *sources);
    if (sources == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < s->n_sources; i++) {
        if (strcmp(s->sources[i].path, "-") == 0)
            return cfb_err_set(err, CFB_EUSAGE,
                               "--shard: standard input cannot be read by several processes; write it to a file");
        /* of a run store, writing scores back changes the size */
        sources[i] = (cfb_score_shard_source){s->sources[i].path, s->sources[i].is_store ? 0 : s->sources[i].bytes};
    }
    cfb_code rc = cfb_scoring_command(s, &command, err);
    if (rc != CFB_OK) return rc;
    return s->shards_in ? check_same(s, command, sources, err) : open_own(s, command, sources, err);
}

/* ---- the end ---- */

cfb_code cfb_scoring_end_shard(cfb_scoring_t *s, cfb_err *err) {
    cfb_score_shard_writer_t *w = s->shard_out;
    s->shard_out = NULL;
    cfb_code rc = cfb_score_shard_commit(w, err);
    if (rc == CFB_OK && !s->c->quiet)
        fprintf(stderr, "shard %lld/%lld: %llu rows scored: %s/%s\n", (long long)s->c->shard_index, (long long)s->c->shard_count,
                (unsigned long long)s->n_put, s->c->out, CFB_SCORE_SHARD_FILE);
    return rc;
}

cfb_code cfb_scoring_check_looked_up(const cfb_scoring_t *s, cfb_err *err) {
    uint64_t have = cfb_score_shards_n_rows(s->shards_in), used = atomic_load(&s->n_looked_up);
    if (have == used) return CFB_OK;
    return cfb_err_set(err, CFB_EDATA, "the shards hold %llu rows that are not in the files any more; score them again",
                       (unsigned long long)(have - used));
}

/* ---- merge ---- */

/* The configuration of the shards, with what merge has of its own. */
static cfb_code parse_again(const cfb_score_shard_head *h, const cfb_config *c, const char *out, cfb_config *to, cfb_err *err) {
    static char program[] = "cfbench";
    cfb_config_want want;
    char **argv = calloc(h->n_words + 2, sizeof *argv);
    if (argv == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    argv[0] = program;
    for (size_t i = 0; i < h->n_words; i++) argv[i + 1] = (char *)(uintptr_t)h->words[i]; /* the parser only reads them */
    cfb_code rc = cfb_config_parse((int)h->n_words + 1, argv, to, &want, err);
    free(argv);
    if (rc != CFB_OK) return rc;
    if (want != CFB_WANT_RUN || to->command != CFB_CMD_SCORE) {
        cfb_config_free(to);
        return cfb_err_set(err, CFB_EDATA, "the shards do not come from 'cfbench score'");
    }
    to->shard = NULL;
    to->out = out;
    to->quiet = c->quiet;
    to->verbose = c->verbose;
    to->json = c->json;
    to->color = c->color;
    if (c->quiet) to->progress = "off";
    if (c->threads) to->threads = c->threads;
    return CFB_OK;
}

cfb_code cfb_cli_merge_scores(const cfb_config *c, const char *out, const char *const *paths, size_t n, cfb_err *err) {
    cfb_score_shards_t *shards = NULL;
    cfb_config again;
    char path[PATH_MAX];
    cfb_code rc = cfb_path_join(path, sizeof path, out, "scores.json", err);
    if (rc == CFB_OK && cfb_path_exists(path) && !c->force)
        rc = cfb_err_set(err, CFB_EUSAGE, "%s is there already; --force replaces it", path);
    if (rc == CFB_OK) rc = cfb_score_shards_open(paths, n, &shards, err);
    if (rc == CFB_OK) rc = parse_again(cfb_score_shards_head(shards), c, out, &again, err);
    if (rc == CFB_OK) {
        if (!c->quiet)
            fprintf(stderr, "merging %zu shards: %llu scored rows\n", n, (unsigned long long)cfb_score_shards_n_rows(shards));
        rc = cfb_cli_score(&again, shards, err);
        cfb_config_free(&again);
    }
    cfb_score_shards_close(shards);
    return rc;
}
