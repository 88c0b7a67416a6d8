//! Mean, standard deviation, 95 % confidence interval and Student's t of a few repetitions.
//!
//! It may not know what the numbers are.

use std::collections::HashMap;
use std::f64::consts::PI;

/// What a few values tell of the quantity that they are drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// How many values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Sample standard deviation, with n − 1; none for one value.
    pub deviation: Option<f64>,
}

impl Sample {
    /// Describes `values`; none when there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        Some(Self { n, mean, deviation: (n > 1).then(|| (squares / (n - 1) as f64).sqrt()) })
    }
}

/// Student's t at 97.5 %, remembered for each number of degrees of freedom.
#[derive(Debug, Default)]
pub struct Quantiles(HashMap<usize, f64>);

impl Quantiles {
    /// Half the width of the 95 % confidence interval of the mean of a normal sample; none for one value.
    pub fn half_width(&mut self, sample: &Sample) -> Option<f64> {
        let deviation = sample.deviation?;
        let freedom = sample.n - 1;
        let quantile = self.0.entry(freedom).or_insert_with(|| quantile_975(freedom));
        Some(*quantile * deviation / (sample.n as f64).sqrt())
    }
}

/// The value that Student's t stays below with probability 0.975, for at least one degree of freedom.
///
/// Rounded to 1e-9, so that it does not depend on the last bit of the machine's arctangent.
pub fn quantile_975(freedom: usize) -> f64 {
    // It falls from 12.706 at one degree of freedom to 1.95996 at infinitely many.
    let (mut low, mut high) = (1.9, 13.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        match within(middle, freedom.max(1)) < 0.95 {
            true => low = middle,
            false => high = middle,
        }
    }
    ((low + high) / 2.0 * 1e9).round() / 1e9
}

/// The probability that Student's t with `freedom` degrees of freedom lies within ±`t`: the finite sums of Abramowitz
/// and Stegun, Handbook of Mathematical Functions, 26.7.3 (odd) and 26.7.4 (even).
fn within(t: f64, freedom: usize) -> f64 {
    let degrees = freedom as f64;
    let sine = t / (degrees + t * t).sqrt();
    let cosine_squared = degrees / (degrees + t * t);
    let odd = freedom % 2 == 1;
    let (mut sum, mut term) = (0.0, if odd { cosine_squared.sqrt() } else { 1.0 });
    // Each term is the one before times cos² (k − 1) / k: for k = 3, 5, … ν − 2 if odd and k = 2, 4, … ν − 2 if even.
    let mut k = if odd { 1 } else { 0 };
    while k + 2 <= freedom {
        sum += term;
        k += 2;
        term *= cosine_squared * (k - 1) as f64 / k as f64;
    }
    if odd { 2.0 / PI * ((t / degrees.sqrt()).atan() + sine * sum) } else { sine * sum }
}

/// The probability that Student's t with `freedom` degrees of freedom, at least one, lies beyond ±`t`; as good for a `t` of
/// millions, where 1 − `within` would be what rounding left.
///
/// The finite sums of `within` are the first terms of power series in x = cos θ: of arcsin(x) / √(1 − x²) if odd, of 1 / √(1 − x²)
/// if even. With all their terms nothing would be beyond. So the terms that the sums leave out are what is, and all are positive.
pub fn beyond(t: f64, freedom: usize) -> f64 {
    let (t, freedom) = (t.abs(), freedom.max(1));
    // The series takes long for a small `t`. There nothing cancels; rounded, since the last bit of the arctangent is the machine's.
    if t < 1.0 {
        return ((1.0 - within(t, freedom)) * 1e12).round() / 1e12;
    }
    let degrees = freedom as f64;
    let sine = t / (degrees + t * t).sqrt();
    let cosine_squared = degrees / (degrees + t * t);
    let odd = freedom % 2 == 1;
    let (mut sum, mut term) = (0.0, if odd { cosine_squared.sqrt() } else { 1.0 });
    let mut k = if odd { 1 } else { 0 };
    while k < freedom {
        k += 2;
        term *= cosine_squared * (k - 1) as f64 / k as f64;
    }
    while term > sum * 1e-18 {
        sum += term;
        k += 2;
        term *= cosine_squared * (k - 1) as f64 / k as f64;
    }
    if odd { 2.0 / PI * sine * sum } else { sine * sum }
}

/// A probability to two digits that matter, or less than a thousandth.
pub fn in_digits(probability: f64) -> String {
    match probability {
        small if small < 0.001 => "< 0.001".to_string(),
        small if small < 0.0995 => format!("{small:.3}"),
        other => format!("{other:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantiles_are_those_of_printed_tables() {
        let table = [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (4, 2.776),
            (5, 2.571),
            (6, 2.447),
            (7, 2.365),
            (8, 2.306),
            (9, 2.262),
            (10, 2.228),
            (11, 2.201),
            (15, 2.131),
            (20, 2.086),
            (29, 2.045),
            (30, 2.042),
            (60, 2.000),
            (120, 1.980),
        ];
        for (freedom, expected) in table {
            let found = quantile_975(freedom);
            assert!((found - expected).abs() <= 0.0005, "{freedom}: {found}, expected {expected}");
        }
        // Closed forms: tan(0.475 π), and sqrt(2) · 0.95 / sqrt(1 − 0.95²).
        assert!((quantile_975(1) - (0.475 * PI).tan()).abs() < 1e-8);
        assert!((quantile_975(2) - 2f64.sqrt() * 0.95 / (1.0f64 - 0.95 * 0.95).sqrt()).abs() < 1e-8);
        assert!((quantile_975(100_000) - 1.95996).abs() < 5e-5);
        assert!((quantile_975(100_001) - 1.95996).abs() < 5e-5);
    }

    #[test]
    fn what_lies_beyond_a_value_is_what_scipy_says_also_far_out() {
        // 2 * scipy.stats.t.sf(t, freedom) of SciPy 1.17.1.
        let table = [
            (0.0, 1, 1.0),
            (0.3, 1, 0.8144528418445154),
            (0.999, 2, 0.4230348234826726),
            (0.5, 1000, 0.6171850808338747),
            (1.0, 1, 0.5),
            (1.0, 2, 0.4226497308103742),
            (1.0, 7, 0.3506166628202074),
            (1.0001, 100_000, 0.31726453608087124),
            (1.5, 3, 0.23058386524482294),
            (2.5, 2, 0.12961172022151082),
            (2.7764451051977987, 4, 0.05),
            (5.0, 99, 2.481396013040949e-6),
            (5.0, 100, 2.450173413503802e-6),
            (6.5, 9, 0.00011145078736861532),
            (30.0, 9, 2.4837047041582635e-10),
            (30.0, 10, 3.961792342031325e-11),
            (1000.0, 3, 2.205307642576592e-9),
            (8.0, 100_001, 1.2573918549866755e-15),
            (1e6, 5, 1.8980334490921362e-29),
            (1e8, 2, 1e-16),
        ];
        for (t, freedom, expected) in table {
            for found in [beyond(t, freedom), beyond(-t, freedom)] {
                assert!((found - expected).abs() <= 1e-10 * expected, "{t}, {freedom}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn probabilities_have_the_digits_that_matter() {
        let shown = [0.0, 0.00099, 0.001, 0.0204, 0.0994, 0.0996, 0.25, 1.0].map(in_digits);
        assert_eq!(shown, ["< 0.001", "< 0.001", "0.001", "0.020", "0.099", "0.10", "0.25", "1.00"]);
    }

    #[test]
    fn one_value_has_a_mean_but_no_deviation() {
        let sample = Sample::of(&[0.25]).unwrap();
        assert_eq!(sample, Sample { n: 1, mean: 0.25, deviation: None });
        assert_eq!(Quantiles::default().half_width(&sample), None);
        assert_eq!(Sample::of(&[]), None);
    }

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        // 1, 2, 3, 4: mean 2.5, squared distances 5, over 3.
        let sample = Sample::of(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!((sample.mean, sample.deviation), (2.5, Some((5.0f64 / 3.0).sqrt())));
        let half = Quantiles::default().half_width(&sample).unwrap();
        assert!((half - 3.182446 * (5.0f64 / 3.0).sqrt() / 2.0).abs() < 1e-6);
    }
}
