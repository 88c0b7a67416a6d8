"""What `scripts/structure.py` has to know of one Rust file: the paths that it names, its types, its test modules.

No parser: a list of words, brackets and `::`, without comments and literals, is enough for that. Macros are read like any
other text.
"""

import re

_TOKEN = re.compile(
    r"""
    (?P<blank>\s+)
  | (?P<comment>//[^\n]*)
  | (?P<raw>b?r(?P<hashes>\#*)".*?"(?P=hashes))
  | (?P<text>[bc]?"(?:\\.|[^"\\])*")
  | (?P<char>b?'(?:\\(?:u\{[^}]*\}|x[0-9a-fA-F]{2}|.)|[^'\\])')
  | (?P<lifetime>'\w+)
  | (?P<word>(?:r\#)?[A-Za-z_]\w*)
  | (?P<number>\d\w*(?:\.\d\w*)?)
  | (?P<join>::)
  | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPEN = {"{": "}", "(": ")", "[": "]"}
_ITEMS = {"pub", "fn", "async", "unsafe", "const", "static", "impl", "mod", "use", "extern", "macro_rules", "struct", "enum", "trait", "type", "union", "#"}
_TYPES = {"struct", "enum", "trait", "type", "union"}


def tokens(text):
    """(word or mark, line), without blanks, comments and literals; a literal is one mark `"`."""
    found, line, at = [], 1, 0
    while at < len(text):
        if text.startswith("/*", at):
            end = _end_of_comment(text, at)
            line += text.count("\n", at, end)
            at = end
            continue
        match = _TOKEN.match(text, at)
        kind = match.lastgroup if match.lastgroup != "hashes" else "raw"
        if kind in ("word", "join", "mark"):
            found.append((match.group().removeprefix("r#"), line))
        elif kind in ("raw", "text", "char"):
            found.append(('"', line))
        line += match.group().count("\n")
        at = match.end()
    return found


def _end_of_comment(text, at):
    """Comments of this kind can hold others."""
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(text, at):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


class Source:
    """A file. `paths` are those that begin at a crate, `inner_paths` those inside its own crate, counted from its root."""

    def __init__(self, path, name, module, root_file):
        self.name = name
        self.module = module
        self.root_file = root_file
        self.paths = []
        self.inner_paths = []
        self.exports = []
        self.types = []
        self.test_modules = []
        text = path.read_text()
        self.lines = text.splitlines()
        self._tokens = tokens(text)
        self._read(0, len(self._tokens), list(module))

    def _word(self, at):
        return self._tokens[at][0] if 0 <= at < len(self._tokens) else ""

    def _after(self, at):
        """Behind the bracket that closes the one at `at`."""
        depth = 0
        while at < len(self._tokens):
            if self._word(at) in _OPEN:
                depth += 1
            elif self._word(at) in _OPEN.values():
                depth -= 1
                if depth == 0:
                    return at + 1
            at += 1
        return at

    def _read(self, at, end, module):
        while at < end:
            word, line = self._tokens[at]
            if word == "#" and self._word(at + 1) == "[" and self._attribute(at + 1) == ["cfg", "(", "test", ")"]:
                at = self._skip_item(self._after(at + 1), module)
            elif word == "mod" and self._word(at + 2) == ";":
                at += 3
            elif word == "mod" and self._word(at + 2) == "{":
                after = self._after(at + 2)
                self._read(at + 3, after - 1, [*module, self._word(at + 1)])
                at = after
            elif word == "use":
                at = self._use(at, module)
            elif word in _TYPES and not self._is_associated(at) and re.match(r"[A-Za-z_]", self._word(at + 1)):
                self.types.append((self._word(at + 1), line))
                at += 2
            elif re.match(r"[A-Za-z_]", word) and self._word(at + 1) == "::" and self._begins_path(at):
                at = self._path(at, module)
            else:
                at += 1

    def _attribute(self, bracket):
        return [word for word, _ in self._tokens[bracket + 1 : self._after(bracket) - 1]]

    def _skip_item(self, at, module):
        """Behind the item at `at`; notes down the file of a module that is for tests only."""
        item = self._word(at) in _ITEMS
        while at < len(self._tokens):
            word = self._word(at)
            if word == "mod" and self._word(at + 2) == ";":
                self.test_modules.append((*module, self._word(at + 1)))
                return at + 3
            if word == "use":
                while self._word(at) not in (";", ""):
                    at += 1
                return at + 1
            # A field, an argument or an arm ends with a comma, or with what it stands in.
            if word == ";" or (word == "," and not item):
                return at + 1
            if word in _OPEN.values():
                return at
            if word == "{":
                return self._after(at)
            at = self._after(at) if word in _OPEN else at + 1
        return at

    def _is_public(self, at):
        """`pub` or `pub(crate)`, with `unsafe` and `auto` between allowed."""
        at -= 1
        while self._word(at) in ("unsafe", "auto"):
            at -= 1
        if [self._word(at + step) for step in (-3, -2, -1, 0)] == ["pub", "(", "crate", ")"]:
            return True
        return self._word(at) == "pub"

    def _is_associated(self, at):
        """A `type` inside a trait or an implementation: rustfmt indents those, and no other that is not public."""
        word, line = self._tokens[at]
        return word == "type" and not self._is_public(at) and self.lines[line - 1].startswith(" ")

    def _begins_path(self, at):
        """Not the second name of a path; but a path may begin with `::`."""
        return self._word(at - 1) != "::" or not re.match(r"[A-Za-z_>]", self._word(at - 2))

    def _path(self, at, module):
        line = self._tokens[at][1]
        path = [self._word(at)]
        at += 1
        while self._word(at) == "::" and re.match(r"[A-Za-z_]", self._word(at + 1)):
            path.append(self._word(at + 1))
            at += 2
        self._note(path, line, module)
        return at

    def _use(self, at, module):
        public = self._is_public(at)
        # A path that begins with `::` begins at a crate as well.
        end = at
        while self._word(end) not in (";", ""):
            end = self._after(end) if self._word(end) in _OPEN else end + 1
        for path, name, line in self._tree(at + 1, end, []):
            self._note(path, line, module)
            if public and self.root_file:
                self.exports.append((name, path[1:] if path[0] in ("crate", "self") else path))
        return end + 1

    def _tree(self, at, end, before):
        """The paths of a tree of `use`, each with the name that it gives and its line."""
        found = []
        while at < end:
            path, name = list(before), None
            line = self._tokens[at][1]
            while at < end and self._word(at) != ",":
                word = self._word(at)
                if word == "{":
                    after = self._after(at)
                    found += self._tree(at + 1, after - 1, path)
                    path, at = [], after
                elif word == "as":
                    name, at = self._word(at + 1), at + 2
                else:
                    if word not in ("::", "*") and not (word == "self" and path):
                        path.append(word)
                    at += 1
            if path:
                found.append((path, name or path[-1], line))
            at += 1
        return found

    def _note(self, path, line, module):
        if path[0] == "crate":
            self.inner_paths.append((path[1:], line))
        elif path[0] in ("super", "self"):
            place = list(module)
            while path and path[0] in ("super", "self"):
                if path[0] == "super" and place:
                    place.pop()
                path = path[1:]
            self.inner_paths.append((place + path, line))
        else:
            self.paths.append((path, line))
