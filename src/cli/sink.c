/* Scored rows of one task: row scores go to the export as they come; the summary, the histogram, and a few rows that people
 * will want to see are kept. */
#include "cli/cli.h"

#include <math.h>
#include <stdlib.h>

#define MAX_WORST 5
#define MAX_FAILED 100
#define MAX_SHOWN_BYTES 4000 /* of one text of a kept row */

struct kept {
    cfb_report_row rows[MAX_FAILED];
    char *texts[MAX_FAILED]; /* the memory behind each row's strings */
    size_t n;
};

struct cfb_sink {
    const cfb_task *task;
    cfb_scorer_t *scorer;
    cfb_export_t *export;
    struct kept worst, failed;
    uint64_t histogram[CFB_REPORT_BINS];
    cfb_score_row_in *in;
    cfb_score_row *out;
    size_t cap;
    cfb_rows_kept rows;
    bool keep_scores;
    int64_t *score_rows;
    double *scores;
    size_t n_scores, cap_scores;
};

cfb_code cfb_sink_new(const cfb_sink_opts *o, cfb_sink_t **out, cfb_err *err) {
    cfb_sink_t *s = calloc(1, sizeof *s);
    cfb_code rc = s ? cfb_scorer_new(o->task, &o->score, &s->scorer, err) : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (rc != CFB_OK) {
        free(s);
        cfb_export_abort(o->export);
        return rc;
    }
    s->task = o->task;
    s->export = o->export;
    s->keep_scores = o->keep_scores;
    cfb_rows_init(&s->rows, o->keep_all ? SIZE_MAX : CFB_ROWS_FOR_INTERVAL, o->keep_all);
    *out = s;
    return CFB_OK;
}

static void free_kept(struct kept *k) {
    for (size_t i = 0; i < k->n; i++) free(k->texts[i]);
    k->n = 0;
}

void cfb_sink_free(cfb_sink_t *s) {
    if (s == NULL) return;
    cfb_export_abort(s->export);
    cfb_scorer_free(s->scorer);
    free_kept(&s->worst);
    free_kept(&s->failed);
    cfb_rows_free(&s->rows);
    free(s->in);
    free(s->out);
    free(s->score_rows);
    free(s->scores);
    free(s);
}

const cfb_task *cfb_sink_task(const cfb_sink_t *s) { return s->task; }

static cfb_str cut(cfb_str s) {
    if (s.len > MAX_SHOWN_BYTES) {
        s.len = MAX_SHOWN_BYTES;
        while (s.len > 0 && ((unsigned char)s.ptr[s.len] & 0xC0) == 0x80) s.len--;
    }
    return s;
}

/* Copies a row with its texts into slot i. */
static cfb_code keep(struct kept *k, size_t i, const cfb_sink_row *r, double score, cfb_err *err) {
    const cfb_str from[] = {
        cut(r->id), cut(r->input), cut(r->response), cut(r->output), cut(cfb_str_from(r->fail)), cut(cfb_str_from(r->message))};
    cfb_str to[6];
    size_t total = 0;
    for (size_t t = 0; t < 6; t++) total += from[t].len + 1;
    char *p = malloc(total);
    if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    free(k->texts[i]);
    k->texts[i] = p;
    for (size_t t = 0; t < 6; t++) {
        to[t] = (cfb_str){from[t].ptr ? p : NULL, from[t].len};
        if (from[t].len) memcpy(p, from[t].ptr, from[t].len);
        p[from[t].len] = '\0';
        p += from[t].len + 1;
    }
    k->rows[i] = (cfb_report_row){r->row, to[0], to[1], to[2], to[3], score, cfb_row_state_name(r->state), to[4].ptr, to[5].ptr};
    return CFB_OK;
}

/* Keeps the MAX_WORST lowest scores, lowest first; of equal ones the earlier rows. */
static cfb_code offer_worst(cfb_sink_t *s, const cfb_sink_row *r, double score, cfb_err *err) {
    struct kept *k = &s->worst;
    if (k->n == MAX_WORST && score >= k->rows[MAX_WORST - 1].score) return CFB_OK;
    size_t i = k->n < MAX_WORST ? k->n++ : MAX_WORST - 1;
    cfb_code rc = keep(k, i, r, score, err);
    for (; rc == CFB_OK && i > 0 && k->rows[i - 1].score > k->rows[i].score; i--) {
        cfb_report_row row = k->rows[i];
        char *text = k->texts[i];
        k->rows[i] = k->rows[i - 1];
        k->texts[i] = k->texts[i - 1];
        k->rows[i - 1] = row;
        k->texts[i - 1] = text;
    }
    return rc;
}

static cfb_code keep_score(cfb_sink_t *s, uint64_t row, double score, cfb_err *err) {
    if (s->n_scores == s->cap_scores) {
        size_t cap = s->cap_scores ? s->cap_scores * 2 : 4096;
        int64_t *rows = realloc(s->score_rows, cap * sizeof *rows);
        if (rows) s->score_rows = rows;
        double *scores = rows ? realloc(s->scores, cap * sizeof *scores) : NULL;
        if (scores == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        s->scores = scores;
        s->cap_scores = cap;
    }
    s->score_rows[s->n_scores] = (int64_t)row;
    s->scores[s->n_scores++] = score;
    return CFB_OK;
}

static inline void count_score(cfb_sink_t *s, double score) {
    int bin = (int)(score * CFB_REPORT_BINS);
    s->histogram[bin < 0 ? 0 : bin >= CFB_REPORT_BINS ? CFB_REPORT_BINS - 1 : bin]++;
    cfb_rows_count(&s->rows, score);
}

/* Would take_row do anything with this row's texts? */
static inline bool wants_row(const cfb_sink_t *s, const cfb_score_row *score) {
    if (s->export || s->keep_scores || cfb_rows_wants(&s->rows)) return true;
    if (score->state == CFB_ROW_FAILED) return s->failed.n < MAX_FAILED;
    if (score->state != CFB_ROW_OK && score->state != CFB_ROW_TRUNCATED) return false;
    return s->worst.n < MAX_WORST || score->score < s->worst.rows[MAX_WORST - 1].score;
}

static cfb_code take_row(cfb_sink_t *s, const cfb_sink_row *r, const cfb_score_row *score, cfb_err *err) {
    cfb_code rc = CFB_OK;
    if (cfb_rows_wants(&s->rows)) rc = cfb_rows_keep(&s->rows, r, score->score, err);
    if (rc == CFB_OK && s->export) rc = cfb_export_row(s->export, r->input, r->response, r->output, score, err);
    if (rc == CFB_OK && r->state == CFB_ROW_FAILED && s->failed.n < MAX_FAILED) {
        rc = keep(&s->failed, s->failed.n, r, score->score, err);
        if (rc == CFB_OK) s->failed.n++;
    }
    if (rc == CFB_OK && (r->state == CFB_ROW_OK || r->state == CFB_ROW_TRUNCATED)) rc = offer_worst(s, r, score->score, err);
    if (rc == CFB_OK && s->keep_scores) rc = keep_score(s, r->row, score->score, err);
    return rc;
}

cfb_code cfb_sink_add(cfb_sink_t *s, const cfb_sink_row *rows, size_t n, cfb_err *err) {
    if (n > s->cap) {
        free(s->in);
        free(s->out);
        s->in = malloc(n * sizeof *s->in);
        s->out = malloc(n * sizeof *s->out);
        s->cap = s->in && s->out ? n : 0;
        if (s->cap == 0) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < n; i++) s->in[i] = (cfb_score_row_in){rows[i].response, rows[i].output, rows[i].state};
    cfb_code rc = cfb_scorer_add(s->scorer, s->in, n, s->out, err);
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        count_score(s, s->out[i].score);
        rc = take_row(s, &rows[i], &s->out[i], err);
    }
    return rc;
}

cfb_code cfb_sink_score(cfb_sink_t *s, int worker, const cfb_score_row_in *rows, size_t n, cfb_score_row *out, cfb_err *err) {
    return cfb_scorer_score_part(s->scorer, worker, rows, n, out, err);
}

cfb_code cfb_sink_take(cfb_sink_t *s, const cfb_score_row *scores, size_t n, cfb_sink_row_fn row, void *ctx, cfb_err *err) {
    cfb_scorer_add_part(s->scorer, scores, n);
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        count_score(s, scores[i].score);
        if (!wants_row(s, &scores[i])) continue;
        cfb_sink_row r = {.state = scores[i].state};
        rc = row(ctx, i, &r, err);
        if (rc == CFB_OK) rc = take_row(s, &r, &scores[i], err);
    }
    return rc;
}

cfb_code cfb_sink_finish(cfb_sink_t *s, cfb_report_task *out, cfb_err *err) {
    cfb_code rc = cfb_scorer_summary(s->scorer, &out->summary, err);
    if (rc == CFB_OK && s->export) {
        rc = cfb_export_commit(s->export, &out->summary, err);
        s->export = NULL;
    }
    out->task = s->task->name;
    out->title = s->task->title;
    out->kind = cfb_task_kind_name(s->task->kind);
    memcpy(out->histogram, s->histogram, sizeof out->histogram);
    out->failed = s->failed.rows;
    out->n_failed_listed = s->failed.n;
    out->worst = s->worst.rows;
    out->n_worst = s->worst.n;
    return rc;
}

const cfb_rows_kept *cfb_sink_rows(const cfb_sink_t *s) { return &s->rows; }

size_t cfb_sink_scores(const cfb_sink_t *s, const int64_t **rows, const double **scores) {
    *rows = s->score_rows;
    *scores = s->scores;
    return s->n_scores;
}
