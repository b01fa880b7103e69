#include "config/options.h"

const cfb_preset cfb_presets[] = {
#define CFB_X(name, workers, rate) {#name, workers, rate},
    CFB_PRESET_MAP(CFB_X)
#undef CFB_X
};
const size_t cfb_presets_count = sizeof cfb_presets / sizeof cfb_presets[0];

const cfb_preset *cfb_preset_find(const char *name) {
    for (size_t i = 0; i < cfb_presets_count; i++)
        if (strcmp(cfb_presets[i].name, name) == 0) return &cfb_presets[i];
    return NULL;
}
