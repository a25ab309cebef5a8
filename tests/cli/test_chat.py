"""A conversation, from a pipe and at a terminal."""
import re

import clitest
from clitest import packed, tiny

OPTIONS = ["--temp", "0", "-n", "6", "-t", "2"]


class Pipe(clitest.Case):
    def test_a_line_is_a_message(self):
        r = self.good("chat", tiny(), *OPTIONS, stdin=b"hello\nand again\n")
        self.assertEqual(r.err, "")
        first = self.good("run", tiny(), "hello", *OPTIONS).out
        self.assertTrue(r.out.startswith(first + b"\n"))
        self.assertGreater(len(r.out), len(first) + 1)

    def test_packed_models_chat_too(self):
        self.good("chat", packed(), *OPTIONS, stdin=b"hello\n")

    def test_only_new_tokens_are_computed(self):
        """The second turn of a conversation costs its own tokens, not those of the first."""
        def prefilled(lines):
            err = self.good("chat", tiny(), *OPTIONS, "-v", stdin=lines).err
            return int(re.search(r"prompt .* (\d+) tokens", err).group(1))
        long, short = b"one two three four five six seven eight nine ten", b"a"
        alone = prefilled(long + b"\n")
        both = prefilled(long + b"\n" + short + b"\n")
        self.assertLess(both - alone, alone)

    def test_clear_forgets(self):
        out = self.good("chat", tiny(), *OPTIONS, stdin=b"hello\n/clear\nhello\n").out
        half = len(out) // 2
        self.assertEqual(out[:half], out[half:])

    def test_the_system_prompt_matters(self):
        a = self.good("chat", tiny(), "-n", "1", "-v", stdin=b"hello\n").err
        b = self.good("chat", tiny(), "-n", "1", "-v", "--system", "Be kind.", stdin=b"hello\n").err
        count = [int(re.search(r"prompt .* (\d+) tokens", e).group(1)) for e in (a, b)]
        self.assertGreater(count[1], count[0])

    def test_commands(self):
        r = self.good("chat", tiny(), *OPTIONS, stdin=b"/help\n\n/exit\nhello\n")
        self.assertEqual(r.out, b"")
        self.assertIn("/clear", r.err)

    def test_a_message_that_is_not_utf8_is_refused_and_the_next_one_answered(self):
        r = self.rusk("chat", tiny(), *OPTIONS, stdin=b"a\xff\nhello\n")
        self.assertEqual(r.status, 1)
        self.assertIn("message: expected UTF-8, found invalid byte 0xFF at byte offset 1", r.err)
        self.assertEqual(r.out, self.good("chat", tiny(), *OPTIONS, stdin=b"hello\n").out)

    def test_a_message_longer_than_the_context_is_refused(self):
        r = self.rusk("chat", tiny(), *OPTIONS, "-c", "64",
                      stdin=b"word " * 100 + b"\nhello\n")
        self.assertEqual(r.status, 1)
        self.assertIn("expected at most 64 tokens", r.err)
        self.assertEqual(r.out, self.good("chat", tiny(), *OPTIONS, stdin=b"hello\n").out)

    def test_a_conversation_that_fills_the_context_goes_on_being_told(self):
        r = self.rusk("chat", tiny(), "--temp", "0", "-n", "40", "-c", "96", stdin=b"hello\n" * 6)
        self.assertEqual(r.status, 1)
        self.assertRegex(r.err, "context of 96 tokens is full|expected at most 96 tokens")


class Terminal(clitest.Case):
    def setUp(self):
        super().setUp()
        self.terminal = None

    def tearDown(self):
        if self.terminal is not None:
            self.terminal.close()
        super().tearDown()

    def start(self, *options):
        self.terminal = clitest.Terminal("chat", tiny(), *OPTIONS, *options)
        self.terminal.prompt()
        return self.terminal

    def test_talk_and_leave_with_ctrl_d(self):
        t = self.start()
        t.send("hello\r")
        t.expect("hello")
        answer = t.prompt()
        expected = self.good("run", tiny(), "hello", *OPTIONS).text.strip()
        self.assertIn(expected.splitlines()[0].strip()[:20], answer.replace("\r", ""))
        t.send("\x04")
        self.assertEqual(t.wait(), 0)

    def test_lines_can_be_edited_and_come_back(self):
        t = self.start()
        t.send("hexlo\x02\x02\x02\x04l\r")  # back over "xlo", delete the x, insert an l
        t.prompt()
        t.send("\x10")  # the line before
        t.expect("hello")
        t.send("\x15\x04")  # kill the line, then end
        self.assertEqual(t.wait(), 0)

    def test_ctrl_c_twice_at_an_empty_prompt_leaves(self):
        t = self.start()
        t.send("some words\x03")
        t.expect("^C")
        t.prompt()
        t.send("\x03")
        t.expect("Ctrl-C again or Ctrl-D leaves")
        t.prompt()
        t.send("\x03")
        self.assertEqual(t.wait(), 130)

    def test_ctrl_c_stops_an_answer(self):
        self.terminal = t = clitest.Terminal(
            "chat", tiny("--embd", "768", "--ff", "2048", "--layers", "12"), "--temp", "2",
            "--top-k", "0", "--top-p", "1", "--min-p", "0", "--seed", "5", "-n", "400", "-t", "1")
        t.prompt()
        t.send("hello\r")
        t.expect("hello")
        t.expect("\n")
        while len(t.seen) < 4:
            self.assertTrue(t.read(30))
        t.send("\x03")
        t.prompt(20)
        t.send("/clear\r")
        t.prompt()
        t.send("\x04")
        self.assertEqual(t.wait(), 0)

    def test_history_goes_to_a_file_only_where_asked_for(self):
        path = self.path("history")
        t = self.start("--history", path)
        t.send("remember me\r")
        t.prompt()
        t.send("\x04")
        self.assertEqual(t.wait(), 0)
        with open(path, encoding="utf-8") as f:
            self.assertIn("remember", f.read())
        t = self.start("--history", path)
        t.send("\x10")
        t.expect("remember me")
        t.send("\x15\x04")
        self.assertEqual(t.wait(), 0)
        self.assertEqual(self.left_behind(), ["history"])

    def test_umlauts_and_lines_that_go_on(self):
        t = self.start()
        t.send("schön \\\r")
        t.expect("... ")
        t.send("grün\r")
        t.prompt()
        t.send("\x04")
        self.assertEqual(t.wait(), 0)


if __name__ == "__main__":
    clitest.main()
