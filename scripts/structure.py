#!/usr/bin/env python3
"""Checks how the sources hang together: `python3 scripts/structure.py [FOLDER]`. Plain Python from 3.11, nothing to install.

Fails, and says where, if
  * crates of the workspace, or modules of one crate, stand in a circle: the files and folders directly below `src/`, and
    those below each folder, among themselves. A module and those below it may use each other;
  * the name of a type, public or not, stands twice in the workspace, unless the page names it (`docs/architecture.md`, the
    table below the heading "Names that stand twice"), or the page names one that does not;
  * documentation has an example in Rust where Cargo tests none (`doctest = false`);
  * a library of others is used outside the crates that it belongs to (`PLACES`);
  * something of the standard library is called that panics where nothing is wrong with the program (`PANICKING`).

What tests use does not count: items below `#[cfg(test)]`, files named `tests.rs`, files in folders named `tests`.
`scripts/rust_source.py` reads the sources.
"""

import collections
import pathlib
import re
import sys

try:
    import tomllib
except ImportError:
    sys.exit(f"error: this is Python {sys.version.split()[0]}, and scripts/structure.py needs 3.11 or newer, which reads TOML")

from rust_source import Source

# Libraries of others, and the folders of the only crates that may use them.
PLACES = {
    "tch": ("crates/train",),
    "torch_sys": ("crates/train",),
    "mpi": ("crates/ranks",),
}
# What panics on what the world may do to the program, and what is used instead.
PANICKING = {
    r"\be?print(ln)?!": "it panics when nobody reads: use `tombola_words::speech`",
    r"\bDuration::(from_secs_f32|from_secs_f64)\b": "it panics on numbers that are too large: use `Duration::try_from_secs_f64`",
}
PAGE = "docs/architecture.md"
HEADING = "Names that stand twice"
ROOTS = {"lib", "main"}
# What rustdoc takes for an example that it runs, or compiles.
RUST = {"", "rust", "should_panic", "no_run", "ignore", "compile_fail"}


class Crate:
    """A package of the workspace: its name in paths, its dependencies, and its sources but for tests."""

    def __init__(self, root, folder, shared):
        manifest = tomllib.loads((folder / "Cargo.toml").read_text())
        package = manifest["package"]["name"]
        self.folder = folder.relative_to(root).as_posix()
        self.name = manifest.get("lib", {}).get("name", package.replace("-", "_"))
        tables = [manifest, *manifest.get("target", {}).values()]
        self.dependencies = {
            self._library(key, value, shared)
            for table in tables
            for kind in ("dependencies", "build-dependencies")
            for key, value in table.get(kind, {}).items()
        }
        binaries = {pathlib.PurePath(entry.get("path", "")) for entry in manifest.get("bin", [])}
        self.sources = []
        skipped = set()
        for path in sorted((folder / "src").rglob("*.rs")):
            inside = path.relative_to(folder / "src")
            if path.name == "tests.rs" or "tests" in inside.parts[:-1]:
                continue
            root_file = len(inside.parts) == 1 and (inside.stem in ROOTS or path.relative_to(folder) in binaries)
            root_file = root_file or inside.parts[0] == "bin"
            source = Source(path, path.relative_to(root).as_posix(), self._module(inside), root_file)
            skipped.update(source.test_modules)
            self.sources.append(source)
        # Files of modules that are declared for tests only, and all below them.
        self.sources = [
            source
            for source in self.sources
            if not any(tuple(source.module[: len(module)]) == module for module in skipped)
        ]
        self.modules = sorted({source.module[0] for source in self.sources if source.module})
        self.exports = {}
        for source in self.sources:
            if source.root_file:
                self.exports.update({name: path for name, path in source.exports if path and path[0] in self.modules})

    @staticmethod
    def _library(key, value, shared):
        """The name in paths: dependencies may be renamed, and described in the workspace."""
        if isinstance(value, dict) and value.get("workspace"):
            value = shared.get(key, {})
        renamed = isinstance(value, dict) and "package" in value
        return (value["package"] if renamed else key).replace("-", "_")

    @staticmethod
    def _module(inside):
        parts = list(inside.with_suffix("").parts)
        if parts[-1] == "mod" or (len(parts) == 1 and parts[0] in ROOTS):
            parts.pop()
        return parts

    def path_named_by(self, path):
        """`crate::PATH` from the module that it leads to on, or nothing; through a name that lib.rs gives on, if need be."""
        if path and path[0] in self.modules:
            return path
        if path and path[0] in self.exports:
            return [*self.exports[path[0]], *path[1:]]
        return []


def workspace(root):
    """All crates: the package of the root folder and the members."""
    manifest = tomllib.loads((root / "Cargo.toml").read_text())
    table = manifest.get("workspace", {})
    folders = [root] if "package" in manifest else []
    excluded = {root / name for name in table.get("exclude", [])}
    for pattern in table.get("members", []):
        found = [path.parent for path in root.glob(f"{pattern}/Cargo.toml") if path.parent not in excluded]
        if not found:
            raise SystemExit(f"error: no crate is at `{pattern}`, which `Cargo.toml` names as a member of the workspace")
        folders += sorted(path for path in found if path not in folders)
    return [Crate(root, folder, table.get("dependencies", {})) for folder in folders]


class Graph:
    """Who uses whom, and where that was seen first."""

    def __init__(self):
        self.edges = collections.defaultdict(dict)

    def add(self, user, used, place):
        if user != used:
            self.edges[user].setdefault(used, []).append(place)

    def circles(self):
        """Sets of nodes that all reach each other, two and more."""
        reached = {node: self._reach(node) for node in self.edges}
        circles = {frozenset(other for other in reached[node] if node in reached.get(other, ())) for node in reached}
        return sorted((sorted(circle) for circle in circles if len(circle) > 1), key=lambda circle: circle[0])

    def _reach(self, start):
        seen, waiting = set(), [start]
        while waiting:
            for node in self.edges.get(waiting.pop(), ()):
                if node not in seen:
                    seen.add(node)
                    waiting.append(node)
        return seen

    def describe(self, circle):
        """The uses inside a circle, one a line: the rarest are the likeliest to be cut."""
        uses = [(user, used, self.edges[user][used]) for user in circle for used in circle if used in self.edges[user]]
        uses.sort(key=lambda use: len(use[2]))
        return [f"    {user} uses {used}: {places[0]}" + (f" and {len(places) - 1} more" if places[1:] else "") for user, used, places in uses]


def circles_of_crates(crates):
    graph = Graph()
    names = {crate.name for crate in crates}
    for crate in crates:
        manifest = pathlib.PurePath(crate.folder, "Cargo.toml").as_posix()
        for used in crate.dependencies & names:
            graph.add(crate.name, used, manifest)
        for source in crate.sources:
            for path, line in source.paths:
                if path[0] in names:
                    graph.add(crate.name, path[0], f"{source.name}:{line}")
    return [
        "\n".join([f"crates stand in a circle: {', '.join(circle)}", *graph.describe(circle)]) for circle in graph.circles()
    ]


def circles_of_modules(crate):
    graph = Graph()
    known = {tuple(source.module[:depth]) for source in crate.sources for depth in range(1, len(source.module) + 1)}
    for source in crate.sources:
        if source.root_file:
            continue
        for path, line in source.inner_paths:
            path = crate.path_named_by(path)
            for depth in range(min(len(source.module), len(path))):
                user, used = tuple(source.module[: depth + 1]), tuple(path[: depth + 1])
                if user[:-1] == used[:-1] and used in known:
                    graph.add("::".join(user), "::".join(used), f"{source.name}:{line}")
    return [
        "\n".join([f"modules of `{crate.name}` stand in a circle: {', '.join(circle)}", *graph.describe(circle)])
        for circle in graph.circles()
    ]


def names_on_page(root):
    """The names that the page allows to stand twice: what is in backticks in the first column of its table."""
    page = root / PAGE
    if not page.is_file():
        return set()
    names, inside = set(), False
    for line in page.read_text().splitlines():
        if line.startswith("#"):
            inside = line.lstrip("#").strip() == HEADING
        elif inside and line.startswith("|"):
            names.update(re.findall(r"`(\w+)`", line.split("|")[1]))
    return names


def names_that_stand_twice(root, crates):
    places = collections.defaultdict(list)
    for crate in crates:
        for source in crate.sources:
            for name, line in source.types:
                places[name].append(f"{source.name}:{line}")
    allowed = names_on_page(root)
    twice = {name for name, found in places.items() if len(found) > 1}
    problems = [
        f"`{name}` names {len(places[name])} types: {', '.join(places[name])}; rename, or say in {PAGE} below "
        f'"{HEADING}" why the name stands twice'
        for name in sorted(twice - allowed)
    ]
    problems += [
        f'{PAGE} lists `{name}` below "{HEADING}", but {len(places[name])} types have that name'
        for name in sorted(allowed - twice)
    ]
    return problems, sum(map(len, places.values()))


def libraries_out_of_place(crates):
    problems = []
    for crate in crates:
        for library, folders in PLACES.items():
            if crate.folder in folders:
                continue
            # A module of that name is the crate's own.
            owners = {other.name for other in crates if other.folder in folders and library not in other.modules}
            place = f"`{library}` belongs to {' and '.join(folders)} alone, but "
            if library in crate.dependencies:
                problems.append(f"{place}{pathlib.PurePath(crate.folder, 'Cargo.toml').as_posix()} depends on it")
            for source in crate.sources:
                # By itself, or as its own crate gives it on.
                lines = [
                    line
                    for path, line in source.paths
                    if (path[0] == library and library in crate.dependencies) or (len(path) > 1 and path[0] in owners and path[1] == library)
                ]
                if lines:
                    more = f" and {len(lines) - 1} more" if lines[1:] else ""
                    problems.append(f"{place}{source.name}:{lines[0]} uses it{more}")
    return problems


def examples_that_never_run(root, crates):
    """Code in documentation, where the manifest says that none is tested."""
    problems = []
    for crate in crates:
        manifest = tomllib.loads((root / crate.folder / "Cargo.toml").read_text())
        if manifest.get("lib", {}).get("doctest", True):
            continue
        for source in crate.sources:
            inside = False
            for number, line in enumerate(source.lines, 1):
                fence = re.match(r"\s*//[/!]\s*```(\w*)", line)
                if fence and not inside and fence[1] in RUST:
                    problems.append(
                        f"{source.name}:{number} has an example, which is never run: make it a test, mark it as `text`, or take "
                        f"`doctest = false` out of {pathlib.PurePath(crate.folder, 'Cargo.toml').as_posix()}"
                    )
                inside ^= bool(fence)
    return problems


def calls_that_panic(crates):
    problems = []
    for crate in crates:
        for source in crate.sources:
            for number, line in enumerate(source.lines, 1):
                # Tests stand at the end of a file.
                if line.startswith("mod tests"):
                    break
                for pattern, cure in PANICKING.items():
                    if found := re.search(pattern, line.split("//")[0]):
                        problems.append(f"{source.name}:{number} calls `{found[0]}`: {cure}")
    return problems


def check(root):
    """All problems, and what was looked at."""
    crates = workspace(root)
    problems = circles_of_crates(crates)
    for crate in crates:
        problems += circles_of_modules(crate)
    twice, types = names_that_stand_twice(root, crates)
    problems += twice + libraries_out_of_place(crates) + examples_that_never_run(root, crates) + calls_that_panic(crates)
    modules = sum(len(crate.modules) for crate in crates)
    files = sum(len(crate.sources) for crate in crates)
    return problems, f"{len(crates)} crates, {modules} modules in {files} files, {types} types"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    problems, looked_at = check(root)
    for problem in problems:
        print(f"error: {problem}")
    print(f"looked at {looked_at}: {len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
