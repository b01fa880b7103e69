/* The json reader on any bytes. */
#include "dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_dataset("fuzz.json", data, size);
    return 0;
}
