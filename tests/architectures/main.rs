//! Networks that others wrote, by way of `tombola.from_torch`: they compute what PyTorch computes, and are pruned by weights and by
//! channels, heads or hidden units.
//!
//! `tests/outside/from_torch.py` writes them and what PyTorch gives, in float64; so does everything here compute, so that a difference
//! is one of the networks and not of rounding. Of the large ones none is tried each time: `TOMBOLA_TEST_ARCHITECTURES=all` tries all of
//! them, `resnet18,vit_b_16` these two; `TOMBOLA_TEST_CASES=FOLDER` keeps what was written there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "a test that fails should say where"
)]

#[path = "../common/mod.rs"]
mod common;

mod case;
mod pruned;

use std::fmt::Write as _;

use case::{Case, names};
use pruned::Found;

/// Networks that must have channels, heads or hidden units that can be pruned.
const STRUCTURED: usize = 30;
/// Networks that must come in.
const TAKEN: usize = 45;

/// Those at places `part`, `part` + 2, ...: two tests share the work.
fn networks(part: usize) {
    tombola_train::tch::set_num_threads(1);
    let Some(names) = names() else { return };
    let (mut told, mut wrong, mut taken, mut structured) = (String::new(), String::new(), 0, 0);
    for name in names.taken.iter().skip(part).step_by(2) {
        let case = Case::of(name);
        let checked = case.computes().and_then(|distance| Ok((distance, pruned::check(&case)?)));
        match checked {
            Ok((distance, found)) => {
                taken += 1;
                structured += usize::from(found.units > 0);
                let Found { units, layers, with_streams } = found;
                let parameters = case.layout.len;
                let line = format!(
                    "{name}: {parameters} parameters, {distance:.0e}, {units} units in {layers} layers, {with_streams} with streams"
                );
                println!("{line}");
                writeln!(told, "{line}").unwrap();
            }
            Err(what) => {
                println!("WRONG {name}: {what}");
                writeln!(wrong, "{name}: {what}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "of {} networks:\n{wrong}", names.taken.len());
    if names.all {
        assert!(
            2 * taken >= TAKEN && 2 * structured >= STRUCTURED,
            "{taken} came in, {structured} have units:\n{told}"
        );
    }
}

#[test]
fn every_second_network_of_pytorch_computes_the_same_here_and_is_pruned() {
    networks(0);
}

#[test]
fn the_other_networks_of_pytorch_compute_the_same_here_and_are_pruned() {
    networks(1);
}
