/* The strict JSON reader and the writer. What parses prints as JSON that parses to the same; what repair accepts is strict JSON.
 */
#include "cfbench/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    cfb_json *j = NULL, *again = NULL;
    cfb_err err = CFB_ERR_INIT;
    bool strict = cfb_json_parse(text, size, 0, &j, &err) == CFB_OK;
    if (strict) {
        cfb_buf one = CFB_BUF_INIT(0), two = CFB_BUF_INIT(0);
        if (cfb_json_print(j, &one, &err) != CFB_OK || cfb_json_parse(one.ptr, one.len, 0, &again, &err) != CFB_OK) abort();
        if (cfb_json_print(again, &two, &err) != CFB_OK || !cfb_str_eq(cfb_buf_str(&one), cfb_buf_str(&two))) abort();
        cfb_buf_free(&one);
        cfb_buf_free(&two);
        cfb_json_free(again);
        cfb_json_free(j);
    }
    j = NULL;
    if (cfb_json_parse(text, size, CFB_JSON_REPAIR, &j, &err) != CFB_OK && strict) abort();
    cfb_json_free(j);
    return 0;
}
