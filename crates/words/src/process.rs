//! Other processes of this machine, as far as the system tells of them.
//!
//! It may not know what any of them is for.

use std::fs;
use std::path::PathBuf;

/// Ends a group of processes at once, whatever they do: that of a process which leads one.
///
/// # Errors
/// When there is none, or it is another user's.
pub fn kill_group(leader: u32) -> std::io::Result<()> {
    use std::ffi::c_int;

    unsafe extern "C" {
        fn kill(process: c_int, signal: c_int) -> c_int;
    }
    let group = c_int::try_from(leader).map_err(std::io::Error::other)?;
    // SAFETY: takes two numbers. 0 and 1 are no groups that anybody leads here: the first would be this process's own, the second all.
    match group > 1 && unsafe { kill(-group, signal_hook::consts::SIGKILL) } == 0 {
        true => Ok(()),
        false => Err(std::io::Error::last_os_error()),
    }
}

/// Whether a process of this machine has ended, where the system tells: then it tells of this one, too.
pub fn is_gone(process: u32) -> bool {
    began(process).is_none() && began(std::process::id()).is_some()
}

/// The program that a process runs, as far as this user may see it.
pub fn program(process: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/exe")).ok()
}

/// When a process began, in ticks since the start of the machine; nothing for one that has ended.
pub fn began(process: u32) -> Option<u64> {
    let words = about(process)?;
    // A process that has ended and is not waited for writes nothing any more.
    let there = !["Z", "X"].contains(&words.first()?.as_str());
    there.then(|| words.get(19)?.parse().ok()).flatten()
}

/// The processes that this one descends from, the nearest first, as far as the system tells.
pub fn ancestors() -> Vec<u32> {
    let mut found = Vec::new();
    let mut process = std::os::unix::process::parent_id();
    while process > 0 {
        found.push(process);
        process = about(process).and_then(|words| words.get(1)?.parse().ok()).unwrap_or(0);
    }
    found
}

/// The processes that a process has started and not waited for; nothing where the system does not tell.
pub fn children(process: u32) -> Option<Vec<u32>> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let mut found = Vec::new();
    for thread in threads.flatten() {
        let text = fs::read_to_string(thread.path().join("children")).ok()?;
        found.extend(text.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    Some(found)
}

/// A variable of the environment that a process was started with; nothing for one that has ended.
///
/// # Errors
/// When this user may not see the environment of that process.
pub fn variable(process: u32, name: &str) -> std::io::Result<Option<String>> {
    let bytes = match fs::read(format!("/proc/{process}/environ")) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Err(error),
        read => read.unwrap_or_default(),
    };
    let mut lines = bytes.split(|byte| *byte == 0).filter_map(|line| std::str::from_utf8(line).ok());
    Ok(lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('=').map(str::to_string)))
}

/// The group of process numbers that this process belongs to: a number means nothing outside its group.
pub fn numbers() -> Option<u64> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

/// What the system tells of a process, from its state on: before that stands a name, which may have spaces and brackets in it.
fn about(process: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_string).collect())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_seen_until_it_ends_whether_or_not_it_was_waited_for() {
        let mut child =
            Command::new("sleep").arg("600").env("TOMBOLA_PROCESS", "a=b").stdout(Stdio::null()).spawn().unwrap();
        let process = child.id();
        // Until the child has become the program, it is a copy of this one.
        while variable(process, "TOMBOLA_PROCESS").unwrap().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(variable(process, "TOMBOLA_PROCESS").unwrap().as_deref(), Some("a=b"));
        assert_eq!(variable(process, "TOMBOLA_PROC").unwrap(), None);
        assert!(!is_gone(process) && began(process).is_some() && program(process).is_some());
        assert!(children(std::process::id()).is_none_or(|found| found.contains(&process)));
        child.kill().unwrap();
        // Ended, and nobody has waited for it.
        while !is_gone(process) {
            std::thread::yield_now();
        }
        assert_eq!(variable(process, "TOMBOLA_PROCESS").unwrap(), None);
        child.wait().unwrap();
        assert!(is_gone(process) && began(process).is_none());
        assert!(!is_gone(std::process::id()));
    }

    #[test]
    fn this_process_descends_from_what_started_it() {
        assert_eq!(ancestors().first(), Some(&std::os::unix::process::parent_id()));
        assert!(numbers().is_some());
    }
}
