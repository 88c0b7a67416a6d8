//! `tombola settings`: the reference of all settings, generated from their one definition.

use clap::Command;

use tombola_core::sweep::{Decides, FIELDS, SPELLINGS, Settings};

/// The verb.
pub fn command() -> Command {
    Command::new("settings").about("Print the reference of all settings, in Markdown")
}

/// The reference, as it stands in `docs/settings.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Settings\n\n\
        Made by `tombola settings` from the one place where they are defined, `crates/core/src/sweep/settings.rs`.\n\n\
        Each setting is a key of the sweep file, a flag of `tombola run` and `tombola plan` with `--` before it, and (but\n\
        for those under \"Running\") a column of `results.csv`. Given several values, it is an axis of the sweep:\n\
        `key = [a, b]` in the file, `--key a,b` as a flag. `auto` is decided from the other settings.\n",
    );
    let mut group = "";
    for field in FIELDS {
        if field.group != group {
            group = field.group;
            text.push_str(&format!("\n## {group}\n\n{}\n\n", about(field.decides)));
            text.push_str("| setting | also | default | meaning |\n| --- | --- | --- | --- |\n");
        }
        let code = |word: &&str| format!("`{word}`");
        let mut meaning = field.help.trim().lines().map(str::trim).collect::<Vec<_>>().join(" ");
        let words = (field.words)();
        if words.len() > 2 && !field.list {
            meaning.push_str(&format!(". One of {}", words.iter().map(code).collect::<Vec<_>>().join(", ")));
        }
        text.push_str(&format!(
            "| `{}` | {} | `{}` | {} |\n",
            field.key,
            field.aliases.iter().map(code).collect::<Vec<_>>().join(", "),
            (field.show)(&Settings::default()),
            meaning.replace('|', "\\|")
        ));
    }
    text.push_str("\n## Other words\n\nKeys and flags whose values mean others of a setting.\n\n| word | of | meaning |\n| --- | --- | --- |\n");
    for spelling in SPELLINGS {
        text.push_str(&format!("| `{}` | `{}` | {} |\n", spelling.word, spelling.key, spelling.help));
    }
    text
}

fn about(decides: Decides) -> &'static str {
    match decides {
        Decides::Training => "Part of the identity of every training.",
        Decides::Levels => "Decide how many levels a trial has and how much each prunes.",
        Decides::Pruning => "Part of the identity of every pruned level.",
        Decides::Run => "How the sweep is run: they never change a result, and cannot be axes.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_the_docs_is_the_one_that_the_code_gives() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/settings.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == markdown(), "docs/settings.md is out of date: run `tombola settings > docs/settings.md`");
    }
}
