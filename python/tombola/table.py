"""The tables of a sweep as data frames, each column with the type that it always has.

The type of a column follows from its name and not from the values that happen to be there, so that the tables of two sweeps
can be joined. An empty cell is a missing value; so is `auto` in a column of numbers. It may not know where tables come from.
"""

import pandas

TEXT, WHOLE, SEED, FRACTION, TRUTH = "string", "Int64", "UInt64", "float64", "boolean"

# Every column of every table: docs/files.md says what they mean. Those with a hyphen, and some without, are settings. A number of
# epochs that may be one of steps (`500it`) is text.
_COLUMNS = {
    TEXT: """
        stage other_stage state network shortcut bn-init dataset filter augment synthetic-shape precision optimizer schedule lr-milestones
        schedule-by step-epochs cycle-epochs warmup-epochs
        pruning-type criterion scope prune-layers streams draw early-bird-rule reinit budget control select load dead_layers
        hidden ratios spare target while-training load-init load-mask load-names load-head input-mean input-std weight-decay-on class-weights last-batch
        selected_on error track rule early_bird differs value other_value place
        computed_with class_name find within answer halving-over
    """,
    WHOLE: """
        trial other_trial level depth width train-limit validation-size synthetic-classes synthetic-size epochs iterations batch-size
        patience cycle-factor prune-iterations round-channels score-images mask-every mask-from halving
        early-bird-window fine-tune-epochs barrier-points alive prunable parameters channels_alive channels channels_forced
        macs_dense macs parameters_alive best_epoch last_epoch test_images epoch other_epoch planned n paired_n bits differing window
        epochs_planned epochs_not_needed epochs_trained epochs_saved other_alive shared attempts class class_images best_correct last_correct
        trainings trained spared batch
    """,
    SEED: "seed init-seed order-seed augment-seed",
    FRACTION: """
        prune-rate learning-rate momentum weight-decay slimming beta1 beta2 gamma min-lr pruning-ratio output-rate early-bird-epsilon
        filter-sigma clip-norm average label-smoothing mixup cutmix warmup-start distill distill-temperature mask-until start-ratio drop-share
        fine-tune-lr rate density density_total density_effective density_channels density_macs pruned_validation_accuracy
        pruned_test_accuracy start_validation_accuracy start_test_accuracy best_validation_accuracy best_test_accuracy
        best_validation_top5 best_test_top5 last_validation_top5 last_test_top5 validation_top5 test_top5
        last_validation_accuracy last_test_accuracy last_test_loss learning_rate train_loss train_accuracy validation_loss
        validation_accuracy test_loss test_accuracy ratio distance chance relative epsilon chance_low chance_high overlap
        overlap_chance overlap_chance_low overlap_chance_high deviations alpha validation_error_barrier error_barrier seconds
        images_per_second density_time batch_seconds batch_seconds_dense
    """,
    TRUTH: "nesterov schedule-after-warmup",
}
KINDS = {name: kind for kind, names in _COLUMNS.items() for name in names.split()}
STATISTICS = ("_mean", "_std", "_ci95", "_t_p", "_permutation_p")


def kind(column):
    """The type of a column. One that is not known here, of a newer program, is text."""
    if column.endswith(STATISTICS):
        return FRACTION
    return KINDS.get(column, TEXT)


def read(file):
    """A table from its CSV file: a path, or what can be read like one."""
    # Everything as text first: a network may be called `NA`, and a number be too large for a float.
    raw = pandas.read_csv(file, dtype=str, keep_default_na=False, na_filter=False)
    return pandas.DataFrame({name: _typed(raw[name], kind(name)) for name in raw.columns}, columns=raw.columns)


def _typed(cells, kind):
    cells = cells.astype("string")
    cells = cells.mask(cells == "")
    if kind == TEXT:
        return cells
    if kind == TRUTH:
        return cells.map({"true": True, "false": False}, na_action="ignore").astype(TRUTH)
    cells = cells.mask(cells == "auto")
    if kind == FRACTION:
        return cells.astype("Float64").to_numpy(dtype="float64", na_value=float("nan"))
    return cells.astype(kind)
