/* answers.h - what was asked how often, and what to answer. */
#ifndef CFB_MOCK_ANSWERS_H
#define CFB_MOCK_ANSWERS_H

#include "cfbench/base.h"

#include <stdatomic.h>

typedef struct cfb_mock__answers cfb_mock__answers;

/* A text that may be sent, with what sending it needs. Never changes. */
typedef struct cfb_mock__text {
    cfb_str text;
    cfb_str quoted; /* as a JSON string, with its quotes */
    size_t n_chars;
} cfb_mock__text;

/* What cfb_mock_teach said of a prompt. Never changes: teaching again makes another one. */
typedef struct cfb_mock__taught {
    const cfb_mock__text *answer;
    bool has_group;
    size_t group;
} cfb_mock__taught;

/* One prompt. Entries stay where they are until the table is freed. */
typedef struct cfb_mock__entry cfb_mock__entry;
struct cfb_mock__entry {
    cfb_mock__entry *next; /* in the same bucket */
    char sha256[65];
    uint64_t key; /* first 64 bits of the hash: the stream of the prompt's random choices */
    atomic_uint_fast64_t tries;
    atomic_bool answered; /* a whole, faultless reply was given */
    _Atomic(const cfb_mock__taught *) taught;
    struct cfb_mock__line *script, *script_last; /* lines in file order; the k-th try gets the k-th line */
};

typedef struct cfb_mock__answer {
    const cfb_mock__text *content; /* NULL: null, or not known */
    cfb_str finish_reason;
    int status;     /* 200, or what the script says */
    double delay_s; /* < 0 = the usual latency */
    bool known;     /* taught or scripted */
} cfb_mock__answer;

CFB_MUST_CHECK cfb_code cfb_mock__answers_new(cfb_mock__answers **out, cfb_err *err);
void cfb_mock__answers_free(cfb_mock__answers *a); /* NULL is fine */
/* Reads a script; every line is checked. Errors name file:line. Not while serving. */
CFB_MUST_CHECK cfb_code cfb_mock__answers_load(cfb_mock__answers *a, const char *path, cfb_err *err);

/* Threads: the functions below are safe from any. */
CFB_MUST_CHECK cfb_code cfb_mock__answers_teach(cfb_mock__answers *a, cfb_str sha256, cfb_str group, cfb_str answer,
                                                cfb_err *err);
/* The prompt's entry, made when it is new. */
CFB_MUST_CHECK cfb_code cfb_mock__answers_entry(cfb_mock__answers *a, cfb_str sha256, cfb_mock__entry **out, cfb_err *err);
/* The same by the prompt itself: its SHA-256 is computed only the first time. */
CFB_MUST_CHECK cfb_code cfb_mock__answers_find(cfb_mock__answers *a, cfb_str prompt, cfb_mock__entry **out, cfb_err *err);
/* What to answer to a try (from 0) of a prompt. With the probability error_rate this is another answer of the same
 * group, where there is one. */
void cfb_mock__answers_pick(cfb_mock__answers *a, cfb_mock__entry *e, uint64_t seed, uint64_t try_no, double error_rate,
                            cfb_mock__answer *out);

#endif
