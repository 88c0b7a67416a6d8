"""Draws architecture.svg: the crates of the workspace, each above those that it uses (python docs/pictures/architecture.py).

Which crate uses which is read from their Cargo.toml. Plain Python from 3.11.
"""

import pathlib
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Where each stands: the middle from the left, the row from the bottom.
PLACES = {
    "words": (430, 0),
    "data": (110, 1),
    "core": (430, 1),
    "train": (110, 2),
    "cluster": (430, 2),
    "views": (750, 2),
    "ranks": (430, 3),
    "exports": (750, 3),
    "session": (430, 4),
    "src": (590, 5),
}
MARKS = {"train": "libtorch", "ranks": "MPI"}
ABOUT = {
    "words": "values, names, records, errors",
    "core": "sweep, plan, networks, folder",
    "data": "files to bytes",
    "train": "one training on one device",
    "cluster": "coordinator, workers, link",
    "views": "tables, status, report",
    "ranks": "link between processes",
    "exports": "other programs' forms",
    "session": "one run of a sweep",
    "src": "verbs; tombola, tombola-torch",
}
WIDTH, HEIGHT, BOX, TALL, GAP = 860, 550, 190, 40, 92


def uses(name):
    folder = ROOT if name == "src" else ROOT / "crates" / name
    tables = tomllib.loads((folder / "Cargo.toml").read_text())["dependencies"]
    return [key.removeprefix("tombola-") for key in tables if key.startswith("tombola-")]


def main():
    at = {name: (x, HEIGHT - 50 - row * GAP) for name, (x, row) in PLACES.items()}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    direct = {name: set(uses(name)) for name in at}
    for name, used in direct.items():
        # What follows from another arrow is left out.
        through = set().union(*(closure(other, direct) for other in used)) if used else set()
        for other in sorted(used - through):
            (x, y), (to, down) = at[name], at[other]
            lines.append(
                f'<line x1="{x}" y1="{y + TALL // 2}" x2="{to}" y2="{down - TALL // 2}" stroke="#8a94a6" stroke-width="1.5"/>'
            )
    for name, (x, y) in at.items():
        colour = "#fff1dc" if name in MARKS else "#e8eefb"
        mark = f" · {MARKS[name]}" if name in MARKS else ""
        lines += [
            f'<rect x="{x - BOX // 2}" y="{y - TALL // 2}" width="{BOX}" height="{TALL}" rx="6" fill="{colour}" stroke="#5a6b8c"/>',
            f'<text x="{x}" y="{y - 3}" text-anchor="middle" font-size="15" font-weight="bold" fill="#1c2738">{name}{mark}</text>',
            f'<text x="{x}" y="{y + 13}" text-anchor="middle" font-size="11.5" fill="#44516a">{ABOUT[name]}</text>',
        ]
    lines.append("</svg>")
    (ROOT / "docs/pictures/architecture.svg").write_text("\n".join(lines) + "\n")


def closure(name, direct):
    found = set(direct[name])
    for other in direct[name]:
        found |= closure(other, direct)
    return found


main()
