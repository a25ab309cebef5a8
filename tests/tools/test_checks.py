"""tools/check_layers and tools/check_style find what they are for: breaches planted in a copy."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

# (tool, file, text that is put at its end, part of the complaint)
BREACHES = [
    ("check_layers", "src/base/arena.c", '#include "codec/codec.h"', "'base' may not include"),
    ("check_layers", "src/codec/codec.h", '#include "format/source.h"', "'codec' may not include"),
    ("check_layers", "src/kernel/kernels.h", '#include "quant/quantizer.h"', "'kernel' may not"),
    ("check_layers", "src/text/tokenizer.h", '#include "model/desc.h"', "'text' may not include"),
    ("check_layers", "src/base/arena.c", '#include "arena.h"', 'include "base/arena.h"'),
    ("check_layers", "src/base/arena.c", '#include "../codec/codec.h"', "climb out"),
    ("check_layers", "include/rusk.h", '#include "base/alloc.h"', "public header"),
    ("check_layers", "programs/x/x.c", '#include "base/alloc.h"', "a program sees include/"),
    ("check_layers", "src/newroom/x.c", "int x;", "expected src/ROOM/FILE"),
    ("check_layers", "src/codec/arena.c", "int x;", "the name stands already"),
    ("check_style", "src/base/arena.c", "void *f(void) { return malloc(1); }", "malloc():"),
    ("check_style", "src/base/arena.c", "void g(void) { printf(\"x\"); }", "printf():"),
    ("check_style", "src/base/arena.c", "void g(void) { exit(1); }", "exit():"),
    ("check_style", "src/base/arena.c", "char *g(void) { return getenv(\"X\"); }", "getenv():"),
    ("check_style", "src/base/new.c", "int x;", "expected a header comment"),
    ("check_style", "src/base/arena.c", "\tint x;", "a tab"),
    ("check_style", "src/base/arena.c", "int x; ", "blanks at the end"),
    ("check_style", "src/base/arena.c", "/* " + "x" * 100 + " */", "columns, expected"),
    ("check_style", "README.md", "see /ho" + "me/somebody/rusk", "a path of somebody's machine"),
    ("check_style", "src/base/arena.c", "/* TO" + "DO */", "put off"),
]
# What must not be taken for a breach.
HARMLESS = [
    ("check_style", "src/base/arena.c", "/* malloc() and printf() in a comment */"),
    ("check_style", "src/base/arena.c", 'static const char *x = "exit(1)";'),
    ("check_layers", "src/quant/quantizer.h", '#include "codec/codec.h"'),
    ("check_layers", "src/base/arena.c", '#include "rusk.h"'),
]


def run(tool, copy):
    return subprocess.run([sys.executable, copy / "tools" / tool], capture_output=True, text=True,
                          check=False)


def main():
    n_failed = 0
    with tempfile.TemporaryDirectory(prefix="rusk-checks-") as place:
        copy = pathlib.Path(place) / "tree"
        for part in ("src", "include", "tools"):
            shutil.copytree(ROOT / part, copy / part)
        shutil.copy(ROOT / "README.md", copy)

        def case(tool, name, line, complaint):
            nonlocal n_failed
            path = copy / name
            before = path.read_text(encoding="utf-8") if path.exists() else None
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text((before or "") + line + "\n", encoding="utf-8")
            result = run(tool, copy)
            as_expected = (result.returncode == 0 if complaint is None else
                           result.returncode == 1 and name in result.stdout
                           and complaint in result.stdout)
            if not as_expected:
                n_failed += 1
                print(f"FAILED  {tool}, {name}: {line}\n{result.stdout}{result.stderr}")
            if before is None:
                os.remove(path)
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()
            else:
                path.write_text(before, encoding="utf-8")

        for tool in ("check_layers", "check_style"):
            result = run(tool, copy)
            if result.returncode != 0:
                print(f"FAILED  {tool} on the tree as it is\n{result.stdout}{result.stderr}")
                return 1
        for breach in BREACHES:
            case(*breach)
        for harmless in HARMLESS:
            case(*harmless, None)
    print(f"{len(BREACHES) + len(HARMLESS)} cases, {n_failed} failed")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
