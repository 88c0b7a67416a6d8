//! Examples from an array of values and the labels that belong to them. It does not know of what format the arrays are.

use super::form::ExampleForm;
use super::scalar::Scalar;
use super::stored::{OpenArray, StoredArray};
use crate::example::{Array, Content, Example, Label, Numbers, Reader, Take};
use tombola_words::AxesOrder;
use tombola_words::error::{Error, Result, printable};

/// Where labels are.
#[derive(Debug, Clone)]
pub(super) enum LabelSource {
    /// In an array: one an example, or one place a class of which one alone is 1.
    Stored(StoredArray),
    /// In the first column of an array; what else it has is left aside.
    FirstColumn(StoredArray),
    /// In memory.
    Listed(Vec<Label>),
}

impl LabelSource {
    /// How many.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Stored(array) | Self::FirstColumn(array) => array.count,
            Self::Listed(labels) => labels.len(),
        }
    }
}

/// Values and labels.
pub(super) struct LabelledArrays {
    values: StoredArray,
    form: ExampleForm,
    labels: LabelSource,
    /// Label 10 stands for the digit 0.
    ten_is_zero: bool,
}

impl LabelledArrays {
    /// Puts them together; the form of examples follows from their sizes and `axes`.
    ///
    /// # Errors
    /// Counts that differ, and sizes of no form.
    pub(super) fn new(values: StoredArray, labels: LabelSource, axes: Option<AxesOrder>) -> Result<Self> {
        let form = ExampleForm::of(&values.name, &values.sizes, axes)?;
        Self::of(values, form, labels)
    }

    /// As [`Self::new`], where the form is known.
    pub(super) fn of(values: StoredArray, form: ExampleForm, labels: LabelSource) -> Result<Self> {
        if values.count != labels.len() {
            return Err(Error::input(format!(
                "{} has {} examples, but there are {} labels",
                values.name,
                values.count,
                labels.len()
            ))
            .hint("take values and labels that belong together; examples are the first axis of both"));
        }
        Ok(Self { values, form, labels, ten_is_zero: false })
    }

    /// As SVHN counts: label 10 stands for the digit 0.
    pub(super) fn ten_is_zero(mut self) -> Self {
        self.ten_is_zero = true;
        self
    }
}

impl Reader for LabelledArrays {
    fn read(&self, take: &mut Take) -> Result<()> {
        let mut values = self.values.open()?;
        let mut labels = match &self.labels {
            LabelSource::Stored(array) | LabelSource::FirstColumn(array) => Some((array, array.open()?)),
            LabelSource::Listed(_) => None,
        };
        let mut index = 0;
        while let Some(raw) = values.next()? {
            let at = |error: Error| error.at(&self.values.name);
            let numbers = self.values.scalar.numbers(raw, self.values.big_endian, &self.form.strides).map_err(at)?;
            let numbers = match numbers {
                Numbers::Bytes(bytes) if self.values.floats => {
                    Numbers::Floats(bytes.into_iter().map(f32::from).collect())
                }
                Numbers::Whole(whole) if self.values.floats => {
                    Numbers::Floats(whole.into_iter().map(|number| number as f32).collect())
                }
                numbers => numbers,
            };
            let label = match (&mut labels, &self.labels) {
                (Some((array, open)), source) => {
                    let first_column = matches!(source, LabelSource::FirstColumn(_));
                    next_label(array, open, first_column).map_err(|error| error.at(format!("label {index}")))?
                }
                (None, LabelSource::Listed(listed)) => listed.get(index).cloned(),
                (None, _) => None,
            };
            let Some(label) = label else {
                return Err(Error::input(format!("{}: a label is missing", self.values.name)));
            };
            let label = if self.ten_is_zero && label == Label::Number(10) { Label::Number(0) } else { label };
            let content = Content::Array(Array { shape: self.form.shape, numbers });
            let name = printable(&format!("example {index} of {}", self.values.name));
            take(Example { name, label, content })?;
            index += 1;
        }
        // Whether something follows them.
        if let Some((_, open)) = &mut labels {
            open.next()?;
        }
        Ok(())
    }
}

fn next_label(array: &StoredArray, open: &mut OpenArray, first_column: bool) -> Result<Option<Label>> {
    let (count, big) = (array.values(), array.big_endian);
    let Some(raw) = open.next()? else { return Ok(None) };
    if count == 1 || first_column {
        return array.scalar.label(raw, big, 0).map(Some);
    }
    hot(array.scalar, raw, big, count).map(|class| Some(Label::Number(class as i64))).ok_or_else(|| {
        Error::input(format!("{} has {count} numbers a label, of which not one alone is 1", array.name))
            .hint("give one label an example, or one 1 among zeros; several labels an example are not learned")
    })
}

/// The one place that is 1, where all others are 0.
fn hot(scalar: Scalar, raw: &[u8], big_endian: bool, count: usize) -> Option<usize> {
    if scalar.is_text() {
        return None;
    }
    let mut found = None;
    for place in 0..count {
        match scalar.float(raw, big_endian, place) {
            0.0 => {}
            1.0 if found.is_none() => found = Some(place),
            _ => return None,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::source::ByteSource;
    use super::super::stored::StoredOrder;
    use super::*;

    fn array(scalar: Scalar, shape: &[usize], bytes: &[u8]) -> StoredArray {
        let source = ByteSource::of_memory(bytes.to_vec());
        StoredArray::new("`x`".into(), (scalar, false), shape, StoredOrder::LastFastest, source).unwrap()
    }

    fn labels(values: usize, labels: LabelSource) -> Result<Vec<Label>> {
        let reader = LabelledArrays::new(array(Scalar::U8, &[values, 2], &vec![0; 2 * values]), labels, None)?;
        let mut all = Vec::new();
        reader.read(&mut |example| {
            all.push(example.label);
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn labels_are_numbers_or_one_place_of_many() {
        let numbers = |list: &[i64]| list.iter().map(|number| Label::Number(*number)).collect::<Vec<_>>();
        let column = array(Scalar::U8, &[3, 1], &[2, 0, 1]);
        assert_eq!(labels(3, LabelSource::Stored(column)).unwrap(), numbers(&[2, 0, 1]));
        let hot = array(Scalar::U8, &[2, 3], &[0, 0, 1, 1, 0, 0]);
        assert_eq!(labels(2, LabelSource::Stored(hot.clone())).unwrap(), numbers(&[2, 0]));
        assert_eq!(labels(2, LabelSource::FirstColumn(hot)).unwrap(), numbers(&[0, 1]));
        let several = array(Scalar::U8, &[1, 3], &[1, 0, 1]);
        assert!(labels(1, LabelSource::Stored(several)).unwrap_err().message.contains("not one alone is 1"));
        let error = labels(2, LabelSource::Listed(numbers(&[1]))).unwrap_err();
        assert!(error.message.contains("has 2 examples, but there are 1 labels"), "{error}");
    }
}
