# Sourced by dist_train.sh and dist_test.sh: which python, which cores, which rendezvous.
# Sets the arrays LAUNCH (the command up to the tool's name) from GPUS, the number of processes.
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

case "$GPUS" in
    ''|*[!0-9]*|0) echo "error: number of processes '$GPUS': expected 1 or more" >&2; exit 1 ;;
esac

# the python on the path if it has torch beside it (an activated environment), or else the one of
# the environment that `make setup` made
if [ -z "${PYTHON:-}" ]; then
    PYTHON=$(command -v python || true)
    if [ ! -x "$(dirname "$PYTHON")/torchrun" ] && [ -x "$tools/../.venv/bin/python" ]; then
        PYTHON=$tools/../.venv/bin/python
    fi
    PYTHON=${PYTHON:-python3}
fi

# torchrun would set 1; processes on CPU share the cores
cores=$(nproc)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(( cores > GPUS ? cores / GPUS : 1 ))}
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"

NNODES=${NNODES:-1}
rendezvous=(--nnodes "$NNODES" --node_rank "${NODE_RANK:-0}"
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}")
if [ "$NNODES" = 1 ] && [ -z "${PORT:-}" ]; then
    # one machine and no port asked for: any free one, so that two runs do not meet
    rendezvous=(--standalone --local_addr 127.0.0.1)
fi
LAUNCH=("$PYTHON" "$tools/torchrun.py" "${rendezvous[@]}" --nproc_per_node "$GPUS")
