#!/usr/bin/python3
"""test_refdecode - tools/refdecode.py on what the C code wrote, and on files that are damaged.

The second decoder knows the documents only, so a disagreement is an error in one of the three."""
import contextlib
import io
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

import numpy as np
import xxhash

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests/oracle")]
import forward  # noqa: E402
import refdecode as module  # noqa: E402

BUILD = pathlib.Path(os.environ.get("RUSK_BUILD", ROOT / "build/dev"))
RUSK = os.environ.get("RUSK", str(BUILD / "rusk"))
CODECS = ("raw", "rans")
N_SHAPES = 8
failures = 0


def check(holds, what):
    global failures
    print(f"{'passed ' if holds else 'FAILED '} {what}")
    failures += not holds


def as_a_program(*args):
    run = subprocess.run([sys.executable, ROOT / "tools/refdecode.py", *args], capture_output=True,
                         text=True, check=False)
    return run.returncode, run.stdout, run.stderr


def refdecode(*args):
    """The same without a new process, which takes longer to start than to work."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = module.main([str(arg) for arg in args])
    return code, out.getvalue(), error.getvalue()


def values_agree(path, directory):
    container = module.Container(path)
    decoded = dict((t.name, symbols) for t, symbols in
                   module.decode_tensors(container, [t for t in container.tensors if t.coded]))
    for shape in range(N_SHAPES):
        truth = (directory / f"{shape}.truth").read_bytes()
        for codec in CODECS:
            t = container.by_name[f"{codec}.{shape}.weight"]
            symbols = np.frombuffer(truth, np.int32, t.rows * t.cols).reshape(t.rows, t.cols)
            scales = np.frombuffer(truth, np.float32, t.rows, symbols.nbytes)
            same = np.array_equal(decoded[t.name], symbols) and np.array_equal(t.scales, scales)
            check(same, f"{t.name} {t.shape}: symbols and scales as coded")
            weights = (symbols + np.float32(t.offset)).astype(np.float32) * scales[:, None]
            check(np.array_equal(module.to_weights(t, symbols), weights.reshape(t.shape)),
                  f"{t.name}: weights")


def one_tensor(path, directory):
    out = directory / "one.npy"
    code, _, _ = refdecode(path, "--tensor", "norm", "--out", out)
    expected = np.array([1.5, -2.0, 1e-20], np.float32)
    check(code == 0 and np.array_equal(np.load(out), expected), "--tensor of a vector")
    code, _, _ = refdecode(path, "--tensor", "rans.3.weight", "--symbols", "--out", out)
    truth = np.frombuffer((directory / "3.truth").read_bytes(), np.int32, 37 * 31)
    check(code == 0 and np.array_equal(np.load(out).reshape(-1), truth), "--tensor --symbols")
    code, _, error = refdecode(path, "--tensor", "absent")
    check(code == 1 and "no tensor absent" in error, "--tensor of a tensor that is not there")


def damage(path, directory):
    """Damage in any section, and in a block, is found; each with its own message."""
    good = path.read_bytes()
    sections = module.Container(path).sections
    bad = directory / "bad.rusk"
    for tag, (start, size, _) in sections.items():
        file = bytearray(good)
        at = start + (5000 if tag == "DATA" else size // 2)
        file[at] ^= 1
        bad.write_bytes(file)
        code, _, error = refdecode(bad, "--check")
        check(code == 1 and "damaged" in error, f"a flipped byte in {tag}: {error.strip()[-60:]}")
    for n, expected in ((0, "truncated"), (63, "truncated"), (len(good) - 1, "truncated")):
        bad.write_bytes(good[:n])
        code, _, error = refdecode(bad, "--check")
        check(code == 1 and expected in error, f"a file cut at {n}")
    newer = bytearray(good[:56])
    struct.pack_into("<I", newer, 8, 2)
    bad.write_bytes(newer + struct.pack("<Q", xxhash.xxh3_64_intdigest(bytes(newer))) + good[64:])
    code, _, error = refdecode(bad, "--check")
    check(code == 1 and "newer rusk: version 2" in error, "a newer version")


def examples(directory):
    """The files of container.md: read by someone who did not write them."""
    text = (ROOT / "docs/format/container.md").read_text()
    for name, dump in re.findall(r"```hex (\w+)\n(.*?)```", text, re.S):
        file = bytearray()
        for offset, values in re.findall(r"^(\w+): ((?:[0-9a-f]{2} ?)+)", dump, re.M):
            data = bytes.fromhex(values)
            file.extend(bytes(max(0, int(offset, 16) + len(data) - len(file))))
            file[int(offset, 16):int(offset, 16) + len(data)] = data
        path = directory / f"{name}.rusk"
        path.write_bytes(file)
        code, out, _ = refdecode(path, "--list")
        check(code == 0 and "section TNSR" in out, f"the example '{name}' of container.md")
    code, _, error = refdecode(path, "--check")
    check(code == 1 and "does not know: example" in error, "a codec it does not know")


class Exported(forward.Gguf):
    """A GGUF that `rusk export` wrote: F16 matrices, F32 vectors."""

    def tensor(self, shape, kind, start):
        if kind == 1:
            return np.frombuffer(self.data, "<f2", int(np.prod(shape)), start).reshape(shape)
        return super().tensor(shape, kind, start)


def whole_models(directory):
    """A packed model, decoded here, has the weights that the library exports."""
    maker = BUILD / "tests/make_tiny"
    if not os.access(RUSK, os.X_OK) or not maker.exists():
        print("skipped whole models: no rusk or no make_tiny")
        return
    for arch, codec, bits in (("llama", "rans", 8), ("gemma3", "raw", 10), ("qwen2", "rans", 14)):
        source, packed, back = (directory / f"{arch}.{end}" for end in ("gguf", "rusk", "f16.gguf"))
        for command in ([maker, "--arch", arch, "-o", source],
                        [RUSK, "pack", source, "-o", packed, "--bits", str(bits), "--codec", codec],
                        [RUSK, "export", packed, "-o", back]):
            subprocess.run(command, check=True, capture_output=True)
        code, out, error = refdecode(packed, "--check")
        check(code == 0, f"{arch}, {codec}, {bits} bits: {out.strip()}{error.strip()}")
        container, exported = module.Container(packed), Exported(back).tensors
        check(sorted(exported) == sorted(container.by_name), f"{arch}: names as exported")
        different = [name for name, t in container.by_name.items()
                     if not np.array_equal(exported[name], container.weights(t).astype(
                         exported[name].dtype))]
        check(not different, f"{arch}: weights as exported {' '.join(different)}")


def main():
    writer = BUILD / "tests/test_container_files"
    if not writer.exists():
        print(f"skipped: {writer} is not built")
        return 77
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        subprocess.run([writer, "--write", directory], check=True, stdout=subprocess.DEVNULL)
        path = directory / "codecs.rusk"
        code, out, error = as_a_program(path, "--check")
        check(code == 0 and "checksums match" in out, f"--check: {out.strip()}{error.strip()}")
        values_agree(path, directory)
        one_tensor(path, directory)
        damage(path, directory)
        examples(directory)
        whole_models(directory)
    print(f"{failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
