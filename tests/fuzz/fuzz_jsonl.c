/* The jsonl reader on any bytes. */
#include "dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_dataset("fuzz.jsonl", data, size);
    return 0;
}
