//! A time that a user or a message gives as a number. It may not know what the time is for.

use std::time::Duration;

/// So many seconds; the longest time that there is where they are more, or no number: nobody waits for its end.
pub fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_is_a_time() {
        assert_eq!(seconds(1.5), Duration::from_millis(1500));
        for endless in [1e30, f64::INFINITY, f64::NAN] {
            assert_eq!(seconds(endless), Duration::MAX);
        }
    }
}
