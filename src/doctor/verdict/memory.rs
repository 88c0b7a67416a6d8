//! Memory: what each host leaves to its ranks, limits of control groups and of Slurm included.

use std::collections::BTreeMap;

use super::{Finding, hosts_of, names};
use crate::doctor::facts::{Gathered, Memory};

/// What a rank takes before it trains anything: libtorch, and room for a small network and its data.
const EACH: u64 = 1 << 30;

pub(super) fn judge(gathered: &Gathered, lines: &mut Vec<Finding>) {
    let mut least: Option<&Memory> = None;
    let mut tight: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (host, those) in hosts_of(&gathered.facts) {
        let found = those.iter().filter_map(|one| one.memory.as_ref()).min_by_key(|memory| memory.free);
        let Some(memory) = found else { continue };
        if memory.free < EACH * those.len() as u64 {
            tight.entry(format!("{} for {} rank(s)", words(memory), those.len())).or_default().push(host);
        }
        if least.is_none_or(|known| memory.free < known.free) {
            least = Some(memory);
        }
    }
    let warning = |(found, hosts): (String, Vec<&str>)| {
        let cure = "ask for more (Slurm: `--mem`), or start fewer ranks on a host; the system ends what takes more";
        Finding::warn("memory", format!("{}: {found}", names(&hosts)), cure)
    };
    match least {
        Some(least) if tight.is_empty() => lines.push(Finding::pass("memory", words(least))),
        _ => lines.extend(tight.into_iter().map(warning)),
    }
}

fn words(memory: &Memory) -> String {
    let gigabytes = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    match &memory.limit {
        Some((limit, of)) => format!("{:.1} GB free of {:.1} ({of})", gigabytes(memory.free), gigabytes(*limit)),
        None => format!("{:.1} GB free", gigabytes(memory.free)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::super::made_up::{cluster, finds};
    use super::*;

    #[test]
    fn memory_that_a_control_group_leaves_is_told_and_too_little_is_pointed_out() {
        let mut gathered = cluster(2, 4);
        let group = Memory { free: 6 << 30, limit: Some((8 << 30, "control group /sys/fs/cgroup/job".into())) };
        gathered.facts.iter_mut().for_each(|one| one.memory = Some(group.clone()));
        finds(&gathered, "memory", Level::Pass, "6.0 GB free of 8.0 (control group /sys/fs/cgroup/job)", "");
        gathered.facts[5].memory = Some(Memory { free: 3 << 30, limit: None });
        finds(&gathered, "memory", Level::Warn, "node1.cluster: 3.0 GB free for 4 rank(s)", "--mem");
    }
}
