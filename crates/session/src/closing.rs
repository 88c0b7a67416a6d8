//! The end of a run: its last tables, and the words and exit code that say how it ended.

use std::collections::BTreeMap;
use std::path::Path;

use tombola_cluster::coordinator::serve::Count;
use tombola_core::folder::Store;
use tombola_core::folder::journal::History;
use tombola_core::net::custom::OwnNetwork;
use tombola_core::plan::Plan;
use tombola_core::plan::estimate::many;
use tombola_views::tables::{self, Style};
use tombola_words::error::{Error, Kind, Result};
use tombola_words::speech;

/// All that tables are made from.
pub(super) struct Written<'a> {
    pub folder: &'a Path,
    pub store: &'a Store,
    /// Networks of the sweep file.
    pub own: &'a BTreeMap<String, OwnNetwork>,
    pub plan: &'a Plan,
    pub history: &'a History,
    /// How the table on the terminal looks.
    pub style: &'a Style,
}

/// Writes the tables, prints the readable one, and says how it ended.
pub(super) fn finish(written: &Written, count: Count) -> Result<u8> {
    let Written { folder, store, own, plan, history, style } = *written;
    tables::write_final(folder, std::slice::from_ref(store), own, plan, history)?;
    if let (Some(error), true) = (count.deserted, count.open > 0 && count.lost > 0) {
        // Nobody could even begin: that is the reason, not an interruption.
        if count.finished + count.failed == 0 && error.kind != Kind::Interrupted {
            return Err(error);
        }
        return Err(Error::interrupted(format!(
            "the last worker was lost ({}); {} left in {}",
            error.message,
            are(count.open),
            folder.display()
        ))
        .hint("run the same command again: it continues where this stopped"));
    }
    if count.open > 0 && !count.gave_up {
        return Err(Error::interrupted(format!("{} left in {}", are(count.open), folder.display()))
            .hint("run the same command again: it continues where this stopped"));
    }
    speech::print(&format!("{}\nTables in {}\n", tables::render(plan, history, style), folder.display()))?;
    if count.failed > 0 {
        speech::say(format!(
            "{} failed{}{}; the reasons are in {}",
            many(count.failed, "training"),
            match count.skipped {
                0 => String::new(),
                skipped => format!(", {skipped} left out because of that"),
            },
            if count.open > 0 { format!(", {} not finished", count.open) } else { String::new() },
            folder.join("results.csv").display()
        ));
        return Ok(Kind::Training.exit_code());
    }
    let standings = tables::Standing::of(plan, history);
    // One that diverged is not tried again where it is not needed: that it failed stays true.
    let failed = standings.iter().filter(|standing| standing.state == tables::TrainingState::Failed).count();
    if plan.grows() && failed > 0 {
        speech::say(format!(
            "{} failed in earlier runs; see {}",
            many(failed, "training"),
            folder.join("results.csv").display()
        ));
        return Ok(Kind::Training.exit_code());
    }
    // Where others showed that it is not needed, nothing is missing.
    let is_missing =
        |standing: &&tables::Standing| standing.birdless.is_some() && standing.state == tables::TrainingState::Skipped;
    let birdless = standings.iter().filter(is_missing).count();
    if birdless > 0 {
        speech::say(format!(
            "{} left out: no early bird was drawn for that, since the masks did not settle; see {}",
            many(birdless, "training"),
            folder.join("tickets.csv").display()
        ));
        speech::say("hint: train longer, give a larger `early-bird-epsilon`, or draw at a fixed epoch");
        return Ok(Kind::Training.exit_code());
    }
    Ok(0)
}

/// `1 training is`, `2 trainings are`
fn are(count: usize) -> String {
    format!("{} {}", many(count, "training"), if count == 1 { "is" } else { "are" })
}
