#!/usr/bin/env python3
"""Decode and prefill of whole models: rusk, each codec in memory, beside llama.cpp.

    build/peers/bin/python bench/peers/compare.py MODEL.gguf [MODEL.rusk] [--threads 1 2]

Setup: docs/benchmarks.md. llama.cpp runs the GGUF, and its weights as F16, Q4_0 and Q4_K_M, made
from it with llama_model_quantize in a temporary folder (fair for speed, not for quality: the GGUF
may be quantized already). rusk runs MODEL.gguf, and MODEL.rusk once for each --codecs NAME ("raw":
decoded, "file": as it runs by default). All alternate in one run, pinned to the same CPUs, and
every round begins with another one; the best of --rounds x --repeats counts. Prefill is --prefill
tokens in one batch, decode --decode single tokens from an empty cache.

One JSON line for each program, type and number of threads; the ratios are to llama.cpp's Q4_K_M and
Q4_0 (decode) and to its fastest type (prefill). Timings inform, they do not gate.
"""
import argparse
import ctypes
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time

try:
    from llama_cpp import llama_cpp as L
except ImportError:
    sys.exit("compare: expected llama-cpp-python; see docs/benchmarks.md")

# What llama.cpp runs: the file as it is, and types made from it.
TYPES = {"GGUF": None, "F16": L.LLAMA_FTYPE_MOSTLY_F16, "Q4_0": L.LLAMA_FTYPE_MOSTLY_Q4_0,
         "Q4_K_M": L.LLAMA_FTYPE_MOSTLY_Q4_K_M}
CPUS = sorted(os.sched_getaffinity(0))


@L.llama_log_callback
def quiet(_level, _text, _data):
    """llama.cpp reports each tensor otherwise."""


class Llama:
    """One type of the model in llama.cpp."""
    engine, weights = "llama.cpp", None

    def __init__(self, source, kind, folder, n_ctx):
        path = source
        if TYPES[kind] is not None:
            path = os.path.join(folder, kind + ".gguf")
            params = L.llama_model_quantize_default_params()
            params.ftype, params.allow_requantize, params.nthread = TYPES[kind], True, len(CPUS)
            if L.llama_model_quantize(source.encode(), path.encode(), ctypes.byref(params)) != 0:
                sys.exit(f"compare: llama.cpp cannot make {kind} of {source}")
        self.name, self.bytes = kind, os.path.getsize(path)
        self.model = L.llama_model_load_from_file(path.encode(), L.llama_model_default_params())
        options = L.llama_context_default_params()
        options.n_ctx = options.n_batch = options.n_ubatch = n_ctx
        options.n_threads = options.n_threads_batch = len(CPUS)
        self.context = L.llama_init_from_model(self.model, options)
        vocab = L.llama_model_get_vocab(self.model)
        self.n_vocab = L.llama_vocab_n_tokens(vocab)

    def feed(self, tokens, n_batch):
        L.llama_memory_clear(L.llama_get_memory(self.context), True)
        array = (L.llama_token * len(tokens))(*tokens)
        size = ctypes.sizeof(L.llama_token)
        start = time.perf_counter()
        for at in range(0, len(tokens), n_batch):
            part = ctypes.cast(ctypes.addressof(array) + at * size, ctypes.POINTER(L.llama_token))
            if L.llama_decode(self.context, L.llama_batch_get_one(part, n_batch)) != 0:
                sys.exit(f"compare: llama.cpp cannot decode with {self.name}")
            L.llama_get_logits_ith(self.context, -1)
        return len(tokens) / (time.perf_counter() - start)

    def round(self, threads, n_prefill, n_decode, repeats):
        L.llama_set_n_threads(self.context, threads, threads)
        tokens = [(i * 7919 + 12345) % self.n_vocab for i in range(max(n_prefill, n_decode))]
        self.feed(tokens[:2], 1)
        return (max(self.feed(tokens[:n_prefill], n_prefill) for _ in range(repeats)),
                max(self.feed(tokens[:n_decode], 1) for _ in range(repeats)))


class Rusk:
    """One file, one codec in memory; a process for each round."""
    engine = "rusk"

    def __init__(self, program, path, codec=None):
        self.command = [program, "bench", path, "--json"]
        self.command += ["--codec", codec] if codec else []
        self.name = codec or ("GGUF" if path.endswith(".gguf") else "file")
        self.bytes = os.path.getsize(path)
        self.weights = None

    def round(self, threads, n_prefill, n_decode, repeats):
        numbers = {"-t": threads, "-p": n_prefill, "-n": n_decode, "-r": repeats}
        options = [str(word) for option in numbers.items() for word in option]
        out = subprocess.run([*self.command, *options], capture_output=True, text=True,
                             check=False)
        if out.returncode != 0:
            sys.exit(f"compare: {' '.join(self.command)}: {out.stderr.strip()}")
        figures = json.loads(out.stdout)
        self.weights = figures.get("weights")
        return figures["prefill_tok_s"], figures["decode_tok_s"]


def measure(engines, args):
    """{(engine, threads): (prefill, decode)}, the best of the rounds."""
    best = {}
    for number in range(args.rounds):
        for count in args.threads:
            os.sched_setaffinity(0, CPUS[:count])
            for i in range(len(engines)):
                engine = engines[(i + number) % len(engines)]
                figures = engine.round(count, args.prefill, args.decode, args.repeats)
                key = (engine, count)
                best[key] = tuple(max(pair) for pair in zip(figures, best.get(key, (0, 0))))
        os.sched_setaffinity(0, CPUS)
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
    return best


def report(best, args, out):
    for count in args.threads:
        peers = {e.name: v for (e, n), v in best.items() if n == count and e.engine != "rusk"}
        fastest = max(prefill for prefill, _ in peers.values())
        for (engine, n), (prefill, decode) in best.items():
            if n == count:
                print(json.dumps({
                    "what": "model", "engine": engine.engine, "type": engine.name,
                    "threads": count, "bytes": engine.bytes, "weights": engine.weights,
                    "prefill_tokens": args.prefill,
                    "decode_tokens": args.decode, "prefill_tok_s": round(prefill, 1),
                    "decode_tok_s": round(decode, 1),
                    "prefill_to_best": round(prefill / fastest, 3),
                    "decode_to_q4_k_m": round(decode / peers["Q4_K_M"][1], 3),
                    "decode_to_q4_0": round(decode / peers["Q4_0"][1], 3)}), file=out)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf")
    parser.add_argument("packed", nargs="?")
    parser.add_argument("--rusk", default="build/release/rusk")
    parser.add_argument("--codecs", nargs="*", default=["file"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1, help="runs in a round")
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=128)
    args = parser.parse_args()
    args.threads = [n for n in args.threads if n <= len(CPUS)]

    L.llama_log_set(quiet, None)
    L.llama_backend_init()
    with tempfile.TemporaryDirectory(prefix="rusk-peers-") as folder:
        engines = [Llama(args.gguf, kind, folder, max(args.prefill, args.decode))
                   for kind in TYPES]
        engines.append(Rusk(args.rusk, args.gguf))
        if args.packed:
            engines += [Rusk(args.rusk, args.packed, None if codec == "file" else codec)
                        for codec in args.codecs]
        best = measure(engines, args)
    report(best, args, sys.stdout)
    print(json.dumps({"what": "peer", "package": "llama-cpp-python",
                      "version": importlib.metadata.version("llama-cpp-python"),
                      "system": L.llama_print_system_info().decode().strip()}))


if __name__ == "__main__":
    main()
