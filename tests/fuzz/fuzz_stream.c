/* gzip and zstd: the first byte chooses a magic number to put in front, so that the fuzzer need not find it. */
#include "dataset.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct {
        const char *bytes;
        size_t len;
    } prefix[] = {{"", 0}, {"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10}, {"\x28\xB5\x2F\xFD", 4}};
    if (size == 0) return 0;
    size_t k = data[0] % 3;
    uint8_t *copy = malloc(prefix[k].len + size);
    if (copy == NULL) return 0;
    memcpy(copy, prefix[k].bytes, prefix[k].len);
    memcpy(copy + prefix[k].len, data + 1, size - 1);
    fuzz_dataset("fuzz.csv", copy, prefix[k].len + size - 1);
    free(copy);
    return 0;
}
