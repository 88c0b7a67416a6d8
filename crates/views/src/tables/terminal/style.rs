//! What the table on the terminal looks like: signs, rules, and texts broken into lines.

use comfy_table::{Cell, CellAlignment, LineStyle, Row, Table, TableStyle};

/// Between two columns.
pub(super) const GAP: u16 = 2;

/// What the table may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Characters a line.
    pub width: usize,
    /// Whether characters beyond ASCII can be shown.
    pub unicode: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { width: 80, unicode: true }
    }
}

impl Style {
    pub(super) fn dot(&self) -> &'static str {
        if self.unicode { " · " } else { "; " }
    }

    pub(super) fn dash(&self) -> &'static str {
        if self.unicode { "—" } else { "-" }
    }

    pub(super) fn plus_minus(&self) -> &'static str {
        if self.unicode { "±" } else { "+/-" }
    }

    pub(super) fn minus(&self) -> &'static str {
        if self.unicode { "−" } else { "-" }
    }

    /// A table with nothing but a line under its header.
    pub(super) fn table(&self) -> Table {
        let line = if self.unicode { '─' } else { '-' };
        let mut table = Table::new();
        table.load_style(TableStyle::new().header_separator(LineStyle::none().fill(line)));
        table
    }
}

/// A row: the name of a method and its cells.
pub(super) fn line(name: &str, cells: &[String]) -> Row {
    let mut row = Row::new();
    row.add_cell(Cell::new(name));
    for cell in cells {
        row.add_cell(Cell::new(cell));
    }
    row
}

/// Names stand at the left of their column, numbers at the right of theirs.
pub(super) fn align(table: &mut Table) {
    for (index, column) in table.column_iter_mut().enumerate() {
        let (gap, side) = if index == 0 { (0, CellAlignment::Left) } else { (GAP, CellAlignment::Right) };
        column.set_padding((gap, 0));
        column.set_cell_alignment(side);
    }
}

/// Characters of the longest line.
pub(super) fn length(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

/// Parts joined by `between`, in lines of at most `width` characters where that is possible: parts that are longer are
/// broken at spaces. All lines but the first begin with `indent`.
pub(super) fn wrapped(parts: &[String], width: usize, between: &str, indent: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in parts {
        let alone = length(indent) + length(part) > width;
        let words: Vec<&str> = if alone { part.split(' ').collect() } else { vec![part.as_str()] };
        for (number, word) in words.iter().enumerate() {
            let last = lines.len() - 1;
            let between = if number > 0 { " " } else { between };
            if lines[last].trim_start().is_empty() {
                lines[last].push_str(word);
            } else if length(&lines[last]) + length(between) + length(word) <= width {
                lines[last].push_str(between);
                lines[last].push_str(word);
            } else {
                lines.push(format!("{indent}{word}"));
            }
        }
    }
    lines
}
