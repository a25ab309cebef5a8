#!/usr/bin/env python3
"""Draws speed and size of every codec as an SVG, from the JSON lines of bench_gemv and its peers.

    python3 bench/plot.py docs/benchmarks/*.jsonl -o docs/benchmarks/codecs.svg

Above: weights a second in a product with one vector, one thread, against coded bits a weight. Each
codec is a curve over Gaussian symbols of rising entropy; peers are single marks. Falling lines:
what memory that delivers so many GB/s a core could feed. The upright line: the entropy of the
symbols where every codec is marked in full; no lossless code of them lies left of it.
Below: what is stored beyond the entropy. Needs nothing but Python; the picture adapts to light and
dark backgrounds.
"""
import argparse
import json
import math
import sys

WIDTH, LEFT, RIGHT = 900, 78, 112
SPEED_TOP, SPEED_HEIGHT, EXCESS_TOP, EXCESS_HEIGHT = 100, 400, 582, 170
HEIGHT = EXCESS_TOP + EXCESS_HEIGHT + 62
BITS = (1, 9)
RATES = (0.5, 128)
EXCESS = (0, 4)
REFERENCE_ENTROPY = 3.9
BANDWIDTHS = (2.5, 5, 10)
ORDER = ["raw", "a16", "a16x2", "a16r", "huff", "rans"]
# Light and dark: paper, ink, soft ink, grid, then a color for each codec. Every codec has a mark
# of its own too.
COLORS = {
    "light": {"paper": "#ffffff", "ink": "#1c1f24", "soft": "#5c6470", "grid": "#e2e5ea",
              "raw": "#0065b3", "a16": "#b3500a", "a16x2": "#0b7a52", "a16r": "#a3246f",
              "huff": "#6b5d00", "rans": "#5b4bb8"},
    "dark": {"paper": "#14171c", "ink": "#e8eaee", "soft": "#a3abb8", "grid": "#2b313a",
             "raw": "#62b4f7", "a16": "#f5a35c", "a16x2": "#4fcb9b", "a16r": "#f285c0",
             "huff": "#d8c74a", "rans": "#a99bf5"},
}
MARKS = {"raw": "M-5,-5h10v10h-10z", "a16": "M0,-6L6,5H-6z", "a16x2": "M0,6L6,-5H-6z",
         "a16r": "M0,-7L6,0L0,7L-6,0z", "rans": "M-5,0A5,5 0 1 0 5,0A5,5 0 1 0 -5,0z",
         "huff": "M-6,-2h4v-4h4v4h4v4h-4v4h-4v-4h-4z", "peer": "M-5,-5L5,5M5,-5L-5,5"}


def rules(colors):
    """CSS that depends on the background. No variables: not every viewer knows them."""
    c = colors
    lines = [f".paper {{ fill: {c['paper']}; }} text {{ fill: {c['ink']}; }}",
             f".soft {{ fill: {c['soft']}; }} .grid {{ stroke: {c['grid']}; }}",
             f".axis, .memory {{ stroke: {c['soft']}; }} .entropy {{ stroke: {c['ink']}; }}",
             f".halo {{ stroke: {c['paper']}; }} .open {{ fill: {c['paper']}; }}",
             f".peer {{ stroke: {c['ink']}; }}"]
    lines += [f".{codec} {{ stroke: {c[codec]}; }} .full.{codec} {{ fill: {c[codec]}; }}"
              for codec in ORDER]
    return "\n".join(lines)


def style():
    return f"""
svg {{ font-family: system-ui, sans-serif; font-size: 13px; }}
.title {{ font-size: 16px; }} .small {{ font-size: 11.5px; }}
.line {{ fill: none; stroke-width: 2; }} .mark {{ stroke-width: 1.6; }}
.memory {{ stroke-dasharray: 2 4; stroke-width: 1.3; }} .entropy {{ stroke-dasharray: 7 4; }}
.halo {{ paint-order: stroke; stroke-width: 4px; stroke-linejoin: round; }}
{rules(COLORS["light"])}
@media (prefers-color-scheme: dark) {{
{rules(COLORS["dark"])}
}}
"""


class Picture:
    def __init__(self):
        self.parts = []

    def add(self, name, text=None, **attributes):
        words = " ".join(f'{k.rstrip("_").replace("_", "-")}="{v}"' for k, v in attributes.items())
        self.parts.append(f"<{name} {words}/>" if text is None
                          else f"<{name} {words}>{escaped(text)}</{name}>")

    def line(self, x1, y1, x2, y2, class_):
        self.add("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}",
                 class_=class_)

    def text(self, x, y, text, class_="", anchor="start", **more):
        self.add("text", text, x=f"{x:.1f}", y=f"{y:.1f}", class_=class_, text_anchor=anchor,
                 **more)

    def mark(self, kind, x, y, full=False):
        """A filled mark, or an open one."""
        self.add("path", d=MARKS[kind], transform=f"translate({x:.1f} {y:.1f})",
                 class_=f"mark {kind} {'full' if full else 'open'}")

    def curve(self, points, class_):
        if len(points) > 1:
            self.add("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
                     class_="line " + class_)


def escaped(text):
    return str(text).replace("&", "&amp;").replace("<", "&lt;")


def x_of(bits):
    return LEFT + (bits - BITS[0]) / (BITS[1] - BITS[0]) * (WIDTH - LEFT - RIGHT)


def y_of(rate):
    part = math.log(rate / RATES[0]) / math.log(RATES[1] / RATES[0])
    return SPEED_TOP + SPEED_HEIGHT * (1 - part)


def y_of_excess(percent):
    part = min(max(percent, EXCESS[0]), EXCESS[1]) / EXCESS[1]
    return EXCESS_TOP + EXCESS_HEIGHT * (1 - part)


def draw_frame(p, machine):
    right = WIDTH - RIGHT
    p.text(LEFT, 26, "Products straight from coded weights, one thread", "title")
    p.text(LEFT, 46, machine, "soft small")
    p.text(LEFT, 62, "Gaussian symbols, rows of four widths, 4096 columns; full marks: "
           f"{REFERENCE_ENTROPY} bits of entropy", "soft small")
    for bits in range(BITS[0], BITS[1] + 1):
        for top, height in ((SPEED_TOP, SPEED_HEIGHT), (EXCESS_TOP, EXCESS_HEIGHT)):
            p.line(x_of(bits), top, x_of(bits), top + height, "grid")
            p.text(x_of(bits), top + height + 18, bits, "soft", "middle")
    for rate in (0.5, 1, 2, 5, 10, 20, 50, 100):
        p.line(LEFT, y_of(rate), right, y_of(rate), "grid")
        p.text(LEFT - 8, y_of(rate) + 4, rate, "soft", "end")
    for percent in range(EXCESS[0], EXCESS[1] + 1):
        p.line(LEFT, y_of_excess(percent), right, y_of_excess(percent), "grid")
        p.text(LEFT - 8, y_of_excess(percent) + 4, percent, "soft", "end")
    for top, height, title in ((SPEED_TOP, SPEED_HEIGHT, "10⁹ weights a second (log)"),
                               (EXCESS_TOP, EXCESS_HEIGHT, "% beyond entropy")):
        middle = top + height / 2
        p.line(LEFT, top, LEFT, top + height, "axis")
        p.line(LEFT, top + height, right, top + height, "axis")
        p.text(24, middle, title, "", "middle", transform=f"rotate(-90 24 {middle:.1f})")
    p.text((LEFT + right) / 2, SPEED_TOP + SPEED_HEIGHT + 40, "coded bits a weight", "", "middle")
    p.text((LEFT + right) / 2, EXCESS_TOP + EXCESS_HEIGHT + 40, "entropy, bits a weight", "",
           "middle")
    p.text(LEFT, EXCESS_TOP - 12, "Size: blocks, patches and tables against the entropy of the "
           f"symbols given their row's width; above {EXCESS[1]} % not shown", "soft small")


def draw_limits(p, measured):
    """Memory: rate = bandwidth / (bits / 8); cut at the frame."""
    for bandwidth in [*BANDWIDTHS, *measured]:
        first = max(BITS[0], 8 * bandwidth / RATES[1])
        steps = [first + (BITS[1] - first) * i / 40 for i in range(41)]
        p.curve([(x_of(b), y_of(8 * bandwidth / b)) for b in steps], "memory")
        here = " (here)" if bandwidth in measured else ""
        p.text(x_of(BITS[1]) + 6, y_of(8 * bandwidth / BITS[1]) + 4,
               f"{bandwidth:g} GB/s{here}", "soft small")
    x = x_of(REFERENCE_ENTROPY)
    p.line(x, SPEED_TOP, x, SPEED_TOP + SPEED_HEIGHT, "entropy")
    p.text(x - 5, SPEED_TOP + 14, f"entropy {REFERENCE_ENTROPY} bits", "small halo", "end")


def is_reference(figure):
    return abs(figure["entropy"] - REFERENCE_ENTROPY) < 0.06


def draw_codecs(p, curves):
    for codec, points in curves.items():
        points = sorted(points, key=lambda f: f["entropy"])
        speed = [(x_of(f["bits"]), y_of(f["gw_s"]), is_reference(f)) for f in points
                 if BITS[0] <= f["bits"] <= BITS[1]]
        size = [(x_of(f["entropy"]), y_of_excess(100 * f["excess"]), is_reference(f))
                for f in points if 100 * f["excess"] <= EXCESS[1]]
        for marks in (speed, size):
            p.curve([(x, y) for x, y, _ in marks], codec)
            for x, y, full in marks:
                p.mark(codec, x, y, full)


def draw_legend(p, curves, peers):
    x, y = LEFT + 8, SPEED_TOP - 17
    for kind in [*curves, *(["peer"] if peers else [])]:
        p.mark(kind, x, y, kind != "peer")
        p.text(x + 12, y + 4, "peers" if kind == "peer" else kind)
        x += 84


def draw_peers(p, peers):
    """Labels beside their marks, pushed apart where they would touch."""
    taken = []
    for name, bits, rate in sorted(peers, key=lambda peer: -peer[2]):
        x, y = x_of(bits), y_of(rate)
        p.mark("peer", x, y)
        at = y + 4
        while any(abs(at - other) < 13 and abs(x - across) < 150 for across, other in taken):
            at += 3
        taken.append((x, at))
        if x > x_of(7.5):
            p.text(x - 9, at, name, "small halo", "end")
        else:
            p.text(x + 9, at, name, "small halo")


def read(paths):
    """The best figure of each kind, all rounds together."""
    best, machine, memory = {}, "", []
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                f = json.loads(line)
                if f["what"] == "machine":
                    machine = f["summary"]
                elif f["what"] == "memory" and f["threads"] == 1:
                    memory.append(f["read_gb_s"])
                elif f["what"] == "gemv":
                    key = tuple(f.get(k) for k in ("engine", "codec", "type", "buffer", "source",
                                                   "rows", "cols", "cpu", "entropy"))
                    if key not in best or best[key]["gw_s"] < f["gw_s"]:
                        best[key] = f
    return list(best.values()), machine, round(max(memory), 0) if memory else None


def chosen(figures):
    """Curves of rusk's codecs, marks of peers. a16x2 is made for the grid without a zero."""
    curves, peers = {}, []
    heights = [f["rows"] for f in figures if f["engine"] == "rusk" and f["cols"] == 4096]
    sweep = max(heights, key=heights.count, default=None)  # bars are measured on another shape
    for f in figures:
        if f["cols"] != 4096:
            continue
        if (f["engine"] == "rusk" and f["rows"] == sweep and f.get("cpu") == "best" and
                f["source"].startswith("gaussian")):
            rise = f["source"].endswith("rise")
            if rise == (f["codec"] == "a16x2"):
                curves.setdefault(f["codec"], []).append(f)
        elif f["engine"] == "llama.cpp":
            repacked = ", repacked" if "REPACK" in f["buffer"] else ""
            peers.append((f"llama.cpp {f['type']}{repacked}", f["bits"], f["gw_s"]))
        elif f["engine"] == "prototype" and abs(f["entropy"] - 2.5) < 0.05:
            peers.append((f"prototype {f['codec']}", f["bits"], f["gw_s"]))
    order = {name: i for i, name in enumerate(ORDER)}
    return dict(sorted(curves.items(), key=lambda c: order.get(c[0], 99))), peers


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("-o", "--output", required=True)
    args = parser.parse_args()
    figures, machine, memory = read(args.files)
    curves, peers = chosen(figures)
    if not curves:
        sys.exit("plot: expected lines of bench_gemv with 4096 columns among the files")
    p = Picture()
    draw_frame(p, machine)
    draw_limits(p, [memory] if memory else [])
    draw_codecs(p, curves)
    draw_peers(p, peers)
    draw_legend(p, curves, peers)
    with open(args.output, "w", encoding="utf-8") as out:
        out.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
                  f'width="{WIDTH}" height="{HEIGHT}" role="img">\n'
                  '<title>Weights a second against bits a weight, by codec</title>\n'
                  f'<style>{style()}</style>\n'
                  f'<rect width="{WIDTH}" height="{HEIGHT}" class="paper"/>\n')
        out.write("\n".join(p.parts) + "\n</svg>\n")


if __name__ == "__main__":
    main()
