//! Patterns of names: `*` for any letters, `?` for one, `{a,b}` for one of some words, `{0000..0012}` for numbers.

/// What braces may stand for.
const MOST_NAMES: usize = 100_000;

/// Whether a name has the form of a pattern with `*` and `?`. A `*` may stand for letters of several folders.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut place) = (0, 0);
    // Where to go on if what follows the last `*` does not fit: it stands for one letter more.
    let mut star = None;
    while place < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[place] => {
                at += 1;
                place += 1;
            }
            _ => match star {
                None => return false,
                Some((begin, tried)) => {
                    star = Some((begin, tried + 1));
                    at = begin + 1;
                    place = tried + 1;
                }
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// Whether it is a pattern.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '{'])
}

/// The patterns without braces that a pattern stands for; nothing if there are too many.
pub(super) fn unfolded(pattern: &str) -> Option<Vec<String>> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_string()];
    while let Some(next) = open.pop() {
        let braces = next.find('{').and_then(|start| Some((start, start + next[start..].find('}')?)));
        let Some((start, end)) = braces else {
            done.push(next);
            continue;
        };
        let (before, inside, behind) = (&next[..start], &next[start + 1..end], &next[end + 1..]);
        let words: Vec<String> = match inside.split_once("..").and_then(|(first, last)| numbers(first, last)) {
            Some(numbers) => numbers,
            None => inside.split(',').map(str::to_string).collect(),
        };
        if done.len() + open.len() + words.len() > MOST_NAMES {
            return None;
        }
        open.extend(words.into_iter().rev().map(|word| format!("{before}{word}{behind}")));
    }
    Some(done)
}

fn numbers(first: &str, last: &str) -> Option<Vec<String>> {
    let (begin, end): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    let width = if first.starts_with('0') { first.len() } else { 0 };
    (end.checked_sub(begin)? < MOST_NAMES && width < 20)
        .then(|| (begin..=end).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_letters() {
        for (pattern, name, expected) in [
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("*", "", true),
            ("*.csv", "x/y.csv", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*ab*ab", "ababab", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        assert!(!fits(&"*a".repeat(50), &"a".repeat(40)));
    }

    #[test]
    fn braces_stand_for_words_and_numbers() {
        assert_eq!(unfolded("t-{08..11}.tar").unwrap(), ["t-08.tar", "t-09.tar", "t-10.tar", "t-11.tar"]);
        assert_eq!(unfolded("{a,b}{1..2}").unwrap(), ["a1", "a2", "b1", "b2"]);
        assert_eq!(unfolded("plain{").unwrap(), ["plain{"]);
        assert_eq!(unfolded(&"{0..999}".repeat(3)), None);
    }
}
