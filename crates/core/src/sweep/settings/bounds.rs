//! Bounds of settings that are more than one number. It may not know of settings.

use tombola_words::value::{ChannelNumbers, Point};

/// Bounds of `input-mean`: whatever is a float32.
pub(super) const MEANS: ChannelBounds = ChannelBounds(f32::MIN);
/// Bounds of `input-std`: the smallest float32 of full precision, whose inverse is one, too.
pub(super) const DEVIATIONS: ChannelBounds = ChannelBounds(f32::MIN_POSITIVE);
/// Bounds of `depth`.
pub(super) const DEPTHS: AutoOr = AutoOr(1, 10_000);
/// Bounds of `width`.
pub(super) const WIDTHS: AutoOr = AutoOr(1, 4096);
/// Bounds of `hidden`: layers, and features of each.
pub(super) const HIDDEN: ListOf = ListOf(64, 65_536);
/// Bounds of `fine-tune-epochs`; `auto` sorts below every number.
pub(super) const FINE_TUNE: AutoOr = AutoOr(1, 1_000_000);
/// Bounds of `time-limit`; `auto` sorts below every number.
pub(super) const SECONDS: AutoAbove = AutoAbove(0.0);
/// Bounds of `max-fails`.
pub(super) const FAILS: AutoOr = AutoOr(1, 1_000_000);
/// Bounds of `data-memory`; `auto` sorts below every number.
pub(super) const MEGABYTES: AutoOr = AutoOr(1, 1_000_000_000);
/// Bounds of `prune-rate`; `auto` sorts below every number.
pub(super) const RATES: AutoShare = AutoShare;
/// Bounds of `halving`.
pub(super) const HALVINGS: NoneOr = NoneOr(2, 100);
/// Bounds of `levels`.
pub(super) const LEVELS: AutoOr = AutoOr(1, 1000);
/// Bounds of `iterations`.
pub(super) const ITERATIONS: AutoOr = AutoOr(1, 1_000_000_000_000);
/// Bounds of what something takes.
pub(super) const SPANS: Lasting = Lasting { nothing: false };
/// Bounds of what may take no time.
pub(super) const UP_TO: Lasting = Lasting { nothing: true };
/// Bounds of shares of which nothing is too little.
pub(super) const SHARE: AboveUpTo = AboveUpTo(0.0, 1.0);
/// Bounds of `workers`.
pub(super) const WORKERS: AutoOr = AutoOr(1, 1024);

/// `auto`, or float32 from a bound on. That those of bytes are at most 1 is known where the data are.
pub(super) struct ChannelBounds(f32);

impl ChannelBounds {
    pub(super) fn contains(&self, value: &Option<ChannelNumbers>) -> bool {
        match value {
            Some(ChannelNumbers::Numbers(numbers)) => {
                numbers.iter().all(|number| (f64::from(self.0)..=f64::from(f32::MAX)).contains(number))
            }
            Some(ChannelNumbers::Published(_)) | None => true,
        }
    }
}

/// `auto`, or a number within both bounds.
pub(super) struct AutoOr(usize, usize);

impl AutoOr {
    pub(super) fn contains(&self, value: &Option<usize>) -> bool {
        value.is_none_or(|number| (self.0..=self.1).contains(&number))
    }
}

/// 0, or a number within both bounds.
pub(super) struct NoneOr(usize, usize);

impl NoneOr {
    pub(super) fn contains(&self, value: &usize) -> bool {
        *value == 0 || (self.0..=self.1).contains(value)
    }
}

/// So many numbers at most, each from 1 to the second bound.
pub(super) struct ListOf(usize, usize);

impl ListOf {
    pub(super) fn contains(&self, value: &[usize]) -> bool {
        value.len() <= self.0 && value.iter().all(|number| (1..=self.1).contains(number))
    }
}

/// `auto`, or a number above a bound.
pub(super) struct AutoAbove(f64);

impl AutoAbove {
    pub(super) fn contains(&self, value: &Option<f64>) -> bool {
        value.is_none_or(|number| number > self.0 && number.is_finite())
    }
}

/// `auto`, or a share that is neither nothing nor all.
pub(super) struct AutoShare;

impl AutoShare {
    pub(super) fn contains(&self, value: &Option<f64>) -> bool {
        value.is_none_or(|share| share > 0.0 && share < 1.0)
    }
}

/// A number above the one and at most the other.
pub(super) struct AboveUpTo(f64, f64);

impl AboveUpTo {
    pub(super) fn contains(&self, value: &f64) -> bool {
        *value > self.0 && *value <= self.1
    }
}

/// A length of a training, or nothing if that is allowed.
pub(super) struct Lasting {
    nothing: bool,
}

impl Lasting {
    pub(super) fn contains(&self, value: &Point) -> bool {
        (self.nothing || *value != Point::default()) && value.is_within(1_000_000, ITERATIONS.1)
    }
}
