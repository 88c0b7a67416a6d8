"""Computes again, from the files of a results folder, what its tables and masks say, by other means than the program.

    recompute.py RESULTS

Takes `sweep.toml`, the CSV tables and `stages`; the journal is not read. Prints a line of JSON: for each kind of value how many
were compared, and under `not compared` how many could not be, by the reason. The first mismatch ends it with exit code 1.
"""

import collections
import csv
import json
import math
import pathlib
import sys
import tomllib
import warnings

import numpy
from safetensors.numpy import load_file
from scipy import stats

import drawing
import networks

# Where sums of many floats decide a mask or a cell, the order of summation may.
CLOSE = 1e-9


def value(text):
    """A cell as what it is."""
    if text == "":
        return None
    if text[0] == "[":
        try:
            return json.loads(text)
        except ValueError:
            # A list of words (`augment`).
            return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


SEEDS = ("seed", "init-seed", "order-seed", "augment-seed")
# These look like numbers and are names.
NAMES = {"stage", "other_stage", "track", "early_bird", *SEEDS, "dead_layers"}


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [{key: text if key in NAMES else value(text) for key, text in row.items()} for row in csv.DictReader(file)]


def rounded(number):
    """To the next whole number, halves away from zero."""
    return math.floor(number + 0.5)


def changes(row):
    """Whether the mask of a training changes while it runs."""
    return bool(row.get("while-training"))


class Folder:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.sweep = tomllib.loads((self.path / "sweep.toml").read_text(encoding="utf-8"))
        for name in ("results", "epochs", "summary", "hamming", "tickets", "overlap", "barrier"):
            setattr(self, name, table(self.path / f"{name}.csv"))
        self.compared, self.missed = collections.Counter(), collections.Counter()
        self.rows = {}
        for row in self.results:
            self.rows.setdefault(row["stage"], row)
        # The level before, and the dense network, of each training.
        chains = collections.defaultdict(dict)
        for row in self.results:
            chains[row["trial"]][row["level"]] = row["stage"]
        self.parents = {
            chain[level]: chain[level - 1] for chain in chains.values() for level in chain if level > 0
        }
        self.kept = {}

    def expect(self, kind, where, found, expected, close=None):
        same = found == expected
        if not same and close is not None and found is not None and expected is not None:
            same = math.isclose(found, expected, rel_tol=close, abs_tol=close)
        if not same:
            sys.exit(f"{self.path}: {where}: {kind} is {found}, and {expected} if computed again")
        self.compared[kind] += 1

    def file(self, stage, name):
        """Arrays of a snapshot or a mask; nothing where it was not kept."""
        key = stage, name
        if key not in self.kept:
            path = self.path / "stages" / stage / f"{name}.safetensors"
            self.kept[key] = load_file(path) if path.exists() else None
        return self.kept[key]

    def network(self, row):
        return networks.build(row, self.sweep.get("networks", {}))

    def mask(self, row, network):
        """The weights that are alive: all of a dense network."""
        if row["level"] == 0:
            return {node.weight: numpy.ones(network.shape_of(node), bool) for node in network.layers()}
        return self.file(row["stage"], "mask")

    def bits(self, row, track):
        """Masks of every epoch, by epoch."""
        rows = numpy.load(self.path / "stages" / row["stage"] / f"masks-{track}.npy")
        # A ticket that was rewound begins behind its rewind point.
        first = min(epoch["epoch"] for epoch in self.epochs if epoch["stage"] == row["stage"])
        return dict(enumerate(rows, first))

    def done(self):
        return [row for row in self.rows.values() if row["state"] == "done"]

    def check(self):
        for row in self.done():
            self.check_row(row)
            if row["level"] > 0:
                self.check_mask(row)
        self.check_epochs()
        self.check_tracks()
        self.check_summary()
        self.check_overlap()
        self.check_barriers()
        for row in self.done():
            self.check_dead_weights(row)

    # ------------------------------------------------------------------------------------------------------- masks

    def snapshot_of_draw(self, row):
        """The name of the parent's snapshot that a mask was drawn from."""
        draw = row["draw"]
        if draw != "early-bird":
            return str(draw).replace(":", "-")
        rule = ["early-bird-rule", "early-bird-window", "early-bird-epsilon"]
        birds = {
            bird["early_bird"]
            for bird in self.tickets
            if bird["stage"] == self.parents[row["stage"]]
            and [bird["rule"], bird["window"], bird["epsilon"]] == [row[key] for key in rule]
            and all(bird[key] == row[key] for key in ("pruning-type", "criterion", "scope"))
            and bird["ratio"] == row["rate"]
        }
        if len(birds) != 1:
            sys.exit(f"{self.path}: {row['stage']}: {len(birds)} early birds may be its own: {birds}")
        return f"early-bird-{birds.pop()}"

    def check_mask(self, row):
        """A ticket's mask from the weights that it was drawn from."""
        network, mask = self.network(row), self.file(row["stage"], "mask")
        if mask is None:
            self.missed["masks that were not kept"] += 1
            return
        parent = self.rows[self.parents[row["stage"]]]
        before = self.mask(parent, network)
        if before is None:
            self.missed["masks of which the one before was not kept"] += 1
            return
        for name, own in mask.items():
            if row["control"] != "random-mask" and (own & ~before[name]).any():
                sys.exit(f"{self.path}: {row['stage']}: a dead weight of {name} lives again")
        if changes(row):
            # Which weights they are follows from all steps; at the end they are as many as a ticket has.
            found = sum(int(own.sum()) for own in mask.values())
            self.expect("counts of masks that changed", row["stage"], found, drawing.counts(network, row, before))
            return
        weights = self.file(parent["stage"], self.snapshot_of_draw(row))
        try:
            drawn = drawing.draw(network, row, weights, before)
        except drawing.NotComputed as reason:
            self.missed[f"masks: {reason}"] += 1
            drawn = drawing.counts(network, row, before)
            if drawn is not None:
                self.expect("counts of masks", row["stage"], sum(int(own.sum()) for own in mask.values()), drawn)
            return
        kind = f"masks by {row['criterion']} {row['scope']}"
        if row["pruning-type"] == "structured":
            self.expect("channels_forced", row["stage"], row["channels_forced"], drawn.forced)
        if row["control"] == "random-mask":
            self.expect("layers of random masks", row["stage"], self.per_layer(network, row, mask), drawn.per_layer)
            return
        problem = drawn.differs(mask)
        if problem:
            sys.exit(f"{self.path}: {row['stage']}: the mask is not that of {row['criterion']} {row['scope']}: {problem}")
        self.compared[kind] += 1

    def per_layer(self, network, row, mask):
        if row["pruning-type"] == "unstructured":
            return {name: int(own.sum()) for name, own in mask.items()}
        channels = networks.Channels(network, row["streams"])
        return drawing.channels_by_layer(channels, drawing.alive_channels(channels, mask))

    def check_dead_weights(self, row):
        """What a mask has pruned is 0 in each file of the training."""
        for path in sorted((self.path / "stages" / row["stage"]).glob("*.safetensors")) if row["level"] else []:
            if path.stem == "mask" or path.stem.endswith(".mask"):
                continue
            # Where masks change, each snapshot but the last has its own.
            own_mask = self.file(row["stage"], f"{path.stem.removesuffix('.optimizer')}.mask")
            mask = own_mask or self.file(row["stage"], "mask")
            for key, array in load_file(path).items() if mask else []:
                # An optimiser's vectors have a word before the name.
                own = mask.get(key.split(".", 1)[1] if path.stem.endswith(".optimizer") else key)
                if own is not None:
                    dead = int(numpy.count_nonzero(array[~own]))
                    self.expect("arrays with dead weights at 0", f"{path} {key}", dead, 0)

    # ----------------------------------------------------------------------------------------------------- results

    def check_row(self, row):
        """Counts and shares of a row of `results.csv`."""
        network, where = self.network(row), f"results.csv, {row['stage']}"
        mask = self.mask(row, network)
        if mask is None:
            self.missed["rows whose mask was not kept"] += 1
            return
        structured = row["level"] > 0 and row["pruning-type"] == "structured"
        layers = network.layers()
        sizes = {node.weight: math.prod(network.shape_of(node)) for node in layers}
        alive = {name: int(own.sum()) for name, own in mask.items()}
        counted = [node.weight for node in layers if structured or row["level"] == 0 or drawing.may_prune(network, node, row)]
        prunable, lives = sum(sizes[name] for name in counted), sum(alive[name] for name in counted)
        parameters = sum(sizes.values()) + network.size_of_others()
        norms, others = {}, network.size_of_others()
        if structured:
            channels = networks.Channels(network, row["streams"])
            units = drawing.alive_channels(channels, mask)
            norms = channels.masks(units)[1]
            others = alive_others(network, channels, units)
            self.expect("channel counts", where, [row["channels"], row["channels_alive"]], [len(units), int(units.sum())])
            self.expect("densities", where, row["density_channels"], int(units.sum()) / max(1, len(units)))
        effective = network.effective(mask, norms)
        self.expect("counts", where, [row["prunable"], row["alive"], row["parameters"]], [prunable, lives, parameters])
        dead = ";".join(node.name for node in layers if alive[node.weight] == 0)
        self.expect("dead layers", where, row["dead_layers"], dead)
        self.expect("densities", where, row["density"], lives / prunable)
        total = (sum(alive.values()) + others) / parameters
        self.expect("densities", where, row["density_total"], total, CLOSE)
        effective = sum(effective[name] for name in counted) / prunable
        self.expect("densities", where, row["density_effective"], effective, CLOSE)
        if row["level"] > 0:
            dense, left = network.multiply_adds(sizes), network.multiply_adds(alive)
            self.expect("multiply-adds", where, [row["macs_dense"], row["macs"]], [dense, left])
            self.expect("densities", where, row["density_macs"], left / dense, CLOSE)
            self.expect("counts", where, row["parameters_alive"], sum(alive.values()) + others)
        for name in ("pruned_test", "start_test", "best_test", "last_test"):
            share = row[f"{name}_accuracy"]
            if share is not None:
                right = share * row["test_images"]
                self.expect("test accuracies", where, right, float(round(right)), CLOSE)
        self.expect("test images", where, row["test_images"], (row["synthetic-size"] + 1) // 2)

    def check_epochs(self):
        """Best and last epochs from `epochs.csv`."""
        by_stage = collections.defaultdict(list)
        for epoch in self.epochs:
            by_stage[epoch["stage"]].append(epoch)
        for row in self.done():
            epochs, where = by_stage[row["stage"]], f"epochs.csv, {row['stage']}"
            numbers = [epoch["epoch"] for epoch in epochs]
            if not numbers:
                # Drawn at the end of the dense training, of which nothing remains.
                self.expect("tickets of which nothing remained to train", where, row["budget"], "remaining")
                continue
            self.expect("epochs", where, numbers, list(range(numbers[0], numbers[0] + len(numbers))))
            part = row["selected_on"]
            settled = self.settled(row, epochs)
            if settled is None:
                self.missed["best epochs of masks whose last step is not in the tables"] += 1
            else:
                best = max(settled, key=lambda epoch: epoch[f"{part}_accuracy"])
                self.expect("best epochs", where, row["best_epoch"], best["epoch"])
                self.expect("best epochs", where, row[f"best_{part}_accuracy"], best[f"{part}_accuracy"])
            self.expect("last epochs", where, row["last_epoch"], epochs[-1]["epoch"])
            for name in ("validation_accuracy", "test_accuracy", "test_loss"):
                if epochs[-1][name] is not None:
                    self.expect("last epochs", where, row[f"last_{name}"], epochs[-1][name])

    def settled(self, row, epochs):
        """The epochs among which the best is chosen: of gradual pruning those that end with the final ratio."""
        if row.get("while-training") != "gradual":
            return epochs
        words = str(row["reinit"])
        last = row["mask-until"] * len(epochs)
        # How many steps an epoch has is not in the tables: it matters where a training begins within one, or one step is an epoch.
        if (words not in ("none", "lr", "init", "random") and not words.startswith("epoch:")) or last % 1 == 0.25:
            return None
        return epochs[math.ceil(last) - 1 :]

    # ------------------------------------------------------------------------------------------- masks of every epoch

    def check_tracks(self):
        """Distances, early birds, and the masks themselves where the weights of their epoch are there."""
        groups = collections.defaultdict(dict)
        for line in self.hamming:
            groups[line["stage"], line["track"]][line["epoch"], line["other_epoch"]] = line
        for (stage, track), lines in groups.items():
            packed = self.bits(self.rows[stage], track)
            for (epoch, other), line in lines.items():
                where, bits = f"hamming.csv, {stage} {track} {epoch} {other}", line["bits"]
                one, two = (unpack(packed[at], bits) for at in (epoch, other))
                p, q = one.mean(), two.mean()
                chance = p * (1 - q) + q * (1 - p)
                self.expect("distances", where, line["differing"], int((one != two).sum()))
                self.expect("distances", where, line["distance"], int((one != two).sum()) / bits)
                self.expect("chances of distances", where, line["chance"], chance, CLOSE)
                if chance > 0:
                    self.expect("relative distances", where, line["relative"], line["distance"] / chance, CLOSE)
            self.check_tracked_masks(stage, track, next(iter(lines.values())), packed)
        for bird in self.tickets:
            lines = groups.get((bird["stage"], bird["track"]), {})
            self.check_bird(bird, lines)

    def check_tracked_masks(self, stage, track, line, packed):
        row = self.rows[stage]
        network = self.network(row)
        if changes(row):
            parts = [node.weight for node in network.layers() if drawing.may_prune(network, node, row)]
            for epoch in sorted({at for pair in self.pairs(stage, track) for at in pair}):
                mask = self.file(stage, f"epoch-{epoch}.mask")
                if mask is not None:
                    own = numpy.concatenate([drawing.in_order(mask[name]) for name in parts])
                    same = numpy.array_equal(own, unpack(packed[epoch], line["bits"]))
                    self.expect("masks of epochs that changed", f"{stage}, epoch {epoch}", same, True)
            return
        before = self.mask(row, network)
        if before is None:
            return
        rule = self.rule_of(row, line)
        if rule is None:
            self.missed["masks of epochs whose rule no row has"] += 1
            return
        for epoch in sorted({at for pair in self.pairs(stage, track) for at in pair}):
            weights = self.file(stage, f"epoch-{epoch}")
            if weights is None:
                continue
            try:
                drawn = drawing.draw(network, rule, weights, before)
            except drawing.NotComputed as reason:
                self.missed[f"masks of epochs: {reason}"] += 1
                continue
            problem = drawn.differs_in_bits(unpack(packed[epoch], line["bits"]))
            if problem:
                sys.exit(f"{self.path}: {stage}: masks-{track}.npy, epoch {epoch}: {problem}")
            self.compared["masks of epochs"] += 1

    def pairs(self, stage, track):
        return [(line["epoch"], line["other_epoch"]) for line in self.hamming if (line["stage"], line["track"]) == (stage, track)]

    def rule_of(self, row, line):
        """How a kind of mask is drawn: as in the rows of tickets whose dense network has the same settings."""
        keys = ("pruning-type", "criterion", "scope")
        # What a table of masks does not name.
        more = ("prune-layers", "output-rate", "streams", "round-channels", "score-images")
        found = {
            tuple(other[key] for key in more)
            for other in self.results
            if other["level"] == row["level"] + 1
            and not changes(other)
            and not any(other.get(key) for key in ("spare", "ratios", "target"))
            and all(other[key] == line[key] for key in keys)
            and self.parents[other["stage"]] == row["stage"]
        }
        if len(found) != 1:
            return None
        rule = {key: line[key] for key in keys} | dict(zip(more, found.pop()))
        return rule | {"rate": line["ratio"], "control": "none", "draw": None, "stage": row["stage"]}

    def check_bird(self, bird, lines):
        """When an early bird is drawn, by You et al. 2020 and by the authors' program."""
        window, epsilon, drawn = bird["window"], bird["epsilon"], None
        epochs = sorted({at for pair in lines for at in pair})
        for place, epoch in enumerate(epochs):
            distance = lambda a, b: lines[epochs[a], epochs[b]]["differing"] / lines[epochs[a], epochs[b]]["bits"]
            if bird["rule"] == "paper":
                last = [distance(at, at - 1) for at in range(place - window + 1, place + 1)] if place >= window else []
                settled = last and max(last) < epsilon
            else:
                last = [distance(place, at) for at in range(place - window + 1, place)] if place >= window - 1 else []
                settled = last and max(last) <= epsilon
            if settled:
                drawn = epoch, max(last)
                break
        where = f"tickets.csv, {bird['stage']} {bird['early_bird']}"
        if bird["state"] == "not yet":
            self.missed["early birds of trainings that did not end"] += 1
            return
        self.expect(f"early birds by {bird['rule']}", where, (bird["epoch"], bird["distance"]), drawn or (None, None))

    # ------------------------------------------------------------------------------------------------------- tables

    def check_summary(self):
        """Means, deviations and intervals over seeds."""
        header = list(self.results[0])
        settings = [key for key in header[header.index("network") : header.index("rate")] if key not in SEEDS]
        groups = collections.defaultdict(dict)
        for row in self.results:
            groups[tuple(map(str, [row["level"], *(row[key] for key in settings)]))][row["stage"]] = row
        self.expect("rows of summary.csv", "summary.csv", len(self.summary), len(groups))
        for line, (key, rows) in zip(self.summary, groups.items()):
            where = f"summary.csv, {line}"
            for name, text in zip(["level", *settings], key):
                if name in line:
                    self.expect("settings of summary.csv", where, str(line[name]), text)
            rows = [row for row in rows.values()]
            done = [row for row in rows if row["state"] == "done"]
            self.expect("trainings of summary.csv", where, [line["planned"], line["n"]], [len(rows), len(done)])
            for name in ("density", "density_effective", "pruned_test_accuracy", "best_test_accuracy", "last_test_accuracy"):
                values = [row[name] for row in done if row[name] is not None]
                n = len(values)
                mean = sum(values) / n if n else None
                deviation = float(numpy.std(values, ddof=1)) if n > 1 else None
                half = float(stats.t.ppf(0.975, n - 1)) * deviation / math.sqrt(n) if n > 1 else None
                self.expect("means", where, line[f"{name}_mean"], mean, CLOSE)
                self.expect("deviations", where, line[f"{name}_std"], deviation, CLOSE)
                # The program rounds the quantile of Student's t to 1e-9.
                self.expect("intervals", where, line[f"{name}_ci95"], half, 1e-8)
        self.check_pairs(list(zip(self.summary, groups.values())), [*settings, *SEEDS])

    def check_pairs(self, lines, settings):
        """Tickets against their controls, seed by seed."""
        # A ticket may be a level of a longer chain: what its trial prunes in the end makes no difference.
        same = [key for key in settings if key not in ("control", "pruning-ratio", "prune-iterations")]
        partner = lambda row: tuple(str(row[key]) for key in ("level", "rate", *same))
        tickets = {partner(row): row for row in self.results if row["level"] > 0 and row["control"] == "none"}
        # By the stages of both: a training may stand in several rows, of seeds that do not act or beside several tickets.
        pairs = collections.defaultdict(dict)
        for row in self.results:
            ticket = tickets.get(partner(row))
            if row["control"] in ("reinit", "random-mask") and ticket is not None:
                key = tuple(str(row[name]) for name in ("level", *settings) if name not in SEEDS)
                pairs[key][ticket["stage"], row["stage"]] = ticket, row
        if not pairs:
            self.expect("columns of pairs", "summary.csv", "paired_n" in self.summary[0], False)
            return
        for line, rows in lines:
            where = f"summary.csv, {line}"
            first = next(iter(rows.values()))
            found = pairs.get(tuple(str(first[name]) for name in ("level", *settings) if name not in SEEDS))
            if found is None:
                cells = [cell for name, cell in line.items() if name.startswith(("paired_", "ticket_minus_control_"))]
                self.expect("columns of pairs", where, cells, [None] * 9)
                continue
            done = [pair for pair in found.values() if all(row["state"] == "done" for row in pair)]
            self.expect("pairs", where, line["paired_n"], len(done))
            for name in ("best_test_accuracy", "last_test_accuracy"):
                self.check_difference(line, where, name, done)

    def check_difference(self, line, where, name, pairs):
        """The paired t test and the permutation test of SciPy."""
        ticket, control = (numpy.array([pair[place][name] for pair in pairs], float) for place in (0, 1))
        # In images, which are whole numbers: SciPy warns of differences that are equal but for rounding.
        images = pairs[0][0]["test_images"] if pairs else 1
        ticket, control = numpy.rint(ticket * images), numpy.rint(control * images)
        mean = float(numpy.mean(ticket - control)) / images if pairs else None
        half = t = permutation = None
        if len(pairs) > 1:
            with numpy.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                test = stats.ttest_rel(ticket, control)
            low, high = test.confidence_interval(0.95)
            half, t = float(high - low) / 2 / images, None if math.isnan(test.pvalue) else float(test.pvalue)
            statistic = lambda one, other, axis: numpy.mean(one - other, axis=axis)
            permutation = stats.permutation_test(
                (ticket, control), statistic, permutation_type="samples", vectorized=True, n_resamples=numpy.inf
            )
            permutation = float(permutation.pvalue)
        found = {part: line[f"ticket_minus_control_{name}_{part}"] for part in ("mean", "ci95", "t_p", "permutation_p")}
        self.expect("differences of pairs", where, found["mean"], mean, CLOSE)
        self.expect("intervals of pairs", where, found["ci95"], half, 1e-8)
        self.expect("paired t tests", where, found["t_p"], t, CLOSE)
        self.expect("permutation tests", where, found["permutation_p"], permutation, CLOSE)

    def check_overlap(self):
        """What two masks share, and what chance gives, layer by layer."""
        for line in self.overlap:
            rows = [self.rows[line[key]] for key in ("stage", "other_stage")]
            where = f"overlap.csv, {line['stage']} {line['other_stage']}"
            masks = []
            for row in rows:
                mask, network = self.file(row["stage"], "mask"), self.network(row)
                if row["pruning-type"] == "structured":
                    channels = networks.Channels(network, row["streams"])
                    units = drawing.alive_channels(channels, mask)
                    names = [unit["layer"] for unit in channels.units]
                    masks.append({name: units[[own == name for own in names]] for name in dict.fromkeys(names)})
                else:
                    parts = [node for node in network.layers() if drawing.may_prune(network, node, row)]
                    masks.append({node.weight: mask[node.weight].ravel() for node in parts})
            mean, variance, shared, bits = 0.0, 0.0, 0, 0
            for name, one in masks[0].items():
                two = masks[1][name]
                chance = stats.hypergeom(len(one), int(one.sum()), int(two.sum()))
                mean += float(chance.mean())
                variance += float(chance.var()) if len(one) > 1 else 0.0
                shared += int((one & two).sum())
                bits += len(one)
            alive = [sum(int(own.sum()) for own in mask.values()) for mask in masks]
            self.expect("overlaps", where, [line["bits"], line["alive"], line["other_alive"], line["shared"]], [bits, *alive, shared])
            half = float(stats.norm.ppf(0.975)) * math.sqrt(variance)
            low, high = max(0.0, mean - half), min(float(min(alive)), mean + half)
            for name, found in (("chance", mean), ("chance_low", low), ("chance_high", high)):
                self.expect("chances of overlaps", where, line[name], found, CLOSE)
                self.expect("chances of overlaps", where, line[f"overlap_{name}"], found / max(1, min(alive)), CLOSE)
            self.expect("overlaps", where, line["overlap"], shared / max(1, min(alive)), CLOSE)
            self.expect("overlaps", where, line["distance"], (sum(alive) - 2 * shared) / bits, CLOSE)
            if variance > 0:
                self.expect("deviations of overlaps", where, line["deviations"], (shared - mean) / math.sqrt(variance), 1e-7)

    def check_barriers(self):
        lines = collections.defaultdict(list)
        for line in self.barrier:
            lines[line["stage"]].append(line)
        for stage, points in lines.items():
            where = f"barrier.csv, {stage}"
            self.expect("points of barriers", where, len(points), self.rows[stage]["barrier-points"])
            for place, point in enumerate(points):
                self.expect("points of barriers", where, point["alpha"], place / (len(points) - 1), CLOSE)
            for part, column in (("validation", "validation_error_barrier"), ("test", "error_barrier")):
                accuracies = [point[f"{part}_accuracy"] for point in points]
                if None not in accuracies:
                    errors = [1 - accuracy for accuracy in accuracies]
                    self.expect("barriers", where, points[0][column], max(errors) - (errors[0] + errors[-1]) / 2, CLOSE)


def alive_others(network, channels, units):
    """Biases, scales and shifts of channels that are alive."""
    count = 0
    for place, node in enumerate(network.nodes):
        each = 2 if node.op == "norm" else node.bias
        count += each * sum(unit is None or bool(units[unit]) for unit in channels.of_node[place])
    return count


def unpack(row, count):
    return numpy.unpackbits(row, bitorder="little", count=count).astype(bool)


def main():
    folder = Folder(sys.argv[1])
    folder.check()
    print(json.dumps(dict(sorted(folder.compared.items())) | {"not compared": dict(sorted(folder.missed.items()))}))


if __name__ == "__main__":
    main()
