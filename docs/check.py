"""Checks the documentation: relative links and their anchors lead somewhere, and sweep files in it can be planned.

`python3 docs/check.py [PROGRAM]`; PROGRAM is `scripts/tombola` unless given. Plain Python, nothing to install.
"""

import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)


def anchors(text):
    """The anchors of headings, made as GitHub does."""
    headings = re.findall(r"^#+ (.+)$", without_code(text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield f"{target}: no such file"
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
            yield f"{target}: no such heading"


def png(shade, height=40, width=48):
    """A grey image of one shade."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes([shade]) * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def put_photos(folder):
    """The images that pages speak of."""
    for place, shade in [("crow", 10), ("gull", 200)]:
        birds = folder / "photos" / "birds" / place
        birds.mkdir(parents=True)
        for number in range(20):
            (birds / f"{number}.png").write_bytes(png(shade + number))


def wrong_sweeps(page, program):
    for number, text in enumerate(re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M), 1):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "sweep.toml"
            file.write_text(text, encoding="utf-8")
            put_photos(pathlib.Path(folder))
            environment = os.environ | {"TOMBOLA_DATA_CACHE": f"{folder}/cache"}
            run = subprocess.run([program, "plan", file], capture_output=True, text=True, env=environment)
        if run.returncode:
            yield f"sweep {number}: {run.stderr.strip()}"
        else:
            print(f"{page.relative_to(ROOT)}, sweep {number}: {run.stdout.splitlines()[-3]}")


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else ROOT / "scripts" / "tombola"
    problems = [f"{page.relative_to(ROOT)}: {problem}" for page in PAGES for problem in broken_links(page)]
    problems += [f"{page.relative_to(ROOT)}: {problem}" for page in PAGES for problem in wrong_sweeps(page, program)]
    print("\n".join(problems) or f"{len(PAGES)} pages are well")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
