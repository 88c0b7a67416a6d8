"""Draws quickstart.svg: the trainings of sweeps/quickstart.toml as trees, each with its test accuracy.

The numbers are read from the table in README.md, so that picture and table cannot differ. Plain Python, nothing to
install: `python3 docs/pictures/quickstart.py`. Run it again when the table changes.
"""

import pathlib
import re

HERE = pathlib.Path(__file__).parent
README = HERE.parent.parent / "README.md"

# What the rows of the table are called in the picture.
REWINDS = [("none", "fine-tuned"), ("init", "rewound to init"), ("random", "new weights")]
COLUMNS = ["dense", "30 %", "9 %", "2.7 %"]

WIDTH, HEIGHT = 1000, 548
PANEL = 462  # width of one network's tree
X = [60, 206, 306, 406]  # centres of the columns within a panel
BOX = (64, 26)
TOP, ROW, GAP = 150, 32, 20  # first row; distance of rows; extra space between rewinds
INK, FAINT, EDGE, PAPER, FRAME = "#1f2933", "#5b6773", "#9aa5b1", "#fbfaf7", "#d9d5cb"


def tables(text):
    """Yields (network, epochs, {(method, rewind): accuracies}) for each table of the README's output block."""
    for part in re.split(r"\n(?=\S+ · fashion-mnist · )", text)[1:]:
        network, epochs = re.match(r"(\S+) · fashion-mnist · (\d+) epochs", part).groups()
        rows = {}
        for line in part.splitlines():
            found = re.match(r"(one-shot|iterative).* · reinit (\w+) +([\d. ]+)$", line)
            if found:
                rows[found[1], found[2]] = [float(number) for number in found[3].split()]
        yield network, int(epochs), rows


def colour(difference):
    """Blue above the dense network, orange below, white at it; full colour at 6 points, square root for the small ones."""
    share = min(abs(difference) / 6, 1) ** 0.5
    full = (0x6B, 0xA8, 0xD6) if difference > 0 else (0xF0, 0x9A, 0x4D)
    return "#" + "".join(f"{round(255 + (channel - 255) * share):02x}" for channel in full)


def words(x, y, text, size=13, anchor="middle", fill=INK, weight=400):
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}">'
        f"{text}</text>"
    )


def box(x, y, accuracy, dense):
    width, height = BOX
    return (
        f'<rect x="{x - width / 2}" y="{y - height / 2}" width="{width}" height="{height}" rx="6" '
        f'fill="{colour(accuracy - dense)}" stroke="{FAINT}"/>' + words(x, y + 4.5, f"{accuracy:.2f}", 13.5, weight=600)
    )


def edge(x1, y1, x2, y2):
    """From the right side of one box to the left side of another; it turns close to the first."""
    start, end = x1 + BOX[0] / 2, x2 - BOX[0] / 2
    if y1 == y2:
        path = f"M{start},{y1} H{end}"
    else:
        turn = start + 26
        bend = 8 if y2 > y1 else -8
        path = f"M{start},{y1} H{turn - 8} Q{turn},{y1} {turn},{y1 + bend} V{y2 - bend} Q{turn},{y2} {turn + 8},{y2} H{end}"
    return f'<path d="{path}" fill="none" stroke="{EDGE}" stroke-width="1.5"/>'


def tree(left, network, epochs, rows):
    """One network: for each rewind a chain of three levels, and below it the two one-shot tickets that are not in it."""
    x = [left + column for column in X]
    dense = rows["one-shot", "none"][0]
    lines, boxes = [], []
    # The dense training stands beside the middle row.
    y, middle = TOP, TOP + 4 * ROW + GAP
    for rewind, name in REWINDS:
        chain, shot = rows["iterative", rewind], rows["one-shot", rewind]
        assert chain[:2] == shot[:2], "the first level of a chain is the one-shot ticket"
        places = [y, y + ROW, y + 2 * ROW]
        boxes.append(words(x[1] - BOX[0] / 2, y - 19, name, 12.5, "start", FAINT, 600))
        for level in (1, 2, 3):
            boxes.append(box(x[level], y, chain[level], dense))
            if level > 1:
                lines.append(edge(x[level - 1], y, x[level], y))
        boxes.append(box(x[2], places[1], shot[2], dense))
        boxes.append(box(x[3], places[2], shot[3], dense))
        lines.extend(edge(x[0], middle, x[column], place) for column, place in zip((1, 2, 3), places))
        y = places[2] + ROW + GAP
    boxes.append(box(x[0], middle, dense, dense))
    heads = [words(place, TOP - 46, name, 13, fill=FAINT) for place, name in zip(x, COLUMNS)]
    title = words(left + X[0] - BOX[0] / 2, TOP - 74, f"{network}, {epochs} epochs", 15.5, "start", weight=600)
    return [title, *heads, *lines, *boxes]


def picture():
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="system-ui, -apple-system, \'Segoe UI\', \'DejaVu Sans\', sans-serif" role="img">',
        "<title>The 32 trainings of the quick start</title>",
        f'<rect x="1" y="1" width="{WIDTH - 2}" height="{HEIGHT - 2}" rx="12" fill="{PAPER}" stroke="{FRAME}"/>',
        words(44, 38, "The quick start: 24 trials are 32 trainings", 18, "start", weight=600),
    ]
    for number, table in enumerate(tables(README.read_text(encoding="utf-8"))):
        parts += tree(16 + number * (PANEL + 28), *table)
    parts.append(f'<path d="M{WIDTH / 2:.0f},62 V{HEIGHT - 80}" stroke="{FRAME}"/>')
    first = "Each box is one training, with its test accuracy in %, by share of weights alive. Lines say where its mask is drawn from;"
    second = "a row of three is pruned level by level, a single box at once. Colour: above (blue) or below (orange) the dense network."
    parts += [words(44, HEIGHT - 44, first, 13, "start", FAINT), words(44, HEIGHT - 24, second, 13, "start", FAINT)]
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    (HERE / "quickstart.svg").write_text(picture(), encoding="utf-8")
