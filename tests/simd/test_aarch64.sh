#!/bin/sh
# Kernels and codecs of aarch64, the kernels on processors with and without SDOT: cross-compiled, run by
# qemu's user mode.
# Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
cc=aarch64-linux-gnu-gcc
for tool in $cc qemu-aarch64; do
    if ! command -v $tool >/dev/null; then
        echo "skipped: $tool is not here"
        exit 77
    fi
done
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT

# what the tests need and the cross compiler's libraries have
sources="src/kernel/*.c src/codec/*.c src/base/alloc.c src/base/arena.c src/base/cpu.c
    src/base/rng.c src/base/status.c src/base/strbuf.c src/base/threads.c tests/support/test.c
    tests/support/tiles.c tests/support/codec_cases.c"
flags="-std=c11 -O1 -Wall -Wextra -Werror -ffp-contract=off -D_FILE_OFFSET_BITS=64
    -Iinclude -Isrc -Itests"
objects=
for source in $sources; do
    object=$out/$(basename "$source" .c).o
    # shellcheck disable=SC2086
    $cc $flags -c "$source" -o "$object" || exit 1
    objects="$objects $object"
done
for test in simd/test_kernel_twins kernel/test_kernels simd/test_codec_twins codec/test_fields \
    codec/test_raw codec/test_rans codec/test_a16 codec/test_guard codec/test_blame simd/test_a16_twins \
    simd/test_a16_lengths; do
    program=$out/$(basename $test)
    # shellcheck disable=SC2086
    $cc $flags -static tests/$test.c $objects -lm -pthread -o "$program" || exit 1
    case $test in
    */test_kernel*) cpus="cortex-a53 cortex-a76" ;;
    *) cpus=cortex-a53 ;; # codecs do not ask for SDOT
    esac
    for cpu in $cpus; do
        echo "$test on $cpu"
        qemu-aarch64 -cpu $cpu "$program" || exit 1
    done
done
