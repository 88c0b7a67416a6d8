//! Sweeps as Slurm jobs, with the real program on a Slurm that is real, though its hosts are pretended: whatever happens
//! to a job, it comes to the tables of one process.

use super::common::cluster::Cluster;
use super::common::sweep::{Alone, folder, journal, text};
use super::common::{Folder, wait_until};

/// A job on two of three hosts, which lasts some seconds.
const JOB: &str = "--nodes 2 --log log -- --lease 3";

/// A job of a sweep.
struct Job<'a> {
    cluster: &'a Cluster,
    folder: Folder,
    number: String,
}

impl<'a> Job<'a> {
    fn submit(cluster: &'a Cluster, text: &str, arguments: &str) -> Self {
        let folder = folder(text);
        folder.write("job.sbatch", folder.tombola(&format!("slurm sweep.toml {arguments}")).expect(0).out);
        let mut job = Self { cluster, folder, number: String::new() };
        job.number = job.slurm("sbatch --parsable job.sbatch").trim().to_string();
        job
    }

    /// A line on the host where users work.
    fn slurm(&self, line: &str) -> String {
        let output = self.cluster.shell("node0", &self.folder.path(""), line);
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn wait_for_a_quarter(&self, alone: &Alone) {
        wait_until("a quarter of the sweep", || journal(&self.folder) > alone.journal / 4);
    }

    /// How it ended, and how often it went back into the queue; for each task of an array.
    #[track_caller]
    fn expect_end(&self, expected: &[&str]) {
        self.slurm(&format!(
            "until [[ ! $(squeue --noheader --jobs={} --states=all --format=%T) =~ PENDING|RUNNING|COMPLETING|REQUEUE ]]
            do sleep 0.2; done",
            self.number
        ));
        let fields =
            "s/.*JobState=\\([A-Z]*\\).*Restarts=\\([0-9]*\\).*ExitCode=\\([0-9:]*\\).*/\\1, \\2 requeues, exit \\3/p";
        let ends = self.slurm(&format!("scontrol --oneliner show jobs {} | sed -n '{fields}' | sort", self.number));
        assert_eq!(ends.lines().collect::<Vec<_>>(), expected, "{}", self.log());
    }

    fn log(&self) -> String {
        let names = self.folder.listing().into_iter().filter(|name| name.starts_with("log"));
        names.map(|name| self.folder.read(&name)).collect()
    }
}

/// One test: each Slurm takes seconds to come up, and two at a time would only wait for each other's processors.
#[test]
fn whatever_happens_to_a_job_it_comes_to_the_tables_of_one_process() {
    let test = "whatever_happens_to_a_job_it_comes_to_the_tables_of_one_process";
    let Some(cluster) = Cluster::with_mpi(test, 3) else { return };
    if !cluster.slurm_up(test, &[]) {
        return;
    }
    let text = text(400, 6);
    let alone = Alone::run(&text);

    // What Slurm does some time before the limit.
    let job = Job::submit(&cluster, &text, JOB);
    job.wait_for_a_quarter(&alone);
    job.slurm(&format!("scancel --batch --signal=USR1 {}", job.number));
    job.expect_end(&["COMPLETED, 1 requeues, exit 0:0"]);
    assert!(job.log().contains("stopped before the end: back into the queue, time 1 of 20"), "{}", job.log());
    alone.expect_same(&job.folder, "after a signal");

    // Rank 0 is killed, for want of memory say. mpirun takes that for success.
    let job = Job::submit(&cluster, &text, JOB);
    job.wait_for_a_quarter(&alone);
    let kill = r#"cd /proc; for process in [0-9]*; do
        if grep -qs ^tombola $process/comm && grep -qsz '^OMPI_COMM_WORLD_RANK=0$' $process/environ; then kill -KILL $process; fi
    done"#;
    job.slurm(&format!("ssh $(squeue --noheader --jobs={} --format=%B) \"{}\"", job.number, kill.replace('$', "\\$")));
    job.expect_end(&["COMPLETED, 1 requeues, exit 0:0"]);
    assert!(job.log().contains("of 48 trainings done, "), "{}", job.log());
    alone.expect_same(&job.folder, "after the end of rank 0");

    // Who cancels a job means it.
    let job = Job::submit(&cluster, &text, JOB);
    job.wait_for_a_quarter(&alone);
    job.slurm(&format!("scancel {}", job.number));
    wait_until("the script ends", || !cluster.runs("node1", "mpirun") && !cluster.runs("node2", "mpirun"));
    job.slurm(&format!("until [[ $(scontrol show job {}) != *COMPLETING* ]]; do sleep 0.1; done", job.number));
    assert!(job.slurm(&format!("scontrol show job {}", job.number)).contains("JobState=CANCELLED"), "{}", job.log());

    // An array of parts of the sweep, without MPI.
    let job = Job::submit(&cluster, &text, "--array 3 --log log-%a");
    job.expect_end(&["COMPLETED, 0 requeues, exit 0:0"; 3]);
    job.folder.tombola("status results/sweep --check").expect(0).prints("48 of 48 trainings done");
    job.folder.tombola("tables results/sweep").expect(0);
    alone.expect_same(&job.folder, "of three shards");

    // The host of the script and of rank 0 goes down; the job finds another.
    let job = Job::submit(&cluster, &text, JOB);
    job.wait_for_a_quarter(&alone);
    let host = job.slurm(&format!("squeue --noheader --jobs={} --format=%B", job.number));
    cluster.power_off(host.trim());
    job.expect_end(&["COMPLETED, 1 requeues, exit 0:0"]);
    alone.expect_same(&job.folder, "after a host went down");
}
