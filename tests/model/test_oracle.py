"""The forward pass in C against the independent one in tests/oracle/forward.py.

Float activations: logits within 1e-3 of the oracle's (norm of the difference over norm, at every
position). Nearly all of it is the cache's rounding to f16, so where the oracle rounds keys and
values too, the bound is 3e-4 (a sum near the middle of two halves may round the other way). int8
activations on Q8_0 weights: within 5e-2; a value rounded to 1/127 of its group's largest is off by
about 0.5 % of the group's norm, and such errors add up over the layers.
"""
import os
import random
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: python3-numpy is not installed")
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))
import forward  # noqa: E402

TOOLS = os.path.join(os.environ.get("RUSK_BUILD", "build/dev"), "tests")
FLOAT_BOUND, CACHE_BOUND, INT8_BOUND = 1e-3, 3e-4, 5e-2
N_TOKENS, N_VOCAB = 40, 480  # five times Gemma's tiny window

CASES = [
    # name, int8, options of make_tiny
    ("llama", False, ["--arch", "llama"]),
    ("llama untied, biases, factors", False,
     ["--arch", "llama", "--untied", "--biases", "--rope-freqs", "--seed", "2"]),
    ("llama linear scaling, one kv head", False,
     ["--arch", "llama", "--rope-scaling", "4", "--kv-heads", "1", "--seed", "3"]),
    ("llama wide head", False, ["--arch", "llama", "--head-dim", "40", "--seed", "4"]),
    ("qwen2", False, ["--arch", "qwen2"]),
    ("qwen2 untied, spm", False, ["--arch", "qwen2", "--untied", "--tokenizer", "spm"]),
    ("gemma3", False, ["--arch", "gemma3"]),
    ("gemma3 other pattern", False, ["--arch", "gemma3", "--window-pattern", "3", "--window", "5"]),
    ("gemma3 without window", False, ["--arch", "gemma3", "--window", "0"]),
    ("llama Q8_0", False, ["--arch", "llama", "--type", "Q8_0"]),
    ("llama Q8_0 int8", True, ["--arch", "llama", "--type", "Q8_0"]),
    ("qwen2 Q8_0 int8", True, ["--arch", "qwen2", "--type", "Q8_0", "--untied"]),
    ("gemma3 Q8_0 int8", True, ["--arch", "gemma3", "--type", "Q8_0"]),
]


def worst(ours, ref):
    if ours.shape != ref.shape:
        return float("inf")
    return (np.linalg.norm(ours - ref, axis=1) / np.linalg.norm(ref, axis=1)).max()


def errors(directory, int8, options, batch):
    path, out = os.path.join(directory, "m.gguf"), os.path.join(directory, "logits")
    subprocess.run([os.path.join(TOOLS, "make_tiny"), *options, "-o", path], check=True)
    rng = random.Random(7)
    tokens = [rng.randrange(N_VOCAB) for _ in range(N_TOKENS)]
    subprocess.run([os.path.join(TOOLS, "dump_logits"), path, "-o", out, "--threads", "2",
                    "--batch", str(batch), "--tokens", ",".join(map(str, tokens))]
                   + (["--int8"] if int8 else []), check=True)
    ours = np.fromfile(out, "<f4").astype(np.float64).reshape(N_TOKENS, -1)
    return [worst(ours, forward.Model(path, f16_cache).logits(tokens))
            for f16_cache in (False, True)]


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        for name, int8, options in CASES:
            bounds = [INT8_BOUND] * 2 if int8 else [FLOAT_BOUND, CACHE_BOUND]
            for batch in (N_TOKENS, 7):
                found = errors(directory, int8, options, batch)
                ok = all(e <= b for e, b in zip(found, bounds))
                failed += not ok
                print("%s  %-34s batch %2d: %.2e (bound %.0e), f16 cache %.2e (bound %.0e)"
                      % ("passed" if ok else "FAILED", name, batch, found[0], bounds[0],
                         found[1], bounds[1]))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
