/* scoring.h - what the files that make scores of sources share: scoring.c, score_store.c, score_file.c, watch.c. */
#ifndef CFB_CLI_SCORING_H
#define CFB_CLI_SCORING_H

#include "cli/asked.h"

#include <pthread.h>

#define MAX_TARGETS 4096
#define MAX_SKIPPED_LISTED 1000

/* How ranks of one job reach each other: messages from the others to rank 0, those of one rank in their order. */
typedef struct cfb_rank_link {
    int rank, n_ranks;
    cfb_code (*send)(const void *data, size_t len, cfb_err *err); /* to rank 0; returns before it has arrived */
    cfb_code (*receive)(int from, cfb_buf *out, cfb_err *err);    /* rank 0: waits for the next one; replaces what is in out */
    cfb_code (*poll)(int from, cfb_buf *out, bool *there, cfb_err *err); /* the same without waiting */
    /* A board of 64-bit words that all ranks see, 0 at first. Any thread. */
    int64_t (*add)(int word, int64_t n); /* what was there before */
    void (*read)(int word, int n, int64_t *out);
    void (*write)(int word, int n, const int64_t *values);
} cfb_rank_link;
typedef struct cfb_ranks cfb_ranks_t;

/* One result: a task of one model in one setting. */
typedef struct cfb_target {
    const char *model, *setting, *name; /* model as it is shown; NULL = unknown */
    const char *key_model;              /* before a tag was added */
    const char *source;
    size_t source_index;
    cfb_sink_t *sink;  /* NULL: a task that --tasks leaves out, or one that could not be opened */
    const char *error; /* the task is not in the suite, or cannot be scored: what to say */
    cfb_code code;
    cfb_suite_t *suite; /* parsed from a store's task definition; else NULL */
    bool over_labels, done;
    size_t order; /* of the task in its suite */
    cfb_report_task result;
} cfb_target;

struct cfb_scoring {
    const cfb_config *c;
    cfb_arena_t *arena; /* behind lock while a scan runs */
    cfb_suite_t *suite; /* for files; loaded when first needed */
    cfb_report report;
    cfb_report_task *tasks; /* made by cfb_scoring_report */
    cfb_target **shown;     /* the results behind them */
    pthread_mutex_t lock;   /* targets and arena */
    cfb_target **targets;
    size_t n, cap;
    const char *export_dir;
    unsigned what;
    cfb_expr_t *where;
    cfb_rows_out_t *rows_out;
    bool pick_only; /* --rows-out has sampled and worst rows only */
    bool keep_rows; /* for a comparison */
    cfb_source *sources;
    size_t n_sources, now;     /* now: the one that is being read */
    cfb_report_asking *asking; /* (n_asking) one for each run store */
    size_t n_asking;
    cfb_report_skipped *skipped;
    size_t cap_skipped;
    uint64_t n_missing; /* rows without an output, in the source that is being read */
    cfb_scan_meter meter;
    cfb_cli_bytes progress;
    /* score_shard.c */
    uint64_t shard_count;                /* 0: one process scores all */
    cfb_score_shard_head shard_head;     /* of: */
    cfb_score_shard_writer_t *shard_out; /* this is a shard: rows of others are passed over, and there is no report */
    uint64_t n_put;                      /* rows in it */
    cfb_score_shards_t *shards_in;       /* shards are joined: rows are not scored, but looked up */
    atomic_ullong n_looked_up;
    cfb_ranks_t *ranks; /* score_ranks.c: several ranks score together; NULL: one process */
};

/* The result that rows of this model, setting and task belong to, opened if it is new. text: NULL = unknown. task: where the
 * caller has it (own: with the suite it came from, taken over in every case); else it is looked for in the suite. Any thread.
 * *out may be one with an error, or one without a sink: then its rows are not scored. */
typedef struct cfb_target_key {
    cfb_str model, setting, task;
    const cfb_task *definition;
    cfb_suite_t *own;
    bool keep_scores;
} cfb_target_key;
CFB_MUST_CHECK cfb_code cfb_scoring_target(cfb_scoring_t *s, const cfb_target_key *key, cfb_target **out, cfb_err *err);
/* Ends the results of the source that was read, unless other sources may add to them. */
CFB_MUST_CHECK cfb_code cfb_scoring_source_done(cfb_scoring_t *s, cfb_err *err);
/* What is known of a row before its texts. */
cfb_row_view cfb_scoring_view(const cfb_scoring_t *s, const cfb_target *t, const cfb_score_row *score, uint64_t row,
                              uint64_t line);
/* A row that was passed over. message is copied. In order, one at a time. */
CFB_MUST_CHECK cfb_code cfb_scoring_skip(cfb_scoring_t *s, uint64_t row, uint64_t line, const char *message, cfb_err *err);
/* A new sink for a target whose rows are scored once more. Nothing was exported. */
CFB_MUST_CHECK cfb_code cfb_scoring_renew(cfb_scoring_t *s, cfb_target *t, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_scoring_keep_text(cfb_scoring_t *s, const char *text, const char **out, cfb_err *err);
void cfb_scoring_set_title(cfb_scoring_t *s, const char *title);

/* How it was scored, as a command line: without --out, --shard, and what does not change scores. Borrowed from s. */
CFB_MUST_CHECK cfb_code cfb_scoring_command(cfb_scoring_t *s, const char **out, cfb_err *err);

/* ---- score_shard.c ---- */
/* Once the sources are known: opens the shard's file, or compares the shards with the sources. */
CFB_MUST_CHECK cfb_code cfb_scoring_begin_shard(cfb_scoring_t *s, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_scoring_end_shard(cfb_scoring_t *s, cfb_err *err);
/* Were all rows of the shards there? EDATA. */
CFB_MUST_CHECK cfb_code cfb_scoring_check_looked_up(const cfb_scoring_t *s, cfb_err *err);
/* The shard of a row: by its id, or by its number where it has none. id: as it stands in the file. Pure. */
uint64_t cfb_scoring_shard_of(const cfb_scoring_t *s, const char *task, cfb_str id, uint64_t number);
uint64_t cfb_scoring_texts(cfb_str response, cfb_str output, cfb_row_state state); /* a hash of what is scored. Pure. */
/* What a row scored, from the shards. Any thread. Errors: ENOTFOUND, EDATA. */
CFB_MUST_CHECK cfb_code cfb_scoring_look_up(cfb_scoring_t *s, const cfb_target *t, cfb_str id, uint64_t number,
                                            const cfb_score_row_in *texts, cfb_score_row *out, cfb_err *err);
/* What was counted for a result, to the shard's file, or from the shards. */
CFB_MUST_CHECK cfb_code cfb_scoring_put_counts(cfb_scoring_t *s, cfb_target *t, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_scoring_add_counts(cfb_scoring_t *s, cfb_target *t, cfb_err *err);

/* Is a row this process's to score? */
bool cfb_scoring_is_mine(const cfb_scoring_t *s, const char *task, cfb_str id, uint64_t number);

/* ---- score_ranks.c ---- */
CFB_MUST_CHECK cfb_code cfb_ranks_new(const cfb_rank_link *link, cfb_ranks_t **out, cfb_err *err);
void cfb_ranks_free(cfb_ranks_t *r); /* NULL is fine */
bool cfb_ranks_is_first(const cfb_ranks_t *r);
int cfb_ranks_owner(const cfb_ranks_t *r, uint64_t number);
bool cfb_ranks_has(const cfb_ranks_t *r, uint64_t number); /* is it this rank's own? */
/* Around a source: before its rows, and once its results are done (others) or before they are (rank 0). */
CFB_MUST_CHECK cfb_code cfb_ranks_begin(cfb_scoring_t *s, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_ranks_end(cfb_scoring_t *s, cfb_err *err);
/* Others: a row for rank 0, in order; what went wrong, at the end of everything. */
CFB_MUST_CHECK cfb_code cfb_ranks_put(cfb_ranks_t *r, uint64_t number, const cfb_score_row *row, uint64_t texts, cfb_err *err);
void cfb_ranks_fail(cfb_ranks_t *r, const cfb_err *why);
/* Rank 0: n rows of another rank; waits for them. Any thread. */
CFB_MUST_CHECK cfb_code cfb_ranks_look_up(cfb_ranks_t *r, int owner, const uint64_t *numbers, const cfb_score_row_in *texts,
                                          size_t n, cfb_score_row *out, cfb_err *err);
void cfb_ranks_forget(cfb_ranks_t *r, uint64_t number);    /* rows up to this one are committed */
const cfb_rank_link *cfb_ranks_link(const cfb_ranks_t *r); /* borrowed */
int64_t cfb_ranks_next_epoch(cfb_ranks_t *r);              /* 1, 2, ...: the same on all ranks */
CFB_MUST_CHECK cfb_code cfb_ranks_add_counts(cfb_ranks_t *r, const cfb_score_shard_key *key, cfb_scorer_t *to, cfb_err *err);

/* A message begins with its kind and its source, 32 bits each. FAILED: a cfb_err follows. */
enum cfb_ranks_kind { CFB_RANKS_ROWS, CFB_RANKS_END, CFB_RANKS_FAILED, CFB_RANKS_PORTION, CFB_RANKS_SHARED };
#define CFB_RANKS_HEADER 8
cfb_code cfb_ranks_failed(int from, cfb_str why, cfb_err *err); /* what a rank says of its failure, as an error here */

/* ---- score_share.c: ranks that read different parts of one file ---- */
typedef struct cfb_share cfb_share_t;
/* Plain files of one result, of which no row is written or drawn. The same on all ranks. */
bool cfb_share_is_possible(const cfb_scoring_t *s, const cfb_source *source, const cfb_target *only);
/* For a scan that is to be opened with *o; it may turn out not to be shared (cfb_scan_is_shared). Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_share_new(cfb_scoring_t *s, cfb_target *only, cfb_scan_opts *o, cfb_share_t **out, cfb_err *err);
void cfb_share_free(cfb_share_t *x); /* NULL is fine */
void cfb_share_begin(cfb_share_t *x);
/* A part's rows, numbers from first on. In the order of this rank's parts. selected (n): --where's; NULL = all. */
CFB_MUST_CHECK cfb_code cfb_share_commit(cfb_share_t *x, uint64_t index, uint64_t first, const cfb_score_row *scores,
                                         const unsigned char *selected, size_t n, cfb_sink_row_fn row, void *ctx, cfb_err *err);
/* Waits for all ranks. went_well: this one's scan did. *again: somebody's did not, so the file has to be scored once more, not
 * shared. Rank 0: the counts become those of all ranks, and the target's sink has all rows. */
CFB_MUST_CHECK cfb_code cfb_share_end(cfb_share_t *x, bool went_well, uint64_t n_bytes, uint64_t *n_missing,
                                      uint64_t *missing_line, uint64_t *n_rows, bool *again, cfb_err *err);

CFB_MUST_CHECK cfb_code cfb_scoring_read_store(cfb_scoring_t *s, const char *path, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_scoring_read_file(cfb_scoring_t *s, const cfb_source *source, cfb_err *err);

/* ---- watch.c: how fast it went, and what held it up ---- */
typedef struct cfb_watch cfb_watch_t;
cfb_watch_t *cfb_watch_start(const cfb_config *c); /* NULL without memory: nothing is watched */
/* Says on standard error what was measured (--verbose) and what slowed it down, and appends the measurements as a JSON object to
 * json. */
void cfb_watch_stop(cfb_watch_t *w, const cfb_scoring_t *s, cfb_buf *json);

#endif
