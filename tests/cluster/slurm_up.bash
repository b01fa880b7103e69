# Sourced: a private Slurm of four pretend nodes on loopback, in $S; ended by slurm_down. No systemd, no cgroups; needs root and Debian's
# slurm-wlm and munge. slurm_up returns 1, with the reason in $slurm_why, where that does not work.
S=$T/slurm
slurm_why=
free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }

slurm_up() {
    local c host
    for c in slurmctld slurmd munged sbatch; do
        command -v $c >/dev/null || { slurm_why="$c is not installed (scripts/install-deps.sh --cluster)"; return 1; }
    done
    [ "$(id -u)" -eq 0 ] || { slurm_why="Slurm's daemons need root here"; return 1; }
    mkdir -p "$S"/{state,log,munge} && chmod 755 "$T" "$S" && chmod 700 "$S/munge"
    host=$(hostname -s)
    dd if=/dev/urandom bs=1 count=1024 of="$S/munge/key" 2>/dev/null && chmod 400 "$S/munge/key"
    munged --force --foreground --key-file="$S/munge/key" --socket="$S/munge/socket" --pid-file="$S/munge/pid" \
        --log-file="$S/log/munged" --seed-file="$S/munge/seed" >>"$S/log/munged.out" 2>&1 &
    slurm_pids=($!)
    cat >"$S/slurm.conf" <<E2
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
AuthType=auth/munge
AuthInfo=socket=$S/munge/socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$S/state
SlurmdSpoolDir=$S/spool-%n
SlurmctldPidFile=$S/slurmctld.pid
SlurmdPidFile=$S/slurmd-%n.pid
SlurmctldLogFile=$S/log/slurmctld
SlurmdLogFile=$S/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=2
OverTimeLimit=0
InactiveLimit=0
MinJobAge=300
$(for i in 1 2 3 4; do echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$(free_port) CPUs=2 RealMemory=1000 State=UNKNOWN"; done)
PartitionName=low Nodes=n[1-4] Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=0
PartitionName=high Nodes=n[1-4] MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
E2
    export SLURM_CONF=$S/slurm.conf
    for _ in $(seq 50); do [ -S "$S/munge/socket" ] && break; sleep 0.1; done
    slurmctld -D -c >"$S/log/slurmctld.out" 2>&1 &
    slurm_pids+=($!)
    for i in 1 2 3 4; do
        mkdir -p "$S/spool-n$i"
        slurmd -D -N "n$i" >"$S/log/slurmd-n$i.out" 2>&1 &
        slurm_pids+=($!)
    done
    for _ in $(seq 100); do
        [ "$(sinfo -h -N -p low -o %t 2>/dev/null | grep -c idle)" -eq 4 ] && return 0
        sleep 0.2
    done
    slurm_why="its nodes did not become idle: $(tail -1 "$S/log/slurmctld.out" 2>/dev/null)"
    return 1
}
slurm_down() {
    scancel --user root >/dev/null 2>&1
    sleep 0.5
    [ ${#slurm_pids[@]} -eq 0 ] || kill "${slurm_pids[@]}" 2>/dev/null
    wait "${slurm_pids[@]}" 2>/dev/null
}
# wait_job ID SECONDS: until the job is not in the queue any more
wait_job() {
    for _ in $(seq $(($2 * 5))); do
        [ -z "$(squeue -h -j "$1" -t PD,R,CG,S,CF 2>/dev/null)" ] && return 0
        sleep 0.2
    done
    return 1
}
job_is() { squeue -h -j "$1" -o %T 2>/dev/null; }
slurm_pids=()
