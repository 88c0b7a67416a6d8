//! Networks that others wrote, by way of `tombola.from_torch`: they compute what PyTorch computes, and are pruned by weights and by
//! channels, heads or hidden units.
//!
//! `tests/outside/from_torch.py` writes them and what PyTorch gives, in float64; so does everything here compute, so that a difference
//! is one of the networks and not of rounding. `TOMBOLA_TEST_ARCHITECTURES=resnet18,vit_b_16` tries some of them,
//! `TOMBOLA_TEST_CASES=FOLDER` keeps what was written there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "a test that fails should say where"
)]

mod case;
mod pruned;

use std::fmt::Write as _;

use case::{Case, names};

/// Networks that must have channels, heads or hidden units that can be pruned.
const STRUCTURED: usize = 30;
/// Networks that must come in.
const TAKEN: usize = 45;

#[test]
fn networks_of_pytorch_compute_the_same_here_and_are_pruned() {
    let Some(names) = names() else { return };
    let (mut told, mut wrong, mut taken, mut structured) = (String::new(), String::new(), 0, 0);
    for name in &names.taken {
        let case = Case::of(name);
        let checked = case.computes().and_then(|distance| Ok((distance, pruned::check(&case)?)));
        match checked {
            Ok((distance, found)) => {
                taken += 1;
                structured += usize::from(found.units > 0);
                let line = format!(
                    "{name}: {distance:.0e}, {} units in {} layers, {} with streams",
                    found.units, found.layers, found.with_streams
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
        assert!(taken >= TAKEN && structured >= STRUCTURED, "{taken} came in, {structured} have units:\n{told}");
    }
}
