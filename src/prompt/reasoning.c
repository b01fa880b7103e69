/* reasoning.c - what a reasoning model thought aloud in front of its answer. */
#include "cfbench/prompt.h"
#include "cfbench/text.h"

/* <think>: DeepSeek, Qwen and most. The others: models that were taught other words for it; [THINK] is Mistral's, the last two
 * are ByteDance Seed's and Kimi's (docs.sglang.io, "Reasoning Parser"). */
static const struct {
    const char *open, *close;
} tags[] = {{"<think>", "</think>"},     {"<thinking>", "</thinking>"}, {"<reasoning>", "</reasoning>"},
            {"<thought>", "</thought>"}, {"[THINK]", "[/THINK]"},       {"<seed:think>", "</seed:think>"},
            {"◁think▷", "◁/think▷"}};
enum { N_TAGS = sizeof tags / sizeof *tags };

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static bool starts_with(cfb_str s, const char *tag) {
    size_t n = strlen(tag);
    if (s.len < n) return false;
    for (size_t i = 0; i < n; i++)
        if (lower(s.ptr[i]) != lower(tag[i])) return false;
    return true;
}

/* First place of a tag in s, or SIZE_MAX. The first byte of a tag has no other case. */
static size_t find(cfb_str s, const char *tag) {
    for (size_t at = 0; at < s.len; at++) {
        const char *p = memchr(s.ptr + at, tag[0], s.len - at);
        if (p == NULL) return SIZE_MAX;
        at = (size_t)(p - s.ptr);
        if (starts_with((cfb_str){p, s.len - at}, tag)) return at;
    }
    return SIZE_MAX;
}

static cfb_str skip(cfb_str s, size_t n) { return (cfb_str){s.ptr + n, s.len - n}; }

static cfb_str skip_space(cfb_str s) {
    size_t pos = 0;
    while (pos < s.len) {
        size_t next = pos;
        if (!cfb_text_is_space(cfb_utf8_next(s, &next))) break;
        pos = next;
    }
    return skip(s, pos);
}

/* The kind of tag at the start of s, or N_TAGS. */
static size_t tag_at(cfb_str s) {
    size_t kind = 0;
    while (kind < N_TAGS && !starts_with(s, tags[kind].open)) kind++;
    return kind;
}

/* A closing tag before which no opening one stands: the chat template ended the prompt with the opening one
 * (vllm-project/vllm#12999: DeepSeek-R1 and its distillations since February 2025). The reply behind it, or a null string. */
static cfb_str behind_lone_close(cfb_str s) {
    for (size_t kind = 0; kind < N_TAGS; kind++) {
        size_t close = find(s, tags[kind].close);
        if (close != SIZE_MAX && find((cfb_str){s.ptr, close}, tags[kind].open) == SIZE_MAX)
            return skip(s, close + strlen(tags[kind].close));
    }
    return CFB_STR_NULL;
}

cfb_str cfb_prompt_strip_reasoning(cfb_str reply) {
    if (reply.ptr == NULL) return reply;
    cfb_str s = skip_space(reply);
    size_t kind = tag_at(s);
    if (kind == N_TAGS) {
        cfb_str rest = behind_lone_close(s);
        if (rest.ptr == NULL) return reply;
        s = skip_space(rest);
        kind = tag_at(s);
    }
    while (kind < N_TAGS) { /* some models think twice */
        size_t close = find(s, tags[kind].close);
        if (close == SIZE_MAX) return skip(reply, reply.len); /* the limit came before the answer */
        s = skip_space(skip(s, close + strlen(tags[kind].close)));
        kind = tag_at(s);
    }
    return s;
}
