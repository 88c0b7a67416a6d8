use std::collections::BTreeMap;

use super::*;
use crate::tables::tests::{SMALL, failed, history, plan, records_of};
use tombola_words::record::{ChannelCount, Record};
use tombola_words::value::Value;

fn shown(text: &str, except: impl Fn(&Plan) -> BTreeMap<usize, Vec<Record>>, style: &Style) -> String {
    let plan = plan(text);
    let history = history(&plan, &except(&plan));
    let shown = render(&plan, &history, style);
    assert!(shown.lines().all(|line| line.chars().count() <= style.width), "{shown}");
    shown
}

fn nothing(_: &Plan) -> BTreeMap<usize, Vec<Record>> {
    BTreeMap::new()
}

/// One-shot and iterative tickets at three densities, in three ways.
const QUICK: &str = r#"
    dataset = "fashion-mnist"
    network = ["lenet-300-100", "lenet-5"]
    epochs = 3
    schedule = "none"
    lr = 0.05
    seed = [1, 2, 3]
    [[grid]]
    reinit = ["none", "init"]
    pr = [0.5, 0.75, 0.875]
    [[grid]]
    reinit = "init"
    pr = 0.875
    priter = 3
    [[grid]]
    reinit = "init"
    control = ["reinit", "random-mask"]
    pr = [0.5, 0.75, 0.875]
    priter = [1, 2, 3]
    zip = ["pr", "priter"]
"#;

#[test]
fn wide() {
    insta::assert_snapshot!(shown(QUICK, nothing, &Style { width: 120, unicode: true }), @r"
    lenet-300-100 · fashion-mnist · 3 epochs · sgd · learning-rate 0.05 · schedule none

    method                                                              dense          50 %          25 %        12.5 %
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    one-shot · reinit none                                       90.70 ± 0.70  89.80 ± 0.70  89.90 ± 0.70  90.00 ± 0.70
    one-shot · reinit init                                       90.70 ± 0.70  90.10 ± 0.70  90.20 ± 0.70  90.30 ± 0.70
    iterative, 50 % a level · reinit init                        90.70 ± 0.70  90.10 ± 0.70  92.40 ± 0.20  91.50 ± 0.20
    iterative, 50 % a level · reinit init · control reinit       90.70 ± 0.70  95.00 ± 0.60  94.10 ± 0.60  93.20 ± 0.60
      ticket − control                                                         −4.90 ± 0.25  −1.70 ± 0.99  −1.70 ± 0.99
                                                                                  p < 0.001       p 0.018       p 0.018
    iterative, 50 % a level · reinit init · control random-mask  90.70 ± 0.70  95.30 ± 0.60  94.40 ± 0.60  93.50 ± 0.60
      ticket − control                                                         −5.20 ± 0.25  −2.00 ± 0.99  −2.00 ± 0.99
                                                                                  p < 0.001       p 0.013       p 0.013

    lenet-5 · fashion-mnist · 3 epochs · sgd · learning-rate 0.05 · schedule none

    method                                                              dense          50 %          25 %        12.5 %
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    one-shot · reinit none                                       92.80 ± 0.70  91.90 ± 0.70  92.00 ± 0.70  92.10 ± 0.70
    one-shot · reinit init                                       92.80 ± 0.70  92.20 ± 0.70  92.30 ± 0.70  92.40 ± 0.70
    iterative, 50 % a level · reinit init                        92.80 ± 0.70  92.20 ± 0.70  93.00 ± 0.20  92.10 ± 0.20
    iterative, 50 % a level · reinit init · control reinit       92.80 ± 0.70  96.80 ± 0.60  95.90 ± 0.60  95.00 ± 0.60
      ticket − control                                                         −4.60 ± 0.25  −2.90 ± 0.99  −2.90 ± 0.99
                                                                                  p < 0.001       p 0.006       p 0.006
    iterative, 50 % a level · reinit init · control random-mask  92.80 ± 0.70  97.10 ± 0.60  96.20 ± 0.60  95.30 ± 0.60
      ticket − control                                                         −4.90 ± 0.25  −3.20 ± 0.99  −3.20 ± 0.99
                                                                                  p < 0.001       p 0.005       p 0.005

    Test accuracy in % at the epoch chosen on the validation set, by share of prunable weights alive; mean ± standard
    deviation over 3 seeds.
    ticket − control: mean difference over pairs of one seed in points ± half its 95 % interval, and p-value (paired t);
    sign-flip p-values are in summary.csv.
    ");
}

#[test]
fn at_80_columns() {
    insta::assert_snapshot!(shown(QUICK, nothing, &Style::default()), @r"
    lenet-300-100 · fashion-mnist · 3 epochs · sgd · learning-rate 0.05
    schedule none

    method                          dense          50 %          25 %        12.5 %
    ───────────────────────────────────────────────────────────────────────────────
    one-shot · reinit none   90.70 ± 0.70  89.80 ± 0.70  89.90 ± 0.70  90.00 ± 0.70
    one-shot · reinit init   90.70 ± 0.70  90.10 ± 0.70  90.20 ± 0.70  90.30 ± 0.70
    iterative, 50 % a level  90.70 ± 0.70  90.10 ± 0.70  92.40 ± 0.20  91.50 ± 0.20
      reinit init
    iterative, 50 % a level  90.70 ± 0.70  95.00 ± 0.60  94.10 ± 0.60  93.20 ± 0.60
      reinit init
      control reinit
      ticket − control                     −4.90 ± 0.25  −1.70 ± 0.99  −1.70 ± 0.99
                                              p < 0.001       p 0.018       p 0.018
    iterative, 50 % a level  90.70 ± 0.70  95.30 ± 0.60  94.40 ± 0.60  93.50 ± 0.60
      reinit init
      control random-mask
      ticket − control                     −5.20 ± 0.25  −2.00 ± 0.99  −2.00 ± 0.99
                                              p < 0.001       p 0.013       p 0.013

    lenet-5 · fashion-mnist · 3 epochs · sgd · learning-rate 0.05 · schedule none

    method                          dense          50 %          25 %        12.5 %
    ───────────────────────────────────────────────────────────────────────────────
    one-shot · reinit none   92.80 ± 0.70  91.90 ± 0.70  92.00 ± 0.70  92.10 ± 0.70
    one-shot · reinit init   92.80 ± 0.70  92.20 ± 0.70  92.30 ± 0.70  92.40 ± 0.70
    iterative, 50 % a level  92.80 ± 0.70  92.20 ± 0.70  93.00 ± 0.20  92.10 ± 0.20
      reinit init
    iterative, 50 % a level  92.80 ± 0.70  96.80 ± 0.60  95.90 ± 0.60  95.00 ± 0.60
      reinit init
      control reinit
      ticket − control                     −4.60 ± 0.25  −2.90 ± 0.99  −2.90 ± 0.99
                                              p < 0.001       p 0.006       p 0.006
    iterative, 50 % a level  92.80 ± 0.70  97.10 ± 0.60  96.20 ± 0.60  95.30 ± 0.60
      reinit init
      control random-mask
      ticket − control                     −4.90 ± 0.25  −3.20 ± 0.99  −3.20 ± 0.99
                                              p < 0.001       p 0.005       p 0.005

    Test accuracy in % at the epoch chosen on the validation set, by share of
    prunable weights alive; mean ± standard deviation over 3 seeds.
    ticket − control: mean difference over pairs of one seed in points ± half its 95
    % interval, and p-value (paired t); sign-flip p-values are in summary.csv.
    ");
}

#[test]
fn without_unicode() {
    let shown = shown(SMALL, nothing, &Style { width: 80, unicode: false });
    assert!(shown.is_ascii());
    insta::assert_snapshot!(shown, @r"
    lenet-300-100; fashion-mnist; 2 epochs; sgd; reinit init; learning-rate 0.05
    schedule none

    method                            dense            50 %            25 %
    -----------------------------------------------------------------------
    iterative, 50 % a level  90.25 +/- 0.35  89.35 +/- 0.35  88.55 +/- 0.35
    iterative, 50 % a level  90.25 +/- 0.35  89.45 +/- 0.35  88.65 +/- 0.35
      control reinit
      ticket - control                       -0.10 +/- 0.00  -0.10 +/- 0.00
                                                  p < 0.001       p < 0.001

    Test accuracy in % at the epoch chosen on the validation set, by share of
    prunable weights alive; mean +/- standard deviation over 2 seeds.
    ticket - control: mean difference over pairs of one seed in points +/- half its
    95 % interval, and p-value (paired t); sign-flip p-values are in summary.csv.
    ");
}

#[test]
fn narrow_gives_up_digits_before_columns() {
    insta::assert_snapshot!(shown(SMALL, nothing, &Style { width: 60, unicode: true }), @r"
    lenet-300-100 · fashion-mnist · 2 epochs · sgd · reinit init
    learning-rate 0.05 · schedule none

    method                        dense        50 %        25 %
    ───────────────────────────────────────────────────────────
    iterative, 50 % a level  90.3 ± 0.4  89.3 ± 0.4  88.5 ± 0.4
    iterative, 50 % a level  90.3 ± 0.4  89.5 ± 0.4  88.7 ± 0.4
      control reinit
      ticket − control                   −0.1 ± 0.0  −0.1 ± 0.0
                                          p < 0.001   p < 0.001

    Test accuracy in % at the epoch chosen on the validation
    set, by share of prunable weights alive; mean ± standard
    deviation over 2 seeds.
    ticket − control: mean difference over pairs of one seed in
    points ± half its 95 % interval, and p-value (paired t);
    sign-flip p-values are in summary.csv.
    ");
}

#[test]
fn too_narrow_for_columns() {
    insta::assert_snapshot!(shown(SMALL, nothing, &Style { width: 50, unicode: true }), @r"
    lenet-300-100 · fashion-mnist · 2 epochs · sgd
    reinit init · learning-rate 0.05 · schedule none

    method                   density      accuracy
    ──────────────────────────────────────────────
    dense                      100 %  90.25 ± 0.35
    iterative, 50 % a level     50 %  89.35 ± 0.35
                                25 %  88.55 ± 0.35
    iterative, 50 % a level     50 %  89.45 ± 0.35
      control reinit            25 %  88.65 ± 0.35
      ticket − control          50 %  −0.10 ± 0.00
                                         p < 0.001
                                25 %  −0.10 ± 0.00
                                         p < 0.001

    Test accuracy in % at the epoch chosen on the
    validation set, by share of prunable weights
    alive; mean ± standard deviation over 2 seeds.
    ticket − control: mean difference over pairs of
    one seed in points ± half its 95 % interval, and
    p-value (paired t); sign-flip p-values are in
    summary.csv.
    ");
}

#[test]
fn many_densities_are_listed_below_each_other() {
    let text = "dataset = \"mnist\"\nnetwork = \"lenet-5\"\nepochs = 2\nschedule = \"none\"\nseed = [1, 2]\n\
        [[grid]]\npr = 0.8322278\npriter = 8\n[[grid]]\npr = [0.2, 0.5]\n[[grid]]\npriter = 0";
    insta::assert_snapshot!(shown(text, nothing, &Style::default()), @r"
    lenet-5 · mnist · 2 epochs · sgd · reinit lr · schedule none

    method                   density      accuracy
    ──────────────────────────────────────────────
    dense                      100 %  90.45 ± 0.64
    iterative, 20 % a level     80 %  89.55 ± 0.64
                                64 %  88.65 ± 0.64
                              51.2 %  87.75 ± 0.64
                                41 %  86.85 ± 0.64
                              32.8 %  85.95 ± 0.64
                              26.2 %  85.05 ± 0.64
                                21 %  84.15 ± 0.64
                              16.8 %  83.25 ± 0.64
    one-shot                    80 %  89.55 ± 0.64
                                50 %  90.85 ± 0.07

    Test accuracy in % at the epoch chosen on the validation set, by share of
    prunable weights alive; mean ± standard deviation over 2 seeds.
    ");
}

#[test]
fn failures_and_what_is_not_finished_are_told() {
    let except = |plan: &Plan| {
        let level = |seed: usize, level: usize| plan.chains[seed].stages[level];
        BTreeMap::from([
            (level(0, 2), failed(plan, level(0, 2))),
            (level(0, 3), vec![]),
            (level(1, 1), failed(plan, level(1, 1))),
            (level(1, 2), vec![]),
            (level(1, 3), vec![]),
            (level(2, 2), vec![]),
            (level(2, 3), vec![]),
        ])
    };
    let text = "dataset = \"mnist\"\nnetwork = \"lenet-5\"\nepochs = 2\nschedule = \"none\"\nseed = [1, 2, 3]\n\
        pr = 0.875\npriter = 3\nselect = \"test\"";
    insta::assert_snapshot!(shown(text, except, &Style::default()), @r"
    lenet-5 · mnist · 2 epochs · sgd · reinit lr · schedule none · select test

    method                          dense           50 %    25 %   12.5 %
    ─────────────────────────────────────────────────────────────────────
    iterative, 50 % a level  90.40 ± 0.40  89.50 ± 0.57*  failed  skipped

    Test accuracy in % at the epoch chosen on the test set, by share of prunable
    weights alive; mean ± standard deviation over 3 seeds.
    * Not all seeds are finished.
    Failed trainings: 2 of 12; skipped because of that: 3 (`error` in results.csv).
    Trainings not finished: 2 of 12.
    ");
}

#[test]
fn dense_networks_alone_have_a_row() {
    let text = "dataset = \"mnist\"\nnetwork = \"lenet-5\"\nepochs = 2\nschedule = \"none\"\npriter = 0\n\
        batch-size = [64, 128]";
    insta::assert_snapshot!(shown(text, nothing, &Style::default()), @r"
    lenet-5 · mnist · 2 epochs · sgd · schedule none

    method                  dense
    ─────────────────────────────
    dense · batch-size 64   90.00
    dense · batch-size 128  90.10

    Test accuracy in % at the epoch chosen on the validation set, by share of
    prunable weights alive; one seed.
    ");
}

#[test]
fn masks_that_miss_the_density_asked_for_are_told() {
    let except = |plan: &Plan| {
        let mut records = records_of(plan, 1);
        if let Record::Drawn { drawn, .. } = &mut records[0] {
            drawn.alive += 400;
        }
        BTreeMap::from([(1, records)])
    };
    let shown = shown("epochs = 2\nschedule = \"none\"\npr = 0.5\noutput-rate = 0.5", except, &Style::default());
    assert!(shown.contains(" 89.10 [55 %]"), "{shown}");
    let flat = shown.replace('\n', " ");
    assert!(flat.contains("share of weights that masks keep, where that is not the one asked for"), "{shown}");
    assert!(shown.contains("output-rate 0.5"), "{shown}");
}

#[test]
fn a_one_shot_ticket_of_another_seed_joins_the_first_level_of_the_iterative_ones() {
    let text = "epochs = 2\nschedule = \"none\"\n[[grid]]\nseed = [1, 2, 3]\npr = 0.5\n\
        [[grid]]\nseed = [1, 2]\npr = 0.75\npriter = 2";
    let shown = shown(text, nothing, &Style::default());
    assert!(!shown.contains("one-shot"), "{shown}");
    assert!(shown.contains("2 to 3 seeds"), "{shown}");
}

#[test]
fn channels_that_a_criterion_has_no_score_for_stand_beside_the_share_that_was_asked_for() {
    let except = |plan: &Plan| {
        let mut records = records_of(plan, 1);
        if let Record::Drawn { drawn, .. } = &mut records[0] {
            drawn.channels = Some(ChannelCount { prunable: 100, alive: 84, forced: 0 });
        }
        BTreeMap::from([(1, records)])
    };
    let text = "network = \"resnetb\"\nepochs = 2\nschedule = \"none\"\npr = 0.5\nprunety = \"s\"\ncriterion = \"l1\"";
    let shown = shown(text, except, &Style::default());
    let flat = shown.replace('\n', " ");
    assert!(flat.contains(" [84 %]") && flat.contains("by share of prunable channels asked for"), "{shown}");
    assert!(flat.contains("In brackets the share of channels that masks keep"), "{shown}");
}

#[test]
fn tickets_are_compared_with_their_controls_over_the_pairs_that_are_finished() {
    let text = "dataset = \"mnist\"\nnetwork = \"lenet-5\"\nepochs = 2\nschedule = \"none\"\nseed = [1, 2, 3]\npr = [0.5, 0.75]\n\
        control = [\"none\", \"random-mask\"]";
    let except = |plan: &Plan| {
        let ends = plan.chains.iter().map(|chain| (&chain.trial.settings, chain.stages[1]));
        let ticket = |ratio: f64| {
            ends.clone().find(|(own, _)| own.pruning_ratio == ratio && own.control.show() == "none" && own.seed == 2)
        };
        let [half, quarter] = [0.5, 0.75].map(|ratio| ticket(ratio).unwrap().1);
        let mut better = records_of(plan, half);
        if let Some(Record::Finished { outcome, .. }) = better.last_mut() {
            outcome.best.test.correct += 20;
        }
        BTreeMap::from([(half, better), (quarter, vec![])])
    };
    insta::assert_snapshot!(shown(text, except, &Style::default()), @r"
    lenet-5 · mnist · 2 epochs · sgd · reinit lr · schedule none

    method                                 dense          50 %           25 %
    ─────────────────────────────────────────────────────────────────────────
    one-shot                        90.50 ± 0.50  90.27 ± 1.26  89.80 ± 0.71*
    one-shot · control random-mask  90.50 ± 0.50  89.70 ± 0.50   89.90 ± 0.50
      ticket − control                            +0.57 ± 2.87  −0.10 ± 0.00*
                                                        p 0.48      p < 0.001

    Test accuracy in % at the epoch chosen on the validation set, by share of
    prunable weights alive; mean ± standard deviation over 3 seeds.
    * Not all seeds are finished.
    ticket − control: mean difference over pairs of one seed in points ± half its 95
    % interval, and p-value (paired t); sign-flip p-values are in summary.csv.
    Trainings not finished: 1 of 15.
    ");
}

#[test]
fn one_seed_is_compared_with_nothing() {
    let text = "dataset = \"mnist\"\nnetwork = \"lenet-5\"\nepochs = 2\nschedule = \"none\"\npr = 0.5\ncontrol = [\"none\", \"reinit\"]";
    assert!(!shown(text, nothing, &Style::default()).contains("ticket"));
}

#[test]
fn a_list_has_p_values_beside_differences_where_there_is_room() {
    let text = format!("{SMALL}[[grid]]\npr = 0.99\npriter = 8\n");
    let shown = shown(&text, nothing, &Style::default());
    assert!(shown.contains("  −0.10 ± 0.00, p < 0.001"), "{shown}");
}
