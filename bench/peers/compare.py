#!/usr/bin/env python3
"""Decode and prefill speed of rusk beside llama.cpp's, alternating in one run on the same CPUs.

    python3 -m venv build/peers && build/peers/bin/pip install llama-cpp-python
    build/peers/bin/python bench/peers/compare.py MODEL.gguf [MODEL.rusk ...]

llama.cpp runs the GGUF; rusk runs every file given. Best of --rounds (default 5) each. One JSON
line a figure, with the ratio to llama.cpp. Not part of the tests: timings inform, they do not gate.
"""
import argparse
import json
import subprocess
import time

from llama_cpp import Llama, llama_cpp


def llama_round(llm, n_prefill, n_decode):
    """Prefill of n_prefill tokens in one go, then n_decode single tokens, greedy."""
    tokens = [100 + i % 1000 for i in range(n_prefill)]
    llm.reset()
    start = time.perf_counter()
    llm.eval(tokens)
    prefill = n_prefill / (time.perf_counter() - start)
    llm.reset()
    llm.eval(tokens[:1])
    start = time.perf_counter()
    for i in range(n_decode):
        llm.eval([tokens[(i + 1) % n_prefill]])
    return prefill, n_decode / (time.perf_counter() - start)


def rusk_round(rusk, path, threads, n_prefill, n_decode):
    command = [rusk, "bench", path, "--json", "-t", str(threads), "-p", str(n_prefill),
               "-n", str(n_decode), "-r", "1"]
    out = subprocess.run(command, check=True, capture_output=True, text=True)
    figures = json.loads(out.stdout)
    return figures["prefill_tok_s"], figures["decode_tok_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="a GGUF first, then files for rusk alone")
    parser.add_argument("--rusk", default="build/release/rusk")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=128)
    args = parser.parse_args()

    llm = Llama(args.models[0], n_ctx=1024, n_batch=512, n_ubatch=512, n_threads=args.threads,
                n_threads_batch=args.threads, verbose=False)
    best = {}
    for _ in range(args.rounds):
        figures = llama_round(llm, args.prefill, args.decode)
        rounds = {("llama.cpp", args.models[0]): figures}
        for path in args.models:
            rounds[("rusk", path)] = rusk_round(args.rusk, path, args.threads, args.prefill,
                                                args.decode)
        for key, figures in rounds.items():
            best[key] = tuple(max(pair) for pair in zip(figures, best.get(key, (0, 0))))
    reference = best[("llama.cpp", args.models[0])]
    for (engine, path), (prefill, decode) in best.items():
        print(json.dumps({
            "engine": engine, "file": path.rsplit("/", 1)[-1], "threads": args.threads,
            "prefill_tok_s": round(prefill, 1), "decode_tok_s": round(decode, 1),
            "prefill_ratio": round(prefill / reference[0], 3),
            "decode_ratio": round(decode / reference[1], 3)}))
    print(json.dumps({"llama.cpp": llama_cpp.llama_print_system_info().decode().strip()}))


if __name__ == "__main__":
    main()
