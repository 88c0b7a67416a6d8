//! What `tombola tune` found, as a later run reads it.

use crate::form::{Grammar, WHOLE};
use crate::{FuzzTarget, few_copies};
use tombola_core::finding::{TuneFinding, TunedWork};
use tombola_core::net::zoo::Choice;
use tombola_words::value::Precision;

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "finding",
    run,
    seeds,
    form: WHOLE,
    grammar: Grammar::Text,
    words,
    longest: 4_000,
    memory: few_copies,
};

fn work() -> Option<TunedWork> {
    TunedWork::of("a machine".into(), &Choice::named("resnet"), Precision::Fp32, 64, 1)
}

fn run(bytes: &[u8]) {
    let (Ok(text), Some(work)) = (std::str::from_utf8(bytes), work()) else { return };
    let Ok(found) = TuneFinding::parse(text, &work) else { return };
    assert!((1..=1024).contains(&found.together), "{found:?}");
    assert!(found.on_processor(4).is_none_or(|workers| workers <= 4), "{found:?}");
    assert!(found.on_gpus(usize::MAX).is_none(), "{found:?}");
    assert!(found.day().bytes().all(|byte| byte.is_ascii_graphic()), "{found:?}");
    let again = serde_json::to_string(&found).ok().and_then(|text| TuneFinding::parse(&text, &work).ok());
    assert!(again.is_some(), "{found:?} is written, and not read again");
    again.into_iter().for_each(|mut again| {
        // The reader of JSON is exact but for the last digit.
        assert!((again.rate - found.rate).abs() <= (1e-14 * found.rate.abs()).max(1e-300), "{found:?} {again:?}");
        again.rate = found.rate;
        assert_eq!(again, found);
    });
}

fn seeds() -> Vec<Vec<u8>> {
    let found = work().map(|work| TuneFinding::new("2026-11-25T07:01:02Z".into(), work, 4, 100.5));
    found.and_then(|found| serde_json::to_vec_pretty(&found).ok()).into_iter().collect()
}

fn words() -> Vec<String> {
    let words =
        ["format", "together", "rate", "threads", "depth", "null", "1e999", "-1", "1024", "[", "{", "\"\\u0000\""];
    words.map(str::to_string).to_vec()
}
