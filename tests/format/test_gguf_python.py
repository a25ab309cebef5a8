"""What we write and how we read it, against the `gguf` Python package (an independent reader).

The C program test_dtype writes a file with random blocks of every type and, beside each, the f32
values that our reader made of them. The package reads that file and dequantizes the blocks; every
value must have the same bits. Where the package is not installed it is fetched once into the build
directory; without a network the test is skipped.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

PACKAGE = "gguf==0.19.0"
TIMEOUT_SECONDS = 180
BUILD = pathlib.Path(os.environ.get("RUSK_BUILD", "build/dev"))


def skip(reason):
    print("skipped: " + reason)
    sys.exit(77)


def find_package():
    """Runs this file again with a Python that has the package, or returns where this one has it."""
    try:
        import gguf  # noqa: F401

        return
    except ImportError:
        if "--again" in sys.argv:
            skip("the installed gguf package cannot be imported")
    venv = BUILD / "python-gguf"
    python = venv / "bin" / "python"
    ready = venv / "ready"
    if not ready.exists():
        steps = (
            [sys.executable, "-m", "venv", "--clear", "--system-site-packages", str(venv)],
            [str(python), "-m", "pip", "install", "-q", "--retries", "1", PACKAGE],
        )
        for step in steps:
            try:
                done = subprocess.run(step, timeout=TIMEOUT_SECONDS, capture_output=True, text=True)
            except (OSError, subprocess.TimeoutExpired) as error:
                skip(f"no {PACKAGE}: {error}")
            if done.returncode != 0:
                lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
                skip(f"no {PACKAGE} ({' '.join(step[:4])} failed): {lines[-1] if lines else ''}")
        ready.touch()
    os.execv(python, [str(python), __file__, "--again"])


def compare(path):
    import numpy as np
    from gguf import GGUFReader
    from gguf.quants import dequantize

    tensors = {t.name: t for t in GGUFReader(path).tensors}
    failed = 0
    names = [n for n in tensors if not n.endswith(".f32")]
    for name in names:
        t = tensors[name]
        assert t.tensor_type.name == name, (t.tensor_type, name)
        theirs = dequantize(t.data, t.tensor_type).astype(np.float32)
        ours = tensors[name + ".f32"].data.reshape(theirs.shape)
        differ = np.flatnonzero(theirs.view(np.uint32) != ours.view(np.uint32))
        print(f"{'FAILED' if differ.size else 'passed'}  {name}: {theirs.size} values")
        if differ.size:
            i = differ[0]
            print(f"        {differ.size} differ, first at {i}: {ours.flat[i]!r}, "
                  f"expected {theirs.flat[i]!r}")
            failed += 1
    assert len(names) == 15, names
    return failed


def main():
    find_package()
    program = BUILD / "tests" / "test_dtype"
    if not program.exists():
        skip(f"{program} is not built")
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "types.gguf"
        subprocess.run([str(program), "random_blocks_of_every_type"], check=True,
                       env={**os.environ, "RUSK_DTYPE_FILE": str(path)})
        sys.exit(1 if compare(path) else 0)


main()
