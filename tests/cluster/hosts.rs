//! A sweep on several hosts, with the real program, MPI and ssh: what it makes, and what it makes of cables that are
//! pulled and hosts that go down. The hosts are pretended, the connections between them are real ones.

use std::fs::File;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::common::cluster::Cluster;
use super::common::sweep::{Alone, TRAININGS, folder, journal, text};
use super::common::{Folder, PROGRAM, started, wait_until};

/// Rank 0 on node1, ranks 1 and 2 on node2, rank 3 on node3.
const HOSTFILE: &str = "node1 slots=1\nnode2 slots=2\nnode3 slots=1\n";
const HOSTS: [&str; 3] = ["node1", "node2", "node3"];
/// What docs/clusters.md tells users to give to Open MPI 4.
const RECOMMENDED: &str = "--bind-to none --enable-recovery --mca oob_tcp_keepalive_time 10 \
                           --mca oob_tcp_keepalive_intvl 5 --mca oob_tcp_keepalive_probes 4";
/// Each rank leaves its exit code in a file: mpirun's own says little once a host is lost.
const RANK: &str = r#""$@"; code=$?; echo $code >"ended.$OMPI_COMM_WORLD_RANK"; exit $code"#;

/// A sweep that takes some seconds.
fn sweep() -> String {
    text(400, 6)
}

/// A sweep that was started on all hosts.
struct Started<'a> {
    cluster: Cluster,
    folder: Folder,
    alone: &'a Alone,
    mpirun: Child,
}

impl<'a> Started<'a> {
    /// Starts mpirun on a host.
    fn begin(cluster: Cluster, alone: &'a Alone, mpirun_on: &str, options: &str, arguments: &str) -> Self {
        let folder = folder(&sweep());
        folder.write("hosts", HOSTFILE);
        let said = File::create(folder.path("said")).unwrap();
        let mut command = cluster.on(mpirun_on, "mpirun");
        command.args(["--hostfile", "hosts"]).args(options.split_whitespace());
        command.args(["bash", "-c", RANK, "rank", PROGRAM, "run", "sweep.toml"]).args(arguments.split_whitespace());
        command.current_dir(folder.path("")).stdin(Stdio::null());
        let mpirun = command.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
        Self { cluster, folder, alone, mpirun }
    }

    /// Starts mpirun on a host, and returns when a quarter of the sweep is done.
    fn new(cluster: Cluster, alone: &'a Alone, mpirun_on: &str, options: &str, arguments: &str) -> Self {
        let mut run = Self::begin(cluster, alone, mpirun_on, options, arguments);
        wait_until("a quarter of the sweep", || {
            assert!(run.mpirun.try_wait().unwrap().is_none(), "it ended too soon\n{}", run.said());
            journal(&run.folder) > alone.journal / 4
        });
        run
    }

    /// The exit code of a rank, once it has ended.
    fn code(&self, rank: usize) -> String {
        let name = format!("ended.{rank}");
        let read = || std::fs::read_to_string(self.folder.path(&name)).unwrap_or_default();
        wait_until(&format!("rank {rank} ends\n{}", self.said()), || read().ends_with('\n'));
        read().trim().to_string()
    }

    fn said(&self) -> String {
        self.folder.read("said")
    }

    /// No rank is left anywhere, though nobody has ended them.
    fn expect_nobody(&self) {
        for host in HOSTS {
            wait_until(&format!("no rank is left on {host}"), || !self.cluster.runs(host, "tombola-torch"));
        }
    }

    /// Ends the hosts, with an mpirun that may wait for one that is lost.
    fn end(self) -> (Folder, &'a Alone, ExitStatus) {
        let Self { cluster, folder, alone, mut mpirun } = self;
        drop(cluster);
        let status = mpirun.wait().unwrap();
        let said = folder.read("said");
        for word in ["panicked", "backtrace", "has a defect"] {
            assert!(!said.contains(word), "{said}");
        }
        (folder, alone, status)
    }
}

/// On the hosts of the other ranks nothing of the sweep can be seen, nor anything be written where they work.
#[test]
fn several_hosts_give_the_tables_of_one_process_and_only_rank_0_has_the_sweep_and_the_results() {
    let test = "several_hosts_give_the_tables_of_one_process_and_only_rank_0_has_the_sweep_and_the_results";
    let Some(cluster) = Cluster::with_mpi(test, 3) else { return };
    let text = text(200, 3);
    let (alone, many) = (Alone::run(&text), folder(&text));
    many.write("hosts", HOSTFILE);
    for host in ["node2", "node3"] {
        let empty = format!("mount -t tmpfs -o ro tmpfs '{0}' && ls -A '{0}'", many.path("").display());
        let output = cluster.shell(host, &cluster.folder(), &empty);
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    }
    let line = format!("mpirun --hostfile hosts '{PROGRAM}' run sweep.toml --quiet");
    let output = cluster.shell("node1", &many.path(""), &line);
    super::common::Ran::of(&line, output).expect(0).prints("lenet-300-100").does_not_say("error");
    alone.expect_same(&many, "on three hosts");
    // Each rank was there, and nobody has trained what another has.
    let log = many.read("results/sweep/log");
    for (rank, host) in ["node1", "node2", "node2", "node3"].iter().enumerate() {
        assert!(log.contains(&format!("worker {rank} is ready: {host}, ")), "{log}");
    }
    assert_eq!(started(&many, "results/sweep"), TRAININGS, "{log}");
}

#[test]
fn a_cable_that_is_pulled_for_three_seconds_costs_nothing_but_the_wait() {
    let test = "a_cable_that_is_pulled_for_three_seconds_costs_nothing_but_the_wait";
    let Some(cluster) = Cluster::with_mpi(test, 3) else { return };
    let alone = Alone::run(&sweep());
    let mut run = Started::new(cluster, &alone, "node1", RECOMMENDED, "");
    run.cluster.link("node3", "down");
    // How long it is out is what the test is about.
    std::thread::sleep(Duration::from_secs(3));
    run.cluster.link("node3", "up");
    wait_until(&format!("the sweep ends\n{}", run.said()), || run.mpirun.try_wait().unwrap().is_some());
    let (folder, alone, status) = run.end();
    let said = folder.read("said");
    assert!(status.success() && !said.contains("lost"), "{status}: {said}");
    assert_eq!(started(&folder, "results/sweep"), TRAININGS, "{said}");
    alone.expect_same(&folder, "after a pulled cable");
}

#[test]
fn without_a_host_the_others_do_the_whole_sweep_and_ranks_that_are_cut_off_end_themselves() {
    let test = "without_a_host_the_others_do_the_whole_sweep_and_ranks_that_are_cut_off_end_themselves";
    // The recommended options, with the shorter times of a shorter lease; and none, so that mpirun notices nothing.
    let quick = RECOMMENDED.replace("time 10", "time 2").replace("intvl 5", "intvl 1").replace("probes 4", "probes 3");
    let alone = Alone::run(&sweep());
    for (event, options) in [("cut off", quick.as_str()), ("cut off", ""), ("powered off", quick.as_str())] {
        let Some(cluster) = Cluster::with_mpi(test, 3) else { return };
        let situation = format!("node3 {event}, mpirun {options}");
        let run = Started::new(cluster, &alone, "node1", options, "--lease 3");
        match event {
            "cut off" => run.cluster.link("node3", "down"),
            _ => run.cluster.power_off("node3"),
        }
        assert_eq!(run.code(0), "0", "{situation}\n{}", run.said());
        if event == "cut off" && options.is_empty() {
            assert_eq!(run.code(3), "75", "{situation}\n{}", run.said());
        }
        run.expect_nobody();
        let (folder, alone, _) = run.end();
        let said = folder.read("said");
        assert!(said.contains("lost worker 3 (node3, "), "{situation}\n{said}");
        assert!(said.contains("ranks were lost: should the launcher not end by itself"), "{situation}\n{said}");
        alone.expect_same(&folder, &situation);
    }
}

#[test]
fn without_rank_0_the_others_end_themselves_and_the_same_command_goes_on() {
    let test = "without_rank_0_the_others_end_themselves_and_the_same_command_goes_on";
    let Some(cluster) = Cluster::with_mpi(test, 3) else { return };
    let alone = Alone::run(&sweep());
    // mpirun stays: it is not its end that ends them.
    let run = Started::new(cluster, &alone, "node0", "--enable-recovery", "--lease 3");
    run.cluster.power_off("node1");
    for rank in 1..4 {
        assert_eq!(run.code(rank), "75", "{}", run.said());
    }
    assert!(run.said().contains("no sign of rank 0 for "), "{}", run.said());
    let (folder, alone, _) = run.end();
    folder.tombola("run sweep.toml --quiet").expect(0);
    alone.expect_same(&folder, "after the host of rank 0 went down");
}

/// Before it has told them anything: nobody on another host can see that its process is gone, and there is no lease yet.
#[test]
fn without_rank_0_at_its_start_ranks_on_other_hosts_end_within_a_minute() {
    let test = "without_rank_0_at_its_start_ranks_on_other_hosts_end_within_a_minute";
    let Some(cluster) = Cluster::with_mpi(test, 3) else { return };
    let alone = Alone::run(&sweep());
    let begun = Instant::now();
    let options = "--bind-to none --enable-recovery -x TOMBOLA_FAULT=0:early:0";
    let run = Started::begin(cluster, &alone, "node0", options, "");
    for rank in 1..4 {
        assert_eq!(run.code(rank), "75", "{}", run.said());
    }
    let (after, said) = (begun.elapsed(), run.said());
    assert!(after < Duration::from_secs(55), "{after:?}\n{said}");
    assert!(said.contains("rank 3: no sign of rank 0 for 40 s") && run.code(0) == "9", "{said}");
    let (folder, alone, _) = run.end();
    folder.tombola("run sweep.toml --quiet").expect(0);
    alone.expect_same(&folder, "after rank 0 ended at its start");
}
