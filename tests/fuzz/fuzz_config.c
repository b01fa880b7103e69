/* Config files of any bytes, for every command: no crash, and what was accepted prints and reads back as the same. */
#include "config/options.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    cfb_command command = (cfb_command)(data[0] % CFB_CMD_COUNT);
    cfb_str json = {(const char *)data + 1, size - 1};
    cfb_config first, second;
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = cfb_config__from_json(command, "fuzz.json", json, &first, &err);
    if (rc == CFB_OK) {
        cfb_buf a = CFB_BUF_INIT((size_t)1 << 24), b = CFB_BUF_INIT((size_t)1 << 24);
        if (cfb_config_print(&first, &a, &err) != CFB_OK) abort();
        if (cfb_config__from_json(command, "again.json", cfb_buf_str(&a), &second, &err) != CFB_OK) abort();
        if (cfb_config_print(&second, &b, &err) != CFB_OK) abort();
        if (!cfb_str_eq(cfb_buf_str(&a), cfb_buf_str(&b))) abort();
        cfb_config_free(&second);
        cfb_buf_free(&a);
        cfb_buf_free(&b);
    } else if (err.msg[0] == '\0') {
        abort();
    }
    cfb_config_free(&first);
    return 0;
}
