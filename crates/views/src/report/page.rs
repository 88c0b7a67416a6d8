//! The page: one HTML file that needs nothing else, for screens and paper, light and dark.

use super::chart::Chart;
use super::sheet::Sheet;
use super::{Missing, Report, chart, compared};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// A browser filters and sorts this many rows without a pause; with more, the page has the rows over seeds instead.
const MOST_ROWS: usize = 20_000;

/// More numbers of a chart, or controls, than this are not in the page.
const MOST_NUMBERS: usize = 2_000;

/// The page of some sweeps, one below the other. `made` says by what and when it was made.
pub fn page(reports: &[Report], made: &str) -> String {
    let names: Vec<&str> = reports.iter().map(|report| report.name.as_str()).collect();
    let title = escaped(&names.join(", "));
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{title} · Tombola</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    );
    let together = compared(reports);
    if !together.is_empty() {
        html.push_str("<main>\n");
        together.iter().for_each(|chart| figure(&mut html, chart));
        html.push_str("</main>\n");
    }
    for (number, report) in reports.iter().enumerate() {
        sweep(&mut html, report, number);
    }
    html.push_str(&format!("<footer>{}</footer>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n", escaped(made)));
    html
}

fn sweep(html: &mut String, report: &Report, number: usize) {
    html.push_str(&format!("<main>\n<h1>{}</h1>\n<section class=\"findings\">\n", escaped(&report.name)));
    for sentence in &report.findings {
        html.push_str(&format!("<p>{}</p>\n", escaped(sentence)));
    }
    html.push_str("</section>\n");
    // Beside the curves that it is about.
    let curves = report.charts.iter().take_while(|chart| chart.name.starts_with(chart::DENSITY)).count();
    let (curves, others) = report.charts.split_at(curves);
    curves.iter().for_each(|chart| figure(html, chart));
    controls(html, &report.controls);
    others.iter().for_each(|chart| figure(html, chart));
    for Missing { what, why } in &report.missing {
        html.push_str(&format!("<p class=\"note\">{}: {}.</p>\n", escaped(what), escaped(why)));
    }
    failures(html, &report.failures);
    let whole = report.results.rows.len() <= MOST_ROWS;
    let (title, sheet, note) = match whole {
        true => ("All rows", &report.results, "Every trial and level, as in <code>results.csv</code>."),
        false => (
            "Rows over seeds",
            &report.summary,
            "As in <code>summary.csv</code>. Every trial and level is in <code>results.csv</code>, which can be opened here: it \
             stays on this machine.",
        ),
    };
    table(html, (title, note), sheet, number, whole);
    html.push_str(&format!(
        "<section>\n<h2>To do it again</h2>\n<p>Save this as <code>sweep.toml</code>, then \
         <code>tombola run sweep.toml</code>.</p>\n<details><summary>Settings</summary><pre>{}</pre></details>\n",
        escaped(&report.settings)
    ));
    for (name, sum) in &report.data {
        html.push_str(&format!(
            "<p class=\"note\">Data set {}: BLAKE3 <code>{}</code></p>\n",
            escaped(name),
            escaped(sum)
        ));
    }
    for (version, machine) in &report.made_by {
        html.push_str(&format!("<p class=\"note\">Tombola {} on {}</p>\n", escaped(version), escaped(machine)));
    }
    for line in &report.computed_with {
        html.push_str(&format!("<p class=\"note\">Trainings: {}</p>\n", escaped(line)));
    }
    html.push_str("</section>\n</main>\n");
}

fn figure(html: &mut String, chart: &Chart) {
    // The canvas draws in black: in the page that is the colour of the text, whatever it is.
    let title = escaped(&chart.title);
    let drawn = |svg: &str, class: &str| {
        let svg = svg.replace("#000000", "currentColor");
        svg.replacen("<svg ", &format!("<svg class=\"{class}\" role=\"img\" aria-label=\"{title}\" "), 1)
    };
    let pictures = format!("{}\n{}", drawn(&chart.svg, "wide"), drawn(&chart.narrow.0, "narrow"));
    // `</script>` in a name would end the script.
    let spots = match chart.spots.is_empty() {
        true => String::new(),
        false => {
            // Of the two pictures; the words are the same.
            let narrow: Vec<(i32, i32)> = chart.narrow.1.iter().map(|spot| (spot.0, spot.1)).collect();
            let json = serde_json::json!([chart.spots, narrow]).to_string().replace('<', "\\u003c");
            format!("<script type=\"application/json\" class=\"spots\">{json}</script>\n")
        }
    };
    let numbers: Vec<&str> = chart.data.lines().collect();
    let shown = numbers.len().min(MOST_NUMBERS + 1);
    let summary = match numbers.len() - shown {
        0 => "Numbers".to_string(),
        _ => format!(
            "The first {MOST_NUMBERS} of {} rows of numbers; <code>--figures</code> writes all",
            numbers.len() - 1
        ),
    };
    html.push_str(&format!(
        "<section>\n<h2>{}</h2>\n<figure id=\"{}\">\n{pictures}\n<output></output>\n<figcaption>{}</figcaption>\n{spots}</figure>\n\
         <details><summary>{summary}</summary><pre>{}\n</pre></details>\n</section>\n",
        escaped(&chart.title),
        escaped(&chart.name),
        escaped(&chart.note),
        escaped(&numbers[..shown].join("\n"))
    ));
}

fn controls(html: &mut String, sheet: &Sheet) {
    if sheet.is_empty() {
        return;
    }
    html.push_str(
        "<section>\n<h2>Tickets against their controls</h2>\n\
         <p class=\"note\">Test accuracy of a ticket at the chosen epoch less that of its control, mean over pairs of one seed, in points \
         ± half the 95 % confidence interval. Sign flips assume no normal distribution; n pairs cannot bring them below 2 / 2<sup>n</sup>. \
         More digits, and the last epoch, are in <code>summary.csv</code>.</p>\n\
         <div class=\"scroll pairs\" tabindex=\"0\"><table><thead><tr>",
    );
    sheet.columns.iter().for_each(|name| html.push_str(&format!("<th>{}</th>", escaped(name))));
    html.push_str("</tr></thead><tbody>\n");
    for row in sheet.rows.iter().take(MOST_NUMBERS) {
        html.push_str("<tr>");
        row.iter().for_each(|cell| html.push_str(&format!("<td>{}</td>", escaped(cell))));
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    if let Some(unseen @ 1..) = sheet.rows.len().checked_sub(MOST_NUMBERS) {
        html.push_str(&format!("<p class=\"note\">{unseen} more are in <code>summary.csv</code>.</p>\n"));
    }
    html.push_str("</section>\n");
}

fn failures(html: &mut String, failures: &[(String, String)]) {
    if failures.is_empty() {
        return;
    }
    html.push_str("<section>\n<h2>Failures</h2>\n<ul>\n");
    for (place, reason) in failures {
        html.push_str(&format!("<li>{}: {}</li>\n", escaped(place), escaped(reason)));
    }
    html.push_str("</ul>\n</section>\n");
}

/// A table whose rows the script draws, sorts and filters; what all rows share stands above it. Where it is not the `whole`
/// one, that can be opened.
fn table(html: &mut String, (title, note): (&str, &str), sheet: &Sheet, number: usize, whole: bool) {
    let (varying, shared) = sheet.parted();
    let columns: Vec<&str> = varying.iter().map(|column| sheet.columns[*column].as_str()).collect();
    let rows: Vec<Vec<&str>> =
        sheet.rows.iter().map(|row| varying.iter().map(|column| row[*column].as_str()).collect()).collect();
    // `</script>` in a cell would end the script.
    let json = serde_json::json!({ "columns": columns, "rows": rows }).to_string().replace('<', "\\u003c");
    html.push_str(&format!("<section>\n<h2>{title}</h2>\n<p class=\"note\">{note}</p>\n"));
    if !shared.is_empty() {
        html.push_str("<details><summary>The same in all rows</summary><dl>\n");
        for (name, value) in shared {
            html.push_str(&format!("<dt>{}</dt><dd>{}</dd>\n", escaped(&name), escaped(&value)));
        }
        html.push_str("</dl></details>\n");
    }
    let file = match whole {
        true => "",
        false => "<p><label>Open <code>results.csv</code> <input type=\"file\" accept=\".csv\"></label></p>\n",
    };
    html.push_str(&format!(
        "<div class=\"table\" data-table=\"{number}\"><label>Filter <input type=\"search\" \
         placeholder=\"words that a row must have\"></label> <span class=\"count\"></span>\n{file}\
         <div class=\"scroll\" tabindex=\"0\"><table><thead><tr></tr></thead><tbody></tbody></table></div></div>\n\
         <script type=\"application/json\" id=\"table-{number}\">{json}</script>\n</section>\n"
    ));
}

/// A text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::Spot;

    fn report() -> Report {
        Report {
            name: "a <sweep>".into(),
            findings: vec!["4 < 5".into()],
            lines: Vec::new(),
            charts: vec![Chart {
                name: "x".into(),
                title: "A chart".into(),
                note: "note".into(),
                svg: "<svg width=\"1\"><path stroke=\"#000000\"/></svg>".into(),
                data: "a,b\n".into(),
                spots: vec![Spot(1, 2, "</script> 50 %".into())],
                narrow: ("<svg width=\"1\"/>".into(), vec![Spot(3, 4, "</script> 50 %".into())]),
            }],
            controls: Sheet::of(["control", "p"], [["<twin>".to_string(), "< 0.001".to_string()]]),
            missing: vec![Missing { what: "How masks settle", why: "no masks are watched" }],
            results: Sheet::parse("trial,network,error\n1,lenet-5,\n2,lenet-5,</script>\n").unwrap(),
            summary: Sheet::default(),
            failures: vec![("trial 2, level 0".into(), "</script>".into())],
            made_by: vec![("0.1".into(), "a <machine>".into())],
            computed_with: vec!["2 on a <device>".into()],
            settings: "network = \"lenet-5\"".into(),
            data: vec![("mnist".into(), "00".into())],
        }
    }

    #[test]
    fn texts_cannot_become_markup() {
        let html = page(&[report()], "by a test");
        assert!(html.contains("a &lt;sweep&gt;") && html.contains("4 &lt; 5"));
        assert!(html.contains("<td>&lt;twin&gt;</td><td>&lt; 0.001</td>"));
        assert!(html.contains("<p class=\"note\">Trainings: 2 on a &lt;device&gt;</p>"));
        // The ends of the table's data and of the script itself.
        assert_eq!(html.matches("</script>").count(), 3);
        assert!(html.contains("stroke=\"currentColor\"") && !html.contains("#000000"));
    }

    #[test]
    fn the_page_loads_nothing() {
        let html = page(&[report(), report()], "by a test");
        for attribute in ["src=", "@import", "url(", "http://", "href=\"h"] {
            let found = html.replace("http://www.w3.org/2000/svg", "");
            assert!(!found.contains(attribute), "{attribute}");
        }
        assert!(html.contains("id=\"table-0\"") && html.contains("id=\"table-1\""));
    }

    #[test]
    fn tickets_without_controls_are_compared_with_nothing() {
        let html = page(&[Report { controls: Sheet::default(), ..report() }], "by a test");
        assert!(!html.contains("Tickets against their controls"));
    }

    #[test]
    fn what_all_rows_share_stands_above_the_table() {
        let html = page(&[report()], "by a test");
        assert!(html.contains("<dt>network</dt><dd>lenet-5</dd>"));
        assert!(html.contains("\"columns\":[\"trial\",\"error\"]"));
    }
}
