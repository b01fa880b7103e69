/* machine.c - which machine is this: enough to see that a tuned configuration came from another one. */
#include "cfbench/base.h"

#include <stdio.h>
#include <unistd.h>

void cfb_machine_key(char buf[CFB_MACHINE_KEY_SIZE]) {
    char line[512], model[128] = "unknown processor";
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        char *colon = strchr(line, ':');
        if (colon == NULL || strncmp(line, "model name", 10) != 0) continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(model, sizeof model, "%.120s", colon[1] == ' ' ? colon + 2 : colon + 1);
        break;
    }
    if (f != NULL) fclose(f);
    for (char *p = model; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == '"' || *p == '\\') *p = ' ';
    snprintf(buf, CFB_MACHINE_KEY_SIZE, "%s; %d of %ld cores; %s", model, cfb_cpu_count(), sysconf(_SC_NPROCESSORS_ONLN),
             cfb_simd_name());
}
