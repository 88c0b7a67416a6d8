//! The text of a job script, a function of what is asked and of nothing else.
//!
//! Its fixed parts are shell files beside this one, so that they can be read as what they are. What differs from job to
//! job stands at the top of the script: the `#SBATCH` lines, and variables that the fixed parts use.

use super::{Job, NOTICE};

/// Helpers, and what a signal does: before anything is started.
const PREPARE: &str = include_str!("prepare.sh");
/// Starts the ranks and waits for them.
const MPI: &str = include_str!("mpi.sh");
/// What a rank runs. It and [`MPS`] stand in single quotes in the script, so they have none themselves.
const RANK: &str = include_str!("rank.sh");
/// Before that, where ranks share a GPU.
const MPS: &str = include_str!("mps.sh");
/// Starts one task of an array and waits for it.
const ARRAY: &str = include_str!("array.sh");
/// Back into the queue, or the end.
const FINISH: &str = include_str!("finish.sh");

/// The script of a job that [`Job::check`] has nothing against.
pub fn text(job: &Job) -> String {
    let mut text = format!("#!/bin/bash\n#\n# Made by: {}\n#\n{EXPLANATION}\n", command_line(job));
    text.push_str(&directives(job));
    text.push_str(
        "\n# backticks in messages mark literals; a trap calls functions\n# shellcheck disable=SC2016,SC2317\n\n",
    );
    text.push_str(&variables(job));
    let body = if job.array.is_some() { ARRAY } else { MPI };
    for part in [PREPARE, body, FINISH] {
        text.push('\n');
        text.push_str(part);
    }
    text
}

const EXPLANATION: &str = "\
# Submit it with `sbatch`, from the folder that its paths are relative to. Flags of sbatch win over the lines below. Some
# time before the limit the sweep stops after the running epochs, and the job goes back into the queue to continue.
#";

/// The `#SBATCH` lines.
fn directives(job: &Job) -> String {
    let name = job.display_name();
    let mut lines = vec![format!("job-name={name}")];
    if let Some(tasks) = job.array {
        lines.push(format!("array=1-{tasks}"));
    }
    lines.push(format!("nodes={}", job.nodes));
    lines.push(format!("ntasks-per-node={}", job.ranks_on_a_node()));
    lines.push(format!("cpus-per-task={}", job.cpus_per_rank));
    if job.gpus_per_node > 0 {
        lines.push(format!("gres=gpu:{}", job.gpus_per_node));
    }
    let chosen = [("time", &job.time), ("partition", &job.partition), ("account", &job.account), ("qos", &job.qos)];
    lines.extend(chosen.iter().filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}={value}"))));
    // `B:` to the batch shell, which has to know of it to put the job back into the queue.
    lines.push(format!("signal=B:USR1@{}", job.stop_before));
    lines.push("requeue".to_string());
    // Without it the log of the first start is lost at the second.
    lines.push("open-mode=append".to_string());
    let pattern = if job.array.is_some() { "%A-%a" } else { "%j" };
    lines.push(format!("output={}", job.log.clone().unwrap_or_else(|| format!("{name}-{pattern}.log"))));
    lines.iter().map(|line| format!("#SBATCH --{line}\n")).collect()
}

/// What the fixed parts need to know.
fn variables(job: &Job) -> String {
    let arguments: Vec<String> = arguments(job).iter().map(|word| shell_word(word)).collect();
    let mut text = format!("program={}\narguments=({})\n", shell_word(&job.program), arguments.join(" "));
    let results = shell_word(&job.results);
    match job.array {
        // A task whose number in the queue is that of the whole array would take all others with it.
        Some(tasks) => text.push_str(&format!(
            "shards={tasks}\nresults={results}/shard-$SLURM_ARRAY_TASK_ID-of-$shards\njob=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID\n"
        )),
        None => text.push_str(&format!(
            "results={results}\nranks={}\njob=$SLURM_JOB_ID\n",
            job.nodes * job.ranks_on_a_node()
        )),
    }
    text.push_str(&format!("max_requeues={}\n", job.max_requeues));
    let threads = job.cpus_per_rank;
    let environment =
        format!("export OMP_NUM_THREADS={threads} MKL_NUM_THREADS={threads} CUDA_DEVICE_ORDER=PCI_BUS_ID\n");
    if job.array.is_some() {
        return text + &environment;
    }
    // Within the rank, because launchers differ in what they hand on to other nodes.
    let mps = if job.ranks_per_gpu > 1 { MPS } else { "" };
    text + &format!(
        "# What each rank runs. Rank 0 leaves its exit code in a file: it alone knows how the sweep ended.\nrank_program='\n{environment}{mps}{RANK}'\n"
    )
}

/// The arguments of the program in the job, but `--shard` with the number of the task.
pub fn arguments(job: &Job) -> Vec<String> {
    let mut words = vec!["run".to_string(), job.sweep.clone()];
    let mut flag = |name: &str, value: String| words.extend([name.to_string(), value]);
    match (job.gpus_per_node, job.array) {
        (0, Some(_)) => {
            flag("--workers", "1".to_string());
            flag("--threads", job.cpus_per_rank.to_string());
        }
        (0, None) => flag("--threads", job.cpus_per_rank.to_string()),
        _ if job.ranks_per_gpu > 1 => flag("--ranks-per-gpu", job.ranks_per_gpu.to_string()),
        _ => {}
    }
    // It watches the limit itself too; the two should not differ.
    if job.stop_before != NOTICE {
        flag("--stop-before", job.stop_before.to_string());
    }
    words.extend(job.further.iter().cloned());
    words
}

/// The command that prints this script.
fn command_line(job: &Job) -> String {
    let plain = Job::new(&job.sweep, &job.program);
    let mut words = vec!["tombola".to_string(), "slurm".to_string(), shell_word(&job.sweep)];
    let numbers = [
        ("--nodes", job.nodes as u64, plain.nodes as u64),
        ("--gpus-per-node", job.gpus_per_node as u64, plain.gpus_per_node as u64),
        ("--ranks-per-node", job.ranks_per_node.unwrap_or(0) as u64, 0),
        ("--ranks-per-gpu", job.ranks_per_gpu as u64, plain.ranks_per_gpu as u64),
        ("--cpus-per-rank", job.cpus_per_rank as u64, plain.cpus_per_rank as u64),
        ("--array", job.array.unwrap_or(0) as u64, 0),
        ("--max-requeues", job.max_requeues as u64, plain.max_requeues as u64),
        ("--stop-before", job.stop_before, plain.stop_before),
    ];
    for (flag, value, usual) in numbers {
        if value != usual {
            words.extend([flag.to_string(), value.to_string()]);
        }
    }
    let texts = [
        ("--time", job.time.as_ref()),
        ("--partition", job.partition.as_ref()),
        ("--account", job.account.as_ref()),
        ("--qos", job.qos.as_ref()),
        ("--job-name", job.name.as_ref()),
        ("--log", job.log.as_ref()),
        ("--program", Some(&job.program)),
    ];
    for (flag, value) in texts {
        if let Some(value) = value {
            words.extend([flag.to_string(), shell_word(value)]);
        }
    }
    if !job.further.is_empty() {
        words.push("--".to_string());
        words.extend(job.further.iter().map(|word| shell_word(word)));
    }
    words.join(" ")
}

/// One word for the shell, whatever is in it.
fn shell_word(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=%@+".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_within_quotes_have_none() {
        assert!(!RANK.contains('\'') && !MPS.contains('\''));
    }

    #[test]
    fn words_reach_the_program_as_they_were_given() {
        let mut job = Job::new("sweeps/it's.toml", "/opt/my tools/tombola");
        job.further = vec!["--pr".into(), "0.5,$HOME".into()];
        let text = text(&job);
        assert!(text.contains("program='/opt/my tools/tombola'\n"), "{text}");
        assert!(text.contains(r"arguments=(run 'sweeps/it'\''s.toml' --threads 1 --pr '0.5,$HOME')"), "{text}");
    }

    #[test]
    fn only_ranks_that_share_a_gpu_need_its_daemon() {
        let mut job = Job::new("lenet.toml", "tombola");
        assert!(!text(&job).contains("mps") && !text(&job).contains("gres"));
        job.gpus_per_node = 2;
        assert!(!text(&job).contains("mps") && text(&job).contains("\n#SBATCH --gres=gpu:2\n"));
        job.ranks_per_gpu = 3;
        let text = text(&job);
        assert!(text.contains("nvidia-cuda-mps-control -d"), "{text}");
        assert!(text.contains("\n#SBATCH --ntasks-per-node=6\n"), "{text}");
    }

    #[test]
    fn the_tasks_of_an_array_go_back_into_the_queue_one_by_one() {
        let mut job = Job::new("lenet.toml", "tombola");
        job.array = Some(8);
        let text = text(&job);
        assert!(text.contains("\n#SBATCH --array=1-8\n"), "{text}");
        assert!(text.contains("job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\n"), "{text}");
        assert!(!text.contains("mpirun -"), "{text}");
    }
}
