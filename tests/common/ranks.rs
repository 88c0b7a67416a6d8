//! Starts the program as several MPI ranks on this machine, finds them, and does things to them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::{Folder, PROGRAM, skipped};

/// Longest that anything may take to end, whatever happens to it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Lets the others go on when a rank dies.
pub(crate) const RECOVERY: &[&str] = &["--enable-recovery"];

/// Whether ranks can be started here; noted as skipped if not.
pub(crate) fn can_start(test: &str) -> bool {
    if !cfg!(feature = "mpi") {
        skipped(test, "the program is built without MPI");
        return false;
    }
    match Command::new("mpirun").arg("--version").output() {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("Open MPI") => true,
        Ok(_) => {
            skipped(test, "`mpirun` is not that of Open MPI");
            false
        }
        Err(_) => {
            skipped(test, "there is no `mpirun`");
            false
        }
    }
}

/// `mpirun -np COUNT OPTIONS tombola ARGUMENTS`.
pub(crate) fn mpirun(folder: &Folder, count: usize, options: &[&str], arguments: &str) -> Command {
    let mut command = folder.command("mpirun");
    command.args(["-np", &count.to_string(), "--bind-to", "none"]).args(options);
    // The ranks have this from mpirun: by it they are told from those of other tests.
    command.args(["-x", "TOMBOLA_TEST_FOLDER", PROGRAM]).args(arguments.split_whitespace());
    command.env("TOMBOLA_TEST_FOLDER", folder.path(""));
    for (name, value) in [
        ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
        ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
        // More ranks than cores.
        ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
        // Containers forbid what this would use, and Open MPI complains.
        ("OMPI_MCA_btl_vader_single_copy_mechanism", "none"),
    ] {
        command.env(name, value);
    }
    command
}

/// The processes of the ranks of a folder, by rank. Those on pretended hosts are among them.
pub(crate) fn processes(folder: &Folder) -> BTreeMap<usize, u32> {
    let ranks = marked(folder).into_iter().filter_map(|(process, environment)| {
        // `tombola` becomes `tombola-torch` a moment after its start.
        let is_ours = std::fs::read_link(format!("/proc/{process}/exe"))
            .is_ok_and(|exe| exe == Path::new(PROGRAM) || exe == Path::new(PROGRAM).with_file_name("tombola-torch"));
        let rank = variable(&environment, "OMPI_COMM_WORLD_RANK")?.parse().ok()?;
        is_ours.then_some((rank, process))
    });
    ranks.collect()
}

/// All processes that were started for a folder, launchers too, with their environments.
fn marked(folder: &Folder) -> Vec<(u32, String)> {
    let mark = folder.path("").display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let environments = numbers
        .filter_map(|process| Some((process, std::fs::read_to_string(format!("/proc/{process}/environ")).ok()?)));
    environments.filter(|(_, text)| variable(text, "TOMBOLA_TEST_FOLDER").is_some_and(|found| found == mark)).collect()
}

fn variable<'a>(environment: &'a str, name: &str) -> Option<&'a str> {
    let mut all = environment.split('\0').filter_map(|line| line.split_once('='));
    all.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Sends a signal to one process.
pub(crate) fn signal(process: u32, name: &str) {
    // It may have ended meanwhile.
    let _ = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).output().unwrap();
}

/// Waits until `condition` holds. False if the child came to its end before.
pub(crate) fn wait_until(child: &mut Child, condition: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "nothing happens");
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Waits until a start of ranks has ended, and how long that took. None if it hangs; then it is killed.
pub(crate) fn end_of(child: &mut Child, folder: &Folder) -> Option<(i32, Duration)> {
    use std::os::unix::process::ExitStatusExt;
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            return Some((code, begun.elapsed()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    kill_all(child, folder);
    None
}

/// Kills all ranks and their launchers.
pub(crate) fn kill_all(child: &mut Child, folder: &Folder) {
    let kill_marked = || marked(folder).iter().for_each(|(process, _)| signal(*process, "KILL"));
    kill_marked();
    let _ = child.kill();
    child.wait().unwrap();
    // A launcher may have started one more meanwhile.
    kill_marked();
}
