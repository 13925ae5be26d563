#!/usr/bin/env bash
# All that there is to measure on a GPU, and a smoke test of two: tools/benchmarks/gpu.sh [FOLDER]
# About ten minutes. Logs, results.jsonl and summary.txt are in FOLDER (work_dirs/gpu). Ends with 1
# if a part failed, and names it. SMALL=1 takes sizes for CPUs, and CPU processes if there is no GPU.
set -euo pipefail

bench=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$bench/../.." && pwd)
out=${1:-work_dirs/gpu}
SMALL=${SMALL:-0}
found=$(nvidia-smi --list-gpus 2>/dev/null | wc -l || true)
if [ "$found" = 0 ] && [ "$SMALL" = 0 ]; then
    echo 'error: no GPU here (nvidia-smi names none); SMALL=1 tries everything on the CPU' >&2
    exit 1
fi
GPUS=$(( found == 1 ? 1 : 2 ))
source "$root/tools/dist_env.sh"
mkdir -p "$out"
: > "$out/results.jsonl"
: > "$out/summary.txt"
[ "$GPUS" = 2 ] || echo 'one GPU alone: the smoke test takes one process' | tee "$out/summary.txt"

if [ "$SMALL" = 0 ]; then
    r50=(--size 224 --batch 64 --amp --channels-last)
    r18=(--size 128 --batch 128)
    depth=() queue=()
    iterations=40 compile=compile=True shape=()
else
    r50=(--size 32 --batch 2 --steps 1)
    r18=("${r50[@]}")
    depth=(model.backbone.depth=18)
    queue=(model.queue.size=64)
    iterations=4 compile=compile.backend=aot_eager
    shape=(train_dataloader.batch_size=2 val_dataloader.dataset.indices=4
        val_cfg.memory.dataset.indices=4 test_dataloader.dataset.indices=4
        test_cfg.memory.dataset.indices=4)
fi
half=$(( iterations / 2 ))
failed=()

# run NAME COMMAND…: the log, the seconds, and the last line where it is JSON
run() {
    local name=$1 start=$SECONDS state=ok
    shift
    echo "$ $*" > "$out/$name.log"
    "$@" >> "$out/$name.log" 2>&1 || { state="FAILED, see $out/$name.log"; failed+=("$name"); }
    printf '%-24s %5d s  %s\n' "$name" $(( SECONDS - start )) "$state" | tee -a "$out/summary.txt"
    { tail -n 1 "$out/$name.log" | grep '^{' || true; } | sed "s/^{/{\"name\": \"$name\", /" \
        >> "$out/results.jsonl"
}

# train NAME CONFIG PROCESSES OPTION…: a few iterations with an evaluation in the middle
train() {
    local name=$1 config=$2 processes=$3
    shift 3
    run "$name" "$root/tools/dist_train.sh" "$root/configs/$config.py" "$processes" --amp --resume \
        --work-dir "$out/${name%_resumed}" --cfg-options default_hooks.checkpoint.interval="$half" \
        default_hooks.logger.interval=1 train_cfg.val_interval="$half" \
        "${shape[@]}" "$@"
}

measure() { run "$1" "$PYTHON" "$bench/$2.py" "${@:3}"; }

# step NAME CONFIG FLAG… : options of the config come last
step() { measure "$1" pretext_step --config "$root/configs/$2.py" "${@:3}"; }

densecl=densecl_r50_in1k detcon=detcon_b_r50_in1k regions=model.regions.type=mmdense
step step_r50 "$densecl" "${r50[@]}" --peer --cfg-options "${depth[@]}" "${queue[@]}" \
    model.queue.own_image=negative
step step_r50_masked "$densecl" "${r50[@]}" --peer --cfg-options "${depth[@]}" "${queue[@]}" \
    model.queue.own_image=masked
step step_r18 "$densecl" "${r18[@]}" --peer --cfg-options model.backbone.depth=18 "${queue[@]}"
step detcon_given "$detcon" "${r50[@]}" --cfg-options $regions.GivenRegions "${depth[@]}"
step detcon_clustered "$detcon" "${r50[@]}" --cfg-options $regions.ClusteredRegions \
    'model.regions.clusters=(8,64)' "${depth[@]}"
step detcon_soft "$detcon" "${r50[@]}" --cfg-options $regions.SoftRegions \
    model.regions.num_regions=64 model.regions.norm_cfg.type=BN "${depth[@]}"
train densecl densecl_r18_shapes "$GPUS" train_cfg.max_iters="$half"
train densecl_resumed densecl_r18_shapes "$GPUS" train_cfg.max_iters="$iterations"
train detcon_s detcon_s_r18_shapes "$GPUS" train_cfg.max_iters="$half"
train detcon_b detcon_b_r18_shapes "$GPUS" train_cfg.max_iters="$half"
train compiled densecl_r18_shapes "$GPUS" train_cfg.max_iters="$half" recipe=published \
    "$compile"
run tested "$root/tools/dist_test.sh" "$root/configs/densecl_r18_shapes.py" \
    "$out/densecl/iter_$iterations.pth" "$GPUS" --work-dir "$out/tested" \
    ${shape[@]:+--cfg-options "${shape[@]}"}

echo "$SECONDS s; the numbers are in $out/results.jsonl" | tee -a "$out/summary.txt"
if [ "${#failed[@]}" -gt 0 ]; then
    echo "error: failed: ${failed[*]}" >&2
    exit 1
fi
