/* mock.h - an OpenAI-compatible mock model on loopback, for demos, tests and experiments. */
#ifndef CFBENCH_MOCK_H
#define CFBENCH_MOCK_H

#include "cfbench/buf.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cfb_mock cfb_mock_t;

/* What the mock does. Zero values are sensible: answers at once, without faults or limits. */
typedef struct cfb_mock_opts {
    int port;             /* 0 = any free port; always bound to 127.0.0.1 */
    uint64_t seed;        /* every random choice depends on (seed, prompt, how often it was asked before) only */
    double latency_s;     /* median time from the arrival to the reply, at most 3600 */
    double latency_sigma; /* log-normal spread; 0 = constant */
    double error_rate;    /* share of replies that are another answer of the same group instead of the taught one */
    /* Faults: "CLASS:SHARE,...": each try of a prompt draws at most one. The shares add up to at most 1; together 1 means
     * always. Classes (docs/mock.md says what each does):
     *   an error reply   429 429-bare 429-date 429-ms 429-float 429-quota 500 502 503 504 529 400 401 402 403 404 408 409 413
     *                    context filter400
     *   its way          slow cut reset stall hang badchunk
     *   its body         badjson html type gzip huge error200
     *   its text         empty null parts control length filter thinking
     *   of streams only  sse-ping sse-crlf sse-split sse-error sse-nodone
     * Embedding requests draw too; those of the text and of streams do not change them. */
    const char *faults;
    int fault_repeats; /* n > 0: only the first n tries of a prompt may draw a fault, later ones never do; 0 = all may */
    int64_t requests_per_minute; /* 0 = no limit; more get 429 with Retry-After. Even spacing is asked for: at most a
                                    second's worth of requests (at least 2) may come at once. */
    const char *api_key;         /* NULL = any; else a wrong one gets 401 */
    /* JSON Lines file, or NULL: {"prompt_sha256": "...", "content": "..." or null, ["finish_reason": "stop", "status": 200,
     * "delay_s": seconds in place of the latency, "task": group, "row": any]}. A status other than 200 gives an error reply
     * with content as its message. Several lines for one prompt answer its tries in turn; the last one stays. A script goes
     * before taught answers; the error rate changes lines with a task only. */
    const char *script;
    /* JSON Lines file, replaced at the start, or NULL. One line per request, written before its reply has left:
     * {"arrival_ns", "reply_ns" (CLOCK_MONOTONIC), "route": "chat|embeddings|models|other", "sha256": prompt or null,
     * "try": how often the prompt was asked before, "status" (0 = closed without a reply), "fault": class or null,
     * "in_flight": calls in flight on arrival, this one included}. */
    const char *log_path;
    int64_t max_inflight; /* 0 = no limit; a call that arrives when as many are under way is refused at once */
    int refuse_status;    /* with this status: 429 or 503; 0 = 429 */
    int64_t slots;        /* 0 = all at once; else n calls are served at a time and the others queue, first come first served */
    bool control;         /* serve POST /mock/control */
    int64_t tokens_per_minute; /* 0 = no limit; of prompts and replies, else as requests_per_minute */
    int64_t quota;             /* 0 = no limit; after n calls all get 429 with code insufficient_quota */
    double ttft_s;             /* added to the latency: time to the first token */
    double tokens_per_s;       /* 0 = at once; pace of a stream, and what a whole reply takes in addition */
    const char *profile;       /* kind of server: NULL or "plain", "openai", "azure", "openrouter", "vllm", "sglang", "llamacpp",
                                  "ollama", "deepseek", "dashscope" (docs/mock.md) */
    const char *reasoning;     /* NULL or "off"; "think": <think>...</think> in the content; "field": in a member of its own;
                                  "hidden": counted only */
    bool prefix_cache;         /* usage names cached_tokens: the beginning of the prompt that earlier prompts had too */
    int64_t context_tokens;    /* 0 = any; prompt and max_tokens beyond it get 400 */
    int embed_dim;             /* 0 = 8; of embeddings, when the request does not say */
    double batch_delay_s;      /* from the creation of a batch to its end, at most 3600 */
} cfb_mock_opts;
#define CFB_MOCK_OPTS_INIT \
    { 0 }

/* Serves POST /v1/chat/completions, POST /v1/embeddings, GET /v1/models, OpenAI's /v1/files and /v1/batches
 * (in memory: at most 1000 of each, 200 MiB a file, 512 MiB in all), the same without /v1, and GET /mock/stats (also
 * /stats): {"requests": n, "in_flight": n, "max_in_flight": n, "by_status": {"200": n, ...}, "distinct_prompts": n,
 * "repeated": n, "answered_again": n, "refused": n, "tokens_in": n, "tokens_out": n}. repeated counts chat requests whose
 * prompt was asked before; answered_again those whose prompt had got a faultless reply before, and in time: a client that had
 * closed its connection got none. refused counts refusals by a limit. GET /mock/series gives counts for each 0.1 s, and POST
 * /mock/control changes settings (docs/mock.md). Requests for /mock and /stats are not counted. A request is in flight from
 * its headers until the last byte of its reply is ready to leave or its client closes the connection, so a client never has
 * fewer in flight than the mock says.
 *
 * A chat prompt is known by the SHA-256 of the last user message (UTF-8); a prompt without a script or a taught answer
 * gets a fixed text of its own. Tokens are counted as code points, but max_tokens n cuts an answer (finish_reason "length")
 * only beyond 4 n code points. Wrong requests (400, 401 for the key, 404, 405, 413) and refusals by the limit (429) are
 * answered at once, draw no fault and are no tries. Thousands of delayed replies need no thread each; the soft limit of open
 * files is raised for them.
 * Errors: ECONFIG (bad options), EIO (port in use), ENOTFOUND/EDATA (script, as file:line), EACCESS.
 * Owns: *out, stopped and freed with cfb_mock_stop; the options are copied. Threads: own threads; the functions below are
 * safe from any. */
CFB_MUST_CHECK cfb_code cfb_mock_start(const cfb_mock_opts *opts, cfb_mock_t **out, cfb_err *err);
/* Teaches the mock a reference answer: asked for the prompt (by its hash), it answers `answer` unless the error rate
 * strikes; then it gives another answer of the same group (task), which depends on the order of teaching. A null group
 * means none. Teaching a prompt again replaces its answer. Before or while serving. Errors: EDATA (not a hash), ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_mock_teach(cfb_mock_t *m, const char *prompt_sha256, cfb_str group, cfb_str answer, cfb_err *err);
/* The same with the prompt itself. What the mock has seen it finds without computing the SHA-256. */
CFB_MUST_CHECK cfb_code cfb_mock_teach_prompt(cfb_mock_t *m, cfb_str prompt, cfb_str group, cfb_str answer, cfb_err *err);
int cfb_mock_port(const cfb_mock_t *m);
/* Drops all waiting requests, ends the threads, frees everything; well below a second. NULL is fine. */
void cfb_mock_stop(cfb_mock_t *m);

#ifdef __cplusplus
}
#endif
#endif
