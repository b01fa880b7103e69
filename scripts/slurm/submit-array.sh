#!/bin/bash
# A run as a job array, and the merge when all its tasks have ended well. Prints the two job ids.
#   scripts/slurm/submit-array.sh SHARDS AT-ONCE OUT cfbench's options...
#   scripts/slurm/submit-array.sh 8 4 runs/qwen --suite cfbenchmark --data ~/data --model qwen --base-url http://llm:8000/v1 --rps 40 --share-rate 4
# SBATCH_... variables and $CFBENCH_SBATCH (such as "--account=x --partition=y") are for both.
set -eu
[ $# -ge 3 ] || { sed -n '2,5s/^# *//p' "$0"; exit 1; }
n=$1 at_once=$2 out=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
export CFBENCH_SLURM=$here
mkdir -p "$out"
# shellcheck disable=SC2086 # words
array=$(sbatch --parsable ${CFBENCH_SBATCH:-} --array="0-$((n - 1))%$at_once" --output="$out/shard-%a.log" "$here/array.sbatch" "$out" "$@")
# 3: done, but some rows failed. afterok would not merge then; afterany merges whatever there is, and merge says what is missing.
# shellcheck disable=SC2086
merge=$(sbatch --parsable ${CFBENCH_SBATCH:-} --dependency="afterany:$array" --output="$out/merge.log" "$here/merge.sbatch" "$out")
echo "$array $merge"
