"""Command lines: help, versions, options in every form, sizes, and what a wrong one is told."""
import clitest

COMMANDS = ["pack", "run", "chat", "eval", "inspect", "bench", "tokenize", "export"]


class Usage(clitest.Case):
    def test_help_names_every_command(self):
        for arguments in (["help"], ["--help"], ["-h"]):
            text = self.good(*arguments).text
            for command in COMMANDS:
                self.assertIn(f"\n  {command} ", text)

    def test_every_command_has_help_with_examples(self):
        for command in COMMANDS:
            text = self.good(command, "--help").text
            self.assertTrue(text.startswith(f"Usage: rusk {command} "), text)
            self.assertIn("\nExamples:\n  ", text)
            self.assertTrue(all(len(line) <= 100 for line in text.splitlines()), text)
            self.assertEqual(text, self.good("help", command).text)
            self.assertEqual(text, self.good(command, "anything", "-h").text)

    def test_version(self):
        self.assertRegex(self.good("--version").text, r"^rusk \d+\.\d+\.\d+\n$")

    def test_no_command_is_wrong_usage(self):
        result = self.rusk()
        self.assertEqual((result.status, result.out), (2, b""))
        self.assertIn("Usage: rusk COMMAND", result.err)

    def test_unknown_command_is_named(self):
        result = self.rusk("pakc")
        self.assertEqual(result.status, 2)
        self.assertIn("unknown command 'pakc'; did you mean 'pack'?", result.err)
        self.assertIn("unknown command 'xyzzy'\n", self.rusk("help", "xyzzy").err)

    def test_unknown_option_is_named_and_a_near_one_suggested(self):
        self.bad(2, "run", "m", "--tmep", "1",
                 says="unknown option '--tmep'; did you mean '--temp'?")
        self.bad(2, "pack", "m", "--xyzzy", says="unknown option '--xyzzy'\n")
        self.bad(2, "eval", "--refrence=x", says="did you mean '--reference'?")

    def test_missing_arguments(self):
        self.bad(2, "pack", says="expected a model to pack")
        self.bad(2, "pack", "m.gguf", says="expected an output file (-o OUT.rusk)")
        self.bad(2, "export", "m.rusk", says="expected an output file (-o OUT.gguf)")
        self.bad(2, "eval", "m.rusk", says="expected a text (--text FILE)")
        for command in ("run", "chat", "bench", "tokenize"):
            self.bad(2, command, says="expected a model")
        self.bad(2, "inspect", says="expected a file")
        self.bad(2, "run", "m", "-n", says="option -n: expected a value (N)")

    def test_too_many_arguments(self):
        self.bad(2, "inspect", "a", "b", says="unexpected argument 'b'")
        self.bad(2, "run", "m", "two", "words", says=["'words'", "quotes"])
        self.bad(2, "run", "m", "a", "-p", "b", says="expected one prompt, found 2")
        self.bad(2, "tokenize", "m", "a", "--text", "b", says="expected one text, found 2")
        self.bad(2, "run", "m", "a", "--raw", "--system", "b", says="exclude each other")

    def test_numbers_out_of_range(self):
        for command, option, value, says in [
                ("run", "-t", "0", "option -t: expected a whole number from 1 to 256, found '0'"),
                ("pack", "--threads", "0", "from 1 to 256, found '0'"),
                ("eval", "-t", "-1", "found '-1'"),
                ("bench", "-t", "1.5", "found '1.5'"),
                ("run", "-n", "-2", "from -1 to"),
                ("run", "-n", "", "found ''"),
                ("run", "-c", "99999999999999999999", "found '99999999999999999999'"),
                ("run", "--temp", "nan", "found 'nan'"),
                ("run", "--top-p", "1.01", "expected a number from 0 to 1, found '1.01'"),
                ("run", "--repeat-penalty", "0", "expected a number above 0, found '0'"),
                ("run", "--seed", "x", "found 'x'"),
                ("run", "--activations", "f16", "expected one of int8, f32, found 'f16'"),
                ("pack", "--bits", "0", "expected a number above 0, found '0'"),
                ("pack", "--bits", "-4", "found '-4'"),
                ("pack", "--bits", "4.5x", "found '4.5x'"),
                ("pack", "--bits", "inf", "found 'inf'")]:
            self.bad(2, command, "m", option, value, says=says)
        self.bad(2, "pack", "m", "--json=1", says="option --json takes no value, found '1'")

    def test_sizes(self):
        for size in ("", "M", "0", "-1M", "6Q", "60MM", "1e400", "nan", "0x10", " 6M", "20000000T",
                     "0.1"):
            self.bad(2, "pack", "m", "-o", "o", "--size", size,
                     says=["expected a size such as 60M", f"found '{size}'"])
        for size in ("1", "60M", "60MB", "1.5G", "64MiB", "64Mi", "800k", "1 GB", ".5G", "1e6"):
            self.bad(1, "pack", self.path("none.gguf"), "-o", self.path("o"), "--size", size,
                     says="none.gguf")
        self.bad(2, "pack", "m", "-o", "o", "--size", "6M", "--bits", "4", says="found both")

    def test_forms_of_options(self):
        model = clitest.tiny()
        expected = self.good("tokenize", model, "hello", "--ids").out
        for arguments in (["--ids", model, "hello"], ["-m", model, "hello", "--ids"],
                          ["--model=" + model, "--ids", "-p", "hello"],
                          ["-m" + model, "--ids", "--", "hello"], ["--ids", model, "-phello"]):
            self.assertEqual(self.good("tokenize", *arguments).out, expected, arguments)
        dashed = self.good("tokenize", model, "--ids", "--", "--no-bos").text
        self.assertEqual(dashed, self.good("tokenize", model, "--ids", "-p", "--no-bos").text)

    def test_long_names_of_llama_cpp_are_understood(self):
        self.good("run", "--model", clitest.tiny(), "--prompt", "a", "--n-predict", "1",
                  "--ctx-size", "64", "--threads", "1", "--temperature", "0", "--top-k", "1",
                  "--seed", "1", "--predict", "2", "-no-cnv", "--repeat-last-n", "4", "--verbose")


if __name__ == "__main__":
    clitest.main()
