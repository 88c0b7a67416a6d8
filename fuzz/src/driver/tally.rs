//! The figures of a target, and the table of all.

use std::time::Duration;

/// What was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FuzzTally {
    /// Inputs that were run.
    pub(crate) inputs: u64,
    /// The longest of them.
    pub(crate) longest: Duration,
    /// The bytes that one of them held at most.
    pub(crate) memory: usize,
    /// Places of the code that were reached.
    pub(crate) reached: usize,
    /// All that are counted; 0 where the code was compiled without counters.
    pub(crate) counters: usize,
}

impl FuzzTally {
    /// For another process.
    pub(crate) fn line(&self) -> String {
        let Self { inputs, longest, memory, reached, counters } = self;
        format!("{inputs} {} {memory} {reached} {counters}", longest.as_micros())
    }

    /// What another process said.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        let &[inputs, longest, memory, reached, counters] = numbers.as_slice() else { return None };
        let (memory, reached, counters) = (memory as usize, reached as usize, counters as usize);
        Some(Self { inputs, longest: Duration::from_micros(longest), memory, reached, counters })
    }

    /// Adds what a process did that followed the others.
    pub(crate) fn add(&mut self, other: &Self) {
        self.inputs += other.inputs;
        self.longest = self.longest.max(other.longest);
        self.memory = self.memory.max(other.memory);
        self.reached = self.reached.max(other.reached);
        self.counters = self.counters.max(other.counters);
    }
}

/// One line of the table.
pub(crate) struct FuzzRow {
    /// The target.
    pub(crate) name: String,
    /// Its figures.
    pub(crate) tally: FuzzTally,
    /// The time that it took.
    pub(crate) time: Duration,
    /// A line for each defect that was found.
    pub(crate) findings: Vec<String>,
}

/// The table, in Markdown, and what was found once more, so that the end of a log has all of it.
pub(crate) fn table(rows: &[FuzzRow]) -> String {
    let mut text =
        String::from("| target | inputs | inputs/s | longest input | peak memory | places reached | findings |\n");
    text.push_str("| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for FuzzRow { name, tally, time, findings } in rows {
        let reached = if tally.counters == 0 { "not counted".into() } else { tally.reached.to_string() };
        text.push_str(&format!(
            "| {name} | {} | {:.0} | {:.1} ms | {:.1} MB | {reached} | {findings} |\n",
            tally.inputs,
            tally.inputs as f64 / time.as_secs_f64().max(1e-3),
            tally.longest.as_secs_f64() * 1e3,
            tally.memory as f64 / 1e6,
            findings = findings.len(),
        ));
    }
    let inputs: u64 = rows.iter().map(|row| row.tally.inputs).sum();
    let findings: usize = rows.iter().map(|row| row.findings.len()).sum();
    text.push_str(&format!("| all | {inputs} | | | | | {findings} |\n"));
    text.extend(rows.iter().flat_map(|row| &row.findings).map(String::as_str));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_process_says_another_reads() {
        let tally = FuzzTally { inputs: 9, longest: Duration::from_micros(17), memory: 5, reached: 3, counters: 8 };
        assert_eq!(FuzzTally::read(&tally.line()), Some(tally));
        assert_eq!(FuzzTally::read("1 2"), None);
    }
}
