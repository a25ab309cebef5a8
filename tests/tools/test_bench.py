"""Benchmarks run and say what they mean: products from coded blocks are those of the plain symbols
(bench_gemv ends otherwise), every line is JSON, plot and tables come out. No times are judged."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("RUSK_BUILD", ROOT / "build/dev"))
CODECS = {"raw", "rans", "a16", "a16r", "a16x2"}
SHAPE = ["--rows", "37", "--runs", "1", "--seconds", "0.0001"]


def output(*command):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True,
                          cwd=ROOT).stdout


def lines(*command):
    return [json.loads(line) for line in output(*command).splitlines()]


def gemv(*options):
    return lines(BUILD / "tests/bench_gemv", *SHAPE, *options)


class Gemv(unittest.TestCase):
    def test_every_codec(self):
        figures = gemv("--cols", "576", "--bits", "3.9")
        products = {f["codec"]: f for f in figures if f["what"] == "gemv"}
        self.assertLessEqual(CODECS, set(products))
        for f in products.values():
            self.assertAlmostEqual(f["entropy"], 3.9, delta=0.1)
            self.assertAlmostEqual(f["excess"], f["bits"] / f["entropy"] - 1, places=3)
            self.assertLess(f["excess"], f["excess_stored"])
            self.assertGreater(f["gw_s"], 0)
        self.assertEqual({f["what"] for f in figures}, {"memory", "hot", "decode", "gemv"})

    def test_odd_shapes_batches_and_blocks(self):
        """Columns that are no multiple of 32; blocks of one row; a last block alone or shorter."""
        for cols, block in ((33, 66), (100, 300), (65, 65 * 37), (1, 7)):
            figures = gemv("--cols", cols, "--bits", "2", "--batch", "3", "--block", block,
                           "--cpu", "ref", "best", "--grid", "rise")
            products = [f for f in figures if f["what"] == "gemm"]
            self.assertLessEqual(CODECS, {f["codec"] for f in products})
            self.assertEqual({f["cpu"] for f in products}, {"ref", "best"})

    def test_bad_options(self):
        for options in (["--cols", "0"], ["--cpu", "pentium"], ["--colour", "3"],
                        ["--codec", "zip"]):
            run = subprocess.run([BUILD / "tests/bench_gemv", *SHAPE, *options], check=False,
                                 capture_output=True, text=True)
            self.assertNotEqual(run.returncode, 0, options)
            self.assertIn("bench_gemv: ", run.stderr)


class Pages(unittest.TestCase):
    def test_plot_and_tables(self):
        figures = gemv("--cols", "4096", "--bits", "2.5", "3.9")
        figures.append(json.loads(output(sys.executable, "bench/report.py", "--machine")))
        with tempfile.TemporaryDirectory() as folder:
            data, page, picture = (pathlib.Path(folder, n) for n in ("x.jsonl", "x.md", "x.svg"))
            data.write_text("".join(json.dumps(f) + "\n" for f in figures), encoding="utf-8")
            output(sys.executable, "bench/plot.py", data, "-o", picture)
            drawn = "".join(xml.etree.ElementTree.parse(picture).getroot().itertext())
            for word in (*CODECS - {"a16x2"}, "coded bits a weight", "entropy", "GB/s"):
                self.assertIn(word, drawn)
            page.write_text("before\n<!-- figures: bench/report.py -->\nold\n"
                            "<!-- end of figures -->\nafter\n", encoding="utf-8")
            for _ in range(2):
                output(sys.executable, "bench/report.py", data, "--into", page)
            text = page.read_text(encoding="utf-8")
            self.assertTrue(text.startswith("before\n") and text.endswith("after\n"))
            self.assertNotIn("old", text)
            self.assertEqual(text.count("### Bars"), 1)
            self.assertIn("not measured", text)


if __name__ == "__main__":
    unittest.main()
