"""Ctrl-C, closed pipes and closed descriptors: quiet, quick, nothing left behind."""
import os
import signal
import subprocess
import time
import unittest

import clitest
from clitest import RUSK, packed, tiny

BIG = ("--embd", "768", "--ff", "2048", "--layers", "12")  # takes a while to pack and to run


class Signals(clitest.Case):
    def interrupted(self, arguments, ready, sig=signal.SIGINT):
        """Starts rusk, waits until ready(process), sends the signal; (status, stderr)."""
        process = subprocess.Popen([RUSK, *arguments], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, cwd=self.dir)
        try:
            limit = time.monotonic() + 60
            while not ready(process):
                if process.poll() is not None or time.monotonic() > limit:
                    out, err = process.communicate(timeout=60)
                    if process.returncode == 0:
                        raise unittest.SkipTest("it was done before it could be interrupted")
                    self.fail(f"status {process.returncode}: {err}")
                time.sleep(0.005)
            started = time.monotonic()
            process.send_signal(sig)
            _, err = process.communicate(timeout=60)
            self.assertLess(time.monotonic() - started, 20 if clitest.sanitized() else 5)
            return process.returncode, err.decode()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def writing(self, _):
        return bool(self.left_behind())

    def test_pack(self):
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            status, err = self.interrupted(["pack", tiny(*BIG), "-o", self.path("out.rusk")],
                                           self.writing, sig)
            self.assertEqual(status, 128 + sig)
            self.assertEqual(err, "rusk: interrupted\n")
            self.assertEqual(self.left_behind(), [])

    def test_export(self):
        status, _ = self.interrupted(["export", packed(*BIG), "-o", self.path("out.gguf")],
                                     self.writing)
        self.assertEqual(status, 130)
        self.assertEqual(self.left_behind(), [])

    def test_run(self):
        def talking(process):
            return bool(os.read(process.stdout.fileno(), 1))
        status, err = self.interrupted(
            ["run", tiny(*BIG), "hello", "--raw", "--temp", "2", "--top-k", "0", "--top-p", "1",
             "--min-p", "0", "--seed", "5"], talking)
        self.assertEqual((status, err), (130, ""))

    def test_eval(self):
        text = self.write("text", "some words and more words " * 3000)
        started = time.monotonic()
        status, err = self.interrupted(["eval", tiny(*BIG), "--text", text, "-c", "64"],
                                       lambda _: time.monotonic() > started + 2)
        self.assertEqual((status, err), (130, "rusk: interrupted\n"))

    def test_ignored_interrupts_stay_ignored(self):
        def ignore():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        process = subprocess.Popen([RUSK, "run", tiny(), "hello", "-n", "3"], preexec_fn=ignore,
                                   stdout=subprocess.DEVNULL)
        for _ in range(20):
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
        self.assertEqual(process.wait(60), 0)


class Pipes(clitest.Case):
    def test_a_reader_that_leaves_ends_it_quietly(self):
        for arguments in (["inspect", tiny(), "--json"], ["inspect", packed()], ["help"],
                          ["run", tiny(), "hello", "-n", "50", "--raw"],
                          ["tokenize", tiny(), "word " * 5000]):
            read_end, write_end = os.pipe()
            os.close(read_end)
            r = subprocess.run([RUSK, *arguments], stdout=write_end, stderr=subprocess.PIPE,
                               timeout=60, check=False)
            os.close(write_end)
            self.assertEqual((r.returncode, r.stderr), (141, b""), arguments)

    def test_closed_descriptors_do_not_become_files(self):
        for closed in ("1>&-", "2>&-", "0<&- 1>&- 2>&-"):
            subprocess.run(["sh", "-c", f'"$0" pack "$1" -o "$2" --bits 16 {closed}', RUSK, tiny(),
                            self.path("out.rusk")], timeout=60, check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.good("inspect", self.path("out.rusk"))
            os.remove(self.path("out.rusk"))

    def test_no_bar_and_no_colour_without_a_terminal(self):
        r = self.good("pack", tiny(), "-o", self.path("out.rusk"))
        self.assertEqual(r.err, "")
        self.assertNotIn(b"\x1b", r.out)


class Bar(clitest.Case):
    def test_a_bar_on_a_terminal_that_goes_away(self):
        terminal = clitest.Terminal("pack", tiny(*BIG), "-o", self.path("out.rusk"))
        try:
            terminal.expect("[#")
            terminal.expect("%")
            terminal.expect("\r\x1b[K")
            self.assertEqual(terminal.wait(120), 0)
            self.assertIn("bits/weight", terminal.seen)
        finally:
            terminal.close()

    def test_ctrl_c_on_a_terminal(self):
        terminal = clitest.Terminal("pack", tiny(*BIG), "-o", self.path("out.rusk"))
        try:
            terminal.expect("[#")
            terminal.send("\x03")
            self.assertEqual(terminal.wait(), 130)
            self.assertEqual(self.left_behind(), [])
        finally:
            terminal.close()


if __name__ == "__main__":
    clitest.main()
