//! Networks against double precision, on any device: as exact as the numbers that they are computed with, and no more.

use super::place::device;
use tombola_core::net::zoo::Choice;
use tombola_train::exactness;
use tombola_words::value::Precision;

#[test]
fn networks_are_as_exact_as_their_numbers_allow_and_shorter_numbers_are_noticed() {
    for name in ["lenet-5", "resnet", "resnetb", "vgg-11"] {
        let choice = Choice { depth: if name == "resnetb" { 11 } else { 8 }, width: 8, ..Choice::named(name) };
        let [exact, half] = [Precision::Fp32, Precision::Bf16]
            .map(|precision| exactness::of_network(&choice, (3, 32, 32), 4, device(), precision).unwrap());
        assert!(exact.holds() && half.holds(), "{name}: {exact:?} {half:?}");
        assert!(half.error > exact.bound, "{name}: bfloat16 would pass for float32: {exact:?} {half:?}");
    }
}
