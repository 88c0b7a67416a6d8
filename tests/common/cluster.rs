//! Pretended hosts on this machine, and a Slurm on them, for tests of what happens between hosts (`scripts/cluster`).

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::skipped;

/// Hosts `node0`, from which things are started, and `node1` to `nodeN`. They have this machine's file system in common,
/// and end with this value, with all that runs on them.
pub(crate) struct Cluster(tempfile::TempDir);

impl Cluster {
    /// Brings up hosts for the real program under `mpirun`. None, and noted as skipped, where the machine cannot do it.
    pub(crate) fn with_mpi(test: &str, count: usize) -> Option<Self> {
        let version = Command::new("mpirun").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
        // The hosts' settings are Open MPI's.
        if !String::from_utf8_lossy(&version).contains("(Open MPI)") {
            skipped(test, "there is no mpirun of Open MPI");
            return None;
        }
        Self::up(test, count)
    }

    /// Brings up `node0` and `count` more. None, and noted as skipped, where the machine cannot do it.
    pub(crate) fn up(test: &str, count: usize) -> Option<Self> {
        let cluster = Self(tempfile::tempdir().unwrap());
        cluster.ready(test, "hosts-up.sh", &[&count.to_string()]).then_some(cluster)
    }

    /// Starts a Slurm on them. Not true, and noted as skipped, where the machine cannot do it.
    pub(crate) fn slurm_up(&self, test: &str, arguments: &[&str]) -> bool {
        self.ready(test, "slurm-up.sh", arguments)
    }

    /// The folder of the hosts. Each has its own below it in `tmp`; what a test writes goes to a [`super::Folder`].
    pub(crate) fn folder(&self) -> PathBuf {
        self.0.path().join("hosts")
    }

    /// `program` on a host, in the folder that the command is given with `current_dir`.
    pub(crate) fn on(&self, node: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = script("on.sh");
        command.arg(self.folder()).arg(node).arg(program);
        command
    }

    /// A shell line on a host, to its end.
    pub(crate) fn shell(&self, node: &str, folder: &Path, line: &str) -> Output {
        self.on(node, "bash").args(["-c", line]).current_dir(folder).output().unwrap()
    }

    /// Whether a process of this name runs on a host.
    pub(crate) fn runs(&self, node: &str, name: &str) -> bool {
        let line = format!("grep --quiet --line-regexp --no-messages {name} /proc/[0-9]*/comm");
        self.shell(node, &self.folder(), &line).status.success()
    }

    /// Pulls the host's network cable (`down`) or plugs it in again (`up`).
    pub(crate) fn link(&self, node: &str, state: &str) {
        let status = script("link.sh").arg(self.folder()).args([node, state]).status().unwrap();
        assert!(status.success(), "link of {node} {state}: {status}");
    }

    /// Switches a host off.
    pub(crate) fn power_off(&self, node: &str) {
        let status = script("poweroff.sh").arg(self.folder()).arg(node).status().unwrap();
        assert!(status.success(), "power-off of {node}: {status}");
    }

    /// Exit code 3 means that the machine lacks something; anything else but 0 is a defect.
    fn ready(&self, test: &str, name: &str, arguments: &[&str]) -> bool {
        let output = script(name).arg(self.folder()).args(arguments).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => true,
            Some(3) => {
                skipped(test, said.lines().next().unwrap_or("the machine cannot do it"));
                false
            }
            _ => panic!("{name}: {}: {said}", output.status),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A failure here would hide that of the test.
        let _ = script("hosts-down.sh").arg(self.folder()).status();
    }
}

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/cluster").join(name))
}
