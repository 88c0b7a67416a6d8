//! One block of a sweep: axes, which of them move together, and which combinations are left out.
//!
//! It may not know of files or flags; `spec.rs` reads those.

use std::collections::HashSet;

use rand::seq::SliceRandom;

use super::condition::Condition;
use super::settings::{Field, SEEDS, Settings};
use tombola_words::error::{Error, Result};
use tombola_words::stream::stream;

/// More trials than this are a slip of the keyboard.
const MOST_TRIALS: usize = 5_000_000;

/// One setting and the values it takes.
#[derive(Clone)]
pub struct Axis {
    /// The setting.
    pub field: &'static Field,
    /// Its values, as text that the setting reads.
    pub values: Vec<String>,
}

impl Axis {
    /// Its values as settings show them, so that `0.50` is `0.5`, and what is asked for in another spelling the same sweep.
    ///
    /// # Errors
    /// When the setting cannot read one of them.
    pub(super) fn shown(self) -> Result<Self> {
        let shown = self.values.iter().map(|value| {
            let mut settings = Settings::default();
            self.field.assign(&mut settings, value)?;
            Ok((self.field.show)(&settings))
        });
        Ok(Self { values: shown.collect::<Result<_>>()?, ..self })
    }
}

impl std::fmt::Debug for Axis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {:?}", self.field.key, self.values)
    }
}

/// Axes whose combinations are trials.
#[derive(Debug, Clone, Default)]
pub struct Grid {
    /// In the order in which they vary: the last one fastest. A fixed setting is an axis of one value.
    pub axes: Vec<Axis>,
    /// Keys of axes that move together, value by value.
    pub zip: Vec<Vec<String>>,
    /// Combinations to leave out: a trial that agrees with every key of one of these, whose values are `Axis::shown`.
    pub exclude: Vec<Vec<Axis>>,
    /// What each trial has to meet.
    pub conditions: Vec<Condition>,
    /// How many combinations are tried, where not all are.
    pub sample: Option<GridSample>,
}

/// Some of the combinations of a grid, at random. Those that differ in their seeds alone are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridSample {
    /// How many.
    pub count: usize,
    /// What decides which.
    pub seed: u64,
}

impl Grid {
    /// Sets an axis, replacing what it was.
    pub fn set(&mut self, axis: Axis) {
        match self.axes.iter_mut().find(|own| own.field.key == axis.field.key) {
            Some(own) => *own = axis,
            None => self.axes.push(axis),
        }
    }

    /// Every combination that is not excluded, as it was asked: no `auto` is decided.
    ///
    /// # Errors
    /// When a value is none of its setting, zipped axes differ in length, an excluding
    /// key is unknown to the grid, or there are absurdly many trials.
    pub fn expand(&self) -> Result<Vec<Settings>> {
        let dimensions = self.dimensions()?;
        let count = dimensions.iter().try_fold(1usize, |count, axes| count.checked_mul(axes[0].values.len()));
        let count = count.filter(|count| *count <= MOST_TRIALS).ok_or_else(|| {
            Error::input(format!("the grid has more than {MOST_TRIALS} combinations"))
                .hint("move axes together with `zip`, leave combinations out with `exclude`, or split the sweep")
        })?;
        let mut points = Vec::with_capacity(count);
        // For each point its place in the grid without seeds.
        let mut places = Vec::with_capacity(count);
        for index in 0..count {
            let mut settings = Settings::default();
            let (mut rest, mut place) = (index, 0);
            for axes in dimensions.iter().rev() {
                let position = rest % axes[0].values.len();
                rest /= axes[0].values.len();
                if !axes.iter().any(|axis| SEEDS.contains(&axis.field.key)) {
                    place = place * axes[0].values.len() + position;
                }
                for axis in axes {
                    axis.field.assign(&mut settings, &axis.values[position])?;
                }
            }
            settings.follow_rate();
            let agrees = |axis: &Axis| axis.values.contains(&(axis.field.show)(&settings));
            let excluded = self.exclude.iter().any(|keys| keys.iter().all(agrees));
            if !excluded && self.conditions.iter().try_fold(true, |all, one| Ok(all && one.holds(&settings)?))? {
                points.push(settings);
                places.push(place);
            }
        }
        if let Some(sample) = self.sample {
            let chosen = sample.of(&places);
            let mut places = places.iter();
            points.retain(|_| places.next().is_some_and(|place| chosen.contains(place)));
        }
        Ok(points)
    }

    /// Axes that move together, grouped; each other axis alone.
    fn dimensions(&self) -> Result<Vec<Vec<&Axis>>> {
        let mut grouped: HashSet<&str> = HashSet::new();
        let mut groups: Vec<Vec<&Axis>> = Vec::new();
        for keys in &self.zip {
            let mut group = Vec::new();
            for key in keys {
                let field = Field::find(key).ok_or_else(|| unknown(key).at("`zip`"))?;
                let axis = self.axes.iter().find(|axis| axis.field.key == field.key).ok_or_else(|| {
                    Error::input(format!("`zip` names `{key}`, which the grid does not set"))
                        .hint("give it a list of values")
                })?;
                if !grouped.insert(axis.field.key) {
                    return Err(Error::input(format!("`zip` names `{}` twice", axis.field.key)));
                }
                group.push(axis);
            }
            // One value is the same all along, such as a flag that fixes what the file lets vary.
            group.retain(|axis| axis.values.len() != 1);
            if let Some(odd) = group.iter().find(|axis| axis.values.len() != group[0].values.len()) {
                return Err(Error::input(format!(
                    "`zip`: `{}` has {} values and `{}` has {}",
                    group[0].field.key,
                    group[0].values.len(),
                    odd.field.key,
                    odd.values.len()
                ))
                .hint("axes that move together need as many values each"));
            }
            if !group.is_empty() {
                groups.push(group);
            }
        }
        // A zipped group takes the place of its first axis, so that the order of the file is kept.
        let mut dimensions = Vec::new();
        for axis in &self.axes {
            if axis.values.is_empty() {
                return Err(Error::input(format!("`{}` has no values", axis.field.key)));
            }
            if !grouped.contains(axis.field.key) || axis.values.len() == 1 {
                dimensions.push(vec![axis]);
            } else if let Some(at) = groups.iter().position(|group| group.iter().any(|a| a.field.key == axis.field.key))
            {
                dimensions.push(groups.swap_remove(at));
            }
        }
        Ok(dimensions)
    }
}

impl GridSample {
    /// Which of some places are tried.
    fn of(self, places: &[usize]) -> HashSet<usize> {
        let mut known = HashSet::new();
        let mut different: Vec<usize> = places.iter().copied().filter(|place| known.insert(*place)).collect();
        different.shuffle(&mut stream(self.seed, "sample of a grid", &[]));
        different.truncate(self.count);
        different.into_iter().collect()
    }
}

/// The error for a key that is no setting.
pub(super) fn unknown(key: &str) -> Error {
    // Words of the file's form are known, but not as settings.
    match key {
        "name" | "networks" => {
            return Error::input(format!("`{key}` cannot stand here"))
                .hint(format!("it is of the whole sweep: move `{key}` above the first `[[grid]]`"));
        }
        "grid" => {
            return Error::input("`grid` cannot stand here")
                .hint("blocks do not lie within each other: write `[[grid]]` on a line of its own");
        }
        "sample-seed" => {
            return Error::input("`sample-seed` draws a `sample`, and none is asked for").hint("say `sample = 40`");
        }
        "defaults" => {
            return Error::input("`defaults` cannot stand here")
                .hint("it is of the whole sweep: move `defaults` above the first `[[grid]]`");
        }
        "zip" | "exclude" | "where" | "sample" => {
            return Error::input(format!("`{key}` cannot stand here")).hint("name settings");
        }
        _ => {}
    }
    let error = Error::input(format!("`{key}` is not a setting"));
    let words = super::settings::FIELDS.iter().flat_map(|field| field.aliases.iter().copied().chain([field.key]));
    match tombola_words::error::nearest(
        key,
        words.chain(["grid", "zip", "exclude", "where", "sample", "networks", "name", "density"]),
    ) {
        Some(word) => error.hint(format!("did you mean `{word}`?")),
        None => error.hint("`tombola run --help` lists the settings"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(key: &str, values: &[&str]) -> Axis {
        Axis { field: Field::find(key).unwrap(), values: values.iter().map(ToString::to_string).collect() }
    }

    fn base() -> Grid {
        Grid { axes: vec![axis("pr", &["0.5", "0.75", "0.875"]), axis("priter", &["1", "2", "3"])], ..Grid::default() }
    }

    #[test]
    fn every_combination_is_a_point_and_the_last_axis_varies_fastest() {
        let points = base().expand().unwrap();
        assert_eq!(points.len(), 9);
        assert_eq!((points[1].pruning_ratio, points[1].prune_iterations), (0.5, 2));
    }

    #[test]
    fn zipped_axes_move_together() {
        let points = Grid { zip: vec![vec!["pr".into(), "priter".into()]], ..base() }.expand().unwrap();
        let pairs: Vec<_> = points.iter().map(|p| (p.pruning_ratio, p.prune_iterations)).collect();
        assert_eq!(pairs, [(0.5, 1), (0.75, 2), (0.875, 3)]);
    }

    #[test]
    fn zipped_axes_of_different_length_are_refused() {
        let mut grid = Grid { zip: vec![vec!["pr".into(), "priter".into()]], ..base() };
        grid.set(axis("priter", &["1", "2"]));
        assert!(grid.expand().unwrap_err().message.contains("has 3 values and `prune-iterations` has 2"));
    }

    #[test]
    fn one_value_among_zipped_axes_stays_the_same_all_along() {
        let mut grid = Grid { zip: vec![vec!["pr".into(), "priter".into()]], ..base() };
        grid.set(axis("priter", &["4"]));
        assert!(grid.expand().unwrap().iter().all(|point| point.prune_iterations == 4));
        assert_eq!(grid.expand().unwrap().len(), 3);
    }

    #[test]
    fn excluded_combinations_are_left_out_whatever_their_spelling() {
        let shown = |axis: Axis| axis.shown().unwrap();
        let keys = vec![shown(axis("pr", &["0.50", "0.750"])), shown(axis("priter", &["3"]))];
        let grid = Grid { exclude: vec![keys], ..base() };
        assert_eq!(grid.expand().unwrap().len(), 7);
    }

    #[test]
    fn conditions_leave_combinations_out_and_a_sample_has_all_seeds_of_each() {
        let conditions = vec![Condition::read("pr > 0.5 or priter == 1").unwrap()];
        assert_eq!(Grid { conditions, ..base() }.expand().unwrap().len(), 7);
        let mut grid = Grid { sample: Some(GridSample { count: 4, seed: 1 }), ..base() };
        grid.set(axis("seed", &["1", "2", "3"]));
        let points = grid.expand().unwrap();
        assert_eq!(points.len(), 12);
        let pairs: HashSet<String> =
            points.iter().map(|p| format!("{} {}", p.pruning_ratio, p.prune_iterations)).collect();
        assert_eq!(pairs.len(), 4);
        assert_eq!(points, grid.expand().unwrap());
        let other = Grid { sample: Some(GridSample { count: 4, seed: 2 }), ..grid.clone() };
        assert_ne!(points, other.expand().unwrap());
        assert_eq!(Grid { sample: Some(GridSample { count: 99, seed: 1 }), ..grid }.expand().unwrap().len(), 27);
    }

    #[test]
    fn an_absurd_grid_is_refused_before_it_fills_the_memory() {
        let many: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let grid = Grid { axes: vec![axis("seed", &many), axis("init-seed", &many)], ..Grid::default() };
        assert!(grid.expand().unwrap_err().message.contains("combinations"));
    }
}
