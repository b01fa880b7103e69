/* The team over MPI. Two windows of rank 0: a counter of rows (MPI_Fetch_and_op under a shared lock that is always held), and the
 * hub (got, changed and put back under an exclusive lock). Attempts travel as messages to rank 0. All calls of MPI are made with
 * one lock of this process held, none of them waits for another rank's program, but for the collective ones at the start and the
 * end. */
#include "cfbench/team.h"
#include "cluster/member.h"

#include <mpi.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TAG_ATTEMPTS 1
#define TAG_DONE 2
#define TAG_MESSAGE 3
#define MOST_CLAIM 8
#define POLL_NS 1000000
#define OUTBOX_BYTES ((size_t)1 << 30)
#define PING_ROUNDS 32

static int my_rank, n_ranks = 1;
static bool started, somebody_died, unfinished; /* unfinished: others wait for this rank in a collective call */
static pthread_mutex_t mpi_lock = PTHREAD_MUTEX_INITIALIZER;
static MPI_Win board_win;
static int64_t *board; /* on rank 0 */
static bool has_board;

bool cfb_team_is_launched(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *v = getenv(names[i]);
        if (v && atoi(v) > 1) return true;
    }
    return getenv("PMIX_RANK") && getenv("SLURM_STEP_NUM_TASKS") && atoi(getenv("SLURM_STEP_NUM_TASKS")) > 1;
}

cfb_code cfb_team_start(int *argc, char ***argv, int *rank, int *size, cfb_err *err) {
    int got = MPI_THREAD_SINGLE;
    MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &got);
    MPI_Comm_rank(MPI_COMM_WORLD, &my_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    started = unfinished = true;
    *rank = my_rank;
    *size = n_ranks;
    if (got < MPI_THREAD_SERIALIZED) return cfb_err_set(err, CFB_ECONFIG, "this MPI does not support calls from several threads");
    return CFB_OK;
}

void cfb_team_stop(int status) {
    if (!started) return;
    started = false;
    if (unfinished) MPI_Abort(MPI_COMM_WORLD, status);
    if (somebody_died) { /* MPI_Finalize would wait for it */
        fflush(NULL);
        _exit(status);
    }
    if (has_board) {
        MPI_Win_unlock_all(board_win);
        MPI_Win_free(&board_win);
    }
    MPI_Finalize();
}

struct done {
    int64_t n_calls, n_done, n_failed, n_retries, n_unfit, prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens,
        code;
    char message[512];
};

struct cfb_team_t {
    cfb_team face;
    cfb_member_t *member;
    MPI_Win rows_win, hub_win;
    int64_t *rows; /* on rank 0: the next row */
    cfb_hub *hub;
    int64_t offset_ns; /* rank 0's clock - ours */
    /* claims */
    pthread_mutex_t claim_lock;
    int64_t n_pending, next, end;
    /* attempts on their way to rank 0 */
    pthread_mutex_t out_lock;
    cfb_buf out;
    pthread_t thread;
    bool has_thread, quit;
    void (*deliver)(void *to, size_t task, const cfb_store_attempt *a);
    void *to;
    char *in;
    size_t in_cap;
    unsigned char *is_done; /* (n_ranks), rank 0 */
    struct done *counts;    /* (n_ranks), rank 0 */
    size_t n_dead;
};

/* ---- attempts as bytes: ranks are of one build ---- */

struct packed {
    uint64_t task, bytes; /* bytes: of this one, texts included */
    int64_t row, started, wait, latency, ttft, http, endpoint, from_cache, prompt, completion, reasoning, cached, cost;
    int64_t len[7]; /* fail, message, state, finish, content, output, reasoning; -1: null; output -2: is the content */
};

static cfb_code record(cfb_team_t *t, size_t task, const cfb_store_attempt *a, cfb_err *err) {
    const cfb_str texts[7] = {cfb_str_from(a->fail),
                              a->message ? cfb_str_from(a->message) : CFB_STR_NULL,
                              a->state ? cfb_str_from(a->state) : CFB_STR_NULL,
                              a->finish_reason ? cfb_str_from(a->finish_reason) : CFB_STR_NULL,
                              a->content,
                              a->output,
                              a->reasoning};
    struct packed p = {.task = task,
                       .bytes = sizeof p,
                       .row = a->row,
                       .started = a->started_wall_ms,
                       .wait = a->wait_us,
                       .latency = a->latency_us,
                       .ttft = a->ttft_us,
                       .http = a->http_status,
                       .endpoint = a->endpoint,
                       .from_cache = a->from_cache,
                       .prompt = a->prompt_tokens,
                       .completion = a->completion_tokens,
                       .reasoning = a->reasoning_tokens,
                       .cached = a->cached_tokens,
                       .cost = a->cost};
    for (int i = 0; i < 7; i++) {
        bool same = i == 5 && texts[5].ptr == texts[4].ptr && texts[5].len == texts[4].len;
        p.len[i] = texts[i].ptr == NULL ? -1 : same ? -2 : (int64_t)texts[i].len + 1;
        if (p.len[i] > 0) p.bytes += (uint64_t)p.len[i];
    }
    pthread_mutex_lock(&t->out_lock);
    cfb_code rc = cfb_buf_append(&t->out, &p, sizeof p, err);
    for (int i = 0; i < 7 && rc == CFB_OK; i++) {
        if (p.len[i] <= 0) continue;
        rc = cfb_buf_append_str(&t->out, texts[i], err);
        if (rc == CFB_OK) rc = cfb_buf_append(&t->out, "", 1, err);
    }
    pthread_mutex_unlock(&t->out_lock);
    return rc;
}

static void unpack(cfb_team_t *t, const char *from, size_t len) {
    while (len >= sizeof(struct packed)) {
        struct packed p;
        cfb_str texts[7];
        memcpy(&p, from, sizeof p);
        const char *at = from + sizeof p;
        for (int i = 0; i < 7; i++) {
            texts[i] = p.len[i] > 0 ? (cfb_str){at, (size_t)p.len[i] - 1} : p.len[i] == -2 ? texts[4] : CFB_STR_NULL;
            if (p.len[i] > 0) at += p.len[i];
        }
        const cfb_store_attempt a = {.row = p.row,
                                     .started_wall_ms = p.started,
                                     .wait_us = p.wait,
                                     .latency_us = p.latency,
                                     .ttft_us = p.ttft,
                                     .http_status = (long)p.http,
                                     .fail = texts[0].ptr,
                                     .message = texts[1].ptr,
                                     .endpoint = p.endpoint,
                                     .from_cache = p.from_cache != 0,
                                     .state = texts[2].ptr,
                                     .finish_reason = texts[3].ptr,
                                     .content = texts[4],
                                     .output = texts[5],
                                     .reasoning = texts[6],
                                     .prompt_tokens = p.prompt,
                                     .completion_tokens = p.completion,
                                     .reasoning_tokens = p.reasoning,
                                     .cached_tokens = p.cached,
                                     .cost = p.cost};
        t->deliver(t->to, (size_t)p.task, &a);
        from += p.bytes;
        len -= (size_t)p.bytes;
    }
}

/* ---- messages ---- */

static void send_attempts(cfb_team_t *t) {
    pthread_mutex_lock(&t->out_lock);
    cfb_buf b = t->out;
    t->out = CFB_BUF_INIT(OUTBOX_BYTES);
    pthread_mutex_unlock(&t->out_lock);
    if (b.len > 0) {
        pthread_mutex_lock(&mpi_lock);
        MPI_Send(b.ptr, (int)b.len, MPI_BYTE, 0, TAG_ATTEMPTS, MPI_COMM_WORLD);
        pthread_mutex_unlock(&mpi_lock);
    }
    cfb_buf_free(&b);
}

/* One message, if one is there. */
static bool receive(cfb_team_t *t) {
    MPI_Status st;
    int there = 0, len = 0;
    pthread_mutex_lock(&mpi_lock);
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &there, &st);
    if (there) {
        MPI_Get_count(&st, MPI_BYTE, &len);
        if ((size_t)len > t->in_cap) {
            char *p = realloc(t->in, (size_t)len);
            if (p == NULL) MPI_Abort(MPI_COMM_WORLD, 1);
            t->in = p;
            t->in_cap = (size_t)len;
        }
        MPI_Recv(t->in, len, MPI_BYTE, st.MPI_SOURCE, st.MPI_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    pthread_mutex_unlock(&mpi_lock);
    if (!there) return false;
    if (st.MPI_TAG == TAG_ATTEMPTS) unpack(t, t->in, (size_t)len);
    if (st.MPI_TAG == TAG_DONE) {
        memcpy(&t->counts[st.MPI_SOURCE], t->in, sizeof *t->counts);
        t->is_done[st.MPI_SOURCE] = 1;
    }
    return true;
}

static void nap(int64_t ns) {
    const struct timespec s = {0, (long)ns};
    nanosleep(&s, NULL);
}

/* Also what makes MPI answer other ranks while this one computes. */
static void *carry(void *ctx) {
    cfb_team_t *t = ctx;
    cfb_thread_name("cfb-mpi");
    for (;;) {
        pthread_mutex_lock(&t->out_lock);
        bool quit = t->quit;
        pthread_mutex_unlock(&t->out_lock);
        if (quit) return NULL;
        if (my_rank != 0)
            send_attempts(t);
        else
            while (receive(t)) continue;
        nap(POLL_NS);
    }
}

/* ---- rows ---- */

static cfb_code share(cfb_team_t *t, const char *task, const char digest[65], unsigned char *pending, size_t n_rows,
                      cfb_err *err) {
    char theirs[65];
    (void)t;
    memcpy(theirs, digest, 65);
    pthread_mutex_lock(&mpi_lock);
    MPI_Bcast(theirs, 65, MPI_CHAR, 0, MPI_COMM_WORLD);
    int same = strcmp(theirs, digest) == 0, all = 0;
    MPI_Allreduce(&same, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (all) MPI_Bcast(pending, (int)n_rows, MPI_BYTE, 0, MPI_COMM_WORLD);
    pthread_mutex_unlock(&mpi_lock);
    if (all) return CFB_OK;
    return cfb_err_set(err, CFB_ECONFLICT, "task '%.60s': not all ranks read the same data%s", task,
                       same ? "" : " (this one does not)");
}

static bool claim(cfb_team_t *t, size_t *index) {
    pthread_mutex_lock(&t->claim_lock);
    if (t->next == t->end && t->end < t->n_pending) {
        int64_t n = (t->n_pending - t->end) / (8 * n_ranks), first = 0;
        n = n < 1 ? 1 : n > MOST_CLAIM ? MOST_CLAIM : n;
        pthread_mutex_lock(&mpi_lock);
        MPI_Fetch_and_op(&n, &first, MPI_INT64_T, 0, 0, MPI_SUM, t->rows_win);
        MPI_Win_flush(0, t->rows_win);
        pthread_mutex_unlock(&mpi_lock);
        t->next = first < t->n_pending ? first : t->n_pending;
        t->end = first + n < t->n_pending ? first + n : t->n_pending;
    }
    bool got = t->next < t->end;
    if (got) *index = (size_t)t->next++;
    pthread_mutex_unlock(&t->claim_lock);
    return got;
}

static cfb_code begin(cfb_team_t *t, size_t n_pending, void (*deliver)(void *, size_t, const cfb_store_attempt *), void *to,
                      cfb_err *err) {
    t->n_pending = (int64_t)n_pending;
    t->deliver = deliver;
    t->to = to;
    t->has_thread = pthread_create(&t->thread, NULL, carry, t) == 0;
    return t->has_thread ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "no thread for MPI");
}

/* ---- the hub ---- */

static cfb_code exchange(void *ctx, const cfb_hub_ask *ask, cfb_hub_grant *out, cfb_err *err) {
    cfb_team_t *t = ctx;
    cfb_hub *copy = malloc(sizeof *copy);
    if (copy == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_hub_event events[CFB_HUB_EVENTS];
    cfb_hub_ask a = *ask;
    for (size_t i = 0; i < a.n_events; i++) { /* on rank 0's clock */
        events[i] = ask->events[i];
        events[i].started_ns += t->offset_ns;
        events[i].ended_ns += t->offset_ns;
    }
    a.events = events;
    /* the places of ranks that there are not stay where they are */
    const int bytes = (int)(offsetof(cfb_hub, members) + (size_t)n_ranks * sizeof copy->members[0]);
    pthread_mutex_lock(&mpi_lock);
    MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, t->hub_win);
    MPI_Get(copy, bytes, MPI_BYTE, 0, 0, bytes, MPI_BYTE, t->hub_win);
    MPI_Win_flush(0, t->hub_win);
    cfb_hub_exchange(copy, my_rank, cfb_now_ns() + t->offset_ns, &a, out);
    MPI_Put(copy, bytes, MPI_BYTE, 0, 0, bytes, MPI_BYTE, t->hub_win);
    MPI_Win_unlock(0, t->hub_win);
    pthread_mutex_unlock(&mpi_lock);
    free(copy);
    out->first_ns -= t->offset_ns;
    if (out->paused_until_ns > INT64_MIN / 4) out->paused_until_ns -= t->offset_ns;
    return CFB_OK;
}

static void nothing(void *ctx) { (void)ctx; }

/* When a member of the hub was seen last. */
static int64_t seen_ns(cfb_team_t *t, int rank) {
    int64_t seen = 0;
    pthread_mutex_lock(&mpi_lock);
    MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, t->hub_win);
    seen = t->hub->members[rank].seen_ns;
    MPI_Win_unlock(0, t->hub_win);
    pthread_mutex_unlock(&mpi_lock);
    return seen;
}

/* The quickest of some rounds tells the difference of the clocks best. */
static void compare_clocks(cfb_team_t *t) {
    int64_t best = INT64_MAX, theirs = 0;
    for (int r = 1; r < n_ranks; r++)
        for (int i = 0; i < PING_ROUNDS; i++) {
            int64_t now = cfb_now_ns();
            if (my_rank == 0) {
                MPI_Recv(&now, 1, MPI_INT64_T, r, TAG_ATTEMPTS, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
                now = cfb_now_ns();
                MPI_Send(&now, 1, MPI_INT64_T, r, TAG_ATTEMPTS, MPI_COMM_WORLD);
            } else if (my_rank == r) {
                MPI_Send(&now, 1, MPI_INT64_T, 0, TAG_ATTEMPTS, MPI_COMM_WORLD);
                MPI_Recv(&theirs, 1, MPI_INT64_T, 0, TAG_ATTEMPTS, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
                int64_t way = cfb_now_ns() - now;
                if (way >= best) continue;
                best = way;
                t->offset_ns = theirs - (now + way / 2);
            }
        }
}

/* ---- the end ---- */

static void stop_thread(cfb_team_t *t) {
    if (!t->has_thread) return;
    pthread_mutex_lock(&t->out_lock);
    t->quit = true;
    pthread_mutex_unlock(&t->out_lock);
    pthread_join(t->thread, NULL);
    t->has_thread = false;
}

static void add_counts(cfb_generate_summary *sum, const struct done *d) {
    sum->n_calls += (size_t)d->n_calls;
    sum->n_failed += (size_t)d->n_failed;
    sum->n_retries += (size_t)d->n_retries;
    sum->n_unfit += (size_t)d->n_unfit;
    sum->prompt_tokens += d->prompt_tokens;
    sum->completion_tokens += d->completion_tokens;
    sum->reasoning_tokens += d->reasoning_tokens;
    sum->cached_tokens += d->cached_tokens;
}

/* Rank 0: until all others have sent everything, or are gone. */
static cfb_code wait_for_all(cfb_team_t *t, cfb_err *err) {
    stop_thread(t);
    for (int r = 1; r < n_ranks; r++) {
        while (!t->is_done[r]) {
            if (receive(t)) continue;
            nap(POLL_NS);
            if (cfb_now_ns() - seen_ns(t, r) > CFB_HUB_SILENT_NS) break;
        }
        if (t->is_done[r]) continue;
        cfb_log(CFB_LOG_WARN, "rank %d has ended without a word; rows that it had taken are asked again", r);
        t->n_dead++;
        somebody_died = true;
    }
    for (int r = 1; r < n_ranks; r++)
        if (t->is_done[r] && t->counts[r].code != CFB_OK)
            return cfb_err_set(err, (cfb_code)t->counts[r].code, "rank %d: %.400s", r, t->counts[r].message);
    return CFB_OK;
}

static void report(cfb_team_t *t, cfb_generate_summary *sum, cfb_code rc, const cfb_err *err) {
    stop_thread(t);
    unfinished = false;
    for (int r = 1; my_rank == 0 && r < n_ranks; r++)
        if (t->is_done[r]) add_counts(sum, &t->counts[r]);
    if (my_rank == 0) return;
    struct done d = {.n_calls = (int64_t)sum->n_calls,
                     .n_failed = (int64_t)sum->n_failed,
                     .n_retries = (int64_t)sum->n_retries,
                     .n_unfit = (int64_t)sum->n_unfit,
                     .prompt_tokens = sum->prompt_tokens,
                     .completion_tokens = sum->completion_tokens,
                     .reasoning_tokens = sum->reasoning_tokens,
                     .cached_tokens = sum->cached_tokens,
                     .code = rc};
    if (rc != CFB_OK && err) memcpy(d.message, err->msg, sizeof d.message);
    send_attempts(t);
    pthread_mutex_lock(&mpi_lock);
    MPI_Send(&d, (int)sizeof d, MPI_BYTE, 0, TAG_DONE, MPI_COMM_WORLD);
    pthread_mutex_unlock(&mpi_lock);
}

/* ---- life ---- */

cfb_code cfb_team_new(const cfb_limits *limits, int in_flight, bool adaptive, cfb_team_t **out, cfb_err *err) {
    cfb_team_t *t = calloc(1, sizeof *t);
    if (t == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    unfinished = true;
    t->face = (cfb_team){t, my_rank == 0, share, begin, claim, record, wait_for_all, report};
    t->out = CFB_BUF_INIT(OUTBOX_BYTES);
    pthread_mutex_init(&t->claim_lock, NULL);
    pthread_mutex_init(&t->out_lock, NULL);
    t->is_done = calloc((size_t)n_ranks, 1);
    t->counts = calloc((size_t)n_ranks, sizeof *t->counts);
    if (t->is_done == NULL || t->counts == NULL || n_ranks > CFB_HUB_MEMBERS) {
        free(t->is_done);
        free(t->counts);
        free(t);
        return cfb_err_set(err, CFB_ENOMEM, "no memory for %d ranks, or more than %d", n_ranks, CFB_HUB_MEMBERS);
    }
    compare_clocks(t);
    MPI_Aint rows = my_rank == 0 ? (MPI_Aint)sizeof *t->rows : 0, hub = my_rank == 0 ? (MPI_Aint)sizeof *t->hub : 0;
    MPI_Win_allocate(rows, 1 + 7 * (my_rank == 0), MPI_INFO_NULL, MPI_COMM_WORLD, &t->rows, &t->rows_win);
    MPI_Win_allocate(hub, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &t->hub, &t->hub_win);
    if (my_rank == 0) {
        MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, t->hub_win);
        cfb_hub_init(t->hub, limits, in_flight, adaptive, cfb_now_ns());
        for (int r = 0; r < n_ranks; r++) cfb_hub_join(t->hub, cfb_now_ns());
        MPI_Win_unlock(0, t->hub_win);
        MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, t->rows_win);
        *t->rows = 0;
        MPI_Win_unlock(0, t->rows_win);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock_all(0, t->rows_win);
    const cfb_member_way way = {t, exchange, nothing};
    cfb_code rc = cfb_member_new(&way, 0, &t->member, err);
    *out = t;
    return rc;
}

const cfb_pace_source *cfb_team_source(cfb_team_t *t) { return cfb_member_source(t->member); }
const cfb_team *cfb_team_of(cfb_team_t *t) { return &t->face; }
size_t cfb_team_n_dead(const cfb_team_t *t) { return t->n_dead; }

void cfb_team_free(cfb_team_t *t) {
    if (t == NULL) return;
    stop_thread(t);
    cfb_member_leave(t->member);
    if (!somebody_died && !unfinished) {
        MPI_Win_unlock_all(t->rows_win);
        MPI_Win_free(&t->rows_win);
        MPI_Win_free(&t->hub_win);
    }
    cfb_buf_free(&t->out);
    pthread_mutex_destroy(&t->claim_lock);
    pthread_mutex_destroy(&t->out_lock);
    free(t->in);
    free(t->is_done);
    free(t->counts);
    free(t);
}

/* ---- messages ---- */

#define MOST_SENT 8
#define NAP_NS 20000

static struct {
    MPI_Request request;
    char *data;
} sent[MOST_SENT]; /* by one thread at a time */
static size_t n_sent;

/* MPI's own waiting spins, and may take the core from the one that is waited for. */
static void wait_sent(size_t slot) {
    int there = sent[slot].data == NULL;
    while (!there) {
        pthread_mutex_lock(&mpi_lock);
        MPI_Test(&sent[slot].request, &there, MPI_STATUS_IGNORE);
        pthread_mutex_unlock(&mpi_lock);
        if (!there) nap(NAP_NS);
    }
    free(sent[slot].data);
    sent[slot].data = NULL;
}

cfb_code cfb_team_send(const void *data, size_t len, cfb_err *err) {
    size_t slot = n_sent++ % MOST_SENT;
    wait_sent(slot);
    if (len > INT32_MAX || (sent[slot].data = malloc(len ? len : 1)) == NULL)
        return cfb_err_set(err, CFB_ENOMEM, "no memory for a message of %zu bytes", len);
    if (len) memcpy(sent[slot].data, data, len);
    pthread_mutex_lock(&mpi_lock);
    MPI_Isend(sent[slot].data, (int)len, MPI_BYTE, 0, TAG_MESSAGE, MPI_COMM_WORLD, &sent[slot].request);
    pthread_mutex_unlock(&mpi_lock);
    return CFB_OK;
}

/* What is on its way from a rank. Receives are posted, not waited for: a large message takes several calls of both sides. */
static struct arriving {
    MPI_Request request;
    char *data;
    int len;
} * arriving; /* (n_ranks) */

static cfb_code post_receive(int from, struct arriving *a, cfb_err *err) {
    MPI_Status st;
    int there = 0;
    if (a->data != NULL) return CFB_OK;
    MPI_Iprobe(from, TAG_MESSAGE, MPI_COMM_WORLD, &there, &st);
    if (!there) return CFB_OK;
    MPI_Get_count(&st, MPI_BYTE, &a->len);
    a->data = malloc(a->len > 0 ? (size_t)a->len : 1);
    if (a->data == NULL) return cfb_err_set(err, CFB_ENOMEM, "no memory for a message of %d bytes", a->len);
    MPI_Irecv(a->data, a->len, MPI_BYTE, from, TAG_MESSAGE, MPI_COMM_WORLD, &a->request);
    return CFB_OK;
}

cfb_code cfb_team_poll(int from, cfb_buf *out, bool *there, cfb_err *err) {
    int done = 0;
    *there = false;
    if (arriving == NULL && (arriving = calloc((size_t)n_ranks, sizeof *arriving)) == NULL)
        return cfb_err_set(err, CFB_ENOMEM, "no memory for %d ranks", n_ranks);
    struct arriving *a = &arriving[from];
    pthread_mutex_lock(&mpi_lock);
    cfb_code rc = post_receive(from, a, err);
    if (rc == CFB_OK && a->data != NULL) MPI_Test(&a->request, &done, MPI_STATUS_IGNORE);
    pthread_mutex_unlock(&mpi_lock);
    if (rc != CFB_OK || !done) return rc;
    cfb_buf_clear(out);
    rc = cfb_buf_append(out, a->data, (size_t)a->len, err);
    free(a->data);
    a->data = NULL;
    *there = rc == CFB_OK;
    return rc;
}

cfb_code cfb_team_receive(int from, cfb_buf *out, cfb_err *err) {
    bool there = false;
    cfb_code rc = cfb_team_poll(from, out, &there, err);
    while (rc == CFB_OK && !there) {
        nap(NAP_NS);
        rc = cfb_team_poll(from, out, &there, err);
    }
    return rc;
}

void cfb_team_sent(void) {
    for (size_t i = 0; i < MOST_SENT; i++) wait_sent(i);
    free(arriving);
    arriving = NULL;
    unfinished = false;
}

/* ---- the board ---- */

void cfb_team_board_new(void) {
    pthread_mutex_lock(&mpi_lock);
    MPI_Aint size = my_rank == 0 ? (MPI_Aint)(CFB_BOARD_WORDS * sizeof *board) : 0;
    MPI_Win_allocate(size, sizeof *board, MPI_INFO_NULL, MPI_COMM_WORLD, &board, &board_win);
    if (my_rank == 0) {
        MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, board_win);
        memset(board, 0, CFB_BOARD_WORDS * sizeof *board);
        MPI_Win_unlock(0, board_win);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock_all(0, board_win);
    has_board = true;
    pthread_mutex_unlock(&mpi_lock);
}

int64_t cfb_team_board_add(int word, int64_t n) {
    int64_t before = 0;
    pthread_mutex_lock(&mpi_lock);
    MPI_Fetch_and_op(&n, &before, MPI_INT64_T, 0, word, MPI_SUM, board_win);
    MPI_Win_flush(0, board_win);
    pthread_mutex_unlock(&mpi_lock);
    return before;
}

void cfb_team_board_read(int word, int n, int64_t *out) {
    pthread_mutex_lock(&mpi_lock);
    MPI_Get_accumulate(NULL, 0, MPI_INT64_T, out, n, MPI_INT64_T, 0, word, n, MPI_INT64_T, MPI_NO_OP, board_win);
    MPI_Win_flush(0, board_win);
    pthread_mutex_unlock(&mpi_lock);
}

void cfb_team_board_write(int word, int n, const int64_t *values) {
    pthread_mutex_lock(&mpi_lock);
    MPI_Accumulate(values, n, MPI_INT64_T, 0, word, n, MPI_INT64_T, MPI_REPLACE, board_win);
    MPI_Win_flush(0, board_win);
    pthread_mutex_unlock(&mpi_lock);
}
