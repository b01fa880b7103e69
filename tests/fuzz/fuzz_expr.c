/* Any bytes as an expression: parsed or refused with a place inside the text; what was parsed has a value, always the same. */
#include "cfbench/expr.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const cfb_expr_name names[] = {{"score", CFB_EXPR_NUMBER}, {"task", CFB_EXPR_TEXT}, {"unmatchable", CFB_EXPR_TRUTH}};
    cfb_str text = {(const char *)data, size};
    cfb_expr_t *e;
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = cfb_expr_parse(text, names, 3, &e, &err);
    if (rc != CFB_OK) {
        if (rc != CFB_EUSAGE || err.offset > size || e != NULL) abort();
        return 0;
    }
    cfb_expr_value values[3 + CFB_EXPR_MAX_COLUMNS] = {
        {.number = 0.25}, {.text = CFB_STR_LIT("sector")}, {.truth = true}, {.text = CFB_STR_LIT("1.5")}, {.text = CFB_STR_NULL}};
    for (size_t i = 5; i < 3 + CFB_EXPR_MAX_COLUMNS; i++) values[i].text = CFB_STR_LIT("银行，证券");
    if (cfb_expr_eval(e, values) != cfb_expr_eval(e, values)) abort();
    cfb_expr_free(e);
    return 0;
}
