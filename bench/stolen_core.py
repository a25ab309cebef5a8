#!/usr/bin/env python3
"""Decode speed while a busy process takes one of the CPUs, against the speed without it.

    python3 bench/stolen_core.py [--rusk build/release/rusk] MODEL ...
    build/peers/bin/python bench/stolen_core.py --llama MODEL.gguf MODEL.rusk ...

Each round measures every engine and file alone, then beside a process that does nothing but
compute, pinned to one CPU (--cpu: the last that we may use); alone and stolen alternate, so that
other load meets both. --llama runs llama.cpp on a GGUF in the same rounds (llama-cpp-python: see
bench/peers/compare.py). Best of --rounds. One JSON line for each file and number of threads; the
bar is a stolen_ratio of 0.4 or more on as many threads as CPUs. One thread is shown for comparison:
what is left when the stolen CPU is not used at all. Timings inform, they do not gate.
"""
import argparse
import json
import os
import subprocess
import sys
import time

DECODE_START = 1


class Busy:
    """A process that computes on one CPU for as long as the block lasts."""

    def __init__(self, cpu):
        self.cpu = cpu
        self.process = None

    def __enter__(self):
        loop = f"import os; os.sched_setaffinity(0, {{{self.cpu}}})\nwhile True: pass"
        self.process = subprocess.Popen([sys.executable, "-c", loop])
        time.sleep(0.3)  # until it computes

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def rusk_decode(rusk, path, threads, n_decode):
    out = subprocess.run([rusk, "bench", path, "--json", "-t", str(threads), "-r", "1", "-p",
                          str(DECODE_START), "-n", str(n_decode)],
                         check=True, capture_output=True, text=True)
    return json.loads(out.stdout)["decode_tok_s"]


def llama_decode(llm, n_decode):
    tokens = [100 + i % 1000 for i in range(n_decode + 1)]
    llm.reset()
    llm.eval(tokens[:DECODE_START])
    start = time.perf_counter()
    for token in tokens[DECODE_START:]:
        llm.eval([token])
    return n_decode / (time.perf_counter() - start)


def engines(args, threads):
    """Pairs of a label and a function that gives tokens per second."""
    found = []
    for path in args.models:
        found.append((("rusk", path, threads),
                      lambda path=path: rusk_decode(args.rusk, path, threads, args.decode)))
    if args.llama:
        from llama_cpp import Llama
        llm = Llama(args.llama, n_ctx=args.decode + 64, n_threads=threads,
                    n_threads_batch=threads, verbose=False)
        found.append((("llama.cpp", args.llama, threads),
                      lambda: llama_decode(llm, args.decode)))
    return found


def main():
    cpus = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="files for rusk")
    parser.add_argument("--llama", metavar="GGUF", help="run llama.cpp on this file too")
    parser.add_argument("--rusk", default="build/release/rusk")
    parser.add_argument("--threads", type=int, nargs="+", default=[len(cpus), 1])
    parser.add_argument("--cpu", type=int, default=cpus[-1], help="the CPU that is stolen")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--decode", type=int, default=128)
    args = parser.parse_args()
    if len(cpus) < 2:
        sys.exit("stolen_core: expected two CPUs or more, found one")

    runs = [engine for threads in args.threads for engine in engines(args, threads)]
    alone, stolen = {}, {}
    for _ in range(args.rounds):
        for key, decode in runs:
            alone[key] = max(decode(), alone.get(key, 0))
            with Busy(args.cpu):
                stolen[key] = max(decode(), stolen.get(key, 0))
    for key, _ in runs:
        engine, path, threads = key
        print(json.dumps({
            "engine": engine, "file": os.path.basename(path), "threads": threads,
            "alone_tok_s": round(alone[key], 1), "stolen_tok_s": round(stolen[key], 1),
            "stolen_ratio": round(stolen[key] / alone[key], 3)}))


if __name__ == "__main__":
    main()
