#!/usr/bin/env bash
# Test in several processes, on GPUs or on CPU:
# tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [test.py's arguments]
# Several machines: NNODES, NODE_RANK, MASTER_ADDR, PORT.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT PROCESSES [arguments of test.py]" >&2
    exit 2
fi
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
source "$(dirname "$0")/dist_env.sh"
exec "${LAUNCH[@]}" "$tools/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
