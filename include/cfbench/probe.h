/* probe.h - is a server there, does it know the model, and what does it say about its limits? One request each, never repeated.
 */
#ifndef CFBENCH_PROBE_H
#define CFBENCH_PROBE_H

#include "cfbench/client.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cfb_probe {
    cfb_fail fail;     /* NONE: the server answered as it should */
    long http_status;  /* 0: no answer */
    double latency_s;  /* of this one request, connecting included */
    bool has_models;   /* it answered with a list of models */
    bool model_listed; /* the model is in it */
    size_t n_models;   /* in the list */
    char models[256];  /* their first names */
    int64_t context;   /* tokens that the model takes (max_model_len of vLLM and SGLang); -1: not said */
    cfb_rate_hints hints;
    char message[256]; /* of a failure */
} cfb_probe;

/* GET base_urls[endpoint]/models. A server that is not there, or refuses, is a result. Needs cfb_client_global_init. Errors:
 * ECONFIG, ENOMEM. Threads: one call each. */
CFB_MUST_CHECK cfb_code cfb_probe_models(const cfb_client_opts *o, size_t endpoint, const char *model, cfb_probe *out,
                                         cfb_err *err);
/* One short chat call, of one token: only its answer has the limits that some servers tell. It may cost a little. */
CFB_MUST_CHECK cfb_code cfb_probe_call(const cfb_client_opts *o, size_t endpoint, cfb_probe *out, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
