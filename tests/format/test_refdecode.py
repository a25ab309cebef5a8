#!/usr/bin/python3
"""test_refdecode - tools/refdecode.py on what the C code wrote, and on files that are damaged.

The second decoder knows the documents only, so a disagreement is an error in one of the three."""
import contextlib
import io
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy as np
import xxhash

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests/oracle")]
import forward  # noqa: E402
import refdecode as module  # noqa: E402
import refdecode_tokn as tokn  # noqa: E402

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


class Source(forward.Gguf):
    """Metadata of a GGUF file with each byte of a string as one character; no tensors."""

    def text(self):
        return self.take(self.number("<Q")).decode("latin-1")

    def tensor(self, shape, kind, start):
        return None


def bits(scores):
    return None if scores is None else np.array(scores, np.float32).view(np.uint32).tolist()


def vocabularies(directory):
    """A packed vocabulary, decoded here, is the one of the source. Returns a file with one."""
    maker = BUILD / "tests/make_tiny"
    if not os.access(RUSK, os.X_OK) or not maker.exists():
        print("skipped vocabularies: no rusk or no make_tiny")
        return None
    for kind in ("bpe", "spm", "eot"):
        source, packed = (directory / f"{kind}.{end}" for end in ("gguf", "rusk"))
        tokenizer = "bpe" if kind == "eot" else kind
        subprocess.run([maker, "--tokenizer", tokenizer, "-o", source], check=True)
        if kind == "eot":  # what bos was is the end of turn now, and there is no bos
            file = source.read_bytes()
            source.write_bytes(file.replace(b"ggml.bos_token_id", b"ggml.eot_token_id"))
        subprocess.run([RUSK, "pack", source, "-o", packed], check=True, capture_output=True)
        code, out, error = refdecode(packed, "--check")
        check(code == 0 and "tokens, " in out, f"{kind}: {out.strip()}{error.strip()}")
        code, out, _ = refdecode(packed, "--tokens")
        found, meta = json.loads(out), Source(source).meta

        def entry(key, absent):
            return meta.get(f"tokenizer.ggml.{key}", absent)

        check(found["tokens"] == entry("tokens", None), f"{kind}: {len(found['tokens'])} tokens")
        check(found["types"] == entry("token_type", None), f"{kind}: types")
        check(bits(found["scores"]) == bits(entry("scores", None)), f"{kind}: scores, bit by bit")
        merges = [" ".join(found["tokens"][part] for part in merge) for merge in found["merges"]]
        check(merges == entry("merges", []), f"{kind}: {len(merges)} merges")
        check(found["model"] == entry("model", None) and found["pre"] == entry("pre", ""),
              f"{kind}: model and pre-tokenizer")
        ids = {name: entry(f"{name}_token_id", -1) for name in tokn.IDS}
        check(all(found[name] == token for name, token in ids.items()), f"{kind}: ids {ids}")
        check(found["add_bos"] == entry("add_bos_token", None) and not found["add_eos"],
              f"{kind}: add_bos and add_eos")
        check("add_space_prefix" not in str(list(meta)) or
              found["add_space_prefix"] == entry("add_space_prefix", None), f"{kind}: space prefix")
    return packed


def with_vocabulary(good, section):
    """The file good with another TOKN, which stands behind all other sections."""
    at, size = struct.unpack_from("<QQ", good, 16)
    rows = [good[i:i + 32] for i in range(at, at + size, 32) if good[i:i + 4] != b"TOKN"]
    hash64 = xxhash.xxh3_64_intdigest
    rows.append(struct.pack("<4sIQQQ", b"TOKN", 1, at, len(section), hash64(section)))
    table = b"".join(rows)
    place = struct.pack("<QQQ", at + len(section), len(table), hash64(table))
    top = good[:16] + place + good[40:56]
    return top + struct.pack("<Q", hash64(top)) + good[64:at] + section + table


def tokn_example():
    """The section of tokn.md."""
    text = (ROOT / "docs/format/tokn.md").read_text()
    rows = re.findall(r"^00\w\w  ((?:[0-9a-f]{2} ?)+)$", text, re.M)
    return bytes.fromhex("".join(rows))


# Byte of the header or the inflated body of tokn.md's example, what to put there, what it breaks.
BAD_HEADERS = (
    (0, "02", "version"), (4, "00", "no tokens"), (4, "0000ffff", "tokens"), (6, "11", "tokens"),
    (10, "11", "merges"), (12, "12", "flags"), (16, "06", "bos"), (16, "feffffff", "a bos of -2"),
    (16, "ffffffff", "add_bos without bos"), (24, "06", "eot"), (32, "feffffff", "padding of -2"),
    (36, "01", "reserved"), (44, "33", "model gpt23"), (50, "33", "model with a zero in it"),
    (40, "00", "an empty model"), (70, "33", "pre with a zero in it"),
    (56, "33" * 32, "pre without a zero"), (88, "21", "body too short"),
    (88, "23", "body too long"), (88, "00000004", "body_bytes"),
    (12, "03", "scores that are not there"), (92, "79", "zlib"),
    (126, "c1", "sum of the zlib stream"))
BAD_BODIES = (
    (0, "07", "type"), (6, "06", "a left id"), (8, "01", "a left id's middle byte"),
    (11, "80", "a left id's high byte"), (12, "06", "a right id"), (18, "02", "a run too few"),
    (19, "05", "a run beyond the tokens"), (19, "02", "higher ids"),
    (20, "01", "a run beyond the merges"), (21, "00", "an empty run"), (22, "04", "a length"),
    (22, "02", "bytes left over"), (30, "61", "two equal strings"))
BAD_TAILS = ("00", "0003", "ff" * 10)
# Whole bodies of six tokens and two merges: types, merges, runs, lengths, strings.
BAD_MERGE = ("030101010104 010300000000 020100000000 01030001 0301010303", b"<s>ababb<t>")
TWO_EMPTY = ("030101010104 010300000000 020200000000 01030002 00010100", b"ab")
EMPTY_MERGE = ("030101010104 010500000000 020000000000 01030001 0001010300", b"ababb")


def bad_vocabularies(directory, packed):
    """What tokn.md forbids is refused here, and by the library where there is a packed model."""
    good = tokn_example()
    v = tokn.Vocabulary(good)
    check(v.tokens == [b"<s>", b"a", b"b", b"ab", b"abb", b"<t>"] and v.pre == b"gpt-2" and
          v.merges.tolist() == [[1, 2], [3, 2]] and v.types.tolist() == [3, 1, 1, 1, 1, 4] and
          v.ids == {"bos": 0, "eos": 5, "eot": -1, "unknown": -1, "padding": -1} and
          (v.add_bos, v.add_eos, v.score_bits) == (True, False, None), "the example of tokn.md")
    body = zlib.decompress(good[92:])

    def patched(data, at, value):
        return data[:at] + bytes.fromhex(value) + data[at + len(value) // 2:]

    def section(inflated):
        return good[:88] + struct.pack("<I", len(inflated)) + zlib.compress(inflated)

    cases = [(patched(good, at, value), what) for at, value, what in BAD_HEADERS]
    cases += [(section(patched(body, at, value)), what) for at, value, what in BAD_BODIES]
    cases += [(section(body + bytes.fromhex(tail)), "bytes behind the body") for tail in BAD_TAILS]
    cases += [(good[:n], f"a section cut at {n}") for n in (1, 91, 92, 100, 126)]
    cases += [(good + b"\0", "a byte behind the stream"), (section(body[:-1]), "a byte too few")]

    def whole(numbers, strings):
        return section(bytes.fromhex(numbers) + strings)

    cases += [(whole(*BAD_MERGE), "a merge without token"),
              (whole(*EMPTY_MERGE), "a merge of nothing")]
    fine = [(good, "the example"), (whole(*TWO_EMPTY), "two empty tokens")]
    for data, what in fine + cases:
        error = "accepted"
        try:
            tokn.Vocabulary(data)
        except module.Malformed as malformed:
            error = str(malformed)
        wanted = (data, what) in fine
        check((error == "accepted") == wanted, f"vocabulary: {what}: {error}")
        if packed is not None:
            path = directory / "other.rusk"
            path.write_bytes(with_vocabulary(packed.read_bytes(), data))
            run = subprocess.run([RUSK, "tokenize", path, "abb"], capture_output=True, check=False)
            check(run.returncode == (0 if wanted else 1), f"the library agrees: {what}")


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
        bad_vocabularies(directory, vocabularies(directory))
    print(f"{failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
