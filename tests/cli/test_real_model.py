"""The demo model against what llama.cpp measured with it, and the bars of size and memory.

Vectors: smollm2-q4_1.json of the measurement data (made by llama.cpp, int8 activations)."""
import json
import os
import resource
import subprocess
import unittest

import clitest
from clitest import RUSK

TEXT_FROM = 647835  # the second half of the test split judges
N_CHUNKS = 20


def peak_of(arguments, out):
    """Peak resident bytes of a run of rusk, by its own child's rusage."""
    pid = os.fork()
    if pid == 0:
        status = subprocess.run([RUSK, *arguments], stdout=out, stderr=subprocess.DEVNULL,
                                check=False).returncode
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        with open(out.name + ".peak", "w", encoding="ascii") as f:
            f.write(f"{status} {peak}")
        os._exit(0)
    os.waitpid(pid, 0)
    with open(out.name + ".peak", encoding="ascii") as f:
        status, peak = f.read().split()
    return int(status), int(peak) * 1024


class RealModel(clitest.Case):
    @classmethod
    def setUpClass(cls):
        cls.model = clitest.demo_model()
        if clitest.sanitized():
            raise unittest.SkipTest("a sanitizer build is slow and its memory says nothing")
        cls.packed = os.path.join(clitest._shared, "demo-4.5.rusk")
        with open(cls.packed + ".json", "wb") as out:
            cls.pack_status, cls.pack_peak = peak_of(
                ["pack", cls.model, "-o", cls.packed, "--bits", "4.5", "--json"], out)
        with open(cls.packed + ".json", encoding="utf-8") as f:
            cls.report = json.load(f) if cls.pack_status == 0 else None

    def vectors(self):
        with open(clitest.shared_data("vectors/smollm2-q4_1.json"), encoding="utf-8") as f:
            return json.load(f)

    def text(self):
        with open(clitest.shared_data("wiki.test.raw"), "rb") as f:
            f.seek(TEXT_FROM)
            return self.write("text", f.read())

    def test_packing(self):
        self.assertEqual(self.pack_status, 0)
        self.assertLess(self.pack_peak, 400e6)
        self.assertLessEqual(self.report["bits_per_weight"], 4.5)
        self.assertLess(self.report["coded_bits"], 1.02 * self.report["entropy_bits"])
        print(f"        packed {self.report}, peak {self.pack_peak / 1e6:.0f} MB")

    def test_perplexity(self):
        r = self.good("eval", self.model, "--text", self.text(), "--chunks", str(N_CHUNKS),
                      "--json", seconds=800).json
        expected = self.vectors()["perplexity"]
        self.assertLess(abs(r["perplexity"] / expected["final"] - 1), 0.005)
        for ours, theirs in zip(r["running_perplexity"], expected["running_estimate_after_chunk"],
                                strict=True):
            self.assertLess(abs(ours / theirs - 1), 0.01, (ours, theirs))
        print(f"        perplexity {r['perplexity']:.4f}, llama.cpp {expected['final']}")

    def test_divergence_at_4_5_bits(self):
        r = self.good("eval", self.packed, "--reference", self.model, "--text", self.text(),
                      "--chunks", "10", "--json", seconds=800).json
        self.assertLess(r["kl_mean"], 0.15)
        print(f"        KL {r['kl_mean']:.4f} +- {r['kl_se']:.4f}, same top {r['same_top']:.3f}")

    def test_greedy_text(self):
        """Some prompts give llama.cpp's text to the letter; where another one goes its own way, the
        first difference was close: tests/api/test_demo_model.c holds it to 0.1 logit."""
        cases = self.vectors()["greedy"]
        same = []
        for case in cases:
            out = self.good("run", self.model, "--raw", "--temp", "0", "-n", "40",
                            case["prompt"]).text
            same.append(out.rstrip("\n") == case["greedy_40_tokens"].rstrip("\n"))
            print(f"        {'same' if same[-1] else 'differs'}: {case['prompt']!r}")
        self.assertGreaterEqual(sum(same), 2)

    def test_memory_of_a_packed_model(self):
        with open(self.path("out"), "wb") as out:
            status, peak = peak_of(["run", self.packed, "Why is the sky blue?", "-n", "32",
                                    "--temp", "0"], out)
        self.assertEqual(status, 0)
        size = os.path.getsize(self.packed)
        self.assertLess(peak, 1.3 * size + 120e6)
        print(f"        file {size / 1e6:.1f} MB, peak {peak / 1e6:.0f} MB")

    def test_answers_make_sense(self):
        out = self.good("run", self.model, "What is the capital of France?", "--temp", "0", "-n",
                        "40", "--activations", "f32").text
        self.assertIn("Paris", out)
        out = self.good("run", self.packed, "What is bread made of?", "--temp", "0", "-n",
                        "40").text
        self.assertIn("flour", out)


if __name__ == "__main__":
    clitest.main()
