#!/usr/bin/env python3
"""Tables for docs/benchmarks.md from the JSON lines of one run of bench/run_all.sh.

    python3 bench/report.py FILE.jsonl ...                 print them
    python3 bench/report.py FILE.jsonl ... --into FILE.md  put them between its markers
    python3 bench/report.py --machine                      a line that describes the machine

A figure that was measured in several rounds counts with its best. Bars given in weights a second
are stated for a machine where a prototype runs at a known rate, so the ratio to that prototype, in
this run, is held against them.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import subprocess

START, END = "<!-- figures: bench/report.py -->", "<!-- end of figures -->"


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")

    def field(name):
        found = re.search(rf"^{name}\s*: (.*)$", text, re.M)
        return found.group(1) if found else ""

    wanted = ("avx2", "avx512vnni", "avx512_vnni", "avx512_vbmi2", "asimddp")
    flags = [f for f in (field("flags") or field("Features")).split() if f in wanted]
    cpus = len(os.sched_getaffinity(0))
    name = field("model name") or platform.machine()
    if field("cpu family"):
        name += f" (family {field('cpu family')}, model {field('model')})"
    compiler = subprocess.run(["cc", "--version"], check=False, capture_output=True,
                              text=True).stdout.splitlines()
    commit = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], check=False,
                            capture_output=True, text=True).stdout.strip()
    return {"what": "machine", "summary": f"{name}, {cpus} CPUs, {' '.join(flags)}", "cpus": cpus,
            "system": f"{platform.system()} {platform.release()}",
            "compiler": compiler[0] if compiler else "", "commit": commit,
            "load_before": os.getloadavg()[0]}


class Figures:
    """All lines; `best` finds the fastest that matches."""

    def __init__(self, paths):
        self.lines = [json.loads(line) for path in paths
                      for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines()]

    def all(self, what, test=lambda f: True, **fields):
        return [f for f in self.lines if f["what"] == what and
                all(f.get(k) == v for k, v in fields.items()) and test(f)]

    def best(self, what, field="gw_s", test=lambda f: True, **fields):
        found = self.all(what, test, **fields)
        return max((f[field] for f in found), default=None)

    def worst_of_best(self, what, group, test=lambda f: True, **fields):
        """Best of the rounds for each value of `group`; the smallest of these."""
        found = self.all(what, test, **fields)
        best = [max(f["gw_s"] for f in found if f[group] == value)
                for value in {f[group] for f in found}]
        return min(best, default=None)


def near(value):
    return lambda f: abs(f["entropy"] - value) < 0.06


def between(low, high):
    return lambda f: low <= f["entropy"] <= high


def ratio(a, b):
    return None if a is None or not b else a / b


def number(x, digits=2):
    return "–" if x is None else f"{x:.{digits}f}"


def row(what, bar, goal, figure, value, digits=2):
    """value is held against bar and goal, numbers of the same kind; larger is better."""
    if value is None:
        verdict = "not measured"
    else:
        verdict = "goal" if value >= goal else "bar" if value >= bar else "**missed**"
    return (f"| {what} | {number(bar, digits)} | {number(goal, digits)} | {number(value, digits)} |"
            f" {verdict} | {figure} |")


def fused_rows(f):
    """The prototype's rates behind the bars: a16 8.05, a16x2 10.9 (slowest), a16r 6.75 (2 bits)."""
    rusk = {"engine": "rusk", "cpu": "best", "rows": 4096, "cols": 4096}
    peer = {"engine": "prototype"}
    a16 = f.worst_of_best("gemv", "source", codec="a16", test=between(2.5, 3.3), **rusk)
    a16_peer = f.worst_of_best("gemv", "entropy", codec="a16", test=between(2.4, 3.3), **peer)
    x2 = f.worst_of_best("gemv", "source", codec="a16x2", test=between(1.9, 2.6), **rusk)
    x2_peer = f.worst_of_best("gemv", "entropy", codec="a16x2", test=between(1.9, 2.6), **peer)
    r = f.best("gemv", codec="a16r", test=near(3.9), **rusk)
    r576 = f.best("gemv", codec="a16r", test=near(3.9), engine="rusk", cols=576, rows=16384)
    r_peer = f.best("dot", codec="a16r", mode="256lvl zone+2raw", **peer)
    q4 = f.best("gemv", engine="llama.cpp", type="Q4_0", cols=4096)
    raw = f.best("gemv", codec="raw", test=near(3.1), **rusk)

    def figure(ours, theirs):
        return f"{number(ours)} Gw/s; prototype here {number(theirs)}"

    return [
        row("`a16` fused, slowest of 2.6, 2.9, 3.2 bits, to the prototype's", 7.5 / 8.05,
            10 / 8.05, figure(a16, a16_peer), ratio(a16, a16_peer)),
        row("`a16x2` fused, slowest of 2, 2.25, 2.5 bits, to the prototype's", 10.5 / 10.9,
            14 / 10.9, figure(x2, x2_peer), ratio(x2, x2_peer)),
        row("`a16r` fused, 3.9 bits, to the prototype's dot (2 raw bits)", 6 / 6.75, 8 / 6.75,
            figure(r, r_peer), ratio(r, r_peer)),
        row("the same, 576 columns", 6 / 6.75, 8 / 6.75, figure(r576, r_peer),
            ratio(r576, r_peer)),
        row("`raw` 4-bit GEMV, to llama.cpp's Q4_0 (the faster of plain and repacked)", 0.95, 1.2,
            f"{number(raw, 1)} Gw/s; llama.cpp {number(q4, 1)}", ratio(raw, q4)),
    ]


def excess_rows(f):
    rows = []
    for codec, limit, test in (("a16", 1.0, between(2.5, 3.3)), ("a16r", 1.5, near(3.9))):
        found = f.all("gemv", test, engine="rusk", codec=codec, rows=4096, cols=4096)
        worst = max((100 * x["excess"] for x in found), default=None)
        verdict = "not measured" if worst is None else "bar" if worst <= limit else "**missed**"
        rows.append(f"| entropy excess of `{codec}`, 4096 columns, % (at most) | {limit:.2f} | |"
                    f" {number(worst)} | {verdict} | |")
    return rows


def is_coded(model):
    """Entropy-coded in memory, all of it."""
    decoded = (model["weights"] or {}).get("decoded_bytes")
    return decoded == 0 and model["type"] in ("a16", "a16r", "a16x2", "rans")


def model_rows(f):
    rows = []
    for threads, bar in ((1, 0.65), (2, 0.6)):
        models = f.all("model", engine="rusk", threads=threads)
        ours = max((m for m in models if is_coded(m)), default=None,
                   key=lambda m: m["decode_tok_s"])
        rows.append(row(f"decode, fully coded, {threads} thread(s), to Q4_K_M", bar, 1.0,
                        speed(f, ours, "decode_tok_s", "Q4_K_M", threads),
                        ours and ours["decode_to_q4_k_m"]))
    for threads in (1, 2):
        models = f.all("model", engine="rusk", threads=threads)
        hot = max((m for m in models if m["type"] == "raw"), default=None,
                  key=lambda m: m["decode_tok_s"])
        rows.append(row(f"decode, everything hot, {threads} thread(s), to Q4_0", 0.9, 1.2,
                        speed(f, hot, "decode_tok_s", "Q4_0", threads),
                        hot and hot["decode_to_q4_0"]))
    for threads in (1, 2):
        models = f.all("model", engine="rusk", threads=threads)
        ours = max((m for m in models if is_coded(m)), default=None,
                   key=lambda m: m["prefill_tok_s"])
        rows.append(row(f"prefill 512, coded, {threads} thread(s), to llama.cpp's best type", 1.0,
                        1.5, speed(f, ours, "prefill_tok_s", None, threads),
                        ours and ours["prefill_to_best"]))
    return rows


def speed(f, ours, field, kind, threads):
    peers = f.all("model", engine="llama.cpp", threads=threads,
                  test=lambda m: kind in (None, m["type"]))
    if ours is None or not peers:
        return ""
    peer = max(peers, key=lambda m: m[field])
    return f"`{ours['type']}` {ours[field]:.0f} tok/s; {peer['type']} {peer[field]:.0f}"


def codec_table(f):
    """One line for each codec at 3.9 bits (a16 and a16x2: their own range)."""
    lines = ["| codec | symbols | bits/weight | excess | fused Gw/s | decode | encode "
             "(576 columns) | from `rans` |", "|---|---|---|---|---|---|---|---|"]
    for codec, entropy, rise in (("raw", 3.1, False), ("raw", 3.9, False), ("a16", 2.9, False),
                                 ("a16x2", 2.25, True), ("a16x2", 3.9, True),
                                 ("a16r", 3.9, False), ("rans", 3.9, False)):
        test = near(entropy)
        found = [x for x in f.all("gemv", test, engine="rusk", codec=codec, cpu="best", cols=4096)
                 if x["source"].endswith("rise") == rise]
        if not found:
            continue
        best = max(found, key=lambda x: x["gw_s"])
        decode = f.best("decode", codec=codec, source=best["source"], cols=4096, cpu="best")
        coder = [x for x in f.all("codec", codec=codec, source="gaussian 4.00")]
        encode = max((x["encode_gw_s"] for x in coder), default=None)
        transcode = max((x["from_rans_gw_s"] for x in coder), default=None)
        lines.append(
            f"| `{codec}` | {best['source']} | {best['bits']:.3f} | {100 * best['excess']:.2f} % |"
            f" {best['gw_s']:.2f} | {number(decode)} | {number(encode, 3)} |"
            f" {number(transcode, 3)} |")
    return lines


def symbol_table(f):
    """Real symbols: excess of each codec over the entropy given the row's class."""
    names = sorted({x["source"] for x in f.all("gemv", engine="rusk")
                    if x["source"].endswith(".npy")})
    codecs = ("rans", "a16r", "a16", "a16x2", "raw")
    if not names:
        return []
    lines = ["", "Symbols of the quantizer (SmolLM2-135M; `b31`: 3.1 bits a weight, `b38`: 3.8): "
             "excess in % with classes, offsets and checksums, and fused Gw/s.", "",
             "| tensor | entropy | " + " | ".join(f"`{c}`" for c in codecs) + " |",
             "|---|---|" + "---|" * len(codecs)]
    for name in names:
        cells = []
        for codec in codecs:
            found = f.all("gemv", engine="rusk", source=name, codec=codec)
            best = max(found, key=lambda x: x["gw_s"], default=None)
            cells.append("–" if best is None else
                         f"{100 * best['excess_stored']:.1f} %, {best['gw_s']:.1f}")
        entropy = f.all("gemv", engine="rusk", source=name)[0]["entropy"]
        lines.append(f"| {name[:-4]} | {entropy:.3f} | " + " | ".join(cells) + " |")
    return lines


def model_table(f):
    lines = ["| program | weights | file MB | in memory MB | decode 1 | decode 2 | prefill 1 |"
             " prefill 2 |", "|---|---|---|---|---|---|---|---|"]
    for engine, kind in dict.fromkeys((m["engine"], m["type"]) for m in f.all("model")):
        by = {m["threads"]: m for m in f.all("model", engine=engine, type=kind)}
        cells = [number(by[t][field] if t in by else None, 1)
                 for field in ("decode_tok_s", "prefill_tok_s") for t in (1, 2)]
        one = next(iter(by.values()))
        memory = (one["weights"] or {}).get("bytes")
        lines.append(f"| {engine} | {kind} | {one['bytes'] / 1e6:.1f} | "
                     f"{number(memory and memory / 1e6, 1)} | " + " | ".join(cells) + " |")
    return lines


def report(f):
    here = next(iter(f.all("machine")), {})
    peer = next(iter(f.all("peer")), {})
    memory = f.best("memory", "read_gb_s")
    lines = [f"Machine: {here.get('summary', '?')}; {here.get('system', '?')}; "
             f"{here.get('compiler', '?')}; commit {here.get('commit', '?')}; one core reads "
             f"{number(memory, 0)} GB/s from memory. Load average before the run: "
             f"{number(here.get('load_before'), 1)}. Peer: {peer.get('package', '?')} "
             f"{peer.get('version', '?')} ({peer.get('system', '?')}).", "",
             "### Bars", "", "| what | bar | goal | here | met | figures |",
             "|---|---|---|---|---|---|"]
    lines += fused_rows(f) + excess_rows(f) + model_rows(f)
    lines += ["", "### Codecs", "", "4096 columns, rows of four widths (3.1 bits: of one), one "
              "thread.", ""]
    lines += codec_table(f) + symbol_table(f)
    lines += ["", "### Whole models", "", "SmolLM2-135M, tok/s on 1 and 2 threads; rusk's files "
              "in memory by codec (`raw`: decoded at load).", ""]
    lines += model_table(f)
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--into")
    parser.add_argument("--machine", action="store_true")
    args = parser.parse_args()
    if args.machine:
        print(json.dumps(machine()))
        return
    text = report(Figures(args.files))
    if args.into is None:
        print(text, end="")
        return
    page = pathlib.Path(args.into)
    before, _, rest = page.read_text(encoding="utf-8").partition(START)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"report: expected '{START}' and '{END}' in {page}")
    page.write_text(f"{before}{START}\n\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
