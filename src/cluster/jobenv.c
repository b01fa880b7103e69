/* What batch systems tell a job by its environment. Names: the manuals of sbatch and srun; qsub of OpenPBS and Grid Engine; bsub.
 */
#include "cfbench/base.h"
#include "cfbench/cluster.h"

#include <stdlib.h>

static int64_t number(const char *name, int64_t otherwise) {
    const char *v = getenv(name);
    int64_t n;
    return v && cfb_parse_int(v, &n) && n >= 0 ? n : otherwise;
}

static const char *text(const char *name) {
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

/* An index of an array first, first + step, ... */
static void set_array(cfb_jobenv *e, int64_t id, int64_t first, int64_t step, int64_t count) {
    if (id < 0) return;
    if (step < 1) step = 1;
    e->array_index = id >= first ? (id - first) / step : id;
    e->array_count = count;
}

static void read_slurm(cfb_jobenv *e) {
    e->scheduler = "slurm";
    e->job_id = text("SLURM_JOB_ID");
    set_array(e, number("SLURM_ARRAY_TASK_ID", -1), number("SLURM_ARRAY_TASK_MIN", 0), number("SLURM_ARRAY_TASK_STEP", 1),
              number("SLURM_ARRAY_TASK_COUNT", 0));
    /* The batch script itself has the job's SLURM_NTASKS, but is one process: only srun sets SLURM_STEP_ID. */
    if (text("SLURM_STEP_ID")) {
        e->proc_index = number("SLURM_PROCID", -1);
        e->proc_count = number("SLURM_STEP_NUM_TASKS", number("SLURM_NTASKS", 0));
        if (e->proc_index < 0) e->proc_count = 0;
    }
    e->cpus = number("SLURM_CPUS_PER_TASK", 0);
    e->restarts = number("SLURM_RESTART_COUNT", 0);
    e->end_wall_ms = number("SLURM_JOB_END_TIME", 0) * 1000;
    e->scratch = text("SLURM_TMPDIR");
}

static void read_pbs(cfb_jobenv *e) {
    e->scheduler = "pbs";
    e->job_id = text("PBS_JOBID");
    set_array(e, number("PBS_ARRAY_INDEX", number("PBS_ARRAYID", -1)), 0, 1, 0);
    e->cpus = number("NCPUS", 0);
}

static void read_lsf(cfb_jobenv *e) {
    e->scheduler = "lsf";
    e->job_id = text("LSB_JOBID");
    int64_t index = number("LSB_JOBINDEX", 0), end = number("LSB_JOBINDEX_END", 0), step = number("LSB_JOBINDEX_STEP", 1);
    if (index > 0) set_array(e, index, 1, step, end > 0 ? (end - 1) / (step > 0 ? step : 1) + 1 : 0); /* arrays from 1 */
    e->cpus = number("LSB_DJOB_NUMPROC", 0);
}

static void read_sge(cfb_jobenv *e) {
    e->scheduler = "sge";
    e->job_id = text("JOB_ID");
    int64_t first = number("SGE_TASK_FIRST", 1), last = number("SGE_TASK_LAST", 0), step = number("SGE_TASK_STEPSIZE", 1);
    set_array(e, number("SGE_TASK_ID", -1), first, step, last >= first ? (last - first) / (step > 0 ? step : 1) + 1 : 0);
    e->cpus = number("NSLOTS", 0);
    e->restarts = number("RESTARTED", 0);
}

void cfb_jobenv_read(cfb_jobenv *out) {
    *out = (cfb_jobenv){.array_index = -1, .proc_index = -1};
    if (text("SLURM_JOB_ID"))
        read_slurm(out);
    else if (text("PBS_JOBID"))
        read_pbs(out);
    else if (text("LSB_JOBID"))
        read_lsf(out);
    else if (text("SGE_ROOT") && text("JOB_ID"))
        read_sge(out);
    if (out->scratch == NULL && out->scheduler) out->scratch = text("TMPDIR");
}
