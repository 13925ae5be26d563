#!/usr/bin/env bash
# Train in several processes, on GPUs or on CPU: tools/dist_train.sh CONFIG PROCESSES [train.py's arguments]
# Several machines: NNODES, NODE_RANK, MASTER_ADDR, PORT.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG PROCESSES [arguments of train.py]" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
source "$(dirname "$0")/dist_env.sh"
exec "${LAUNCH[@]}" "$tools/train.py" "$CONFIG" --launcher pytorch "${@:3}"
