//! Tickets against their controls over the same seeds: a table and a sentence, from `summary.csv`.

use super::PartLines;
use super::findings::percent;
use super::lines::Lines;
use super::sheet::Sheet;
use tombola_words::statistics::in_digits;
use tombola_words::value::{Control, Value};

/// The table, with the names that methods have in charts.
pub fn table(parts: &[PartLines]) -> Sheet {
    let mut rows = Vec::new();
    for part in parts {
        let gap = if part.title.is_empty() { "" } else { ": " };
        for line in &part.lines.tickets {
            for (point, found) in line.points.iter().filter_map(|point| Some((point, point.difference?))) {
                let half = found.half_width.map_or(String::new(), |half| format!(" ± {:.2}", 100.0 * half));
                let shown = |probability: Option<f64>| probability.map(in_digits).unwrap_or_default();
                rows.push([
                    format!("{}{gap}{}", part.title, line.name),
                    percent(point.density),
                    found.n.to_string(),
                    format!("{:+.2}{half}", 100.0 * found.mean).replace('-', "−"),
                    shown(found.t_probability),
                    shown(found.permutation_probability),
                ]);
            }
        }
    }
    Sheet::of(["control", "density", "pairs", "ticket − control", "p, paired t", "p, sign flips"], rows)
}

/// How many tickets are better and worse than their controls; none where no control has several seeds.
pub fn sentence(lines: &Lines) -> Option<String> {
    let told = [Control::Reinit, Control::RandomMask].into_iter().filter_map(|control| {
        let points = lines.tickets.iter().flat_map(|line| &line.points).filter_map(|point| point.difference);
        let found: Vec<(f64, f64)> = points
            .filter(|found| found.control == control)
            .filter_map(|found| Some((found.mean, found.half_width?)))
            .collect();
        let better = found.iter().filter(|(mean, half)| mean > half).count();
        let worse = found.iter().filter(|(mean, half)| -mean > *half).count();
        (!found.is_empty())
            .then(|| format!("{better} of {} better than {}, {worse} worse", found.len(), control.show()))
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| {
        format!(
            "Tickets against their controls, by 95 % intervals of the difference over the same seeds: {}.",
            told.join("; ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "\
level,network,pruning-ratio,prune-iterations,control,planned,n,density_mean,best_test_accuracy_mean,best_test_accuracy_ci95,paired_n,\
ticket_minus_control_best_test_accuracy_mean,ticket_minus_control_best_test_accuracy_ci95,\
ticket_minus_control_best_test_accuracy_t_p,ticket_minus_control_best_test_accuracy_permutation_p
0,lenet-5,,,,3,3,1.0,0.9,0.01,,,,,
1,lenet-5,0.5,1,none,3,3,0.5,0.89,0.02,,,,,
1,lenet-5,0.5,1,reinit,3,3,0.5,0.88,0.02,3,0.01,0.004,0.0094,0.25
1,lenet-5,0.5,1,random-mask,3,3,0.5,0.9,0.02,3,-0.01,0.02,0.16,0.5
1,lenet-5,0.9,1,none,1,1,0.1,0.8,,,,,,
1,lenet-5,0.9,1,reinit,1,1,0.1,0.7,,1,0.1,,,
1,lenet-5,0.9,1,random-mask,1,0,,,,0,,,,
";

    fn part(title: &str) -> PartLines {
        let lines = Lines::of(&Sheet::parse(SUMMARY).unwrap());
        PartLines { title: title.into(), lines, findings: Vec::new() }
    }

    #[test]
    fn each_control_has_a_row_with_the_numbers_of_the_summary() {
        let rows: Vec<String> = table(&[part("")]).rows.iter().map(|row| row.join(" | ")).collect();
        assert_eq!(
            rows,
            [
                "one-shot, control reinit | 50 % | 3 | +1.00 ± 0.40 | 0.009 | 0.25",
                "one-shot, control reinit | 10 % | 1 | +10.00 |  | ",
                "one-shot, control random-mask | 50 % | 3 | −1.00 ± 2.00 | 0.16 | 0.50",
            ]
        );
        assert_eq!(table(&[part("lenet-5")]).rows[0][0], "lenet-5: one-shot, control reinit");
        assert!(table(&[PartLines::default()]).is_empty());
    }

    #[test]
    fn tickets_whose_interval_is_above_0_are_better() {
        assert_eq!(
            sentence(&part("").lines).unwrap(),
            "Tickets against their controls, by 95 % intervals of the difference over the same seeds: 1 of 1 better than \
             reinit, 0 worse; 0 of 1 better than random-mask, 0 worse."
        );
        assert_eq!(sentence(&Lines::default()), None);
    }
}
