/* internal.h - what the files of the doctor room share. */
#ifndef CFB_DOCTOR_INTERNAL_H
#define CFB_DOCTOR_INTERNAL_H

#include "cfbench/doctor.h"

#include <stdio.h>

#define FAULT CFB_FINDING_FAULT
#define HINT CFB_FINDING_HINT

/* A file below the root, opened to read; NULL if it is not there. */
FILE *cfb_doctor__open(const cfb_doctor_want *w, const char *path);
/* The number behind a name in lines "name number" or "name: number" of root + path, or -1. name "": the file's first number. */
int64_t cfb_doctor__number_in(const char *root, const char *path, const char *name);
/* A whole number of the environment, or -1. */
int64_t cfb_doctor__env_number(const char *name);
/* "64k", "2M", "16" (unit: KiB) as OMP_STACKSIZE has it -> bytes; -1: none of these. Pure. */
int64_t cfb_doctor__stack_bytes(const char *text);
/* The mount that a path lies on, from the text of mountinfo: the longest mount point that is its beginning. False: none. Pure. */
typedef struct cfb_mount {
    char point[256], type[64], options[512];
} cfb_mount;
bool cfb_doctor__find_mount(cfb_str mountinfo, const char *path, cfb_mount *out);
/* Does a file system of this name lie on another machine? Pure. */
bool cfb_doctor__is_network(const char *type);

#endif
