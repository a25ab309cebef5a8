"""Every command on tiny models of every architecture: what it prints, its JSON, its promises."""
import os
import re

import clitest
from clitest import packed, tiny

ARCHES = ["llama", "qwen2", "gemma3"]
GREEDY = ["--raw", "--temp", "0", "-n", "12"]


class Pack(clitest.Case):
    def test_report(self):
        text = self.good("pack", tiny(), "-o", self.path("m.rusk")).text
        for word in ("source", "packed", "entropy", "side", "tokenizer", "time", "bits/weight"):
            self.assertIn(word, text)
        self.assertEqual(self.left_behind(), ["m.rusk"])

    def test_json(self):
        r = self.good("pack", tiny(), "-o", self.path("m.rusk"), "--bits", "8", "--json").json
        self.assertEqual(set(r), {
            "output", "source_bytes", "file_bytes", "parameters", "bits_per_weight", "entropy_bits",
            "coded_bits", "side_bits", "tokenizer_bytes", "seconds", "peak_bytes"})
        self.assertEqual(r["source_bytes"], os.path.getsize(tiny()))
        self.assertEqual(r["file_bytes"], os.path.getsize(self.path("m.rusk")))
        self.assertAlmostEqual(r["bits_per_weight"], 8 * r["file_bytes"] / r["parameters"], 6)
        self.assertGreaterEqual(r["coded_bits"], r["entropy_bits"] * 0.999)

    def test_size_is_never_exceeded(self):
        least = self.good("pack", tiny(), "-o", self.path("a"), "--bits", "12", "--json").json
        size = least["file_bytes"] + 5000
        r = self.good("pack", tiny(), "-o", self.path("b"), "--size", str(size), "--json").json
        self.assertLessEqual(r["file_bytes"], size)

    def test_same_bytes_for_any_number_of_threads(self):
        for name, threads in (("a", "1"), ("b", "2"), ("c", "5")):
            self.good("pack", tiny(), "-o", self.path(name), "-t", threads, "--bits", "9")
        files = [open(self.path(n), "rb").read() for n in "abc"]
        self.assertEqual(files[0], files[1])
        self.assertEqual(files[0], files[2])

    def test_every_codec(self):
        text = [self.good("pack", tiny(), "-o", self.path("m.rusk"), "--codec", c, "--bits", "16")
                and self.good("run", self.path("m.rusk"), "abc", *GREEDY).out
                for c in ("raw", "rans", "a16", "a16r", "a16x2")]
        self.assertEqual(len(set(text)), 1)

    def test_an_older_file_is_replaced(self):
        self.write("m.rusk", "old")
        self.good("pack", tiny(), "-o", self.path("m.rusk"))
        self.assertGreater(os.path.getsize(self.path("m.rusk")), 1000)
        self.assertEqual(self.left_behind(), ["m.rusk"])

    def test_every_architecture(self):
        for arch in ARCHES:
            self.good("run", packed("--arch", arch), "abc", *GREEDY)


class Run(clitest.Case):
    def test_only_the_answer_on_stdout(self):
        r = self.good("run", tiny(), "hello", *GREEDY)
        self.assertEqual(r.err, "")
        self.assertEqual(r.out, self.good("run", tiny(), "hello", *GREEDY, "-v").out)

    def test_timings_on_stderr(self):
        err = self.good("run", tiny(), "hello", *GREEDY, "--timings").err
        self.assertRegex(err, r"prompt .* tok/s\ndecode .* tok/s\n")
        self.assertRegex(err, r"memory +[\d.]+ [kMG]B")

    def test_same_text_for_any_form_of_the_weights(self):
        model = packed("--arch", "llama")
        first = self.good("run", model, "abc", *GREEDY).out
        for codec in ("raw", "rans", "a16", "a16r", "a16x2"):
            result = self.good("run", model, "abc", *GREEDY, "--codec", codec, "-v")
            self.assertEqual(result.out, first)
            form = "decoded" if codec == "raw" else rf"coded \({codec}\)"
            self.assertRegex(result.err, rf"weights [\d.]+ [kMG]?B: [\d.]+ [kMG]?B {form}, ")
        weights = self.good("run", model, "abc", *GREEDY, "--codec", "rans",
                            "--json").json["weights"]
        self.assertEqual(weights["codec"], "rans")
        self.assertEqual(weights["bytes"], weights["coded_bytes"] + weights["vector_bytes"])
        some = str(weights["bytes"] + 20000)
        json = self.good("run", model, "abc", *GREEDY, "--weights-memory", some, "--json").json
        self.assertLessEqual(json["weights"]["bytes"], int(some))

    def test_memory_for_weights_is_kept_or_refused(self):
        model = packed("--arch", "llama")
        for command in (["run", model, "abc"], ["bench", model]):
            self.bad(1, *command, "--weights-memory", "1k", "--codec", "rans",
                     says=["--weights-memory: expected at least ", "as rans, found 1.00 kB"])
        self.bad(2, "run", model, "abc", "--codec", "zip",
                 says="option --codec: expected one of raw, rans, ")

    def test_same_text_for_any_threads_batch_and_source_of_prompt(self):
        prompt = "One two three " * 20
        first = self.good("run", tiny(), prompt, *GREEDY, "-t", "1").out
        self.assertEqual(first, self.good("run", tiny(), prompt, *GREEDY, "-t", "3").out)
        file = self.write("prompt", prompt + "\n")
        for arguments, stdin in ((["-p", prompt], b""), (["-f", file], b""),
                                 (["-f", "-"], prompt.encode()), ([], prompt.encode())):
            self.assertEqual(first, self.good("run", tiny(), *GREEDY, *arguments, stdin=stdin).out)

    def test_seed_decides(self):
        def say(seed):
            return self.good("run", tiny(), "hello", "-n", "24", "--temp", "1.5", "--seed",
                             seed).out
        self.assertEqual(say("7"), say("7"))
        self.assertNotEqual(say("7"), say("8"))

    def test_count(self):
        err = self.good("run", tiny(), "hello", "--raw", "--temp", "2", "--min-p", "0", "--top-k",
                        "0", "--top-p", "1", "--seed", "3", "-n", "9", "-v").err
        self.assertLessEqual(int(re.search(r"decode .* (\d+) tokens", err).group(1)), 9)
        self.assertEqual(self.good("run", tiny(), "hello", "-n", "0").out, b"")

    def test_output_is_utf8(self):
        for seed in "123":
            out = self.good("run", tiny(), "hello", "--temp", "3", "--top-k", "0", "--seed", seed,
                            "-n", "100", "--min-p", "0", "--top-p", "1").out
            out.decode("utf-8")

    def test_chat_format_unless_raw(self):
        chat = self.good("run", tiny(), "hello", "-n", "1", "-v", "--temp", "0").err
        raw = self.good("run", tiny(), "hello", "-n", "1", "-v", "--temp", "0", "--raw").err
        count = [int(re.search(r"prompt .* (\d+) tokens", e).group(1)) for e in (chat, raw)]
        self.assertGreater(count[0], count[1] + 4)
        told = self.good("run", tiny(), "hello", "-n", "1", "-v", "--system", "Be brief.").err
        self.assertGreater(int(re.search(r"prompt .* (\d+) tokens", told).group(1)), count[0])

    def test_a_full_context_is_told(self):
        r = self.rusk("run", tiny(), "hello", "--raw", "-c", "24", "--temp", "0",
                      "--repeat-penalty", "1.5")
        if r.status == 0:
            self.skipTest("the tiny model ended before its context was full")
        self.assertEqual(r.status, 1)
        self.assertIn("context of 24 tokens is full", r.err)
        self.assertNotEqual(r.out, b"")


class RunJson(clitest.Case):
    def test_the_text_stands_in_the_object(self):
        common = ("run", packed(), "Hello", "-n", "12", "-s", "7")
        text = self.good(*common).text
        r = self.good(*common, "--json").json
        self.assertEqual(r["text"], text)
        self.assertIn(r["stop"], ("count", "end"))
        self.assertLessEqual(r["tokens"], 12)
        self.assertEqual(r["tokens"] == 12, r["stop"] == "count")
        self.assertEqual(r["seed"], 7)
        for name in ("prompt_tokens", "prompt_seconds", "prompt_tok_s", "peak_bytes"):
            self.assertGreater(r[name], 0)

    def test_a_full_context_still_gives_the_object(self):
        r = self.rusk("run", packed(), "--raw", "a", "-c", "8", "--json", "--temp", "0", "-s", "1")
        if r.status == 1:
            self.assertEqual(r.json["stop"], "context")
            self.assertIn("context of 8 tokens is full", r.err)
        else:
            self.assertEqual(r.json["stop"], "end")


class Eval(clitest.Case):
    TEXT = "The quick brown fox jumps over the lazy dog. " * 60

    def test_json_without_a_reference(self):
        text = self.write("t", self.TEXT)
        r = self.good("eval", tiny(), "--text", text, "-c", "64", "--chunks", "3", "--json").json
        self.assertEqual((r["chunks"], r["tokens"]), (3, 3 * 31))
        self.assertGreater(r["perplexity"], 1)
        self.assertGreater(r["perplexity_se"], 0)
        self.assertEqual(len(r["running_perplexity"]), 3)
        self.assertAlmostEqual(r["running_perplexity"][-1], r["perplexity"], 6)
        for name in ("kl_mean", "kl_se", "same_top"):
            self.assertIsNone(r[name])

    def test_a_model_has_no_divergence_from_itself(self):
        text = self.write("t", self.TEXT)
        r = self.good("eval", tiny(), "--text", text, "--reference", tiny(), "-c", "64",
                      "--chunks", "2", "--json").json
        self.assertLess(abs(r["kl_mean"]), 1e-9)
        self.assertEqual(r["same_top"], 1)
        self.assertEqual(r["perplexity"], r["reference_perplexity"])

    def test_what_int8_activations_cost(self):
        text = self.write("t", self.TEXT)
        common = ("eval", tiny("--type", "Q4_0"), "--text", text, "-c", "64", "--chunks", "2",
                  "--json")
        r = self.good(*common, "--reference-activations", "f32").json
        self.assertTrue(0 < r["kl_mean"] < 0.1, r["kl_mean"])
        floats = self.good(*common, "--activations", "f32").json
        self.assertEqual(r["reference_perplexity"], floats["perplexity"])
        r = self.good(*common, "--activations", "f32", "--reference-activations", "f32").json
        self.assertLess(abs(r["kl_mean"]), 1e-9)
        self.bad(2, *common, "--reference-activations", "f16")

    def test_more_bits_less_divergence(self):
        text = self.write("t", self.TEXT)
        kl = []
        for bits in ("3.7", "9"):
            self.good("pack", tiny(), "-o", self.path("m.rusk"), "--bits", bits)
            r = self.good("eval", self.path("m.rusk"), "--text", text, "--reference", tiny(), "-c",
                          "64", "--chunks", "4", "--activations", "f32", "--json").json
            kl.append(r["kl_mean"])
        self.assertGreater(kl[0], kl[1])

    def test_text_from_a_pipe_and_for_people(self):
        text = self.good("eval", tiny(), "--text", "-", "-c", "64", "--chunks", "2",
                         stdin=self.TEXT.encode()).text
        self.assertRegex(text, r"^perplexity +[\d.]+ \+- [\d.]+ ")


class Inspect(clitest.Case):
    PARTS = ("payload", "patch", "table", "class", "index", "padding")

    def check_coding(self, c, entropy_bytes, coded):
        if not coded:
            self.assertIsNone(c)
            return
        self.assertAlmostEqual(c["entropy_bytes"], entropy_bytes, 3)
        self.assertEqual(c["coded_bytes"], sum(c[name + "_bytes"] for name in self.PARTS))
        self.assertAlmostEqual(c["overhead"], c["coded_bytes"] / c["entropy_bytes"] - 1, 9)

    def check(self, path):
        r = self.good("inspect", path, "--json").json
        self.assertEqual(r["file_bytes"], os.path.getsize(path))
        self.assertAlmostEqual(r["bits_per_weight"], 8 * r["file_bytes"] / r["parameters"], 6)
        self.assertEqual(r["metadata"]["general.architecture"], r["architecture"])
        total = 0
        for t in r["tensors"]:
            self.assertLessEqual({"name", "role", "shape", "type", "codec", "bytes",
                                  "bits_per_weight", "entropy"}, set(t))
            n = 1
            for d in t["shape"]:
                n *= d
            total += n
            self.assertAlmostEqual(t["bits_per_weight"], 8 * t["bytes"] / n, 6)
            self.assertGreaterEqual(t["entropy"], 0)
            self.check_coding(t["coding"], t["entropy"] * n / 8, t["codec"] != "none")
        parts = [t["coding"] for t in r["tensors"] if t["coding"]]
        self.check_coding(r["coding"], sum(c["entropy_bytes"] for c in parts), parts)
        for name in r["coding"] or ():
            if name != "overhead":
                self.assertAlmostEqual(r["coding"][name], sum(c[name] for c in parts), 3)
        self.assertEqual(total, r["parameters"])
        return r

    def test_gguf_and_rusk(self):
        a, b = self.check(tiny()), self.check(packed())
        self.assertEqual((a["format"], b["format"]), ("gguf", "rusk"))
        self.assertEqual(a["parameters"], b["parameters"])
        self.assertEqual({t["codec"] for t in a["tensors"]}, {"none"})
        self.assertIn("rans", {t["codec"] for t in b["tensors"]})

    def test_a_type_for_each_tensor(self):
        for dtype in ("F16", "Q4_0", "Q6_K", "IQ4_XS"):
            r = self.good("inspect", tiny("--type", dtype), "--json").json
            self.assertIn(dtype, {t["type"] for t in r["tensors"]})

    def test_for_people(self):
        for path in (tiny(), packed()):
            text = self.good("inspect", path).text
            self.assertIn("general.architecture", text)
            self.assertIn("token_embd.weight", text)
            self.assertIn("\nall tensors ", text)
            self.assertEqual("\nall coded tensors " in text, path == packed())
            self.assertNotIn("\x1b", text)

    def test_without_entropy(self):
        r = self.good("inspect", packed(), "--no-entropy", "--json").json
        self.assertTrue(all(t["entropy"] is None and t["coding"] is None for t in r["tensors"]))
        self.assertIsNone(r["coding"])


class Bench(clitest.Case):
    def test_json(self):
        r = self.good("bench", tiny(), "-p", "64", "-n", "8", "-r", "2", "-t", "2", "--json").json
        self.assertGreater(r["prefill_tok_s"], 0)
        self.assertGreater(r["decode_tok_s"], 0)
        self.assertEqual(r["threads"], 2)
        self.assertLessEqual({"raw", "rans", "a16", "a16r", "a16x2"},
                             {c["codec"] for c in r["codecs"]})
        for c in r["codecs"]:
            for field in ("entropy", "bits", "excess", "decode_gweights_s", "fused_gweights_s"):
                self.assertGreater(c[field], 0)

    def test_profile(self):
        r = self.good("bench", packed(), "-p", "16", "-n", "4", "-d", "5", "-r", "2", "--profile",
                      "--json").json
        self.assertEqual(r["depth"], 5)
        for name, passes, tokens in (("prefill_profile", 1, 16), ("decode_profile", 4, 4)):
            p = r[name]
            self.assertEqual((p["passes"], p["tokens"]), (passes, tokens))
            self.assertAlmostEqual(sum(s["seconds"] for s in p["stages"]), p["seconds"], 9)
            self.assertAlmostEqual(sum(s["share"] for s in p["stages"] if not s["product"]),
                                   p["outside_share"], 9)
            self.assertEqual({s["stage"] for s in p["stages"] if s["product"]},
                             {"qkv", "output", "gate_up", "down", "head"})
            self.assertGreater(p["sampling_seconds"], 0)
        text = self.good("bench", packed(), "-p", "16", "-n", "4", "-r", "1", "--profile").text
        self.assertRegex(text, r"(?m)^outside the products +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$")

    def test_for_people(self):
        text = self.good("bench", packed(), "-p", "16", "-n", "4", "-r", "1").text
        self.assertRegex(text, r"prefill +16 tokens +[\d.]+ tok/s")


class Tokenize(clitest.Case):
    def test_json_and_ids_agree(self):
        for model in (tiny(), tiny("--tokenizer", "spm"), packed()):
            ids = self.good("tokenize", model, "Hello, wörld!", "--json").json["ids"]
            line = self.good("tokenize", model, "Hello, wörld!", "--ids").text
            self.assertEqual([int(x) for x in line.split()], ids)

    def test_a_line_for_each_token(self):
        lines = self.good("tokenize", tiny(), "a\n\"b\x1b\"").text.splitlines()
        text = "".join(line.split("  ", 1)[1].strip()[1:-1] for line in
                       (l.strip() for l in lines))
        self.assertEqual(text, 'a\\n\\"b\\x1B\\"')

    def test_special_tokens_only_where_asked_for(self):
        one = self.good("tokenize", tiny(), "<|im_start|>", "--special", "--json").json
        many = self.good("tokenize", tiny(), "<|im_start|>", "--json").json
        self.assertEqual(one["n"], 1)
        self.assertGreater(many["n"], 1)

    def test_bos_where_the_model_asks_for_it(self):
        spm = tiny("--tokenizer", "spm")
        with_bos = self.good("tokenize", spm, "a", "--json").json["ids"]
        without = self.good("tokenize", spm, "a", "--no-bos", "--json").json["ids"]
        self.assertEqual(with_bos[1:], without)

    def test_invalid_utf8_is_text_too(self):
        file = self.write("t", b"a\xff\xfeb")
        self.assertGreater(self.good("tokenize", tiny(), "--text", file, "--json").json["n"], 0)


class Export(clitest.Case):
    def test_the_export_gives_the_same_text(self):
        for arch in ARCHES:
            r = self.good("export", packed("--arch", arch), "-o", self.path("m.gguf"),
                          "--json").json
            self.assertEqual(r["file_bytes"], os.path.getsize(self.path("m.gguf")))
            info = self.good("inspect", self.path("m.gguf"), "--json", "--no-entropy").json
            self.assertEqual(info["architecture"], arch)
            self.assertLessEqual({t["type"] for t in info["tensors"]}, {"F16", "F32"})
        self.assertEqual(self.left_behind(), ["m.gguf"])

    def test_the_export_is_near_the_packed_model(self):
        self.good("export", packed(), "-o", self.path("m.gguf"))
        text = self.write("t", Eval.TEXT)
        r = self.good("eval", self.path("m.gguf"), "--reference", packed(), "--text", text, "-c",
                      "64", "--chunks", "3", "--activations", "f32", "--json").json
        self.assertLess(r["kl_mean"], 1e-3)


if __name__ == "__main__":
    clitest.main()
