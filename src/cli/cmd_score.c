/* cfbench score PATH...: run stores, response files, and folders of them. */
#include "cli/scoring.h"
#ifdef CFB_MPI
#include "cfbench/team.h"
#endif

#include <signal.h>
#include <stdio.h>

/* What is left to say at the end: rows that have no score of their own. */
static cfb_code partial(const cfb_scoring_t *s, cfb_err *err) {
    unsigned long long failed = cfb_scoring_n_failed(s), skipped = cfb_scoring_n_skipped(s);
    char what[2][160] = {"", ""};
    if (failed)
        snprintf(what[0], sizeof what[0], "%llu row%s no answer and count%s 0 in the scores over all rows", failed,
                 failed == 1 ? " has" : "s have", failed == 1 ? "s" : "");
    if (skipped)
        snprintf(what[1], sizeof what[1], "%llu bad row%s skipped and count%s nowhere", skipped, skipped == 1 ? " was" : "s were",
                 skipped == 1 ? "s" : "");
    if (failed == 0 && skipped == 0) return CFB_OK;
    return cfb_err_set(err, CFB_EPARTIAL, "%s%s%s", what[0], failed && skipped ? "; " : "", what[1]);
}

static void on_signal(int sig) {
    (void)sig;
    cfb_stop_set(&cfb_cli_stop);
}

/* The first signal ends reading, and nothing half-written stays; a second one ends the program as ever. */
static void stop_in_order(void) {
    struct sigaction a = {0};
    a.sa_handler = on_signal;
    a.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

/* Of several ranks over MPI: the others send what they scored to rank 0. */
static cfb_code join_ranks(const cfb_config *c, cfb_scoring_t *s, cfb_err *err) {
#ifdef CFB_MPI
    const cfb_rank_link link = {c->rank,       c->n_ranks,         cfb_team_send,       cfb_team_receive,
                                cfb_team_poll, cfb_team_board_add, cfb_team_board_read, cfb_team_board_write};
    return cfb_ranks_new(&link, &s->ranks, err);
#else
    (void)c, (void)s;
    return cfb_err_set(err, CFB_EBUG, "ranks without MPI");
#endif
}

static void meet_ranks(const cfb_config *c, const cfb_score_shards_t *shards) {
#ifdef CFB_MPI
    if (c->n_ranks > 1 && !shards) cfb_team_board_new();
#else
    (void)c, (void)shards;
#endif
}

static void leave_ranks(void) {
#ifdef CFB_MPI
    cfb_team_sent();
#endif
}

cfb_code cfb_cli_score(const cfb_config *c, cfb_score_shards_t *shards, cfb_err *err) {
    cfb_scoring_t *s = NULL;
    cfb_buf performance = CFB_BUF_INIT(0);
    meet_ranks(c, shards); /* as starting MPI, no part of the time that scoring takes */
    cfb_watch_t *w = cfb_watch_start(c);
    stop_in_order();
    cfb_code rc = cfb_scoring_new(c, &s, err);
    if (rc == CFB_OK) s->shards_in = shards;
    if (rc == CFB_OK && c->n_ranks > 1 && !shards) rc = join_ranks(c, s, err);
    bool speaks = c->shard_count == 0 && c->rank == 0; /* else another process does, or will */
    if (rc == CFB_OK) rc = cfb_scoring_add_sources(s, speaks ? c->out : NULL, CFB_EXPORT_SCORES | CFB_EXPORT_DETAILS, err);
    if (rc == CFB_OK && cfb_scoring_n_results(s) == 0 && cfb_scoring_n_skipped(s) == 0)
        rc = c->tasks ? cfb_err_set(err, CFB_EUSAGE, "--tasks %s: none of these is in what was given", c->tasks)
                      : cfb_err_set(err, CFB_EDATA, "there is no row to score in what was given");
    if (rc == CFB_OK) rc = cfb_scoring_check_metrics(s, err);
    if (rc == CFB_OK && shards) rc = cfb_scoring_check_looked_up(s, err);
    cfb_cli_release_signals();
    cfb_watch_stop(w, rc == CFB_OK ? s : NULL, &performance);
    if (c->rank > 0) {
        if (rc != CFB_OK && s && s->ranks) cfb_ranks_fail(s->ranks, err);
    } else if (rc == CFB_OK && s->shard_out) {
        rc = cfb_scoring_end_shard(s, err);
    } else if (rc == CFB_OK) {
        rc = cfb_scoring_publish(s, c->out, c->verbose && performance.len ? performance.ptr : NULL, err);
        if (rc == CFB_OK) rc = partial(s, err);
    }
    if (s && s->ranks && (rc == CFB_OK || rc == CFB_EPARTIAL || c->rank > 0)) leave_ranks();
    cfb_scoring_free(s);
    cfb_buf_free(&performance);
    return rc;
}

cfb_code cfb_cmd_score(const cfb_config *c, cfb_err *err) { return cfb_cli_score(c, NULL, err); }
