#!/usr/bin/env python3
"""Tests of `scripts/structure.py`, on workspaces made for them: `python3 scripts/structure_test.py`."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

import structure

BOTTOM = '[package]\nname = "made-up-bottom"\n'
TOP = '[package]\nname = "made-up-top"\n[dependencies]\nmade-up-bottom = { path = "../bottom" }\n'
WORKSPACE = '[workspace]\nmembers = ["crates/*"]\n'


class Made(unittest.TestCase):
    """Has a workspace of two crates, of which the upper one uses the lower one."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name).resolve()
        self.write("Cargo.toml", WORKSPACE)
        self.write("crates/bottom/Cargo.toml", BOTTOM)
        self.write("crates/bottom/src/lib.rs", "pub mod one;\nmod two;\n")
        self.write("crates/bottom/src/one.rs", "use crate::two::Two;\npub struct One(Two);\n")
        self.write("crates/bottom/src/two/mod.rs", "pub(crate) struct Two;\n")
        self.write("crates/top/Cargo.toml", TOP)
        self.write("crates/top/src/lib.rs", "use made_up_bottom::one::One;\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def problems(self):
        return structure.check(self.root)[0]

    def problem(self):
        """The only one."""
        problems = self.problems()
        self.assertEqual(len(problems), 1, problems)
        return problems[0]


class Circles(Made):
    def test_a_sound_workspace_has_no_problem_and_is_counted(self):
        problems, looked_at = structure.check(self.root)
        self.assertEqual(problems, [])
        self.assertEqual(looked_at, "2 crates, 2 modules in 4 files, 2 types")

    def test_crates_in_a_circle_are_named_with_the_places(self):
        self.write("crates/bottom/src/two/mod.rs", "pub(crate) struct Two;\n\nfn up() { ::made_up_top::go() }\n")
        problem = self.problem()
        self.assertIn("crates stand in a circle: made_up_bottom, made_up_top", problem)
        self.assertIn("made_up_bottom uses made_up_top: crates/bottom/src/two/mod.rs:3", problem)
        self.assertIn("made_up_top uses made_up_bottom: crates/top/Cargo.toml and 1 more", problem)

    def test_every_way_to_name_a_module_closes_a_circle(self):
        ways = [
            "use crate::one::One;",
            "use crate::{error::Error, one::{self, One}};",
            "use super::one;",
            "fn f() -> crate::one::One { todo() }",
            "mod inner { use super::super::one::One; }",
            "macro_rules! m { () => { $crate::one::One } }",
            "fn f() { let c = '\"'; super::one::g() }",
            "fn f<'a>(x: &'a str) { super::one::g() }",
            'const TEXT: &str = r#"a " quote"#; use super::one as other;',
        ]
        for way in ways:
            with self.subTest(way):
                self.write("crates/bottom/src/two/mod.rs", f"pub(crate) struct Two;\n{way}\n")
                problem = self.problem()
                self.assertIn("modules of `made_up_bottom` stand in a circle: one, two", problem)
                self.assertIn("two uses one: crates/bottom/src/two/mod.rs:2", problem)

    def test_a_file_below_counts_for_its_module(self):
        self.write("crates/bottom/src/two/deep.rs", "use super::super::one::One;\n")
        self.assertIn("two uses one: crates/bottom/src/two/deep.rs:1", self.problem())

    def test_a_name_that_the_crate_gives_on_leads_to_its_module(self):
        self.write("crates/bottom/src/lib.rs", "pub mod one;\nmod two;\npub use one::One as First;\n")
        self.write("crates/bottom/src/two/mod.rs", "pub(crate) struct Two;\nuse crate::First;\n")
        self.assertIn("two uses one: crates/bottom/src/two/mod.rs:2", self.problem())

    def test_a_circle_of_three_is_found(self):
        self.write("crates/bottom/src/two/mod.rs", "pub(crate) struct Two;\nuse crate::three;\n")
        self.write("crates/bottom/src/three.rs", "use crate::one;\n")
        self.assertIn("circle: one, three, two", self.problem())

    def test_tests_comments_texts_and_declarations_do_not_count(self):
        harmless = [
            "#[cfg(test)]\nmod tests { use crate::one::One; }",
            "#[cfg(test)]\nuse crate::one::One;",
            "#[cfg(test)]\n#[allow(unused)]\nfn f(x: [u8; 3]) { crate::one::g() }",
            "// use crate::one::One;",
            "//! [`crate::one::One`]",
            "/* use crate::one::One; /* nested */ use crate::one::One; */",
            'const TEXT: &str = "crate::one::One \\" crate::one";',
            'const TEXT: &str = r##"crate::one::One "# crate::one"##;',
            "mod one;",
            "use other::one::One;",
            "use crate::two::one;",
        ]
        for text in harmless:
            with self.subTest(text):
                self.write("crates/bottom/src/two/mod.rs", f"pub(crate) struct Two;\n{text}\n")
                self.assertEqual(self.problems(), [])

    def test_files_of_tests_do_not_count(self):
        self.write("crates/bottom/src/two/mod.rs", "pub(crate) struct Two;\n#[cfg(test)]\nmod pretended;\n")
        for name in ["tests.rs", "tests/more.rs", "pretended.rs", "pretended/deep.rs"]:
            self.write(f"crates/bottom/src/two/{name}", "use crate::one::One;\npub struct One;\n")
        self.assertEqual(self.problems(), [])

    def test_a_module_that_is_not_for_tests_only_counts(self):
        self.write("crates/bottom/src/two/mod.rs", "pub(crate) struct Two;\n#[cfg(unix)]\nmod pretended;\n")
        self.write("crates/bottom/src/two/pretended.rs", "use crate::one::One;\n")
        self.assertIn("circle: one, two", self.problem())


class Names(Made):
    TWICE = "pub(crate) struct Two;\npub enum One {}\n"
    PAGE = "# Page\n\n## Names that stand twice\n\n| name | why |\n| --- | --- |\n| `One` | `Two` |\n\n## More\n\n| `Three` |\n"

    def test_a_type_name_that_stands_twice_is_named_with_its_places(self):
        self.write("crates/bottom/src/two/mod.rs", self.TWICE)
        problem = self.problem()
        self.assertIn("`One` names 2 types: crates/bottom/src/one.rs:2, crates/bottom/src/two/mod.rs:2", problem)

    def test_every_kind_of_type_counts_and_associated_ones_do_not(self):
        for text in [
            "pub trait One {}",
            "pub(crate) type One = u8;",
            "pub unsafe trait One {}",
            "pub struct One<T>(T);",
            "struct One;",
            "pub(super) struct One;",
            "type One = u8;",
            "mod inner {\n    enum One {}\n}",
        ]:
            with self.subTest(text):
                self.write("crates/top/src/lib.rs", text)
                self.assertIn("`One` names 2 types", self.problem())
        for text in ["impl T for U {\n    type One = u8;\n}", "pub fn f() { One }", "#[cfg(test)]\nmod tests {\n    struct One;\n}"]:
            with self.subTest(text):
                self.write("crates/top/src/lib.rs", text)
                self.assertEqual(self.problems(), [])

    def test_the_page_may_allow_it(self):
        self.write("crates/bottom/src/two/mod.rs", self.TWICE)
        self.write(structure.PAGE, self.PAGE)
        self.assertEqual(self.problems(), [])

    def test_a_name_on_the_page_that_does_not_stand_twice_is_a_problem(self):
        self.write(structure.PAGE, self.PAGE)
        self.assertIn("lists `One`", self.problem())


class Deeper(Made):
    def test_modules_below_a_module_stand_in_a_circle(self):
        self.write("crates/bottom/src/two/mod.rs", "mod a;\nmod b;\npub(crate) struct Two;\n")
        self.write("crates/bottom/src/two/a.rs", "use super::b::B;\npub(super) struct A;\n")
        self.write("crates/bottom/src/two/b.rs", "pub(super) struct B;\n")
        self.assertEqual(self.problems(), [])
        self.write("crates/bottom/src/two/b.rs", "use crate::two::a::A;\npub(super) struct B;\n")
        self.assertIn("stand in a circle: two::a, two::b", self.problem())

    def test_a_range_and_an_attribute_on_a_field_hide_nothing(self):
        for text in ["fn f() { for _ in 0..crate::one::N {} }", "struct S { #[cfg(test)] n: u8, m: u8 }\nuse crate::one::One;"]:
            with self.subTest(text):
                self.write("crates/bottom/src/two/mod.rs", f"pub(crate) struct Two;\n{text}\n")
                self.assertIn("stand in a circle: one, two", self.problem())


class Examples(Made):
    def test_an_example_is_a_problem_where_none_is_run(self):
        text = "//! ```\n//! bottom::go();\n//! ```\npub mod one;\nmod two;\n"
        self.write("crates/bottom/src/lib.rs", text)
        self.assertEqual(self.problems(), [])
        self.write("crates/bottom/Cargo.toml", BOTTOM + "[lib]\ndoctest = false\n")
        self.assertIn("crates/bottom/src/lib.rs:1 has an example, which is never run", self.problem())
        self.write("crates/bottom/src/lib.rs", text.replace("```\n//! b", "```text\n//! b"))
        self.assertEqual(self.problems(), [])


class Places(Made):
    def test_what_panics_where_nobody_reads_is_a_problem_but_in_tests_and_comments(self):
        self.write("crates/bottom/src/one.rs", 'pub fn one() {\n    // eprintln!("a comment")\n    eprintln!("one");\n}\n')
        self.assertIn("crates/bottom/src/one.rs:3 calls `eprintln!`: it panics when nobody reads", self.problem())
        self.write("crates/bottom/src/one.rs", '#[cfg(test)]\nmod tests {\n    fn one() { println!("one") }\n}\n')
        self.assertEqual(self.problems(), [])

    def test_a_library_outside_its_crate_is_a_problem_in_manifest_and_sources(self):
        self.write("crates/top/Cargo.toml", TOP + 'tch = "1"\n')
        self.write("crates/top/src/lib.rs", "use tch::Tensor;\nfn f() { tch::no_grad() }\n")
        problems = self.problems()
        self.assertEqual(len(problems), 2, problems)
        self.assertIn("crates/top/Cargo.toml depends on it", problems[0])
        self.assertIn("crates/top/src/lib.rs:1 uses it and 1 more", problems[1])

    def test_a_library_that_its_crate_gives_on_is_a_problem_too(self):
        self.write("crates/train/Cargo.toml", '[package]\nname = "made-up-train"\n[dependencies]\ntch = "1"\n')
        self.write("crates/train/src/lib.rs", "pub use tch;\npub use tch::Device;\n")
        self.write("crates/top/src/lib.rs", "use made_up_train::Device;\nfn f() { made_up_train::tch::no_grad() }\n")
        self.assertIn("`tch` belongs to crates/train alone, but crates/top/src/lib.rs:2 uses it", self.problem())

    def test_its_own_crate_may_use_it_and_tests_of_others_may(self):
        self.write("crates/train/Cargo.toml", '[package]\nname = "train"\n[dependencies]\ntch = "1"\n')
        self.write("crates/train/src/lib.rs", "use tch::Tensor;\n")
        self.write("crates/top/Cargo.toml", TOP + '[dev-dependencies]\ntch = "1"\n')
        self.assertEqual(self.problems(), [])

    def test_a_module_with_the_name_of_a_library_is_not_that_library(self):
        self.write("crates/bottom/src/two/mod.rs", "pub(crate) struct Two;\nmod mpi;\nuse mpi::World;\n")
        self.assertEqual(self.problems(), [])

    def test_a_dependency_of_the_whole_workspace_under_another_name_is_seen(self):
        self.write("Cargo.toml", WORKSPACE + '[workspace.dependencies]\ntorch = { package = "tch", version = "1" }\n')
        self.write("crates/top/Cargo.toml", TOP + "torch.workspace = true\n")
        self.assertIn("`tch` belongs to crates/train alone", self.problem())


class Command(Made):
    def run_it(self):
        script = pathlib.Path(structure.__file__)
        return subprocess.run([sys.executable, script, self.root], capture_output=True, text=True, check=False)

    def test_it_says_what_it_looked_at_and_fails_with_problems(self):
        ran = self.run_it()
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertEqual(ran.stdout, "looked at 2 crates, 2 modules in 4 files, 2 types: no problems\n")
        self.write("crates/bottom/src/two/mod.rs", "pub(crate) struct Two;\nuse crate::one::One;\n")
        ran = self.run_it()
        self.assertEqual(ran.returncode, 1)
        self.assertTrue(ran.stdout.startswith("error: modules of `made_up_bottom` stand in a circle"), ran.stdout)

    def test_a_member_that_is_not_there_is_an_error(self):
        self.write("Cargo.toml", '[workspace]\nmembers = ["crates/absent"]\n')
        self.assertIn("no crate is at `crates/absent`", self.run_it().stderr)


if __name__ == "__main__":
    unittest.main()
