//! `tombola slurm`: the script it prints, as text and at work on a Slurm that is real, though its hosts are pretended.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::common::cluster::Cluster;
use super::common::{Folder, PROGRAM, skipped};

const SWEEP: &str = "dataset = \"synthetic\"\nnetwork = \"lenet-300-100\"\nepochs = 2\n";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("sweep.toml", SWEEP);
    folder
}

fn script(folder: &Folder, arguments: &str) -> String {
    folder.tombola(&format!("slurm sweep.toml {arguments}")).expect(0).out
}

fn program(folder: &Folder, name: &str, text: &str) {
    folder.write(name, text);
    std::fs::set_permissions(folder.path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_script_of_ranks_that_share_gpus_on_several_nodes() {
    let shared = "--nodes 2 --gpus-per-node 4 --ranks-per-gpu 2 --cpus-per-rank 4 --time 04:00:00 --partition gpu";
    let rest = "--account physics --qos long --max-requeues 5 --stop-before 300 --program tombola -- --seed 1,2,3";
    insta::assert_snapshot!("shared_gpus", script(&folder(), &format!("{shared} {rest}")));
}

#[test]
fn the_script_of_an_array() {
    let array = "--array 8 --cpus-per-rank 2 --job-name eight --log logs/%A-%a --program tombola";
    insta::assert_snapshot!("array", script(&folder(), array));
}

#[test]
fn scripts_are_ones_that_bash_and_shellcheck_accept() {
    let folder = folder();
    for arguments in [
        "--program tombola",
        "--nodes 3 --ranks-per-node 16 --cpus-per-rank 2",
        "--gpus-per-node 4 --ranks-per-gpu 3 --program /opt/a'b/tombola -- --out it's --seed 1,2",
        "--array 8",
    ] {
        folder.write("job.sbatch", script(&folder, arguments));
        folder.shell("bash -n job.sbatch").expect(0);
        if Command::new("shellcheck").arg("--version").stdout(Stdio::null()).status().is_ok() {
            folder.shell("shellcheck job.sbatch >&2").expect(0);
        } else {
            skipped("scripts_are_ones_that_bash_and_shellcheck_accept", "shellcheck is not installed");
        }
    }
}

/// The examples say at their top how they were made.
#[test]
fn the_examples_are_what_the_verb_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for entry in std::fs::read_dir(root.join("scripts")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sbatch") {
            continue;
        }
        seen += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let made = text.lines().find_map(|line| line.strip_prefix("# Made by: tombola ")).unwrap();
        let line = format!("'{PROGRAM}' {made}");
        let output = Command::new("bash").args(["-c", &line]).current_dir(root).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed == text, "`tombola {made} > {}` makes another file", path.display());
    }
    assert_eq!(seen, 4);
}

#[test]
fn wrong_values_and_a_wrong_sweep_are_found_before_anything_waits_in_a_queue() {
    let folder = folder();
    folder.tombola("slurm missing.toml").expect(2).says("cannot read `missing.toml`");
    folder.tombola("slurm sweep.toml --nodes 0").expect(2).says("`--nodes`: found `0`");
    folder.tombola("slurm sweep.toml --time soon").expect(2).says("`--time`: found `soon`");
    folder.tombola("slurm sweep.toml -- --epochs none").expect(2).says("`--epochs`: found `none`");
    folder.tombola("slurm sweep.toml -- --colour red").expect(2).says("arguments behind `--`: unexpected argument");
}

#[test]
fn sbatch_gets_the_script_and_its_answer_is_passed_on() {
    let folder = folder();
    std::fs::create_dir(folder.path("empty")).unwrap();
    let submit = |path: &str| {
        let mut command = folder.command(PROGRAM);
        super::common::Ran::of(
            path,
            command.args(["slurm", "sweep.toml", "--submit"]).env("PATH", path).output().unwrap(),
        )
    };
    submit(&folder.path("empty").display().to_string())
        .expect(3)
        .says("there is no `sbatch` on this machine")
        .says("without `--submit`");
    let usual = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{usual}", folder.path("bin").display());
    program(&folder, "bin/sbatch", "#!/bin/bash\ncat >got; echo Submitted batch job 7");
    assert_eq!(submit(&path).expect(0).out, "Submitted batch job 7\n");
    assert_eq!(folder.read("got"), script(&folder, ""));
    program(&folder, "bin/sbatch", "#!/bin/bash\necho sbatch: error: invalid partition >&2; exit 1");
    submit(&path).expect(3).says("invalid partition").says("`sbatch` did not take the job");
}

/// In place of the program, which needs torch and minutes: it says where it is, and does what its last argument tells.
///
/// - `stop`: in the first start of the job, waits for USR1, which rank 0 asks Slurm for once all ranks are ready, and ends
///   as the program does when it is interrupted. In the second start it ends well.
/// - `lose`: the last rank is killed, and rank 0 ends with 1, as if a training had failed.
/// - `2/3`, the shard: that one does as with `stop`, the others end well.
const STAND_IN: &str = r#"#!/bin/bash
rank=${OMPI_COMM_WORLD_RANK:-0} ranks=${OMPI_COMM_WORLD_SIZE:-1} start=${SLURM_RESTART_COUNT:-0} what=${!#}
say() { echo "start $start rank $rank: $*"; }
say "$(uname -n), $OMP_NUM_THREADS threads, GPUs ${CUDA_VISIBLE_DEVICES:-none}, MPS ${CUDA_MPS_PIPE_DIRECTORY:+yes}; $*"
if [[ $what == lose ]]; then
    ((rank < ranks - 1)) || kill -KILL $$
    exit $((rank == 0))
fi
[[ $start == 0 && $what == @(stop|2/3) ]] || exit 0
# `wait` alone may lose the exit code when it is interrupted; a flag cannot be lost.
trap stopped=yes USR1
: >"ready.$SLURM_JOB_ID.$rank"
if [[ $rank == 0 ]]; then
    until [[ $(compgen -G "ready.$SLURM_JOB_ID.*" | wc -l) == "$ranks" ]]; do sleep 0.05; done
    scancel --batch --signal=USR1 "${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_}${SLURM_ARRAY_TASK_ID:-$SLURM_JOB_ID}"
fi
sleep 60 &
until [[ -n ${stopped:-} ]]; do wait; done
trap '' USR1
say stops
exit 75
"#;

/// In place of NVIDIA's, which needs a GPU: says what it is told to do, and keeps to its ways as far as the script does.
const MPS_CONTROL: &str = r#"#!/bin/bash
if [[ ${1:-} == -d ]]; then
    echo "daemon starts on $(uname -n) with GPUs $CUDA_VISIBLE_DEVICES"
    : >"$CUDA_MPS_PIPE_DIRECTORY/control"
else
    read -r order
    echo "daemon on $(uname -n): $order"
fi
"#;

/// Runs a job to its end, through its returns to the queue. Gives how it ended, and the lines of its logs, sorted.
fn job(cluster: &Cluster, arguments: &str) -> (String, Vec<String>) {
    let folder = folder();
    program(&folder, "stand-in", STAND_IN);
    program(&folder, "bin/nvidia-cuda-mps-control", MPS_CONTROL);
    folder.write("job.sbatch", script(&folder, arguments));
    let line = "PATH=$PWD/bin:$PATH; job=$(sbatch --parsable job.sbatch) || exit
        until [[ ! $(squeue --noheader --jobs=$job --states=all --format=%T) =~ PENDING|RUNNING|COMPLETING|REQUEUE ]]
        do sleep 0.1; done
        scontrol show jobs $job | sed -n 's/.*Restarts=\\([0-9]*\\).*ExitCode=\\([0-9:]*\\).*/\\1 requeues, exit \\2/p' | sort";
    let output = cluster.shell("node0", &folder.path(""), line);
    let mut lines = Vec::new();
    for name in folder.listing().iter().filter(|name| name.starts_with("log")) {
        lines.extend(folder.read(name).lines().map(str::to_string));
    }
    lines.sort();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout) + &text(output.stderr), lines)
}

/// The lines with some text in them.
fn with<'a>(lines: &'a [String], text: &str) -> Vec<&'a str> {
    lines.iter().map(String::as_str).filter(|line| line.contains(text)).collect()
}

#[test]
fn jobs_on_a_real_slurm_stop_when_told_return_to_the_queue_and_continue() {
    let test = "jobs_on_a_real_slurm_stop_when_told_return_to_the_queue_and_continue";
    if Command::new("mpirun").arg("--version").output().is_err() {
        return skipped(test, "there is no mpirun");
    }
    let Some(cluster) = Cluster::up(test, 2) else { return };
    if !cluster.slurm_up(test, &["--gpus", "2", "--cpus", "8"]) {
        return;
    }
    let common = "--program ./stand-in --log log-%A-%a";

    let shared = "--nodes 2 --gpus-per-node 2 --ranks-per-gpu 2 --cpus-per-rank 2";
    let (end, lines) = job(&cluster, &format!("{shared} {common} -- --out stop"));
    let all = lines.join("\n");
    assert_eq!(end, "1 requeues, exit 0:0\n", "{all}");
    for start in 0..2 {
        for rank in 0..8 {
            let node = 1 + rank / 4;
            let said = format!("start {start} rank {rank}: node{node}, 2 threads, GPUs 0,1, MPS yes; run sweep.toml");
            assert_eq!(with(&lines, &said).len(), 1, "{said}\n{all}");
        }
    }
    for rank in 0..8 {
        assert_eq!(with(&lines, &format!("start 0 rank {rank}: stops")).len(), 1, "{all}");
    }
    assert_eq!(with(&lines, "back into the queue, time 1 of 20").len(), 1, "{all}");
    // Once a node in each start, wherever it is.
    for node in ["node1", "node2"] {
        assert_eq!(with(&lines, &format!("daemon starts on {node} with GPUs 0,1")).len(), 2, "{all}");
        assert_eq!(with(&lines, &format!("daemon on {node}: quit")).len(), 2, "{all}");
    }

    // The death of a rank neither ends the others nor hides how the sweep ended.
    let (end, lines) = job(&cluster, &format!("--nodes 2 --ranks-per-node 2 {common} -- --out lose"));
    assert_eq!(end, "0 requeues, exit 1:0\n", "{}", lines.join("\n"));
    assert_eq!(with(&lines, "rank 3 on node2 ended with exit code 137").len(), 1, "{}", lines.join("\n"));

    // One task of an array goes back into the queue without the others.
    let (end, lines) = job(&cluster, &format!("--array 3 --cpus-per-rank 2 {common}"));
    let all = lines.join("\n");
    assert_eq!(end, "0 requeues, exit 0:0\n0 requeues, exit 0:0\n1 requeues, exit 0:0\n", "{all}");
    for (start, shard, times) in [(0, "1/3", 1), (0, "2/3", 1), (1, "2/3", 1), (1, "3/3", 0)] {
        let said = format!("--workers 1 --threads 2 --shard {shard}");
        let here = lines.iter().filter(|line| line.starts_with(&format!("start {start}")) && line.ends_with(&said));
        assert_eq!(here.count(), times, "start {start} of {shard}\n{all}");
    }
}

/// In place of the program: says which GPUs it has at which daemon, and stays until all ranks have said it.
const AT_DAEMON: &str = r#"#!/bin/bash
echo "rank $OMPI_COMM_WORLD_LOCAL_RANK: GPUs ${CUDA_VISIBLE_DEVICES-all} of ${CUDA_MPS_PIPE_DIRECTORY%/pipe}"
: >"there.$OMPI_COMM_WORLD_LOCAL_RANK"
until [[ $(compgen -G "there.*" | wc -l) == "$RANKS" ]]; do read -rt 0.05 _ <>"$PWD/silence"; done
"#;

/// What the ranks of one node say that were given these GPUs, and what the daemons do, in the part of a job script that each rank
/// runs.
fn at_daemons(name: &str, given: &[&str]) -> Vec<String> {
    let folder = folder();
    program(&folder, "at-daemon", AT_DAEMON);
    program(&folder, "bin/nvidia-cuda-mps-control", MPS_CONTROL);
    folder.shell("mkfifo silence").expect(0);
    let text = script(&folder, "--gpus-per-node 2 --ranks-per-gpu 2");
    let (_, rest) = text.split_once("rank_program='\n").unwrap();
    let (rank_program, _) = rest.split_once("\n'\n").unwrap();
    let path = format!("{}:{}", folder.path("bin").display(), std::env::var("PATH").unwrap());
    let start = |(rank, gpus): (usize, &&str)| {
        let mut one = folder.command("bash");
        one.args(["-c", rank_program, "rank", "ended", "./at-daemon"]).stdout(Stdio::piped()).env("PATH", &path);
        one.env("OMPI_COMM_WORLD_RANK", rank.to_string()).env("OMPI_COMM_WORLD_LOCAL_RANK", rank.to_string());
        one.env("SLURM_JOB_ID", format!("{name}-{}", std::process::id())).env("RANKS", given.len().to_string());
        one.env("CUDA_VISIBLE_DEVICES", gpus).spawn().unwrap()
    };
    let started: Vec<_> = given.iter().enumerate().map(start).collect();
    let outputs = started.into_iter().map(|one| String::from_utf8(one.wait_with_output().unwrap().stdout).unwrap());
    let mut lines: Vec<String> =
        outputs.flat_map(|text| text.lines().map(str::to_string).collect::<Vec<_>>()).collect();
    lines.sort();
    lines
}

#[test]
fn ranks_that_were_given_different_gpus_have_a_daemon_for_each_and_keep_theirs_apart() {
    // The daemons number theirs from 0, each.
    for (name, given, seen) in [
        ("all", ["2,3", "2,3", "2,3", "2,3"], ["0,1"; 4]),
        ("pairs", ["2", "2", "5", "5"], ["0"; 4]),
        ("units", ["MIG-a", "MIG-a", "MIG-b", "MIG-b"], ["MIG-a", "MIG-a", "MIG-b", "MIG-b"]),
    ] {
        let lines = at_daemons(name, &given);
        let said: Vec<(&str, &str)> = (0..4)
            .map(|rank| {
                let line = with(&lines, &format!("rank {rank}: GPUs "))[0];
                line.split_once("GPUs ").and_then(|(_, rest)| rest.split_once(" of ")).unwrap()
            })
            .collect();
        assert_eq!(said.iter().map(|(gpus, _)| *gpus).collect::<Vec<_>>(), seen, "{lines:#?}");
        for (one, other) in [(0, 1), (1, 2), (2, 3)] {
            assert_eq!(said[one].1 == said[other].1, given[one] == given[other], "{lines:#?}");
        }
        let groups = if given[0] == given[3] { &given[..1] } else { &given[1..3] };
        for gpus in groups {
            let begins =
                with(&lines, "daemon starts on").into_iter().filter(|line| line.ends_with(&format!("GPUs {gpus}")));
            assert_eq!(begins.count(), 1, "{lines:#?}");
        }
        assert_eq!(with(&lines, ": quit").len(), groups.len(), "{lines:#?}");
        assert!(!Path::new(said[0].1).parent().unwrap().exists(), "the folder of the job is left behind");
    }
}

/// A job whose program is killed each time, on a Slurm that says what `state` says of it: exit codes, and how often it went back
/// into the queue.
fn killed_again_and_again(state: &str, times: usize) -> (Vec<Option<i32>>, usize, String) {
    let folder = folder();
    program(
        &folder,
        "bin/tombola",
        "#!/bin/bash\n[[ $1 == status ]] && exit 75\nmkdir -p results/sweep/shard-1-of-1\nkill -KILL $$\n",
    );
    program(&folder, "bin/sacct", &format!("#!/bin/bash\necho {state}\n"));
    program(&folder, "bin/scontrol", "#!/bin/bash\necho \"$*\" >>requeued\n");
    program(&folder, "bin/squeue", "#!/bin/bash\necho 'RUNNING None'\n");
    folder.write("job.sbatch", script(&folder, "--array 1 --program bin/tombola"));
    let path = format!("{}:{}", folder.path("bin").display(), std::env::var("PATH").unwrap());
    let (mut codes, mut told) = (Vec::new(), String::new());
    for _ in 0..times {
        let mut job = folder.command("bash");
        job.arg("job.sbatch").env("PATH", &path).env("SLURM_ARRAY_JOB_ID", "7").env("SLURM_ARRAY_TASK_ID", "1");
        let output = job.output().unwrap();
        codes.push(output.status.code());
        told.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    let requeued = std::fs::read_to_string(folder.path("requeued")).unwrap_or_default().lines().count();
    (codes, requeued, told)
}

#[test]
fn a_job_whose_memory_runs_out_goes_back_into_the_queue_twice_and_no_more() {
    let (codes, requeued, told) = killed_again_and_again("OUT_OF_MEMORY", 3);
    assert_eq!((codes, requeued), (vec![Some(75), Some(75), Some(3)], 2), "{told}");
    assert!(told.contains("because memory ran out, time 3: ask for more (`--mem`)"), "{told}");
    let (codes, requeued, told) = killed_again_and_again("NODE_FAIL", 4);
    assert_eq!((codes, requeued), (vec![Some(75); 4], 4), "{told}");
    assert!(!told.contains("memory"), "{told}");
}
