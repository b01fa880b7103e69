/* suite.json. A suite that parses can be written and read back, and its templates and post-processing run. */
#include "cfbench/prompt.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const cfb_suite_t *s, size_t i, cfb_str text) {
    const cfb_task *t = cfb_suite_task(s, i);
    cfb_record r = {.id = CFB_STR_LIT("0"), .input = text, .instruction = text, .response = text};
    for (int shot = 0; shot < 2; shot++) {
        cfb_buf prompt = CFB_BUF_INIT((size_t)1 << 22);
        if (cfb_prompt_render(t, (cfb_shot)shot, &r, &prompt, NULL) == CFB_OK)
            (void)cfb_prompt_postprocess(t, (cfb_shot)shot, cfb_buf_str(&prompt));
        cfb_buf_free(&prompt);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cfb_suite_t *s, *copy;
    cfb_err err = CFB_ERR_INIT;
    cfb_str json = {(const char *)data, size};
    if (cfb_suite_parse("suite.json", json, &s, &err) != CFB_OK) return 0;
    for (size_t i = 0; i < cfb_suite_n_tasks(s) && i < 4; i++) {
        cfb_buf text = CFB_BUF_INIT(0);
        if (cfb_suite_write_task(s, i, &text, &err) != CFB_OK ||
            cfb_suite_parse("copy", cfb_buf_str(&text), &copy, &err) != CFB_OK)
            abort();
        cfb_suite_free(copy);
        cfb_buf_free(&text);
        use(s, i, json);
    }
    cfb_suite_free(s);
    return 0;
}
