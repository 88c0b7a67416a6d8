//! What follows from what all ranks found: a function from facts to lines. It may not know of files, clocks, MPI or
//! torch, so that clusters of any size can be made up for its tests.

mod alike;
mod files;
mod gpus;
mod hosts;
mod machine;
#[cfg(test)]
mod made_up;
mod memory;
mod start;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

pub use hosts::Host;

use super::Checkup;
use super::facts::{Facts, Gathered};
use tombola_words::error::Error;
use tombola_words::error::ignored;

/// Names listed in one line.
const MOST_LISTED: usize = 4;

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Pass,
    /// A run would do, but worse than it could, or not survive something.
    Warn,
    /// A run would not begin, or do something else than is meant.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// How it stands.
    pub level: Level,
    /// What was looked at.
    pub check: &'static str,
    /// What was found.
    pub found: String,
    /// What to do about it; none where there is nothing to do.
    pub cure: Option<String>,
}

impl Finding {
    fn pass(check: &'static str, found: impl Into<String>) -> Self {
        Self { level: Level::Pass, check, found: found.into(), cure: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { level: Level::Warn, check, found: found.into(), cure: Some(cure.into()) }
    }

    fn fail(check: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { level: Level::Fail, check, found: found.into(), cure: Some(cure.into()) }
    }

    fn of_error(check: &'static str, error: &Error, otherwise: &str) -> Self {
        Self::fail(check, error.message.as_str(), error.hint.as_deref().unwrap_or(otherwise))
    }
}

/// The whole verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnosis {
    /// What was looked at, in a fixed order.
    pub lines: Vec<Finding>,
    /// Which ranks are where, and on which device.
    pub hosts: Vec<Host>,
}

/// Judges.
pub fn judge(gathered: &Gathered, asked: &Checkup) -> Diagnosis {
    let mut lines = Vec::new();
    start::judge(gathered, &mut lines);
    machine::judge(gathered, asked, &mut lines);
    memory::judge(gathered, &mut lines);
    files::judge(gathered, asked, &mut lines);
    Diagnosis { lines, hosts: hosts::map(gathered, asked) }
}

impl Diagnosis {
    /// How many lines are of this level.
    pub fn count(&self, level: Level) -> usize {
        self.lines.iter().filter(|line| line.level == level).count()
    }

    /// For people.
    pub fn text(&self) -> String {
        let wide = self.lines.iter().map(|line| line.check.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Finding { level, check, found, cure } in &self.lines {
            let word = match level {
                Level::Pass => "PASS",
                Level::Warn => "WARN",
                Level::Fail => "FAIL",
            };
            ignored(writeln!(text, "{word}  {check:wide$}  {found}"), "writing to a text does not fail");
            if let Some(cure) = cure {
                ignored(writeln!(text, "      {:wide$}  cure: {cure}", ""), "writing to a text does not fail");
            }
        }
        text.push('\n');
        let wide = self.hosts.iter().map(|host| host.name.chars().count()).max().unwrap_or(0);
        for host in &self.hosts {
            ignored(writeln!(text, "{:wide$}  {}", host.name, host.text()), "writing to a text does not fail");
        }
        let (warn, fail) = (self.count(Level::Warn), self.count(Level::Fail));
        ignored(
            writeln!(text, "\n{} checks: {fail} FAIL, {warn} WARN", self.lines.len()),
            "writing to a text does not fail",
        );
        text
    }
}

/// Ranks in words: `rank 3`, `ranks 0-3, 7`.
fn ranks(numbers: impl IntoIterator<Item = usize>) -> String {
    let mut numbers: Vec<usize> = numbers.into_iter().collect();
    numbers.sort_unstable();
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for number in &numbers {
        match runs.last_mut() {
            Some((_, last)) if *number == *last + 1 => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let shown = |(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    let runs: Vec<String> = runs.iter().map(shown).collect();
    format!("rank{} {}", if numbers.len() == 1 { "" } else { "s" }, runs.join(", "))
}

/// The first few of some names.
fn names<T: std::fmt::Display>(all: &[T]) -> String {
    let shown: Vec<String> = all.iter().take(MOST_LISTED).map(|name| name.to_string()).collect();
    match all.len() {
        count if count > MOST_LISTED => format!("{} and {} more", shown.join(", "), count - MOST_LISTED),
        _ => shown.join(", "),
    }
}

/// Ranks by what they have, where they have something.
fn by<T: Ord>(facts: &[Facts], of: impl Fn(&Facts) -> Option<T>) -> BTreeMap<T, Vec<usize>> {
    let mut groups: BTreeMap<T, Vec<usize>> = BTreeMap::new();
    for one in facts {
        if let Some(value) = of(one) {
            groups.entry(value).or_default().push(one.rank);
        }
    }
    groups
}

/// Hosts in the order of their first ranks, each with what its ranks found.
fn hosts_of(facts: &[Facts]) -> Vec<(&str, Vec<&Facts>)> {
    let mut hosts: Vec<(&str, Vec<&Facts>)> = Vec::new();
    let mut places = BTreeMap::new();
    for one in facts {
        let place = *places.entry(one.host.as_str()).or_insert_with(|| {
            hosts.push((one.host.as_str(), Vec::new()));
            hosts.len() - 1
        });
        hosts[place].1.push(one);
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::made_up::{asked, cluster};
    use super::*;

    #[test]
    fn ranks_and_names_are_told_shortly() {
        assert_eq!(ranks([3]), "rank 3");
        assert_eq!(ranks([7, 2, 1, 0]), "ranks 0-2, 7");
        assert_eq!(names(&["a", "b"]), "a, b");
        assert_eq!(names(&["a", "b", "c", "d", "e", "f"]), "a, b, c, d and 2 more");
    }

    #[test]
    fn a_big_cluster_in_order_passes_in_a_few_lines() {
        let report = judge(&cluster(200, 8), &asked());
        let wrong: Vec<&Finding> = report.lines.iter().filter(|line| line.level > Level::Pass).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(report.lines.len() < 20 && report.hosts.len() == 200);
        let text = report.text();
        assert!(text.contains("node0    ranks 0-7 · 8 GPUs, 64 cores · cuda:0: rank 0, cuda:1: rank 1"), "{text}");
        assert!(text.ends_with(&format!("\n{} checks: 0 FAIL, 0 WARN\n", report.lines.len())));
    }

    #[test]
    fn every_warning_and_failure_has_a_cure() {
        let mut gathered = cluster(3, 4);
        gathered.facts[5].program.version = "0.0.1".into();
        gathered.facts[7].gpus = None;
        gathered.silent.insert(12, "no answer within 20 s".into());
        let report = judge(&gathered, &asked());
        assert!(report.count(Level::Fail) >= 3);
        assert!(report.lines.iter().all(|line| (line.level == Level::Pass) == line.cure.is_none()));
        assert!(report.text().contains("\n      "));
    }
}
