//! A network as a file of its own: a list of operations with PyTorch's names, as `tombola.from_torch` writes it.
//!
//! ```toml
//! tombola-network = 1
//! input = [3, 32, 32]
//! classes = 10
//! nodes = [
//!   { name = "conv1", op = "conv", from = [0], out = 16, window = { kernel = [3, 3], padding = [1, 1] }, bias = false },
//!   { name = "bn1", op = "batch-norm", from = [1], eps = 1e-5, momentum = 0.1, affine = true },
//!   { name = "pool", op = "global-average-pool", from = [2] },
//!   { name = "fc", op = "linear", from = [3], out = 10, bias = true },
//! ]
//! ```
//!
//! Node 0 is the image and is not written. What an operation is called and needs stands in [`Op`]. It may not know where the file
//! lies, or of torch.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::net::graph::{Builder, Fixed, Graph, NodeId};
use crate::net::op::Op;
use crate::net::{Layout, cost};
use tombola_words::error::{Error, Result, nearest};
use tombola_words::{Axes, Shape};

/// The version of the form.
const VERSION: i64 = 1;
/// The most nodes of one network.
const MOST_NODES: usize = 100_000;
/// The most values of constants and lists together.
const MOST_VALUES: usize = 1 << 24;
/// The key that tells such a file from others, and holds its version.
pub const KEY: &str = "tombola-network";

/// The largest whole number of an operation.
const LARGEST: i64 = 1 << 24;

/// One operation as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct WrittenNode {
    name: String,
    op: Op,
    from: Vec<NodeId>,
    parameters: Vec<String>,
}

/// A whole network as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeList {
    input: Vec<usize>,
    classes: usize,
    lists: Vec<Vec<usize>>,
    /// Axes and values.
    constants: Vec<(Axes, Vec<u32>)>,
    nodes: Vec<WrittenNode>,
}

impl NodeList {
    /// Reads the table of such a file. `place` says which, for errors.
    ///
    /// # Errors
    /// When something is missing, unknown or of the wrong kind, or the network does not fit together; the message names the node.
    pub fn read(table: &Table, place: &str) -> Result<Self> {
        let wrong = |what: String| Error::input(what).at(place);
        match table.get(KEY) {
            Some(Value::Integer(VERSION)) => {}
            Some(other) => {
                return Err(wrong(format!("`{KEY}` is {other}, expected {VERSION}"))
                    .hint("read it with the version of Tombola that wrote it"));
            }
            None => return Err(wrong(format!("has no `{KEY}`"))),
        }
        let known = [KEY, "input", "classes", "lists", "constants", "nodes"];
        if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(wrong(format!("`{key}` is unknown; expected {}", known.join(", "))));
        }
        let part = |key: &str| table.get(key).ok_or_else(|| wrong(format!("has no `{key}`")));
        let input: Vec<usize> = part("input")?.clone().try_into().map_err(|error| wrong(told("input", &error)))?;
        let classes: usize = part("classes")?.clone().try_into().map_err(|error| wrong(told("classes", &error)))?;
        let lists: Vec<Vec<usize>> = match table.get("lists") {
            Some(lists) => lists.clone().try_into().map_err(|error| wrong(told("lists", &error)))?,
            None => Vec::new(),
        };
        let constants = match table.get("constants") {
            Some(Value::Array(list)) => {
                let one = |(number, value): (usize, &Value)| {
                    constant(value).map_err(|what| wrong(format!("constant {number}: {what}")))
                };
                list.iter().enumerate().map(one).collect::<Result<_>>()?
            }
            Some(other) => return Err(wrong(format!("`constants` is {other}, expected a list"))),
            None => Vec::new(),
        };
        let Value::Array(values) = part("nodes")? else {
            return Err(wrong("`nodes` is no list".to_string()));
        };
        let held = lists.iter().map(Vec::len).chain(constants.iter().map(|(_, bits): &(Axes, Vec<u32>)| bits.len()));
        if values.len() > MOST_NODES || held.sum::<usize>() > MOST_VALUES {
            return Err(wrong(format!("is larger than the {MOST_NODES} nodes and {MOST_VALUES} values allowed")));
        }
        let one = |(number, value): (usize, &Value)| {
            written(value).map_err(|what| wrong(format!("node {}: {what}", number + 1)))
        };
        let nodes: Vec<WrittenNode> = values.iter().enumerate().map(one).collect::<Result<_>>()?;
        let list = Self { input, classes, lists, constants, nodes };
        list.graph().map_err(|error| error.at(place))?;
        Ok(list)
    }

    /// The list of a network that is there already.
    ///
    /// # Errors
    /// When it is one that no file may hold: too large, or with names that stand twice.
    pub fn of(graph: &Graph) -> Result<Self> {
        let input: Vec<usize> = Vec::from(graph.input().axes()).split_off(1);
        let constants = graph.constants.iter().map(|fixed| (fixed.axes, fixed.bits.clone())).collect();
        let nodes = graph.nodes[1..].iter().map(|node| WrittenNode {
            name: node.name.clone(),
            op: node.op,
            from: node.inputs.clone(),
            parameters: node.parameters.clone(),
        });
        let (classes, lists) = (graph.classes(), graph.selections.clone());
        let list = Self { input, classes, lists, constants, nodes: nodes.collect() };
        list.graph().map(|_| list)
    }

    /// The axes of one image, and the number of classes.
    pub fn form(&self) -> (Axes, usize) {
        let sizes = [&[1], &*self.input].concat();
        (Axes::of(&sizes).unwrap_or_default(), self.classes)
    }

    /// One line of text that is the same for equal networks: what a stage's identity is made of.
    pub fn canonical(&self) -> String {
        let mut hash = blake3::Hasher::new();
        hash.update(self.to_toml().as_bytes());
        format!("graph({})", hash.finalize().to_hex())
    }

    /// The network for images of shape `input` and `classes` classes.
    ///
    /// # Errors
    /// When it is one for other images or another number of classes.
    pub fn build(&self, input: Shape, classes: usize) -> Result<Graph> {
        let graph = self.graph()?;
        if graph.input() != input {
            let [own, found] = [graph.input(), input].map(|shape| format!("{} of {shape}", shape.called().0));
            let sizes: Vec<String> = input.dimensions().map(|size| size.to_string()).collect();
            let tuple = sizes.join(", ") + if sizes.len() == 1 { "," } else { "" };
            return Err(Error::input(format!("reads {own}, and the data are {found}"))
                .hint(format!("write it anew for such data: `tombola.from_torch(model, ({tuple}), …)`")));
        }
        if graph.classes() != classes {
            return Err(Error::input(format!("tells {} classes apart, and the data has {classes}", graph.classes()))
                .hint("write it anew from a model with so many outputs"));
        }
        Ok(graph)
    }

    fn graph(&self) -> Result<Graph> {
        let mut sizes = vec![1];
        sizes.extend(&self.input);
        let axes = Axes::of(&sizes).filter(|axes| axes.as_slice().len() > 1 && !sizes.contains(&0));
        let input = axes.map(Shape::of_images).ok_or_else(|| {
            Error::input(format!("`input` is {:?}, expected the sizes of one image, such as [3, 32, 32]", self.input))
        })?;
        let mut build = Builder::new(input);
        build.constants(self.constants.iter().map(|(axes, bits)| Fixed { axes: *axes, bits: bits.clone() }).collect());
        build.selections(self.lists.clone());
        for (number, node) in self.nodes.iter().enumerate() {
            let place = |error: Error| error.at(format!("node {}", number + 1));
            if node.op == Op::Input {
                return Err(place(Error::input(format!(
                    "layer `{}`: the image is node 0, and there is one",
                    node.name
                ))));
            }
            build.add_named(&node.name, node.op, &node.from, &node.parameters).map_err(place)?;
        }
        let graph = build.finish(self.classes)?;
        cost::check_size(&graph)?;
        let layout = Layout::of(&graph);
        let mut names: Vec<&str> = layout.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        names.extend(layout.norms.iter().map(String::as_str));
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::input(format!("the name `{}` stands twice", pair[0]))
                .hint("give each node with weights a name of its own; one tensor cannot be that of two nodes")),
            None => Ok(graph),
        }
    }

    /// The file: reading it gives the same network.
    pub fn to_toml(&self) -> String {
        let lists: Vec<String> = self.lists.iter().map(|list| format!("  {list:?},\n")).collect();
        let constants = self.constants.iter().map(|(axes, bits)| {
            let hex: String =
                bits.iter().flat_map(|bits| bits.to_le_bytes()).map(|byte| format!("{byte:02x}")).collect();
            format!("  {{ axes = {:?}, values = \"{hex}\" }},\n", axes.as_slice())
        });
        let constants: String = constants.collect();
        let mut text = format!("{KEY} = {VERSION}\ninput = {:?}\nclasses = {}\n", self.input, self.classes);
        for (key, part) in [("lists", lists.concat()), ("constants", constants)] {
            if !part.is_empty() {
                text.push_str(&format!("{key} = [\n{part}]\n"));
            }
        }
        let nodes: String = self.nodes.iter().map(|node| format!("  {},\n", line(node))).collect();
        text.push_str(&format!("nodes = [\n{nodes}]\n"));
        text
    }
}

fn told(key: &str, error: &toml::de::Error) -> String {
    format!("`{key}`: {}", error.message())
}

/// Axes and values of a constant.
fn constant(value: &Value) -> Result<(Axes, Vec<u32>), String> {
    let (Some(axes), Some(hex)) = (value.get("axes"), value.get("values").and_then(Value::as_str)) else {
        return Err(format!("found {}, expected `{{ axes = [2, 3], values = \"…\" }}`", short(&value.to_string())));
    };
    let axes: Axes = axes.clone().try_into().map_err(|error: toml::de::Error| error.message().to_string())?;
    let digits: Option<Vec<u8>> =
        hex.bytes().map(|digit| char::from(digit).to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.ok_or("its values are no hexadecimal digits")?;
    if digits.len() != axes.product().saturating_mul(8) {
        return Err(format!("has {} digits, expected 8 for each of {} values", digits.len(), axes.product()));
    }
    let byte = |pair: &[u8]| (pair[0] << 4) | pair[1];
    let bits = digits.chunks_exact(8).map(|digits| {
        u32::from_le_bytes([byte(&digits[..2]), byte(&digits[2..4]), byte(&digits[4..6]), byte(&digits[6..])])
    });
    Ok((axes, bits.collect()))
}

fn short(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// One node.
fn written(value: &Value) -> Result<WrittenNode, String> {
    let Value::Table(table) = value else {
        return Err(format!("found {}, expected a table", short(&value.to_string())));
    };
    let mut table = table.clone();
    let name = match table.remove("name") {
        Some(Value::String(name)) => name,
        other => {
            return Err(format!("`name` is {}, expected text", other.map_or("missing".to_string(), |o| o.to_string())));
        }
    };
    let place = |what: String| format!("layer `{name}`: {what}");
    let from: Vec<usize> = match table.remove("from") {
        Some(from) => from.try_into().map_err(|error| place(told("from", &error)))?,
        None => return Err(place("has no `from`".to_string())),
    };
    let parameters: Vec<String> = match table.remove("parameters") {
        Some(names) => names.try_into().map_err(|error| place(told("parameters", &error)))?,
        None => Vec::new(),
    };
    if let Some(number) = table.iter().find_map(|(key, value)| out_of_range(value).map(|number| (key, number))) {
        return Err(place(format!("`{}` holds {}, expected numbers from 0 to {LARGEST}", number.0, number.1)));
    }
    let op = Value::Table(table).try_into().map_err(|error: toml::de::Error| place(unknown(error.message())))?;
    Ok(WrittenNode { name, op, from, parameters })
}

/// What is said of an operation that cannot be read: of a word that is none, the nearest one.
fn unknown(message: &str) -> String {
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match words.split_first() {
        Some((found, known)) if message.starts_with("unknown variant") => match nearest(found, known.iter().copied()) {
            Some(near) => format!("`{found}` is unknown; did you mean `{near}`?"),
            None => message.to_string(),
        },
        _ => message.to_string(),
    }
}

/// A whole number that no operation has.
fn out_of_range(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number).filter(|number| !(0..=LARGEST).contains(number)),
        Value::Array(list) => list.iter().find_map(out_of_range),
        Value::Table(table) => table.values().find_map(out_of_range),
        _ => None,
    }
}

/// One node as a table of one line, name and operation first.
fn line(node: &WrittenNode) -> String {
    let mut parts = vec![format!("name = {}", Value::from(node.name.as_str()))];
    let attributes = match Value::try_from(node.op) {
        Ok(Value::Table(table)) => table,
        // Every operation is a table.
        _ => Table::new(),
    };
    if let Some(op) = attributes.get("op") {
        parts.push(format!("op = {op}"));
    }
    parts.push(format!("from = {:?}", node.from));
    parts.extend(attributes.iter().filter(|(key, _)| *key != "op").map(|(key, value)| format!("{key} = {value}")));
    if !node.parameters.is_empty() {
        parts.push(format!("parameters = {}", Value::from(node.parameters.clone())));
    }
    format!("{{ {} }}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        tombola-network = 1
        input = [2, 4, 4]
        classes = 3
        lists = [[1, 0, 2, 3]]
        constants = [{ axes = [1, 4, 1, 1], values = "0000803f000000400000404000008040" }]
        nodes = [
          { name = "conv", op = "conv", from = [0], out = 4, window = { kernel = [3, 3], padding = [1, 1] }, groups = 2, bias = false },
          { name = "bn", op = "batch-norm", from = [1], eps = 1e-3, momentum = 0.01, affine = true },
          { name = "act", op = "activation", from = [2], function = { leaky-relu = 0.1 } },
          { name = "shuffle", op = "select", from = [3], list = 0, out = 4 },
          { name = "scale", op = "constant", from = [], list = 0 },
          { name = "gamma", op = "learned", from = [], shape = [4, 1, 1], begins = { constant = 1e-6 } },
          { name = "scaled", op = "pair", from = [4, 5], function = "multiply" },
          { name = "more", op = "pair", from = [7, 6], function = "multiply" },
          { name = "pool", op = "global-average-pool", from = [8] },
          { name = "head", op = "linear", from = [9], out = 3, bias = true, parameters = ["head_weight", "head_bias"] },
        ]
    "#;

    fn read(text: &str) -> Result<NodeList> {
        NodeList::read(&text.parse().unwrap(), "network `small`")
    }

    #[test]
    fn a_file_is_read_and_written_back() {
        let list = read(SMALL).unwrap();
        let graph = list.build(Shape::Image(2, 4, 4), 3).unwrap();
        let layout = Layout::of(&graph);
        let names: Vec<&str> = layout.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, ["conv.weight", "bn.weight", "bn.bias", "gamma", "head_weight", "head_bias"]);
        assert_eq!(layout.parameters[0].shape, [4, 1, 3, 3]);
        assert_eq!(graph.constants[0].values(), [1.0, 2.0, 3.0, 4.0]);
        let again = read(&list.to_toml()).unwrap();
        assert_eq!(again, list);
        assert_eq!(again.canonical(), list.canonical());
        assert!(list.build(Shape::Image(2, 4, 5), 3).unwrap_err().message.contains("2x4x5"));
        assert!(list.build(Shape::Image(2, 4, 4), 4).unwrap_err().message.contains("has 4"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_node() {
        let cases = [
            ("groups = 2", "groups = 3", "node 1"),
            ("eps = 1e-3, ", "", "missing field `eps`"),
            ("eps = 1e-3", "eps = 1e-3, epsilon = 1", "epsilon"),
            ("\"global-average-pool\"", "\"global-pool\"", "global-pool"),
            ("from = [9]", "from = [12]", "`head`"),
            ("list = 0, out", "list = 3, out", "no list 3"),
            ("[[1, 0, 2, 3]]", "[[1, 0, 2, 4]]", "no place 4 among 4"),
            ("00008040\"", "000080\"", "constant 0"),
            ("\"head_weight\"", "\"gamma\"", "`gamma` stands twice"),
            ("network = 1", "network = 2", "expected 1"),
            ("classes = 3", "classes = 5", "5 classes"),
            ("input = [2, 4, 4]", "input = [2, 4, 0]", "`input`"),
            ("padding = [1, 1]", "padding = [1, 9999999999]", "9999999999"),
        ];
        for (from, to, expected) in cases {
            assert!(SMALL.contains(from), "{from}");
            let error = read(&SMALL.replacen(from, to, 1)).unwrap_err();
            assert!(error.to_string().contains(expected), "{to}: {error}");
        }
    }
}
