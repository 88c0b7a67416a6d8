//! The types of the fields in footers and heads of pages of Parquet, by the numbers of the fields that lead there.
//!
//! The library of Parquet takes a field that it knows for what it should be, whatever the file calls it. What follows is then read from
//! the wrong place, and a short file can make it count to billions. From `parquet.thrift` of Apache Parquet 2.12.

/// What a field holds. Whole numbers of 16, 32 and 64 bits are written alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireType {
    Truth,
    Byte,
    Whole,
    Double,
    Text,
    Structure,
    Structures,
    Wholes,
    Texts,
}

use WireType::{Byte, Double, Structure, Structures, Text, Texts, Truth, Whole, Wholes};

impl WireType {
    /// Whether Thrift's number of a type means this.
    pub(super) fn is(self, kind: u8) -> bool {
        match self {
            Self::Truth => matches!(kind, 1 | 2),
            Self::Byte => kind == 3,
            Self::Whole => matches!(kind, 4..=6),
            Self::Double => kind == 7,
            Self::Text => kind == 8,
            Self::Structures | Self::Wholes | Self::Texts => kind == 9,
            Self::Structure => kind == 12,
        }
    }

    /// What each element of a list is; nothing of what is no list.
    pub(super) fn element(self) -> Option<Self> {
        match self {
            Self::Structures => Some(Self::Structure),
            Self::Wholes => Some(Self::Whole),
            Self::Texts => Some(Self::Text),
            _ => None,
        }
    }
}

/// Of a field in a footer (`FileMetaData`); nothing of one that nobody knows.
pub(super) fn of_footer(path: &[i64]) -> Option<WireType> {
    Some(match *path {
        [1 | 3] => Whole,
        [2 | 4 | 5 | 7] => Structures,
        [6] | [5, 1 | 2] => Text,
        [7, 1..=2] => Structure,
        [2, ref field @ ..] => of_schema(field)?,
        [4, 1 | 4] => Structures,
        [4, 2 | 3 | 5..=7] | [4, 4, 1] => Whole,
        [4, 4, 2 | 3] => Truth,
        [4, 1, 1 | 9] => Text,
        [4, 1, 2 | 4..=7] => Whole,
        [4, 1, 3 | 8] => Structure,
        [4, 1, 3, ref field @ ..] => of_column(field)?,
        _ => return None,
    })
}

/// Of a field of `SchemaElement`.
fn of_schema(path: &[i64]) -> Option<WireType> {
    Some(match *path {
        [1..=3 | 5..=9] => Whole,
        [4] => Text,
        [10] | [10, 1..=18] => Structure,
        [10, 5, 1 | 2] | [10, 18, 2] => Whole,
        [10, 10 | 16, 1] => Byte,
        [10, 7 | 8, 1] | [10, 10, 2] => Truth,
        [10, 7 | 8, 2] | [10, 7 | 8, 2, _] => Structure,
        [10, 17 | 18, 1] => Text,
        _ => return None,
    })
}

/// Of a field of `ColumnMetaData`.
fn of_column(path: &[i64]) -> Option<WireType> {
    Some(match *path {
        [1 | 4..=7 | 9..=11 | 14 | 15] | [13, 1..=3] | [16, 1] => Whole,
        [2] | [16, 2 | 3] | [17, 2] => Wholes,
        [3] => Texts,
        [8 | 13] => Structures,
        [8, 1 | 2] => Text,
        [12 | 16 | 17] | [17, 1] => Structure,
        [12, ref field @ ..] => of_statistics(field)?,
        [17, 1, _] => Double,
        _ => return None,
    })
}

/// Of a field of `Statistics`.
fn of_statistics(path: &[i64]) -> Option<WireType> {
    Some(match *path {
        [1 | 2 | 5 | 6] => Text,
        [3 | 4] => Whole,
        [7 | 8] => Truth,
        _ => return None,
    })
}

/// Of a field in the head of a page (`PageHeader`).
pub(super) fn of_page(path: &[i64]) -> Option<WireType> {
    Some(match *path {
        [1..=4] | [5, 1..=4] | [7, 1 | 2] | [8, 1..=6] => Whole,
        [5..=8] | [5, 5] | [8, 8] => Structure,
        [7, 3] | [8, 7] => Truth,
        [5, 5, ref field @ ..] | [8, 8, ref field @ ..] => of_statistics(field)?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_types_of_parquets_own_description() {
        for (path, expected) in [
            (&[2, 10, 10, 1][..], Some(Byte)),
            (&[2, 10, 10, 2], Some(Truth)),
            (&[2, 10, 8, 1], Some(Truth)),
            (&[2, 10, 8, 2], Some(Structure)),
            (&[2, 10, 8, 2, 3], Some(Structure)),
            (&[4, 1, 3, 2], Some(Wholes)),
            (&[4, 1, 3, 12, 5], Some(Text)),
            (&[4, 1, 3, 99], None),
            (&[99], None),
        ] {
            assert_eq!(of_footer(path), expected, "{path:?}");
        }
        assert_eq!((of_page(&[8, 7]), of_page(&[5, 5, 3])), (Some(Truth), Some(Whole)));
    }
}
