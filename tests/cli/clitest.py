"""clitest - what the tests of the command line share: running rusk, tiny models, a pseudo-terminal.

A test module defines subclasses of Case and ends with clitest.main(). Arguments: names of test
methods; none runs all. Exit status 0 passed, 1 failed, 77 all skipped.
"""
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("RUSK_BUILD", os.path.join(ROOT, "build", "dev"))
RUSK = os.environ.get("RUSK", os.path.join(BUILD, "rusk"))
MAKE_TINY = os.path.join(BUILD, "tests", "make_tiny")
SECONDS = 120

_shared = tempfile.mkdtemp(prefix="rusk-cli-")
_models = {}


def sanitized():
    """Whether this build has sanitizers: slow, and its memory use says nothing."""
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as f:
        return any(line.startswith("RUSK_SANITIZE:") and line.strip()[-1] != "=" for line in f)


def tiny(*options):
    """Path of a tiny GGUF made with these options of make_tiny; made once."""
    if options not in _models:
        path = os.path.join(_shared, f"tiny{len(_models)}.gguf")
        subprocess.run([MAKE_TINY, *options, "-o", path], check=True)
        _models[options] = path
    return _models[options]


def packed(*options):
    """Path of the same packed; made once."""
    key = ("packed",) + options
    if key not in _models:
        path = tiny(*options)[:-5] + ".rusk"
        subprocess.run([RUSK, "pack", tiny(*options), "-o", path, "--bits", "16"], check=True,
                       stdout=subprocess.DEVNULL)
        _models[key] = path
    return _models[key]


def shared_data(name):
    """Path of a file of the measurement data, or a skip."""
    base = os.environ.get("RUSK_SHARED_DATA", os.path.join(ROOT, "..", "shared", "data"))
    path = os.path.join(base, name)
    if not os.path.exists(path):
        raise unittest.SkipTest(f"no measurement data ({name}); see docs/testing.md")
    return path


def demo_model():
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    path = os.environ.get("RUSK_DEMO_MODEL", os.path.join(
        cache, "rusk", "SmolLM2-135M-Instruct.Q4_1.gguf"))
    if not os.path.exists(path):
        raise unittest.SkipTest("no demo model; ./demo fetches it")
    return path


class Result:
    def __init__(self, process, peak_kib=0):
        self.status = process.returncode
        self.out = process.stdout
        self.err = process.stderr.decode("utf-8", "replace")
        self.peak_bytes = peak_kib * 1024

    @property
    def text(self):
        return self.out.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.out)


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="case-", dir=_shared)

    def tearDown(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode("utf-8"))
        return self.path(name)

    def rusk(self, *arguments, stdin=b"", seconds=SECONDS, **more):
        return Result(subprocess.run([RUSK, *arguments], input=stdin, capture_output=True,
                                     timeout=seconds, check=False, **more))

    def good(self, *arguments, **more):
        result = self.rusk(*arguments, **more)
        self.assertEqual(result.status, 0, result.err)
        return result

    def bad(self, status, *arguments, says=(), **more):
        """A run that must end with `status`, one message that holds all of `says`, no output."""
        result = self.rusk(*arguments, **more)
        self.assertEqual(result.status, status, result.err)
        self.assertTrue(result.err.startswith("rusk: "), result.err)
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, result.err)
        self.assertEqual(result.out, b"")
        if status == 2:
            self.assertIn("--help'", result.err)
        return result

    def left_behind(self):
        return sorted(os.listdir(self.dir))


class Terminal:
    """rusk on a pseudo-terminal."""

    def __init__(self, *arguments):
        self.seen = ""
        try:
            self.pid, self.fd = pty.fork()
        except OSError as error:  # a bare chroot has none
            raise unittest.SkipTest(f"no pseudo-terminal here: {error}") from error
        if self.pid == 0:
            os.environ["TERM"] = "vt100"
            os.environ["LC_ALL"] = "C.UTF-8"
            os.execv(RUSK, [RUSK, *arguments])
        self.status = None

    def send(self, text):
        os.write(self.fd, text.encode("utf-8"))

    def read(self, seconds):
        """Reads what comes within `seconds`; False at the end."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.seen += data.decode("utf-8", "replace")
        return bool(data)

    def expect(self, text, seconds=60):
        """Waits for `text` and forgets all up to its end; returns what stood before it."""
        limit = time.monotonic() + seconds
        while text not in self.seen:
            if time.monotonic() > limit:
                raise AssertionError(f"expected {text!r} within {seconds} s, saw {self.seen!r}")
            if not self.read(0.1) and text not in self.seen:
                raise AssertionError(f"expected {text!r}, the program ended after {self.seen!r}")
        before, self.seen = self.seen.split(text, 1)
        return before

    def prompt(self, seconds=60):
        """Waits until a prompt stands there and nothing more comes; returns what came before."""
        limit = time.monotonic() + seconds
        while True:
            before = len(self.seen)
            alive = self.read(0.3)
            quiet = len(self.seen) == before
            if quiet and self.seen.endswith("> "):
                text, self.seen = self.seen[:-2], ""
                return text
            if not alive or time.monotonic() > limit:
                raise AssertionError(f"expected a prompt, saw {self.seen!r}")

    def wait(self, seconds=60):
        """Exit status; reads on meanwhile."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if not self.read(0.05):
                break
        while time.monotonic() < limit:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                self.status = os.waitstatus_to_exitcode(status)
                os.close(self.fd)
                return self.status
            time.sleep(0.02)
        raise AssertionError(f"did not end within {seconds} s, saw {self.seen!r}")

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.fd)


class _Lines(unittest.TestResult):
    def addSuccess(self, test):
        print(f"passed  {test._testMethodName}", flush=True)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print(f"skipped {getattr(test, '_testMethodName', test)}: {reason}", flush=True)

    def _report(self, test):
        print(f"FAILED  {getattr(test, '_testMethodName', test)}", flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._report(test)
        print(self.failures[-1][1], flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        self._report(test)
        print(self.errors[-1][1], flush=True)


def main():
    for program in (RUSK, MAKE_TINY):
        if not os.path.exists(program):
            sys.exit(f"{program} is not built")
    module = sys.modules["__main__"]
    suite = unittest.TestSuite()
    for test_class in unittest.defaultTestLoader.loadTestsFromModule(module):
        for test in test_class:
            if len(sys.argv) < 2 or test._testMethodName in sys.argv[1:]:
                suite.addTest(test)
    result = _Lines()
    try:
        suite.run(result)
    finally:
        shutil.rmtree(_shared, ignore_errors=True)
    n_skipped = len(result.skipped)  # a class that is skipped counts once and runs none
    if not result.wasSuccessful() or result.testsRun + n_skipped == 0:
        sys.exit(1)
    sys.exit(77 if n_skipped >= result.testsRun else 0)
