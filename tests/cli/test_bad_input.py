"""Bad input: each kind has its own message, status 1 (2 for usage), and leaves nothing behind."""
import os
import resource
import struct
import subprocess
import tempfile

import clitest
from clitest import packed, tiny

# Every command that opens a model, with the arguments that it needs besides.
OPENING = [["run", "hello"], ["chat"], ["inspect"], ["bench"], ["tokenize", "hello"]]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def rusk_sections(data):
    """(tag, offset, length) of a .rusk file's sections (docs/format/container.md, section 3)."""
    table, length = struct.unpack_from("<QQ", data, 16)
    return [(data[at:at + 4].decode(), *struct.unpack_from("<QQ", data, at + 8))
            for at in range(table, table + length, 32)]


class BadFiles(clitest.Case):
    def everywhere(self, path, says):
        for command, *rest in OPENING:
            self.bad(1, command, path, *rest, says=says)
        self.bad(1, "eval", path, "--text", self.write("text", "a text " * 500), says=says)
        self.bad(1, "eval", tiny(), "--reference", path, "--text", self.path("text"), says=says)
        self.bad(1, "pack", path, "-o", self.path("out.rusk"), says=says)
        self.bad(1, "export", path, "-o", self.path("out.gguf"), says=says)
        self.assertEqual([n for n in self.left_behind() if n.startswith("out")], [])

    def test_missing(self):
        self.everywhere(self.path("none.gguf"), ["none.gguf", "No such file"])

    def test_directory(self):
        self.everywhere(self.dir, ["directory", self.dir])

    def test_empty(self):
        self.everywhere(self.write("empty.gguf", b""), "empty.gguf")

    def test_wrong_magic(self):
        self.everywhere(self.write("m.gguf", b"PK\3\4" + bytes(4096)), ["GGUF", "m.gguf"])

    def test_device(self):
        self.bad(1, "inspect", "/dev/null", says="expected a file")

    def test_unreadable(self):
        path = self.write("m.gguf", read(tiny()))
        os.chmod(path, 0)
        if os.geteuid() != 0:
            self.bad(1, "inspect", path, says="Permission denied")

    def test_newer_versions(self):
        data = bytearray(read(tiny()))
        data[4:8] = struct.pack("<I", 4)
        self.everywhere(self.write("m.gguf", bytes(data)), ["version", "4"])
        data = bytearray(read(packed()))
        data[8:12] = struct.pack("<I", 2)
        self.everywhere(self.write("m.rusk", bytes(data)), ["newer", "2"])

    def test_truncated_anywhere(self):
        """At every section edge, a byte around it, and at places between."""
        data = read(packed())
        cuts = {8, 12, 63, 64, 65, 4096, len(data) - 1}
        for _, offset, length in rusk_sections(data):
            cuts |= {offset - 1, offset, offset + 1, offset + length // 2, offset + length}
        for cut in sorted(c for c in cuts if 0 < c < len(data)):
            self.bad(1, "run", self.write("m.rusk", data[:cut]), "hello", says="m.rusk")
        data = read(tiny())
        for cut in sorted({4, 7, 8, 16, 23, 24, 25, 40, len(data) - 1} |
                          {len(data) * i // 23 for i in range(1, 23)}):
            self.bad(1, "run", self.write("m.gguf", data[:cut]), "hello", says="m.gguf")
            self.bad(1, "pack", self.path("m.gguf"), "-o", self.path("out"), says="m.gguf")
        self.assertEqual(self.left_behind(), ["m.gguf", "m.rusk"])

    def test_a_flipped_bit_in_the_data_is_found(self):
        data = bytearray(read(packed()))
        offset, length = next(s[1:] for s in rusk_sections(data) if s[0] == "DATA")
        for at in (offset, offset + length // 3):
            if not any(data[at:at + 16]):
                continue
            data[at] ^= 4
            path = self.write("m.rusk", bytes(data))
            self.bad(1, "run", path, "hello", "-n", "1", says="checksum")
            data[at] ^= 4

    def test_unknown_architecture(self):
        data = read(tiny())
        self.assertIn(b"llama", data)
        path = self.write("m.gguf", data.replace(b"llama", b"xyzzy"))
        for arguments in (["run", path, "hello"], ["pack", path, "-o", self.path("out")]):
            self.bad(1, *arguments, says="xyzzy")
        self.good("inspect", path, "--no-entropy")
        self.assertEqual(self.left_behind(), ["m.gguf"])

    def test_unknown_tensor_type_and_overflowing_dimensions(self):
        data = bytearray(read(tiny()))
        name = b"blk.0.attn_q.weight"
        at = data.index(name) + len(name)
        n_dims = struct.unpack_from("<I", data, at)[0]
        self.assertEqual(n_dims, 2)
        dtype = bytes(data[at + 20:at + 24])
        data[at + 20:at + 24] = struct.pack("<I", 16)  # IQ2_XXS: known, not supported
        self.bad(1, "run", self.write("m.gguf", bytes(data)), "hello", says="blk.0.attn_q.weight")
        data[at + 20:at + 24] = struct.pack("<I", 999)
        self.bad(1, "run", self.write("m.gguf", bytes(data)), "hello",
                 says=["blk.0.attn_q.weight", "999"])
        data[at + 20:at + 24] = dtype
        data[at + 4:at + 20] = struct.pack("<QQ", 1 << 62, 1 << 62)
        self.bad(1, "run", self.write("m.gguf", bytes(data)), "hello", says="blk.0.attn_q.weight")
        data[at + 4:at + 20] = struct.pack("<QQ", 64, 0)
        self.bad(1, "run", self.write("m.gguf", bytes(data)), "hello", says="blk.0.attn_q.weight")

    def test_vocabularies_that_do_not_match(self):
        text = self.write("text", "some text " * 500)
        other = tiny("--tokenizer", "spm")
        self.bad(1, "eval", tiny(), "--reference", other, "--text", text, says="vocabular")

    def test_nan_in_the_weights(self):
        """A scale that is NaN must not be packed into something that looks like a model."""
        path = tiny("--type", "Q8_0")
        data = bytearray(read(path))
        tensor = next(t for t in self.good("inspect", path, "--json").json["tensors"]
                      if t["name"] == "blk.0.attn_q.weight")
        self.assertEqual(tensor["type"], "Q8_0")
        at = data.index(b"blk.0.attn_q.weight") + len(b"blk.0.attn_q.weight")
        offset = struct.unpack_from("<Q", data, at + 24)[0]
        sizes = sum(-(-t["bytes"] // 32) * 32 for t in
                    self.good("inspect", path, "--json").json["tensors"])
        start = len(data) - sizes if len(data) % 32 == 0 else None
        if start is None:
            self.skipTest("the tiny model's data does not end on its alignment")
        struct.pack_into("<H", data, start + offset, 0x7E00)
        bad = self.write("m.gguf", bytes(data))
        self.bad(1, "pack", bad, "-o", self.path("out"), says=["blk.0.attn_q.weight"])
        self.assertEqual(self.left_behind(), ["m.gguf"])

    def test_names_with_control_characters_do_not_reach_the_terminal(self):
        data = read(tiny()).replace(b"blk.0.attn_q.weight", b"blk.0.\x1b[2J_q.weight")
        path = self.write("m.gguf", data)
        for arguments in (["inspect", path], ["inspect", path, "--json"], ["run", path, "hello"]):
            r = self.rusk(*arguments)
            self.assertNotIn(b"\x1b", r.out)
            self.assertNotIn("\x1b", r.err)


class BadTexts(clitest.Case):
    def test_prompt_longer_than_the_context(self):
        self.bad(1, "run", tiny(), "hello " * 200, "--raw", "-c", "16",
                 says=["expected at most 16 tokens", "found", "--ctx-size"])

    def test_prompt_that_is_not_utf8(self):
        self.bad(1, "run", tiny(), b"abc\xffdef", says="expected UTF-8, found invalid byte 0xFF at "
                                                       "byte offset 3")
        for text, offset in ((b"\xc0\xaf", 0), (b"a\xed\xa0\x80", 1), (b"ab\xe2\x82", 2),
                             (b"\xf4\x90\x80\x80", 0)):
            self.bad(1, "run", tiny(), "-f", self.write("p", text), says=f"offset {offset}")
        self.bad(1, "run", tiny(), "a", "--system", b"\x80", says="system prompt: expected UTF-8")
        self.bad(1, "chat", tiny(), "--system", b"\x80", says="system prompt: expected UTF-8")

    def test_prompts_from_bad_files(self):
        self.bad(1, "run", tiny(), "-f", self.path("none"), says=["none", "No such file"])
        self.bad(1, "run", tiny(), "-f", self.dir, says="is a directory, expected a text file")
        self.bad(1, "run", tiny(), "-f", self.write("e", ""), says="is empty, expected a text")
        self.bad(1, "run", tiny(), "-f", self.write("e", "\n"), says="prompt is empty")
        self.bad(1, "run", tiny(), "", says="prompt is empty")
        self.bad(1, "run", tiny(), says="standard input' is empty")

    def test_texts_from_bad_files(self):
        for command, option in (("eval", "--text"), ("tokenize", "--text")):
            self.bad(1, command, tiny(), option, self.path("none"), says="No such file")
            self.bad(1, command, tiny(), option, self.dir, says="is a directory")
            self.bad(1, command, tiny(), option, self.write("e", ""), says="is empty")
        self.bad(1, "eval", tiny(), "--text", self.write("t", "too short"),
                 says=["expected", "found"])

    def test_impossible_targets_say_the_least_possible(self):
        for option, value in (("--bits", "0.001"), ("--size", "1000")):
            r = self.bad(1, "pack", tiny(), "-o", self.path("out"), option, value, says="least")
            self.assertRegex(r.err, r"\d{4,}|\d\.\d")
        self.bad(1, "pack", tiny(), "-o", self.path("out"), "--codec", "zip", says="zip")
        self.bad(1, "pack", tiny(), "-o", self.path("out"), "--quantizer", "magic", says="magic")
        self.assertEqual(self.left_behind(), [])


class BadOutputs(clitest.Case):
    def commands(self, out):
        return (["pack", tiny(), "-o", out], ["export", packed(), "-o", out])

    def test_a_directory_that_is_not_there(self):
        for arguments in self.commands(self.path("no/where")):
            self.bad(1, *arguments, says=["no/where", "No such file"])

    def test_output_is_a_directory(self):
        for arguments in self.commands(self.dir):
            self.bad(1, *arguments, says="directory")
        self.assertEqual(self.left_behind(), [])

    def test_output_is_the_source(self):
        path = self.write("m.gguf", read(tiny()))
        self.bad(1, "pack", path, "-o", path, says="the source file itself")
        os.symlink(path, self.path("link"))
        self.bad(1, "export", path, "-o", self.path("link"), says="the source file itself")
        self.assertEqual(read(path), read(tiny()))

    def test_not_writable(self):
        if os.geteuid() == 0:
            out = "/proc/out.rusk"  # root may write anywhere but where files cannot be made
        else:
            os.chmod(self.dir, 0o500)
            out = self.path("out.rusk")
        try:
            for arguments in self.commands(out):
                self.bad(1, *arguments, says=out)
        finally:
            os.chmod(self.dir, 0o700)
        self.assertEqual(self.left_behind(), [])

    def fails_on_full_disk(self, directory, says, **more):
        for command, model in (("pack", tiny("--type", "F16", "--embd", "256")),
                               ("export", packed("--type", "F16", "--embd", "256"))):
            old = os.path.join(directory, "out")
            with open(old, "wb") as f:
                f.write(b"old")
            r = self.rusk(command, model, "-o", old, **more)
            self.assertEqual(r.status, 1, r.err)
            self.assertIn(says, r.err)
            self.assertEqual(os.listdir(directory), ["out"])
            self.assertEqual(read(old), b"old")

    def test_disk_full(self):
        mount = tempfile.mkdtemp(prefix="rusk-full-")
        try:
            if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", mount],
                              capture_output=True, check=False).returncode != 0:
                self.skipTest("no right to mount a small file system")
            try:
                self.fails_on_full_disk(mount, "disk full")
            finally:
                subprocess.run(["umount", mount], check=True)
        finally:
            os.rmdir(mount)

    def test_file_size_limit(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        self.fails_on_full_disk(self.dir, "File too large", preexec_fn=limit)

    def test_standard_output_full(self):
        with open("/dev/full", "wb") as full:
            for arguments in (["inspect", tiny()], ["inspect", tiny(), "--json"],
                              ["run", tiny(), "hello", "-n", "3"], ["help"]):
                r = subprocess.run([clitest.RUSK, *arguments], stdout=full, stderr=subprocess.PIPE,
                                   timeout=60, check=False)
                self.assertEqual(r.returncode, 1, arguments)
                self.assertIn(b"cannot write to standard output: ", r.stderr)
                self.assertEqual(r.stderr.count(b"\n"), 1, r.stderr)


if __name__ == "__main__":
    clitest.main()
