//! Settings that ask a question of a sweep instead of a table. It may not know how it is answered.

use super::Value;

/// How far below the dense network a ticket may be and still match it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Within {
    /// So many points of accuracy below the mean of the dense networks.
    Points(f64),
    /// As far as the 95 % interval of the paired differences over seeds reaches.
    Interval,
}

impl Value for Within {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "ci" => Ok(Self::Interval),
            text => match f64::parse(text) {
                Ok(points) if (0.0..=100.0).contains(&points) => Ok(Self::Points(points)),
                _ => Err("points of accuracy from 0 to 100, or `ci`".to_string()),
            },
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Points(points) => points.show(),
            Self::Interval => "ci".to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_or_the_interval() {
        for text in ["1.0", "0.5", "ci"] {
            assert_eq!(Within::parse(text).unwrap().show(), text);
        }
        assert!(Within::parse("-1").is_err() && Within::parse("all").is_err() && Within::parse("101").is_err());
    }
}
