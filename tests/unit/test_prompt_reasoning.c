/* Replies of reasoning models: what is left for the task's steps. */
#include "test.h"

#include "cfbench/prompt.h"

static void only_the_answer_is_left(void **state) {
    (void)state;
    static const struct {
        const char *reply, *left;
    } cases[] = {
        {"plain", "plain"},
        {"  plain \n", "  plain \n"}, /* nothing was thought: not a byte changes */
        {"", ""},
        {"<think>\nhm\n</think>\n\n积极", "积极"},
        {" \n<think>hm</think>A ", "A "},
        {"<think></think>A", "A"},
        {"<think>\n\n</think>\n\n", ""},
        {"<thinking>a</thinking>B", "B"},
        {"<reasoning>a</reasoning>\nB", "B"},
        {"<thought>a</thought>B", "B"},
        {"[THINK]a[/THINK]B", "B"},
        {"<seed:think>a</seed:think>B", "B"},
        {"◁think▷a◁/think▷B", "B"},
        {"<THINK>a</Think>B", "B"},
        {"<think>a</think><think>b</think> C", "C"},
        {"<think>a</think>\n<reasoning>b</reasoning>C", "C"},
        {"<think>the tag <think> opens</think>B", "B"},
        {"<think>a</think>B</think>C", "B</think>C"}, /* the first end counts */
        {"<think>never ends, 积极", ""},
        {"<think>a</think><think>never ends", ""},
        {"<think>a</thinking>", ""},
        {"Alright, the user said hello.\n</think>\n\nHello!", "Hello!"}, /* opened by the chat template */
        {"first</think><think>again</think>B", "B"},
        {"</think>B", "B"},
        {"\xE3\x80\x80<think>a</think>\xE3\x80\x80"
         "B",
         "B"}, /* ideographic space */
        /* words about tags are no tags */
        {"The tag <think> is closed by </think>.", "The tag <think> is closed by </think>."},
        {"A <think>b</think>", "A <think>b</think>"},
        {"<thin>k", "<thin>k"},
        {"<", "<"},
        {"<think", "<think"},
        {"a </thin", "a </thin"},
        {"[THINK", "[THINK"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cfb_str reply = cfb_str_from(cases[i].reply), left = cfb_prompt_strip_reasoning(reply);
        assert_str(left, cases[i].left);
        assert_non_null(left.ptr);
        assert_true(left.ptr >= reply.ptr && left.ptr + left.len <= reply.ptr + reply.len);
    }
    assert_null(cfb_prompt_strip_reasoning(CFB_STR_NULL).ptr);
}

/* A long reply without an end must not take quadratic time. */
static void many_tags_are_no_trouble(void **state) {
    (void)state;
    enum { N = 200000 };
    char *text = malloc(N * 8 + 1);
    assert_non_null(text);
    for (size_t i = 0; i < N; i++) memcpy(text + i * 8, "</think>", 8);
    text[N * 8] = '\0';
    assert_int_equal(cfb_prompt_strip_reasoning(cfb_str_from(text)).len, (N - 1) * 8);
    for (size_t i = 0; i < N; i++) memcpy(text + i * 8, " <think>", 8);
    assert_int_equal(cfb_prompt_strip_reasoning(cfb_str_from(text)).len, 0);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_answer_is_left),
        cmocka_unit_test(many_tags_are_no_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
