//! Huge pages for the heap of the program that trains, which only the one that starts it can ask for.

use std::ffi::OsString;

/// The variable that the GNU C library reads its settings from when a program starts.
pub const TUNABLES: &str = "GLIBC_TUNABLES";

/// The settings `before`, and that the heap lie on huge pages where the system allows it on request: tensors of some MiB
/// are read and written from end to end, and with pages of 4 KiB looking these up takes some 5 % of a step. A program
/// cannot set it for itself. Whoever has set it, keeps what they set.
pub fn with_huge_pages(before: Option<OsString>) -> OsString {
    const HUGE: &str = "glibc.malloc.hugetlb";
    match before {
        Some(before) if before.to_string_lossy().contains(HUGE) => before,
        Some(mut before) if !before.is_empty() => {
            before.push(format!(":{HUGE}=1"));
            before
        }
        _ => format!("{HUGE}=1").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_user_are_kept() {
        let with = |before: Option<&str>| with_huge_pages(before.map(OsString::from)).into_string().unwrap();
        assert_eq!(with(None), "glibc.malloc.hugetlb=1");
        assert_eq!(with(Some("")), "glibc.malloc.hugetlb=1");
        assert_eq!(with(Some("glibc.malloc.check=3")), "glibc.malloc.check=3:glibc.malloc.hugetlb=1");
        assert_eq!(with(Some("glibc.malloc.hugetlb=0")), "glibc.malloc.hugetlb=0");
    }
}
