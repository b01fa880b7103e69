# shellcheck shell=bash
# Sourced by the job scripts beside it. CFBENCH names the program, if it is not on the PATH.
CFBENCH=${CFBENCH:-cfbench}

# Slurm 23.02 and later set this themselves. By it cfbench knows which calls would not end in time.
if [ -z "${SLURM_JOB_END_TIME:-}" ] && [ -n "${SLURM_JOB_ID:-}" ]; then
    end=$(squeue -h -j "$SLURM_JOB_ID" -o %e 2>/dev/null | head -1)
    end=$(date -d "$end" +%s 2>/dev/null) && export SLURM_JOB_END_TIME=$end
fi

# resumable COMMAND...: runs it; hands on what Slurm sends to the job's script (--signal=B:TERM@60); a run that was stopped puts the job
# back into the queue. Slurm itself requeues a job that was preempted.
resumable() {
    "$@" &
    local pid=$! status
    trap 'kill -${PASS_ON:-TERM} $pid 2>/dev/null' TERM USR1
    while :; do
        wait $pid
        status=$?
        kill -0 $pid 2>/dev/null || break # a signal ends `wait`, not the command
    done
    trap - TERM USR1
    if [ $status -eq 5 ]; then
        echo "stopped before the end of the job's time; requeueing job $SLURM_JOB_ID"
        scontrol requeue "$SLURM_JOB_ID" # of an array: this task alone
        sleep 30 # until Slurm takes the job away: its dependents must not see an end
    fi
    return $status
}
