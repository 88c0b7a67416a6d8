//! How long a training is, as far as that is known before it. It may not know of stages.

/// How many epochs a training has, where only its draw decides: a budget of multiply-adds, or an early bird.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// At least so many.
    pub least: usize,
    /// At most so many; none if the plan has no bound.
    pub most: Option<usize>,
    /// A guess: as if every layer lost the same share.
    pub likely: usize,
}

impl Extent {
    /// Whether the plan knows the number.
    pub fn is_known(self) -> bool {
        self.most == Some(self.least)
    }

    /// In words: "160 epochs", "at most 160 epochs".
    pub fn words(self) -> String {
        match (self.is_known(), self.most) {
            (true, _) => many(self.least, "epoch"),
            (_, Some(most)) => format!("at most {}", many(most, "epoch")),
            (_, None) => {
                format!("at least {} (about {}, known when it is drawn)", many(self.least, "epoch"), self.likely)
            }
        }
    }
}

/// A count of things for people: "1 epoch", "3 epochs".
pub fn many(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
