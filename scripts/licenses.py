"""The licence texts of what is linked into the programs: most of these licences ask that their text goes with a copy.

    scripts/licenses.py --target TARGET [--target ...] --zig FOLDER PACKAGE... >THIRD-PARTY-LICENSES.txt

A text that several crates have is there once. A crate that comes without a text is named with its licence and where it
comes from. FOLDER is the one of the ziglang package, whose C library and unwinder are linked in, too.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

TEXT = re.compile(r"(?i)^(licen[cs]e|copying|copyright|notice|unlicense)")
HEAD = """What is linked into {programs}, and under which licence. Rust's standard library, https://github.com/rust-lang/rust,
is in each under MIT OR Apache-2.0.
"""


def cargo(*arguments: str) -> str:
    return subprocess.run(["cargo", *arguments], capture_output=True, check=True, text=True).stdout


def crates(packages: list[str], targets: list[str]) -> list[dict]:
    """The crates of others that are linked in, by name and version."""
    chosen = [option for package in packages for option in ("--package", package)]
    linked = set()
    for target in targets:
        tree = cargo(
            "tree", "--locked", *chosen, "--edges", "normal", "--target", target, "--prefix", "none", "--format", "{p}"
        )
        linked |= {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    known = json.loads(cargo("metadata", "--locked", "--format-version", "1"))["packages"]
    found = [each for each in known if each["source"] and (each["name"], f"v{each['version']}") in linked]
    return sorted(found, key=lambda each: (each["name"], each["version"]))


def texts(folder: pathlib.Path) -> list[str]:
    files = sorted(file for file in folder.iterdir() if TEXT.match(file.name) and file.is_file())
    return [file.read_text(errors="replace").strip() for file in files]


def parts(packages: list[str], targets: list[str], zig: pathlib.Path) -> list[tuple[str, list[str]]]:
    """Name and licence of each part, and its texts."""
    found = [
        (
            f"{crate['name']} {crate['version']} ({crate['license'] or 'see its text'}), {crate['repository'] or 'crates.io'}",
            texts(pathlib.Path(crate["manifest_path"]).parent),
        )
        for crate in crates(packages, targets)
    ]
    found.append(("musl (MIT), https://musl.libc.org", texts(zig / "lib/libc/musl")))
    found.append(("libunwind (Apache-2.0 WITH LLVM-exception), https://llvm.org", texts(zig / "lib/libunwind")))
    found.append(("zig-compiler-rt (MIT), https://ziglang.org", texts(zig)))
    return found


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--target", action="append", required=True)
    reader.add_argument("--zig", type=pathlib.Path, required=True)
    reader.add_argument("packages", nargs="+", metavar="PACKAGE")
    arguments = reader.parse_args()
    named: dict[str, list[str]] = {}
    for name, own in parts(arguments.packages, arguments.target, arguments.zig):
        for text in own or ["(comes without a text of its licence)"]:
            named.setdefault(text, []).append(name)
    rule = "-" * 78
    told = [HEAD.format(programs=", ".join(sorted(arguments.packages)))]
    told += ["\n".join([rule, *names, rule, "", text, ""]) for text, names in named.items()]
    sys.stdout.buffer.write("\n".join(told).encode())


if __name__ == "__main__":
    main()
