//! How small a network is to become, by what its size is measured in. It may not know of networks.

use super::Value;

/// Units of bytes, the longest first.
const UNITS: [(&str, f64); 7] = [
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("B", 1.0),
];

/// What pruning goes on to, instead of a share of channels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// This share of the dense network's multiply-adds for one image.
    Macs(f64),
    /// This share of its parameters.
    Parameters(f64),
    /// So many bytes of weights and batch-norm statistics, in float32.
    Size(f64),
    /// This share of the time that the dense network takes for a batch, as measured where the ticket is drawn.
    Time(f64),
}

/// A target, or none: then a share of the channels goes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MaybeTarget(pub Option<Target>);

impl Value for MaybeTarget {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            "`none`, or how small the network becomes, as `macs:0.5`, `parameters:0.3`, `size:2MB` or `time:0.5`"
                .to_string()
        };
        if text == "none" {
            return Ok(Self(None));
        }
        let (word, amount) = text.split_once(':').ok_or_else(expected)?;
        let share = || f64::parse(amount).ok().filter(|share| *share > 0.0 && *share < 1.0).ok_or_else(expected);
        Ok(Self(Some(match word {
            "macs" | "multiply-adds" | "flops" => Target::Macs(share()?),
            "parameters" | "params" => Target::Parameters(share()?),
            "time" => Target::Time(share()?),
            "size" => {
                let unit = UNITS.iter().find_map(|(unit, bytes)| Some((amount.strip_suffix(unit)?, *bytes)));
                let (number, unit) = unit.ok_or_else(expected)?;
                let number = f64::parse(number.trim()).ok().filter(|number| *number > 0.0).ok_or_else(expected)?;
                Target::Size((number * unit).round())
            }
            _ => return Err(expected()),
        })))
    }

    fn show(&self) -> String {
        match self.0 {
            None => "none".to_string(),
            Some(Target::Macs(share)) => format!("macs:{share:?}"),
            Some(Target::Parameters(share)) => format!("parameters:{share:?}"),
            Some(Target::Time(share)) => format!("time:{share:?}"),
            Some(Target::Size(bytes)) => format!("size:{bytes}B"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_back_from_what_is_shown_and_units_are_one() {
        for (text, shown) in [
            ("none", "none"),
            ("macs:0.5", "macs:0.5"),
            ("flops:0.50", "macs:0.5"),
            ("params:0.3", "parameters:0.3"),
            ("time:0.50", "time:0.5"),
            ("size:2MB", "size:2000000B"),
            ("size:1.5 KiB", "size:1536B"),
        ] {
            let target = MaybeTarget::parse(text).unwrap();
            assert_eq!(target.show(), shown);
            assert_eq!(MaybeTarget::parse(shown), Ok(target));
        }
        for wrong in ["0.5", "macs:1", "macs:0", "size:2", "size:-1MB", "area:0.5", "time:x", "time:20ms"] {
            assert!(MaybeTarget::parse(wrong).is_err(), "{wrong}");
        }
    }
}
