"""For machine.py, in a network namespace of its own: all kinds of requests, under each of the netem
settings that the arguments give, are answered."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from target import KINDS, Target  # noqa: E402


def main():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    target = Target()
    try:
        for setting in sys.argv[1:]:
            subprocess.run(["tc", "qdisc", "replace", "dev", "lo", "root", "netem",
                            *setting.split()], check=True)
            for kind in KINDS:
                target.must(kind)
        target.verify_ledger()
    finally:
        target.close()


if __name__ == "__main__":
    main()
