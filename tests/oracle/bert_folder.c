/* bert_folder DIR: writes a small BERT model of made-up weights, for tests of the command line. */
#include "../bert_model.h"

int main(int argc, char **argv) {
    const bert_shape s = {32, 2, 4, 64, 5000, 512, "F32", "", 0.05f};
    return argc == 2 && bert_write(argv[1], &s) ? 0 : 1;
}
