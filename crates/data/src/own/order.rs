//! The order of the examples of a part: one that their contents alone decide, with the classes mixed evenly.
//!
//! However the files of a set were named or laid out, the same examples come in the same order, so the same training
//! follows. And any first or last few have each class in its share: what is held out from the end is stratified.

use std::collections::HashMap;

/// The places of examples in the order in which they are taken, by label and by the hash of what they hold.
///
/// Within a class they are sorted by hash; the one of rank r of n is at (2r + 1) / 2n of the way.
pub(super) fn stratified(examples: &[(u16, [u8; 32])]) -> Vec<usize> {
    let mut counts: HashMap<u16, u64> = HashMap::new();
    for (label, _) in examples {
        *counts.entry(*label).or_default() += 1;
    }
    let mut places: Vec<usize> = (0..examples.len()).collect();
    places.sort_by_key(|place| (examples[*place].0, examples[*place].1));
    let mut ranks: HashMap<u16, u64> = HashMap::new();
    let mut keyed: Vec<(u64, u64, usize)> = Vec::with_capacity(places.len());
    for place in places {
        let label = examples[place].0;
        let rank = ranks.entry(label).or_default();
        keyed.push((2 * *rank + 1, 2 * counts[&label], place));
        *rank += 1;
    }
    // Fractions are compared exactly: a · d against c · b.
    keyed.sort_by(|(one, of, place), (other, of_other, second)| {
        let (left, right) = (u128::from(*one) * u128::from(*of_other), u128::from(*other) * u128::from(*of));
        left.cmp(&right).then_with(|| examples[*place].1.cmp(&examples[*second].1)).then_with(|| place.cmp(second))
    });
    keyed.into_iter().map(|(_, _, place)| place).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash(number: usize) -> [u8; 32] {
        *blake3::hash(&number.to_le_bytes()).as_bytes()
    }

    #[test]
    fn the_last_few_have_each_class_in_its_share() {
        // Sorted by class, and unequal: 300 of the first, 100 of the second, 20 of the third.
        let examples: Vec<(u16, [u8; 32])> =
            (0..420).map(|place| (if place < 300 { 0 } else { u16::from(place >= 400) + 1 }, hash(place))).collect();
        let order = stratified(&examples);
        let of = |class| order[378..].iter().filter(|place| examples[**place].0 == class).count();
        assert_eq!((of(0), of(1), of(2)), (30, 10, 2));
    }

    proptest! {
        #[test]
        fn files_in_another_order_give_the_same_order(labels in proptest::collection::vec(0u16..5, 1..60), turn in 0usize..60) {
            let examples: Vec<(u16, [u8; 32])> =
                labels.iter().enumerate().map(|(place, label)| (*label, hash(place))).collect();
            let mut other = examples.clone();
            other.rotate_left(turn % examples.len());
            let ordered = |examples: &[(u16, [u8; 32])]| {
                stratified(examples).into_iter().map(|place| examples[place]).collect::<Vec<_>>()
            };
            prop_assert_eq!(ordered(&examples), ordered(&other));
        }
    }
}
