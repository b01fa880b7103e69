/* profile.c - what differs between servers.
 *
 * Sources, read in 2026:
 * - OpenAI: reasoning models refuse max_tokens and temperature with status 400, codes unsupported_parameter and unsupported_value
 *   (error texts as users report them, e.g. github.com/ITSpecialist111/ai_automation_suggester issue 38 and
 *   github.com/decolua/9router issue 560); context_length_exceeded: platform.openai.com/docs/guides/error-codes.
 * - Azure: content filter as status 400 with innererror ResponsibleAIPolicyViolation, learn.microsoft.com (content filtering).
 * - vLLM: {"object": "error", ...} and "This model's maximum context length is ...", github.com/ogx-ai/ogx issue 4534.
 * - llama.cpp: type exceed_context_size_error with n_prompt_tokens and n_ctx, github.com/ggml-org/llama.cpp pull request 15780
 * and issue 19774; "timings" in replies: its server's README.
 * - OpenRouter: comments ": OPENROUTER PROCESSING", openrouter.ai/docs/api-reference/streaming; errors with a number as code.
 * - DeepSeek: empty lines before a reply and ": keep-alive" in streams, api-docs.deepseek.com/quick_start/rate_limit;
 *   reasoning_content: its guide on reasoning models.
 * - SGLang, Ollama and DashScope (compatible mode): the same interface as documented; only what is named here differs. */
#include "mock/profile.h"

#include <stdio.h>

static const cfb_mock__profile profiles[] = {
    {.name = "plain", .id_prefix = "chatcmpl-", .reasoning = "reasoning_content", .message_extra = ""},
    {.name = "openai",
     .id_prefix = "chatcmpl-",
     .message_extra = ",\"refusal\":null,\"annotations\":[]",
     .strict_reasoning_models = true},
    {.name = "azure",
     .id_prefix = "chatcmpl-",
     .errors = CFB_MOCK__ERROR_AZURE,
     .message_extra = ",\"refusal\":null",
     .strict_reasoning_models = true},
    {.name = "openrouter",
     .id_prefix = "gen-",
     .errors = CFB_MOCK__ERROR_OPENROUTER,
     .rates = CFB_MOCK__RATE_OPENROUTER,
     .reasoning = "reasoning",
     .keep_alive = ": OPENROUTER PROCESSING\n\n",
     .keep_alive_plain = "\n         \n",
     .message_extra = ",\"refusal\":null"},
    {.name = "vllm",
     .id_prefix = "chatcmpl-",
     .errors = CFB_MOCK__ERROR_VLLM,
     .reasoning = "reasoning_content",
     .message_extra = ",\"tool_calls\":[]"},
    {.name = "sglang",
     .id_prefix = "",
     .errors = CFB_MOCK__ERROR_VLLM,
     .reasoning = "reasoning_content",
     .message_extra = ",\"tool_calls\":null"},
    {.name = "llamacpp",
     .id_prefix = "chatcmpl-",
     .errors = CFB_MOCK__ERROR_LLAMACPP,
     .reasoning = "reasoning_content",
     .message_extra = "",
     .timings = true},
    {.name = "ollama", .id_prefix = "chatcmpl-", .reasoning = "reasoning", .message_extra = ""},
    {.name = "deepseek",
     .id_prefix = "",
     .reasoning = "reasoning_content",
     .keep_alive = ": keep-alive\n\n",
     .keep_alive_plain = "\n",
     .message_extra = ""},
    {.name = "dashscope", .id_prefix = "chatcmpl-", .reasoning = "reasoning_content", .message_extra = ""},
};

const char cfb_mock__profile_names[] = "plain, openai, azure, openrouter, vllm, sglang, llamacpp, ollama, deepseek, dashscope";

const cfb_mock__profile *cfb_mock__profile_of(const char *name) {
    if (name == NULL || *name == '\0') return &profiles[0];
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++)
        if (strcmp(name, profiles[i].name) == 0) return &profiles[i];
    return NULL;
}

/* o1, o3-mini, gpt-5.1, ...: also behind a provider's name and a slash. */
static bool is_reasoning_model(cfb_str model) {
    for (size_t i = model.len; i-- > 0;)
        if (model.ptr[i] == '/') {
            model = (cfb_str){model.ptr + i + 1, model.len - i - 1};
            break;
        }
    static const char *const begins[] = {"o1", "o3", "o4", "gpt-5"};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (model.len >= strlen(begins[i]) && memcmp(model.ptr, begins[i], strlen(begins[i])) == 0) return true;
    return false;
}

bool cfb_mock__profile_refuses(const cfb_mock__profile *p, const cfb_mock__chat *req, cfb_mock__refusal *out) {
    *out = (cfb_mock__refusal){.type = "invalid_request_error"};
    if (!p->strict_reasoning_models || !is_reasoning_model(req->model)) return false;
    if (req->max_tokens_key != NULL && strcmp(req->max_tokens_key, "max_tokens") == 0) {
        out->param = "max_tokens";
        out->code = "unsupported_parameter";
        snprintf(out->message, sizeof out->message,
                 "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.");
        return true;
    }
    if (!req->has_temperature || (req->temperature >= 1 && req->temperature <= 1)) return false;
    out->param = "temperature";
    out->code = "unsupported_value";
    snprintf(out->message, sizeof out->message,
             "Unsupported value: 'temperature' does not support %g with this model. Only the default (1) value is supported.",
             req->temperature);
    return true;
}

bool cfb_mock__too_long(const cfb_mock__profile *p, const cfb_mock__chat *req, int64_t context, cfb_mock__refusal *out) {
    int64_t prompt = (int64_t)req->n_prompt_tokens, reply = req->max_tokens;
    *out = (cfb_mock__refusal){.type = "invalid_request_error", .param = "messages", .code = "context_length_exceeded"};
    if (context == 0 || (prompt <= context && reply <= context - prompt)) return false;
    if (p->errors == CFB_MOCK__ERROR_LLAMACPP) {
        out->type = "exceed_context_size_error";
        snprintf(out->message, sizeof out->message,
                 "request (%lld tokens) exceeds the available context size (%lld tokens), try increasing it", (long long)prompt,
                 (long long)context);
        return true;
    }
    if (p->errors == CFB_MOCK__ERROR_VLLM) out->type = "BadRequestError";
    snprintf(out->message, sizeof out->message,
             "This model's maximum context length is %lld tokens. However, you requested %lld tokens (%lld in the messages, %lld "
             "in the completion). "
             "Please reduce the length of the messages or completion.",
             (long long)context, (long long)(prompt + reply), (long long)prompt, (long long)reply);
    return true;
}
