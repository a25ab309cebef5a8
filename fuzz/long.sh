#!/bin/sh
# long.sh - every fuzz target, or those named, for millions of inputs under AddressSanitizer and
# UndefinedBehaviorSanitizer; needs no fuzzing engine. Exit status 1 where one failed.
#
#     fuzz/long.sh [--runs N] [--seed N] [TARGET ...]     default: 3000000 inputs; codec, model ...
#
# A target runs in parts of 100000 inputs, each with a seed of its own,
# so that a failure names a short command that shows it again. fuzz_codec is the decoders' one: all
# codecs, all variants that the processor runs, against each other.
set -u
cd "$(dirname "$0")/.." || exit 1
runs=3000000
seed=1
part=100000
while [ $# -gt 0 ]; do
    case $1 in
    --runs) runs=$2 && shift 2 ;;
    --seed) seed=$2 && shift 2 ;;
    -*) echo "long.sh: unknown option '$1'" >&2 && exit 2 ;;
    *) break ;;
    esac
done
[ $# -gt 0 ] || set -- codec container gguf tokn tokenize model
cmake --preset asan -DRUSK_TESTS=ON >/dev/null || exit 1
for target; do
    cmake --build --preset asan --parallel 2 --target "fuzz_$target" >/dev/null || exit 1
done
failed=0
for target; do
    done=0
    while [ "$done" -lt "$runs" ]; do
        n=$((runs - done < part ? runs - done : part))
        command="build/asan/tests/fuzz_$target --runs $n --seed $((seed + done / part))"
        if ! $command >build/asan/fuzz.log 2>&1; then
            cat build/asan/fuzz.log
            echo "FAILED  $command"
            failed=1
            break
        fi
        done=$((done + n))
    done
    echo "$target: $done inputs"
done
exit $failed
