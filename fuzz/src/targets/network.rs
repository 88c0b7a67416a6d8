//! A network of the user's own: TOML with a list of layers or of nodes, behind a byte that chooses the form of the images. What is built is
//! laid out, counted, and pruned where it is small; no size overflows.

use crate::form::{CHOICE, Grammar};
use crate::{FuzzTarget, MOST_MEMORY};
use tombola_core::mask::Bits;
use tombola_core::net::channels::Channels;
use tombola_core::net::compact::Compact;
use tombola_core::net::cost::{Cost, MOST_ACTIVATION_BYTES, MOST_PARAMETERS};
use tombola_core::net::{Graph, Layout, Op, connectivity, custom};
use tombola_words::Shape;
use tombola_words::value::Streams;

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "network",
    run,
    seeds,
    form: CHOICE,
    grammar: Grammar::Text,
    words,
    longest: 4096,
    memory: |_| MOST_MEMORY,
};

/// Images and classes.
const FORMS: [(Shape, usize); 5] = [
    (Shape::Image(3, 32, 32), 10),
    (Shape::Image(1, 28, 28), 10),
    (Shape::Vector(784), 1),
    (Shape::Image(1, 1, 1), 65_536),
    (Shape::Image(65_535, 65_535, 1), 100),
];
/// Weights of networks of which masks are made.
const SMALL: usize = 200_000;
/// Places along the axes of their values: following channels takes about 100 bytes each.
const MOST_PLACES: usize = 1_000_000;

fn run(bytes: &[u8]) {
    let Some((choice, text)) = bytes.split_first() else { return };
    let Some(table) = std::str::from_utf8(text).ok().and_then(|text| text.parse::<toml::Table>().ok()) else { return };
    let Ok(network) = custom::parse("own", &toml::Value::Table(table)) else { return };
    let (shape, classes) = FORMS[usize::from(*choice) % FORMS.len()];
    let Ok(graph) = network.build(shape, classes) else { return };
    let (layout, cost) = (Layout::of(&graph), Cost::of(&graph));
    assert_eq!(cost.parameters, layout.len, "a parameter is counted and not laid out, or the other way round");
    assert!(cost.parameters <= MOST_PARAMETERS && cost.activation_bytes <= MOST_ACTIVATION_BYTES);
    assert!(cost.prunable <= cost.parameters && cost.convolution_weights <= cost.prunable && cost.flops() >= cost.macs);
    let places: usize = graph.nodes.iter().map(|node| node.shape.axes().as_slice().iter().sum::<usize>()).sum();
    if layout.len > SMALL || places > MOST_PLACES {
        return;
    }
    assert_eq!(
        Cost::masked(&graph, &layout, &Bits::ones(layout.len)),
        cost,
        "with nothing masked it costs something else"
    );
    let nothing = Cost::masked(&graph, &layout, &Bits::zeros(layout.len));
    // Products of values have no weights.
    let products = graph.nodes.iter().any(|node| matches!(node.op, Op::MatrixProduct | Op::Attention { .. }));
    assert!(nothing.prunable == 0 && (products || nothing.macs == 0), "with everything masked it costs something");
    let connected = connectivity::effective(&graph, &layout, &Bits::ones(layout.len));
    assert!(connected.effective <= connected.alive && connected.alive == cost.prunable, "{connected:?}");
    for streams in [Streams::Whole, Streams::Group] {
        compacted(&graph, &layout, streams);
    }
}

/// Without every second channel, and then every channel of the compact network again.
fn compacted(graph: &Graph, layout: &Layout, streams: Streams) {
    let channels = Channels::of(graph, layout, streams);
    let mut kept = Bits::ones(channels.len());
    (0..channels.len()).step_by(2).for_each(|unit| kept.set(unit, false));
    // A layer may be left without channels: that is refused.
    if let Ok(small) = Compact::of(graph, layout, &channels.weight_mask(&kept), streams) {
        assert_eq!(small.positions.len(), small.layout.len);
        assert!(small.layout.len <= layout.len, "less is more");
    }
}

/// Convolutions of groups and windows, norms, gates, a concatenation.
const NODES: &str = r#"tombola-network = 1
input = [1, 28, 28]
classes = 10
lists = [[2, 0, 1, 3]]
constants = [{ axes = [4, 1, 1], values = "0000803f000000400000404000008040" }]
nodes = [
{ name = "a", op = "conv", from = [0], out = 4, window = { kernel = [3, 5], stride = [2, 1], padding = [1, 2] }, bias = true },
{ name = "b", op = "batch-norm", from = [1], eps = 1e-5, momentum = 0.1, affine = true },
{ name = "c", op = "activation", from = [2], function = "sigmoid" },
{ name = "d", op = "conv", from = [3], out = 4, window = { kernel = [3, 3] }, groups = 4, bias = false },
{ name = "e", op = "select", from = [4], list = 0, out = 4 },
{ name = "f", op = "constant", from = [], list = 0 },
{ name = "g", op = "pair", from = [5, 6], function = "multiply" },
{ name = "h", op = "group-norm", from = [7], groups = 2, eps = 1e-5, affine = true },
{ name = "i", op = "concat", from = [7, 8], axis = 1 },
{ name = "j", op = "dropout", from = [9], rate = 0.1, of = "channels" },
{ name = "k", op = "reduce", from = [10], reduction = "mean", axes = [2, 3], keep = false },
{ name = "l", op = "linear", from = [11], out = 10, bias = true },
]"#;

/// Tokens, heads, learned positions.
const TOKENS: &str = r#"tombola-network = 1
input = [1, 28, 28]
classes = 10
nodes = [
{ name = "a", op = "conv", from = [0], out = 4, window = { kernel = [7, 7], stride = [7, 7] }, bias = true },
{ name = "b", op = "reshape", from = [1], to = [1, 4, 16] },
{ name = "c", op = "permute", from = [2], order = [0, 2, 1] },
{ name = "d", op = "learned", from = [], shape = [1, 16, 4], begins = { normal = 0.02 } },
{ name = "e", op = "pair", from = [3, 4], function = "add" },
{ name = "f", op = "layer-norm", from = [5], axes = 1, eps = 1e-6, weight = true, bias = true },
{ name = "g", op = "linear", from = [6], out = 12, bias = true },
{ name = "h", op = "reshape", from = [7], to = [1, 16, 3, 2, 2] },
{ name = "i", op = "slice", from = [8], axis = 2, start = 1, end = 2 },
{ name = "j", op = "reshape", from = [9], to = [1, 16, 2, 2] },
{ name = "k", op = "permute", from = [10], order = [0, 2, 1, 3] },
{ name = "l", op = "attention", from = [11, 11, 11], scale = 0.7 },
{ name = "m", op = "permute", from = [12], order = [0, 2, 1, 3] },
{ name = "n", op = "reshape", from = [13], to = [1, 64] },
{ name = "o", op = "linear", from = [14], out = 10, bias = true },
]"#;

fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "layers = [{ conv = 16, kernel = 3 }, \"batch-norm\", \"relu\", \"global-average-pool\", { linear = \"classes\" }]",
        "layers = [{ conv = 8, stride = 2, padding = 1, bias = true }, \"batch-norm\", \"relu\", { max-pool = 2 }, { average-pool = 2, stride = 1 }, \"flatten\", { linear = 64, bias = false }, \"relu\", { linear = \"classes\" }]",
        "layers = [{ conv = 4 }, { residual = [{ conv = 8, stride = 2 }, \"batch-norm\"], shortcut = [{ conv = 8, kernel = 1, stride = 2 }] }, { repeat = 2, layers = [{ residual = [{ conv = 8 }, \"batch-norm\", \"relu\"] }] }, \"global-average-pool\", { linear = \"classes\" }]",
        "layers = [\"flatten\", { linear = 300 }, \"batch-norm\", \"relu\", { linear = \"classes\" }]",
        NODES,
        TOKENS,
        "layers = [{ conv = 8, kernel = [3, 1], dilation = 2, groups = \"depthwise\" }, \"gelu\", { concat = [[], [{ conv = 4 }]] }, { scale = [\"global-average-pool\", { linear = 8 }, \"sigmoid\"] }, { dropout = 0.5 }, \"flatten\", { linear = \"classes\" }]",
        "layers = [{ conv = 8, kernel = 4, stride = 4 }, \"tokens\", \"positions\", { residual = [\"layer-norm\", { attention = 4 }, { drop-path = 0.1 }] }, \"rms-norm\", \"global-average-pool\", { linear = \"classes\" }]",
        "layers = [{ conv = 8, transposed = true, stride = 2, output-padding = 1 }, { group-norm = 2 }, \"prelu\", { pad = [1, 0] }, { upsample = 2, mode = \"bilinear\" }, { channel-shuffle = 4 }, { max-pool = 3, padding = 1 }, \"instance-norm\", \"softmax\", \"global-average-pool\", { linear = \"classes\" }]",
        "layers = [{ linear = 1 }]",
        "layers = [{ repeat = 9, layers = [{ repeat = 9, layers = [\"relu\"] }] }, \"flatten\", { linear = 100 }]",
    ];
    let with = |(place, text): (usize, &&str)| [&[place as u8][..], text.as_bytes()].concat();
    texts
        .iter()
        .enumerate()
        .map(with)
        .chain([0, 1].into_iter().flat_map(|place| texts.iter().map(move |text| with((place, text)))))
        .collect()
}

/// Words of layers.
pub(super) fn words() -> Vec<String> {
    let words = [
        "\"batch-norm\"",
        "\"relu\"",
        "\"global-average-pool\"",
        "\"flatten\"",
        "\"classes\"",
        "\"layer-norm\"",
        "\"rms-norm\"",
        "\"instance-norm\"",
        "\"prelu\"",
        "\"gelu\"",
        "\"sigmoid\"",
        "\"softmax\"",
        "\"tokens\"",
        "\"positions\"",
        "\"depthwise\"",
        "\"bilinear\"",
        "{ conv = 16 }",
        "{ linear = 64 }",
        "{ max-pool = 2 }",
        "{ average-pool = 2 }",
        "{ dropout = 0.5 }",
        "{ drop-path = 0.1 }",
        "{ group-norm = 4 }",
        "{ pad = 1 }",
        "{ upsample = 2 }",
        "{ channel-shuffle = 4 }",
        "{ attention = 4 }",
        "concat = [[",
        "scale = [",
        "residual = [",
        "shortcut = [",
        "repeat",
        "layers = [",
        "op = \"reshape\"",
        "op = \"permute\"",
        "op = \"pair\"",
        "op = \"matrix-product\"",
        "op = \"slice\"",
        "op = \"expand\"",
        "op = \"roll\"",
        "op = \"pad\"",
        "op = \"interpolate\"",
        "op = \"conv-transposed\"",
        "op = \"prelu\"",
        "from = [1]",
        "axes = [2]",
        "to = [1, 4, 4]",
        "kernel",
        "stride",
        "padding",
        "bias",
        "dilation",
        "groups",
        "transposed",
        "output-padding",
        "[3, 1]",
        "mode",
        "]",
        "}",
        ", ",
    ];
    words.map(str::to_string).to_vec()
}
