/* What a server sends: the reply parser, with repair. A reply that parses holds valid UTF-8. */
#include "cfbench/client.h"
#include "cfbench/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cfb_buf scratch = CFB_BUF_INIT((size_t)1 << 20);
    cfb_chat_reply r = {.http_status = 200};
    cfb_err err = CFB_ERR_INIT;
    if (cfb_client_parse_reply((cfb_str){(const char *)data, size}, &scratch, &r, &err) == CFB_OK) {
        if (cfb_utf8_find_invalid(r.content) != SIZE_MAX) abort();
        if (cfb_utf8_find_invalid(cfb_str_from(r.message)) != SIZE_MAX) abort();
        if (r.fail != CFB_FAIL_NONE && r.message[0] == '\0') abort();
    }
    cfb_buf_free(&scratch);
    return 0;
}
