//! What is in a part of a set: a first look at every example, before any is decoded.

use std::collections::BTreeMap;

use super::picture;
use super::picture_form::PictureForm;
use crate::example::{Content, Example, Label, Numbers, Reader};
use tombola_words::error::{Error, Result};

/// Damaged examples that are named.
const MOST_NAMED: usize = 5;
/// Different sizes that are counted; there may be as many as images.
const MOST_SIZES: usize = 10_000;

/// What a look at all examples of a part found.
#[derive(Debug, Default)]
pub struct PartSurvey {
    /// Examples that are not damaged.
    pub count: usize,
    /// Examples of each class.
    pub labels: BTreeMap<Label, usize>,
    /// Examples of each size, channels last, with the name of the first; of images height and width.
    pub sizes: BTreeMap<Vec<usize>, (usize, String)>,
    /// What is known of its images.
    pub pictures: Pictures,
    /// What is known of its arrays.
    pub arrays: Arrays,
    /// How many cannot be read, and the first of them with the reason.
    pub damaged: (usize, Vec<(String, String)>),
}

/// Image files among the examples of a part.
#[derive(Debug, Default)]
pub struct Pictures {
    /// How many.
    pub count: usize,
    /// Those with more than grey.
    pub coloured: usize,
    /// Those that say how transparent they are.
    pub with_alpha: usize,
    /// Those of 16 bits a value.
    pub deep: usize,
}

/// Arrays among the examples of a part.
#[derive(Debug, Default)]
pub struct Arrays {
    /// How many.
    pub count: usize,
    /// Whether there are numbers that are not whole.
    pub has_floats: bool,
    /// The lowest and the highest whole number.
    pub range: Option<(i64, i64)>,
    /// The highest of all numbers, and at least 0.
    pub highest: f64,
}

impl PartSurvey {
    /// Looks at every example of a part; `watch` is told how many were seen, and may end it.
    ///
    /// # Errors
    /// What the reader and `watch` say, and numbers that are none.
    pub fn of(reader: &dyn Reader, watch: &dyn Fn(usize) -> Result<()>) -> Result<Self> {
        let mut survey = Self::default();
        let mut seen = 0;
        reader.read(&mut |example| {
            seen += 1;
            watch(seen)?;
            survey.add(&example)
        })?;
        Ok(survey)
    }

    fn add(&mut self, example: &Example) -> Result<()> {
        match &example.content {
            Content::Damaged(why) => {
                self.note_damage(&example.name, why);
                return Ok(());
            }
            Content::File(bytes) => match picture::look(bytes) {
                Ok(form) => self.add_picture(&example.name, form),
                Err(why) => {
                    self.note_damage(&example.name, &why);
                    return Ok(());
                }
            },
            Content::Array(array) => {
                self.add_size(crate::images::layout(array.shape), &example.name);
                self.arrays.add(&array.numbers, &example.name)?;
            }
        }
        self.count += 1;
        *self.labels.entry(example.label.clone()).or_default() += 1;
        Ok(())
    }

    fn note_damage(&mut self, name: &str, why: &str) {
        self.damaged.0 += 1;
        if self.damaged.1.len() < MOST_NAMED {
            self.damaged.1.push((name.to_string(), why.to_string()));
        }
    }

    fn add_picture(&mut self, name: &str, form: PictureForm) {
        self.pictures.count += 1;
        self.pictures.coloured += usize::from(form.is_coloured);
        self.pictures.with_alpha += usize::from(form.has_alpha);
        self.pictures.deep += usize::from(form.bits == 16);
        self.add_size(vec![form.height as usize, form.width as usize], name);
    }

    fn add_size(&mut self, size: Vec<usize>, name: &str) {
        if self.sizes.len() < MOST_SIZES || self.sizes.contains_key(&size) {
            self.sizes.entry(size).or_insert_with(|| (0, name.to_string())).0 += 1;
        }
    }

    /// The size that most examples have.
    pub fn usual_size(&self) -> Option<&[usize]> {
        self.sizes.iter().max_by_key(|(_, (count, _))| *count).map(|(size, _)| size.as_slice())
    }
}

impl Arrays {
    fn add(&mut self, numbers: &Numbers, name: &str) -> Result<()> {
        self.count += 1;
        match numbers {
            Numbers::Bytes(bytes) => {
                let highest = bytes.iter().copied().max().unwrap_or(0);
                self.highest = self.highest.max(highest.into());
            }
            Numbers::Whole(numbers) => {
                for &number in numbers {
                    let (lowest, highest) = self.range.unwrap_or((number, number));
                    self.range = Some((lowest.min(number), highest.max(number)));
                    self.highest = self.highest.max(number as f64);
                }
            }
            Numbers::Floats(numbers) => {
                self.has_floats = true;
                let highest = numbers.iter().copied().fold(0.0, f32::max);
                self.highest = self.highest.max(highest.into());
                if let Some(number) = numbers.iter().find(|number| !number.is_finite()) {
                    return Err(Error::input(format!("{name} holds {number}; expected finite numbers"))
                        .hint("leave such examples out, or put a number in the place of what is missing"));
                }
            }
        }
        Ok(())
    }
}
