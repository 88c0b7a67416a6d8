//! How much memory this process may still take, and whether the system ended processes because there was none.
//!
//! A batch system or a container gives a process less than the host has: by limits of its control group, or of any group
//! above that, in either version of them; Slurm also by what a job asked for. The smallest of all counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Values from here on are no limit: version 1 writes the largest multiple of a page.
const NONE: u64 = 1 << 60;
/// Of Slurm's numbers.
const MEGABYTE: u64 = 1 << 20;

/// Memory that can still be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeMemory {
    /// Bytes.
    pub bytes: u64,
    /// What they are the rest of: the limit in bytes and whose it is; nothing where it is the host's memory.
    pub limit: Option<(u64, String)>,
}

/// What this process may still take, where the system tells.
pub fn free_memory() -> Option<FreeMemory> {
    let variable = |name: &str| std::env::var(name).ok()?.parse().ok();
    SystemFiles::new(Path::new("/")).free(variable)
}

/// How many processes of a control group, and of those above it that can be seen, the system has ended because memory ran out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryKills {
    count: u64,
    /// Which group of which start of the machine this is.
    place: String,
}

impl MemoryKills {
    /// Those of this process's group until now; nothing where the system does not tell.
    pub fn until_now() -> Option<Self> {
        Self::told_by(&SystemFiles::new(Path::new("/")))
    }

    fn told_by(files: &SystemFiles) -> Option<Self> {
        let boot = files.text(Path::new("/proc/sys/kernel/random/boot_id"))?;
        let (_, group) = files.groups().into_iter().next()?;
        Some(Self { count: files.kills()?, place: format!("{} {}", boot.trim(), group.display()) })
    }

    /// Whether there were more since.
    pub fn grew(&self) -> bool {
        Self::until_now().is_some_and(|now| self.is_before(&now))
    }

    /// Another group, or another start of the machine, counts anew.
    fn is_before(&self, now: &Self) -> bool {
        now.place == self.place && now.count > self.count
    }

    /// Reads what is written as [`std::fmt::Display`] does.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, place) = text.split_once(" in ")?;
        Some(Self { count: count.parse().ok()?, place: place.to_string() })
    }
}

impl std::fmt::Display for MemoryKills {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", self.count, self.place)
    }
}

/// The files in which the system tells of itself.
struct SystemFiles<'a> {
    root: &'a Path,
}

/// Which control groups there are: of version 2, or of the memory of version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GroupVersion {
    One,
    Two,
}

impl<'a> SystemFiles<'a> {
    fn new(root: &'a Path) -> Self {
        Self { root }
    }

    /// A file named by its path in the system.
    fn text(&self, path: &Path) -> Option<String> {
        std::fs::read_to_string(self.root.join(path.strip_prefix("/").unwrap_or(path))).ok()
    }

    fn free(&self, variable: impl Fn(&str) -> Option<u64>) -> Option<FreeMemory> {
        let host = self.available().map(|bytes| FreeMemory { bytes, limit: None });
        let groups = self.groups().into_iter().filter_map(|(version, place)| self.rest(version, &place));
        let all = host.into_iter().chain(groups).chain(self.slurm(variable));
        all.min_by_key(|free| free.bytes)
    }

    /// What the host can give.
    fn available(&self) -> Option<u64> {
        let text = self.text(Path::new("/proc/meminfo"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024))
    }

    /// The folders of the control groups that this process is in, from its own up to the highest that can be seen.
    fn groups(&self) -> Vec<(GroupVersion, PathBuf)> {
        let own = self.text(Path::new("/proc/self/cgroup")).unwrap_or_default();
        let mounts = self.text(Path::new("/proc/self/mountinfo")).unwrap_or_default();
        let mut found = Vec::new();
        for line in own.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
            let version = match controllers {
                "" => GroupVersion::Two,
                _ if controllers.split(',').any(|one| one == "memory") => GroupVersion::One,
                _ => continue,
            };
            for (root, point) in mounts.lines().filter_map(|mount| mounted(mount, version)) {
                // A container sees its own group as the highest, by either name.
                let below = Path::new(path).strip_prefix(&root).or_else(|_| Path::new(path).strip_prefix("/"));
                let below: PathBuf = below.unwrap_or(Path::new("")).components().filter(is_name).collect();
                let lowest = point.join(below);
                found.extend(
                    lowest
                        .ancestors()
                        .take_while(|folder| folder.starts_with(&point))
                        .map(|folder| (version, folder.to_path_buf())),
                );
            }
        }
        found
    }

    /// What is left of the limit of a control group.
    fn rest(&self, version: GroupVersion, place: &Path) -> Option<FreeMemory> {
        let number = |name: &str| self.text(&place.join(name))?.trim().parse::<u64>().ok();
        let statistics = self.words(&place.join("memory.stat"));
        let statistic = |name: &str| statistics.get(name).copied();
        let (limits, used, cached) = match version {
            GroupVersion::Two => (
                // Above the second, processes are slowed down until they are of no use.
                [number("memory.max"), number("memory.high")],
                number("memory.current"),
                ["inactive_file", "active_file"],
            ),
            GroupVersion::One => (
                // The second is that of groups above this one, also where they cannot be seen.
                [number("memory.limit_in_bytes"), statistic("hierarchical_memory_limit")],
                number("memory.usage_in_bytes"),
                ["total_inactive_file", "total_active_file"],
            ),
        };
        let limit = limits.into_iter().flatten().filter(|limit| *limit < NONE).min()?;
        // Pages of files are given back when memory is wanted, as in what the host tells.
        let cached: u64 = cached.iter().filter_map(|name| statistic(name)).sum();
        let bytes = limit.saturating_sub(used?.saturating_sub(cached));
        Some(FreeMemory { bytes, limit: Some((limit, format!("control group {}", place.display()))) })
    }

    /// What is left to this process of what its job asked for. Where several processes share that, each sees its own part only.
    fn slurm(&self, variable: impl Fn(&str) -> Option<u64>) -> Option<FreeMemory> {
        let by_cores = || Some(variable("SLURM_MEM_PER_CPU")?.saturating_mul(variable("SLURM_CPUS_ON_NODE")?));
        // 0 stands for all memory of the node.
        let megabytes = variable("SLURM_MEM_PER_NODE").or_else(by_cores).filter(|megabytes| *megabytes > 0)?;
        let limit = megabytes.saturating_mul(MEGABYTE);
        let status = self.text(Path::new("/proc/self/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let own = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024);
        Some(FreeMemory { bytes: limit.saturating_sub(own), limit: Some((limit, "the job of Slurm".to_string())) })
    }

    fn kills(&self) -> Option<u64> {
        let counts = self.groups().into_iter().filter_map(|(version, place)| {
            let name = match version {
                GroupVersion::Two => "memory.events",
                GroupVersion::One => "memory.oom_control",
            };
            self.words(&place.join(name)).get("oom_kill").copied()
        });
        // A group of version 2 counts what happens below it too, one of version 1 does not: that the number grows is what counts.
        counts.reduce(|one, other| one.saturating_add(other))
    }

    /// A file of words, each with its number.
    fn words(&self, path: &Path) -> BTreeMap<String, u64> {
        let text = self.text(path).unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        pairs.filter_map(|(word, number)| Some((word.to_string(), number.trim().parse().ok()?))).collect()
    }
}

fn is_name(part: &std::path::Component) -> bool {
    matches!(part, std::path::Component::Normal(_))
}

/// Which part of the control groups of this version a line of `mountinfo` shows, and where.
fn mounted(line: &str, version: GroupVersion) -> Option<(PathBuf, PathBuf)> {
    let (before, after) = line.split_once(" - ")?;
    let mut words = before.split(' ').skip(3);
    let (root, point) = (words.next()?, words.next()?);
    let mut words = after.split(' ');
    let (kind, options) = (words.next()?, words.nth(1).unwrap_or_default());
    let fits = match version {
        GroupVersion::Two => kind == "cgroup2",
        GroupVersion::One => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
    };
    // Blanks in names are written as numbers.
    let plain = |name: &str| PathBuf::from(name.replace("\\040", " "));
    fits.then(|| (plain(root), plain(point)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pretended system: files by their paths.
    struct Pretended(tempfile::TempDir);

    impl Pretended {
        fn new(cgroup: &str, mounts: &str) -> Self {
            let system = Self(tempfile::tempdir().unwrap());
            system.write("proc/self/cgroup", cgroup);
            system.write("proc/self/mountinfo", mounts);
            system.write("proc/meminfo", "MemTotal: 64000 kB\nMemAvailable:   32000 kB\n");
            system.write("proc/self/status", "Name: x\nVmRSS:\t    1024 kB\n");
            system
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn files(&self) -> SystemFiles<'_> {
            SystemFiles::new(self.0.path())
        }

        fn free(&self) -> FreeMemory {
            self.files().free(|_| None).unwrap()
        }
    }

    const MOUNT_2: &str = "30 1 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const MOUNT_1: &str = "31 1 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:32 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
         33 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

    #[test]
    fn without_limits_it_is_the_hosts_memory() {
        let system = Pretended::new("0::/user.slice\n", MOUNT_2);
        system.write("sys/fs/cgroup/user.slice/memory.max", "max\n");
        system.write("sys/fs/cgroup/user.slice/memory.current", "1000\n");
        assert_eq!(system.free(), FreeMemory { bytes: 32000 * 1024, limit: None });
        assert_eq!(system.files().kills(), None);
    }

    #[test]
    fn the_smallest_rest_of_all_groups_up_to_the_highest_counts() {
        let system = Pretended::new("0::/slurm/job_7/step_0/task_1\n", MOUNT_2);
        let put = |group: &str, max: &str, high: &str, current: &str, stat: &str| {
            let at = |name: &str| format!("sys/fs/cgroup{group}/memory.{name}");
            for (name, text) in [("max", max), ("high", high), ("current", current), ("stat", stat)] {
                system.write(&at(name), text);
            }
        };
        put("/slurm/job_7/step_0/task_1", "max", "max", "500", "anon 500\n");
        put("/slurm/job_7/step_0", "9000000", "max", "1000000", "anon 1\ninactive_file 200000\nactive_file 300000\n");
        assert_eq!(system.free().bytes, 9_000_000 - 500_000);
        // Of a level in between, and the gentler of two limits.
        put("/slurm/job_7", "8000000", "5000000", "1000000", "anon 1000000\n");
        let free = system.free();
        assert_eq!(
            (free.bytes, free.limit.unwrap().1),
            (4_000_000, "control group /sys/fs/cgroup/slurm/job_7".to_string())
        );
        // Used up, and more.
        put("/slurm", "100", "max", "200", "");
        assert_eq!(system.free().bytes, 0);
    }

    #[test]
    fn groups_of_version_1_count_too_with_those_above_that_cannot_be_seen() {
        let system = Pretended::new("5:cpu:/\n4:memory:/a/b\n1:name=systemd:/\n0::/\n", MOUNT_1);
        system.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        system.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n");
        system.write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "7000000\n");
        system.write("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "3000000\n");
        system.write("sys/fs/cgroup/memory/a/memory.stat", "total_inactive_file 1000000\ntotal_active_file 500000\n");
        assert_eq!(system.free().bytes, 5_500_000);
        system.write("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
        system.write("sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "1000000\n");
        system.write("sys/fs/cgroup/memory/a/b/memory.stat", "hierarchical_memory_limit 2000000\n");
        assert_eq!(system.free().bytes, 1_000_000);
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_highest() {
        // Its name as the host has it, and the mount shows that part alone.
        let system =
            Pretended::new("0::/docker/abc/work\n", "30 1 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
        system.write("sys/fs/cgroup/memory.max", "3000000\n");
        system.write("sys/fs/cgroup/memory.current", "1000000\n");
        assert_eq!(system.free().bytes, 2_000_000);
        system.write("sys/fs/cgroup/work/memory.max", "1500000\n");
        system.write("sys/fs/cgroup/work/memory.current", "1000000\n");
        assert_eq!(system.free().bytes, 500_000);
        // Or as itself has it, also where a group lies outside.
        for name in ["/", "/../..", "/not/there"] {
            system.write("proc/self/cgroup", &format!("0::{name}\n"));
            assert_eq!(system.free().bytes, 2_000_000, "{name}");
        }
    }

    #[test]
    fn what_a_job_asked_for_counts() {
        let system = Pretended::new("", "");
        let asked = |pairs: &'static [(&str, u64)]| {
            let variable = move |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            system.files().free(variable).unwrap().bytes
        };
        assert_eq!(asked(&[("SLURM_MEM_PER_NODE", 10)]), 9 << 20);
        assert_eq!(asked(&[("SLURM_MEM_PER_CPU", 4), ("SLURM_CPUS_ON_NODE", 2)]), 7 << 20);
        assert_eq!(asked(&[("SLURM_MEM_PER_NODE", 0)]), 32000 * 1024);
        assert_eq!(asked(&[("SLURM_MEM_PER_CPU", 4)]), 32000 * 1024);
    }

    #[test]
    fn processes_that_the_system_ended_are_counted_in_every_group() {
        let system = Pretended::new("0::/a/b\n", MOUNT_2);
        system.write("sys/fs/cgroup/a/b/memory.events", "low 0\nhigh 3\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n");
        assert_eq!(system.files().kills(), Some(1));
        system.write("sys/fs/cgroup/a/memory.events", "oom_kill 4\n");
        assert_eq!(system.files().kills(), Some(5));
        let old = Pretended::new("4:memory:/a\n", MOUNT_1);
        old.write("sys/fs/cgroup/memory/a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
        assert_eq!(old.files().kills(), Some(2));
    }

    #[test]
    fn what_is_noted_of_a_group_is_read_back() {
        let noted = MemoryKills { count: 3, place: "boot-1 /sys/fs/cgroup/a in b".into() };
        assert_eq!(MemoryKills::parse(&noted.to_string()), Some(noted.clone()));
        assert!(MemoryKills::parse("").is_none());
    }

    #[test]
    fn a_process_that_the_system_ended_meanwhile_is_noticed_in_the_same_group_only() {
        let system = Pretended::new("0::/a\n", MOUNT_2);
        system.write("proc/sys/kernel/random/boot_id", "boot-1\n");
        let now = || MemoryKills::told_by(&system.files());
        assert_eq!(now(), None, "nobody tells");
        system.write("sys/fs/cgroup/a/memory.events", "oom_kill 1\n");
        let before = MemoryKills::parse(&now().unwrap().to_string()).unwrap();
        assert!(!before.is_before(&now().unwrap()));
        system.write("sys/fs/cgroup/a/memory.events", "oom_kill 2\n");
        assert!(before.is_before(&now().unwrap()));
        system.write("proc/sys/kernel/random/boot_id", "boot-2\n");
        assert!(!before.is_before(&now().unwrap()));
    }

    #[test]
    fn this_system_tells_what_is_free() {
        let free = free_memory().unwrap();
        assert!(free.bytes > 1 << 20, "{free:?}");
    }
}
