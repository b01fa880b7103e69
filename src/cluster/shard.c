/* Which shard a row belongs to, and how shards are named. */
#include "cfbench/base.h"
#include "cfbench/cluster.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t fnv1a(uint64_t h, const char *p, size_t n) {
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
    return h;
}

int64_t cfb_shard_of(int64_t count, cfb_str task, cfb_str id) {
    uint64_t key = fnv1a(0xcbf29ce484222325u, task.ptr, task.len);
    key = fnv1a(key, "", 1);
    key = fnv1a(key, id.ptr, id.len);
    int64_t shard = -1, jump = 0;
    while (jump < count) {
        shard = jump;
        key = key * 2862933555777941757u + 1;
        jump = (int64_t)((double)(shard + 1) * (2147483648.0 / (double)((key >> 33) + 1)));
    }
    return shard;
}

static bool digits(const char **p, int64_t *out) {
    const char *from = *p;
    int64_t v = 0;
    while (**p >= '0' && **p <= '9' && *p - from < 9) v = v * 10 + *(*p)++ - '0';
    *out = v;
    return *p > from;
}

static cfb_code check(const char *text, cfb_shard s, cfb_err *err) {
    if (s.count < 1 || s.count > CFB_SHARDS_MAX)
        return cfb_err_set(err, CFB_EUSAGE, "--shard %s: there must be 1 to %d shards", text, CFB_SHARDS_MAX);
    if (s.index < 0 || s.index >= s.count)
        return cfb_err_set(err, CFB_EUSAGE, "--shard %s: shards are counted from 0, so the last one is %lld/%lld", text,
                           (long long)s.count - 1, (long long)s.count);
    return CFB_OK;
}

static cfb_code from_job(const cfb_jobenv *e, cfb_shard *out, cfb_err *err) {
    if (e->scheduler == NULL)
        return cfb_err_set(err, CFB_EUSAGE, "--shard auto: this is no job of Slurm, PBS, LSF or Grid Engine; write --shard i/N");
    if (e->array_index >= 0 && e->array_count == 0)
        return cfb_err_set(err, CFB_EUSAGE,
                           "--shard auto: %s says the index of this job in its array (%lld), but not how many there are; write "
                           "--shard i/N",
                           e->scheduler, (long long)e->array_index);
    cfb_shard s = {0, 1};
    if (e->array_count > 0) s = (cfb_shard){e->array_index, e->array_count};
    if (e->proc_count > 1) {
        s.index = s.index * e->proc_count + e->proc_index;
        s.count *= e->proc_count;
    }
    *out = s;
    return check("auto", s, err);
}

cfb_code cfb_shard_parse(const char *text, const cfb_jobenv *env, cfb_shard *out, cfb_err *err) {
    if (strcmp(text, "auto") == 0) return from_job(env, out, err);
    const char *p = text;
    if (!digits(&p, &out->index) || *p++ != '/' || !digits(&p, &out->count) || *p != '\0')
        return cfb_err_set(err, CFB_EUSAGE, "--shard %.40s: write it as i/N, such as 0/8, or auto", text);
    return check(text, *out, err);
}

void cfb_shard_folder(cfb_shard s, char buf[48]) {
    snprintf(buf, 48, "shard-%04lld-of-%04lld", (long long)s.index, (long long)s.count);
}

bool cfb_shard_folder_parse(const char *name, cfb_shard *out) {
    const char *p = name;
    if (strncmp(p, "shard-", 6) != 0) return false;
    p += 6;
    if (!digits(&p, &out->index) || strncmp(p, "-of-", 4) != 0) return false;
    p += 4;
    return digits(&p, &out->count) && *p == '\0' && out->count >= 1 && out->index < out->count;
}
