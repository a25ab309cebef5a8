#!/bin/sh
# run_all.sh - every figure of docs/benchmarks.md, on a quiet machine in under 10 minutes.
#
#   bench/run_all.sh [--prototypes FOLDER] [--symbols FOLDER] [--rounds N] [--out FOLDER]
#
# Needs: the demo model (./demo fetches it), and llama-cpp-python in build/peers or where PEERS_PYTHON
# points (setup: docs/benchmarks.md). The prototypes and the quantizer's symbols are optional and no
# part of the repository (defaults: RUSK_PROTOTYPES, RUSK_SHARED_DATA/symbols).
# Builds the release preset, packs the model at 3.9 bits into build/, measures rusk and its peers in
# alternating rounds, writes JSON lines and a plot to --out (docs/benchmarks), and the tables into
# docs/benchmarks.md, or to the terminal where --out is another folder.
set -eu
cd "$(dirname "$0")/.."
prototypes=${RUSK_PROTOTYPES:-}
symbols=${RUSK_SHARED_DATA:+$RUSK_SHARED_DATA/symbols}
rounds=2
out=docs/benchmarks
while [ $# -gt 1 ]; do
    case $1 in
    --prototypes) prototypes=$2 ;;
    --symbols) symbols=$2 ;;
    --rounds) rounds=$2 ;;
    --out) out=$2 ;;
    *) break ;;
    esac
    shift 2
done
if [ $# -gt 0 ]; then
    sed -n '2,/^set /s/^# \{0,1\}//p' bench/run_all.sh >&2
    exit 2
fi

python=${PEERS_PYTHON:-build/peers/bin/python}
if ! "$python" -c 'import llama_cpp, numpy' 2>/dev/null; then
    echo "run_all: expected llama-cpp-python in $python; see docs/benchmarks.md" >&2
    exit 1
fi
model=${RUSK_DEMO_MODEL:-${XDG_CACHE_HOME:-$HOME/.cache}/rusk/SmolLM2-135M-Instruct.Q4_1.gguf}
if [ ! -f "$model" ]; then
    echo "run_all: expected the demo model at $model; ./demo fetches it" >&2
    exit 1
fi

started=$(date +%s)
say() {
    echo "$(($(date +%s) - started)) s  $*" >&2
}

say "building"
mkdir -p build
cmake --preset release -DRUSK_TESTS=ON >build/run_all.log
cmake --build --preset release >>build/run_all.log
bench=build/release/tests
say "packing at 3.9 bits"
build/release/rusk pack "$model" -o build/bench.rusk --bits 3.9 >>build/run_all.log

mkdir -p "$out"
"$python" bench/report.py --machine >"$out/machine.jsonl"
: >"$out/gemv.jsonl"
: >"$out/peers.jsonl"

# Bars first, rusk and its peers in turn. Rows of one width at 3.1 bits make raw codes of 4 bits.
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    say "products, round $round of $rounds"
    if [ -n "$prototypes" ]; then
        python3 bench/peers/prototypes.py "$prototypes" --runs 1 >>"$out/peers.jsonl"
    fi
    "$python" bench/peers/ggml_gemv.py --runs 4 2>>build/run_all.log >>"$out/peers.jsonl"
    {
        $bench/bench_gemv --bits 2.6 2.9 3.2 --codec a16 --runs 4
        $bench/bench_gemv --bits 2 2.25 2.5 --grid rise --codec a16x2 --runs 4
        $bench/bench_gemv --bits 3.9 --codec a16r --runs 4
        $bench/bench_gemv --bits 3.1 --widths 1 --codec raw --runs 4
        $bench/bench_gemv --rows 16384 --cols 576 --bits 3.9 --codec a16r raw rans --runs 4
    } >>"$out/gemv.jsonl"
done

say "every codec, 1.5 to 6 bits"
{
    $bench/bench_gemv --rows 2048 --bits 1.5 2 2.5 3 3.5 3.9 4.5 5.2 6 --runs 5 --seconds 0.03
    $bench/bench_gemv --rows 2048 --bits 1.5 2 2.5 3 3.5 3.9 4.5 --grid rise --codec a16x2 \
        --runs 5 --seconds 0.03
    $bench/bench_gemv --rows 1536 --cols 576 --bits 3.9 --batch 512 --runs 5
    $bench/bench_gemv --rows 2048 --bits 3.9 --cpu avx2 avx512 --runs 5 --seconds 0.03
} >>"$out/gemv.jsonl"
$bench/bench_codec >"$out/codec.jsonl"
if [ -n "$symbols" ]; then
    say "symbols of the quantizer"
    $bench/bench_gemv "$symbols"/*.npy --runs 5 --seconds 0.02 >>"$out/gemv.jsonl"
    $bench/bench_codec "$symbols"/*.b38.npy >>"$out/codec.jsonl"
fi

say "whole models"
"$python" bench/peers/compare.py "$model" build/bench.rusk --rounds 4 --repeats 2 --decode 64 \
    --codecs raw a16r a16x2 >"$out/model.jsonl"

"$python" bench/plot.py "$out"/*.jsonl -o "$out/codecs.svg"
if [ "$out" = docs/benchmarks ]; then
    "$python" bench/report.py "$out"/*.jsonl --into docs/benchmarks.md
else
    "$python" bench/report.py "$out"/*.jsonl
fi
say "done"
