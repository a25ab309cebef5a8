#!/usr/bin/env python3
"""Speed of the research prototypes of the a16 family, compiled from a folder of their sources.

    python3 bench/peers/prototypes.py [FOLDER] [--march native znver3] [--runs 3]

FOLDER (default: $RUSK_PROTOTYPES) holds gemv.c, the fused product of four rows in flight for A16
and A16x2, and a16x.c, the fused dot of one row for each of the family. They are no part of this
repository. Each is compiled with gcc -O3 for every --march and run alone; the fastest counts. What
they leave out, and the product does not: patches and tables by row (gemv.c), activation scales, row
scales and the epilogue (both). One JSON line a figure.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

GEMV = re.compile(r"^GEMV (\d+)x(\d+) R=\d+ (\S+)\s+H=([\d.]+) ([\d.]+) b/w OK \| 1T ([\d.]+) Gw/s",
                  re.M)
DOT = re.compile(r"^(A16\S*) (.*?)\s+H=([\d.]+) gross ([\d.]+) .*? OK\+OK .*?"
                 r"scratch ([\d.]+) Gw/s .*?fused dot ([\d.]+) Gw/s", re.M)
CODECS = {"plain4": "plain 4-bit", "A16": "a16", "A16x2": "a16x2", "A16R": "a16r"}


def compiled(source, march, folder, *flags):
    program = f"{folder}/{source.stem}-{march}"
    subprocess.run(["gcc", "-O3", f"-march={march}", "-w", *flags, "-o", program, source, "-lm",
                    "-lpthread"], check=True)
    return program


def output(*command):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True,
                          text=True).stdout


class Prototypes:
    """The compiled programs; `round` runs each once and keeps what is fastest so far."""

    def __init__(self, folder, marches, rows=4096, cols=4096):
        self.keep = tempfile.TemporaryDirectory(prefix="rusk-prototypes-")
        self.rows, self.cols, self.best = rows, cols, {}
        folder = pathlib.Path(folder)
        # BUD: seconds that a16x.c spends on a figure
        self.programs = [(march, compiled(folder / "gemv.c", march, self.keep.name),
                          compiled(folder / "a16x.c", march, self.keep.name, "-DBUD=0.1"))
                         for march in marches]

    def add(self, march, what, codec, entropy, bits, rate, **more):
        key = (what, codec, round(float(entropy), 2), more.get("mode"))
        if key not in self.best or self.best[key]["gw_s"] < float(rate):
            self.best[key] = {
                "what": what, "engine": "prototype", "codec": CODECS[codec],
                "entropy": float(entropy), "bits": float(bits), "gw_s": float(rate), "threads": 1,
                "march": march, **more}

    def round(self):
        for march, gemv, a16x in self.programs:
            for rows, cols, codec, entropy, bits, rate in GEMV.findall(
                    output(gemv, self.cols, self.rows)):
                self.add(march, "gemv", codec, entropy, bits, rate, rows=int(rows), cols=int(cols))
            for codec, mode, entropy, bits, decode, dot in DOT.findall(output(a16x, 32768)):
                self.add(march, "dot", codec, entropy, bits, dot, mode=mode,
                         decode_gw_s=float(decode))

    def figures(self):
        return list(self.best.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("RUSK_PROTOTYPES"))
    parser.add_argument("--march", nargs="+", default=["native", "znver3"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--cols", type=int, default=4096)
    args = parser.parse_args()
    if not args.folder or not pathlib.Path(args.folder, "gemv.c").is_file():
        sys.exit("prototypes: expected a folder with gemv.c and a16x.c, as argument or in "
                 "RUSK_PROTOTYPES")
    prototypes = Prototypes(args.folder, args.march, args.rows, args.cols)
    for _ in range(args.runs):
        prototypes.round()
    for figure in prototypes.figures():
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
