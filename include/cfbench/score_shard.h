/* score_shard.h - the scores of some of the rows, as a file: what one of several processes that score together has done. */
#ifndef CFBENCH_SCORE_SHARD_H
#define CFBENCH_SCORE_SHARD_H

#include "cfbench/score.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A file of version 1, all numbers little-endian:
 *
 *   16 bytes  "cfbench.scores/1"
 *   64 bytes  for each row: its number; score, set_precision, set_recall, set_f1 (binary64); true_positives, predicted_positives,
 *             actual_positives, response_chars, output_chars (32 bits); state, unmatchable, and 20 bits of a hash of its texts
 *   the tail  shard, what was asked for, the sources, the sections (rows of one source and task, by number), and for each result
 *             its labels' counts and its metric's sums, all integers
 *   16 bytes  length and hash of the tail
 *
 * Sums of doubles are not in it: they are made when shards are joined, from the rows in their order, as one process makes them.
 */
#define CFB_SCORE_SHARD_MAGIC "cfbench.scores/1"

typedef struct cfb_score_shard_source {
    const char *path;
    uint64_t bytes; /* 0 = unknown */
} cfb_score_shard_source;

typedef struct cfb_score_shard_head {
    uint64_t index, count;    /* 0 <= index < count */
    const char *command;      /* the configuration in effect: the same for all shards */
    const char *const *words; /* (n_words): the command line, without the program */
    size_t n_words;
    const cfb_score_shard_source *sources; /* (n_sources) */
    size_t n_sources;
} cfb_score_shard_head;

/* ---- writing ---- */

typedef struct cfb_score_shard_writer cfb_score_shard_writer_t;
/* head is borrowed until the commit. path NULL: into memory, for cfb_score_shard_take. Errors: EIO, ENOSPACE, EACCESS, ENOMEM.
 * Owns: *out. One thread at a time. */
CFB_MUST_CHECK cfb_code cfb_score_shard_create(const char *path, const cfb_score_shard_head *head, cfb_score_shard_writer_t **out,
                                               cfb_err *err);
/* A row of a source; numbers of one source and task rise. task: empty where the source numbers its rows over all tasks. texts:
 * a hash of what was scored. */
CFB_MUST_CHECK cfb_code cfb_score_shard_put(cfb_score_shard_writer_t *w, size_t source, cfb_str task, uint64_t number,
                                            const cfb_score_row *row, uint64_t texts, cfb_err *err);
/* What a scorer has counted for one result. */
typedef struct cfb_score_shard_key {
    size_t source;
    cfb_str model, setting, task; /* null: unknown */
} cfb_score_shard_key;
CFB_MUST_CHECK cfb_code cfb_score_shard_put_counts(cfb_score_shard_writer_t *w, const cfb_score_shard_key *key, cfb_scorer_t *s,
                                                   cfb_err *err);
/* Makes the file appear. w is freed in every case. */
CFB_MUST_CHECK cfb_code cfb_score_shard_commit(cfb_score_shard_writer_t *w, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_score_shard_take(cfb_score_shard_writer_t *w, cfb_buf *out, cfb_err *err); /* the same, into out */
void cfb_score_shard_abort(cfb_score_shard_writer_t *w);                                               /* NULL is fine */

/* A row as its CFB_SCORE_SHARD_RECORD bytes, and back. False: not such bytes, or of other texts. Pure. */
#define CFB_SCORE_SHARD_RECORD 64
void cfb_score_shard_pack(uint64_t number, const cfb_score_row *row, uint64_t texts, unsigned char out[CFB_SCORE_SHARD_RECORD]);
bool cfb_score_shard_unpack(const unsigned char record[CFB_SCORE_SHARD_RECORD], uint64_t texts, cfb_score_row *out);
uint64_t cfb_score_shard_number(const unsigned char record[CFB_SCORE_SHARD_RECORD]);

/* ---- reading ---- */

bool cfb_score_shard_is_one(const char *path); /* does a file begin as one of these? */

/* All shards of one scoring. */
typedef struct cfb_score_shards cfb_score_shards_t;
/* Maps and checks the files: EDATA, ETRUNCATED, EUNSUPPORTED name the one that is damaged or of another version, EUSAGE the one
 * that was given twice, is missing, or was made with other options or from other sources. Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_score_shards_open(const char *const *paths, size_t n, cfb_score_shards_t **out, cfb_err *err);
/* One shard from memory, which must outlive it; the others may be missing. */
CFB_MUST_CHECK cfb_code cfb_score_shards_open_memory(const char *name, const void *data, size_t len, cfb_score_shards_t **out,
                                                     cfb_err *err);
void cfb_score_shards_close(cfb_score_shards_t *s);                             /* NULL is fine */
const cfb_score_shard_head *cfb_score_shards_head(const cfb_score_shards_t *s); /* of the first one; borrowed */
uint64_t cfb_score_shards_n_rows(const cfb_score_shards_t *s);
/* The rows that are looked for from here on. Not while others call cfb_score_shards_find. */
void cfb_score_shards_select(cfb_score_shards_t *s, size_t source, cfb_str task);
/* The scores of a row, and whether its texts are what was scored. ENOTFOUND: shard `shard` does not have it. Any thread. */
CFB_MUST_CHECK cfb_code cfb_score_shards_find(const cfb_score_shards_t *s, uint64_t shard, uint64_t number, uint64_t texts,
                                              cfb_score_row *out, cfb_err *err);
/* Adds what all shards have counted for a result. Errors: EDATA, those of cfb_scorer_add_label. */
CFB_MUST_CHECK cfb_code cfb_score_shards_add_counts(const cfb_score_shards_t *s, const cfb_score_shard_key *key, cfb_scorer_t *to,
                                                    cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
