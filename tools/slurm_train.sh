#!/usr/bin/env bash
# Train under Slurm: tools/slurm_train.sh PARTITION JOB_NAME CONFIG [train.py's arguments]
# GPUS (in all), GPUS_PER_NODE (0: processes on CPU), CPUS_PER_TASK, SRUN_ARGS.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG [arguments of train.py]" >&2
    exit 2
fi
PARTITION=$1
JOB_NAME=$2
CONFIG=$3
GPUS=${GPUS:-4}
GPUS_PER_NODE=${GPUS_PER_NODE:-4}
CPUS_PER_TASK=${CPUS_PER_TASK:-5}
read -r -a srun_args <<< "${SRUN_ARGS:-}"
tools=$(cd "$(dirname "$0")" && pwd)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$CPUS_PER_TASK}
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"

node=(--gres="gpu:$GPUS_PER_NODE" --ntasks-per-node="$GPUS_PER_NODE")
if [ "$GPUS_PER_NODE" = 0 ]; then
    node=()
fi
exec srun -p "$PARTITION" --job-name="$JOB_NAME" "${node[@]}" --ntasks="$GPUS" \
    --cpus-per-task="$CPUS_PER_TASK" --kill-on-bad-exit=1 "${srun_args[@]}" \
    "${PYTHON:-python}" -u "$tools/train.py" "$CONFIG" --launcher slurm "${@:4}"
