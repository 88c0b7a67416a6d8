//! Reads a list of layers from a sweep file, and refuses whatever it does not know, naming the place.

mod values;

use toml::{Table, Value};

use self::values::{kind, number, pair, share, switch};
use super::layer::WORDS;
use super::{GroupCount, Layer, NodeList, Outputs, OwnForm, OwnNetwork, nodes};
use crate::net::op::{Dropped, Window};
use crate::net::zoo;
use tombola_words::error::{Error, Result, nearest};

/// Layers written as a table: the key that says what they are, an example, and the other keys that they may have.
const TABLES: [(&str, &str, &[&str]); 15] = [
    (
        "conv",
        "{ conv = 16, kernel = 3 }",
        &["kernel", "stride", "padding", "bias", "dilation", "groups", "transposed", "output-padding"],
    ),
    ("linear", "{ linear = 64 }", &["bias"]),
    ("max-pool", "{ max-pool = 2 }", &["stride", "padding"]),
    ("average-pool", "{ average-pool = 2 }", &["stride", "padding"]),
    ("residual", "{ residual = [{ conv = 16 }, \"batch-norm\"] }", &["shortcut"]),
    ("repeat", "{ repeat = 2, layers = [{ conv = 16 }, \"relu\"] }", &["layers"]),
    ("concat", "{ concat = [[{ conv = 16 }], [{ conv = 16, kernel = 1 }]] }", &[]),
    ("scale", "{ scale = [\"global-average-pool\", { linear = 16 }, \"sigmoid\"] }", &[]),
    ("dropout", "{ dropout = 0.5 }", &[]),
    ("drop-path", "{ drop-path = 0.1 }", &[]),
    ("group-norm", "{ group-norm = 8 }", &[]),
    ("pad", "{ pad = 1 }", &[]),
    ("upsample", "{ upsample = 2 }", &["mode"]),
    ("channel-shuffle", "{ channel-shuffle = 4 }", &[]),
    ("attention", "{ attention = 4 }", &["bias"]),
];

/// The most layers of one network, repetitions written out.
const MOST_LAYERS: usize = 10_000;
/// How deep residual blocks and repetitions may lie within each other.
const DEEPEST: usize = 16;
/// The most channels or features of one layer.
const WIDEST: usize = 65_536;
/// The largest kernel, window, stride or padding.
const LARGEST_WINDOW: usize = 64;

/// Reads the table `[networks.NAME]` of a sweep file.
///
/// # Errors
/// When it is no table with a list `layers`, or holds a layer or key that is not known or out of range. The message
/// says where: "layer 4 of network `small`, in its residual branch, layer 2".
pub fn parse(name: &str, value: &Value) -> Result<OwnNetwork> {
    let place = format!("network `{name}`");
    if let Some(known) = zoo::canonical_name(name).ok().filter(|_| zoo::is_reserved(name)) {
        return Err(Error::input(format!("{place} has the name of the built-in network `{known}`"))
            .hint("give your own network another name"));
    }
    let Value::Table(table) = value else {
        return Err(Error::input(format!("{place} is {}, not a table", kind(value)))
            .hint(format!("write `[networks.{name}]` and below it `layers = [ … ]`")));
    };
    if table.contains_key(nodes::KEY) {
        return Ok(OwnNetwork { name: name.to_string(), form: OwnForm::Nodes(NodeList::read(table, &place)?) });
    }
    refuse_other_keys(table, &["layers"]).map_err(|error| error.at(&place))?;
    let Some(list) = table.get("layers") else {
        return Err(Error::input(format!("{place} has no `layers`")).hint("write `layers = [ … ]` in its table"));
    };
    Ok(OwnNetwork { name: name.to_string(), form: OwnForm::Layers(layers(list, &place, 0)?) })
}

/// Reads a list that lies `depth` lists deep and must not be empty.
fn layers(value: &Value, place: &str, depth: usize) -> Result<Vec<Layer>> {
    let list = array(value, place)?;
    if list.is_empty() {
        return Err(Error::input(format!("{place} has an empty list of layers")).hint("give it at least one layer"));
    }
    list_of(list, place, depth)
}

fn list_of(list: &[Value], place: &str, depth: usize) -> Result<Vec<Layer>> {
    if depth > DEEPEST {
        return Err(Error::input(format!("blocks lie more than {DEEPEST} deep within each other")).at(place));
    }
    let mut layers = Vec::new();
    let mut count = 0;
    for (index, value) in list.iter().enumerate() {
        let place = match depth {
            0 => format!("layer {} of {place}", index + 1),
            _ => format!("{place}, layer {}", index + 1),
        };
        let next = layer(value, &place, depth)?;
        count += next.iter().map(Layer::count).sum::<usize>();
        if count > MOST_LAYERS {
            return Err(too_many(count).at(place));
        }
        layers.extend(next);
    }
    Ok(layers)
}

fn array<'a>(value: &'a Value, place: &str) -> Result<&'a [Value]> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(Error::input(format!("found {} where a list of layers was expected", kind(other)))
            .hint("write layers as a list, `[ … ]`")
            .at(place)),
    }
}

fn too_many(count: usize) -> Error {
    Error::input(format!("with this layer the network has {count} layers, more than the {MOST_LAYERS} allowed"))
        .hint("repeat less")
}

/// Reads one layer; a repetition gives several.
fn layer(value: &Value, place: &str, depth: usize) -> Result<Vec<Layer>> {
    match value {
        Value::String(word) => word_layer(word).map(|layer| vec![layer]).map_err(|error| error.at(place)),
        Value::Table(table) => {
            let (key, options) = kind_of(table).map_err(|error| error.at(place))?;
            match key {
                "residual" => {
                    refuse_unknown(table, key, options).map_err(|error| error.at(place))?;
                    residual(table, place, depth).map(|layer| vec![layer])
                }
                "concat" => {
                    refuse_unknown(table, key, options).map_err(|error| error.at(place))?;
                    concat(table, place, depth).map(|layer| vec![layer])
                }
                "scale" => {
                    refuse_unknown(table, key, options).map_err(|error| error.at(place))?;
                    let list =
                        table.get("scale").map(|list| layers(list, &format!("{place}, in its branch"), depth + 1));
                    Ok(list.transpose()?.map(Layer::Scale).into_iter().collect())
                }
                "repeat" => {
                    refuse_unknown(table, key, options).map_err(|error| error.at(place))?;
                    repeat(table, place, depth)
                }
                _ => refuse_unknown(table, key, options)
                    .and_then(|()| sized(table, key))
                    .map(|layer| vec![layer])
                    .map_err(|error| error.at(place)),
            }
        }
        other => Err(Error::input(format!("found {}, not a layer", kind(other))).hint(all_layers()).at(place)),
    }
}

fn word_layer(word: &str) -> Result<Layer> {
    if let Some((_, layer)) = WORDS.iter().find(|(known, _)| *known == word) {
        return Ok(layer.clone());
    }
    if let Some((_, example, _)) = TABLES.iter().find(|(key, ..)| *key == word) {
        return Err(Error::input(format!("`{word}` needs a value")).hint(format!("write it as `{example}`")));
    }
    let error = Error::input(format!("`{word}` is not a layer"));
    Err(match nearest(word, known_layers()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(all_layers()),
    })
}

/// The key that says what a table is, and the other keys that it may have.
fn kind_of(table: &Table) -> Result<(&'static str, &'static [&'static str])> {
    let mut found = TABLES.into_iter().filter(|(key, ..)| table.contains_key(*key));
    match (found.next(), found.next()) {
        (Some((key, _, options)), None) => Ok((key, options)),
        (Some((first, ..)), Some((second, ..))) => {
            Err(Error::input(format!("one layer cannot be both `{first}` and `{second}`"))
                .hint("write them as two layers"))
        }
        (None, _) => {
            if let Some(word) = table.keys().find(|key| WORDS.iter().any(|(word, _)| word == key)) {
                return Err(Error::input(format!("`{word}` takes no value")).hint(format!("write it as `\"{word}\"`")));
            }
            let meant = table.keys().find_map(|key| nearest(key, known_layers()).map(|near| (key, near)));
            Err(match meant {
                Some((key, near)) => {
                    Error::input(format!("`{key}` is not a layer")).hint(format!("did you mean `{near}`?"))
                }
                None => Error::input("the table does not say which layer it is").hint(all_layers()),
            })
        }
    }
}

fn known_layers() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|(key, ..)| *key).chain(WORDS.iter().map(|(word, _)| *word))
}

fn all_layers() -> String {
    format!("a layer is one of {}", known_layers().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
}

fn refuse_unknown(table: &Table, key: &'static str, options: &[&'static str]) -> Result<()> {
    let known: Vec<&str> = std::iter::once(key).chain(options.iter().copied()).collect();
    refuse_other_keys(table, &known)
}

fn refuse_other_keys(table: &Table, known: &[&str]) -> Result<()> {
    let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let error = Error::input(format!("`{key}` is not known here"));
    Err(match nearest(key, known.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!(
            "the keys are {}",
            known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
        )),
    })
}

/// Reads a layer that holds no others.
fn sized(table: &Table, key: &str) -> Result<Layer> {
    let window = |key: &str, least: usize, default: usize| number(table, key, least..=LARGEST_WINDOW, Some(default));
    Ok(match key {
        "conv" => conv(table)?,
        "linear" => Layer::Linear { out: outputs(table, key)?, bias: switch(table, "bias", true)? },
        "max-pool" | "average-pool" => {
            let kernel = pair(table, key, 1..=LARGEST_WINDOW, None)?;
            let stride = pair(table, "stride", 1..=LARGEST_WINDOW, Some(kernel))?;
            let padding = pair(table, "padding", 0..=LARGEST_WINDOW, Some([0; 2]))?;
            let window = Window { kernel, stride, padding, dilation: [1; 2] };
            if key == "max-pool" { Layer::MaxPool(window) } else { Layer::AveragePool(window) }
        }
        "dropout" => Layer::Dropout(share(table, key)?, Dropped::Values),
        "drop-path" => Layer::Dropout(share(table, key)?, Dropped::Images),
        "pad" => Layer::Pad(pair(table, key, 0..=LARGEST_WINDOW, None)?),
        "upsample" => Layer::Upsample { factor: window(key, 1, 1)?, bilinear: is_bilinear(table)? },
        "attention" => {
            Layer::Attention { heads: number(table, key, 1..=WIDEST, None)?, bias: switch(table, "bias", true)? }
        }
        "channel-shuffle" => Layer::ChannelShuffle(number(table, key, 1..=WIDEST, None)?),
        _ => Layer::GroupNorm(number(table, key, 1..=WIDEST, None)?),
    })
}

fn conv(table: &Table) -> Result<Layer> {
    let window = |key: &str, least: usize, default: [usize; 2]| pair(table, key, least..=LARGEST_WINDOW, Some(default));
    let (kernel, stride, dilation) =
        (window("kernel", 1, [3; 2])?, window("stride", 1, [1; 2])?, window("dilation", 1, [1; 2])?);
    // With odd kernels and a stride of 1 the size stays.
    let padding = window("padding", 0, [0, 1].map(|axis| dilation[axis] * (kernel[axis] / 2)))?;
    let groups = match table.get("groups") {
        Some(Value::String(word)) if word == "depthwise" => GroupCount::Depthwise,
        Some(Value::String(word)) => {
            return Err(Error::input(format!("`groups = \"{word}\"` is not a number of groups"))
                .hint("write a number, or `\"depthwise\"` for one group a channel"));
        }
        _ => GroupCount::Count(number(table, "groups", 1..=WIDEST, Some(1))?),
    };
    let output_padding = window("output-padding", 0, [0; 2])?;
    let transposed = switch(table, "transposed", false)?;
    if !transposed && table.contains_key("output-padding") {
        return Err(Error::input("`output-padding` is of transposed convolutions")
            .hint("leave it out, or add `transposed = true`"));
    }
    Ok(Layer::Conv {
        out: outputs(table, "conv")?,
        window: Window { kernel, stride, padding, dilation },
        groups,
        bias: switch(table, "bias", false)?,
        transposed: transposed.then_some(output_padding),
    })
}

fn is_bilinear(table: &Table) -> Result<bool> {
    match table.get("mode") {
        None => Ok(false),
        Some(Value::String(word)) if word == "nearest" => Ok(false),
        Some(Value::String(word)) if word == "bilinear" => Ok(true),
        Some(other) => Err(Error::input(format!("`mode` is {other}: expected `\"nearest\"` or `\"bilinear\"`"))),
    }
}

fn concat(table: &Table, place: &str, depth: usize) -> Result<Layer> {
    let list = match table.get("concat") {
        Some(Value::Array(list)) if list.len() > 1 => list,
        _ => {
            return Err(Error::input("`concat` is no list of two branches or more")
                .hint("write it as `{ concat = [[{ conv = 16 }], [{ conv = 16, kernel = 1 }]] }`; an empty branch is the input")
                .at(place));
        }
    };
    let branches = list.iter().enumerate().map(|(index, branch)| {
        let place = format!("{place}, in its branch {}", index + 1);
        list_of(array(branch, &place)?, &place, depth + 1)
    });
    branches.collect::<Result<_>>().map(Layer::Concat)
}

fn residual(table: &Table, place: &str, depth: usize) -> Result<Layer> {
    let branch = match table.get("residual") {
        Some(value) => layers(value, &format!("{place}, in its residual branch"), depth + 1)?,
        None => Vec::new(),
    };
    let shortcut = match table.get("shortcut") {
        Some(value) => {
            let place = format!("{place}, in its shortcut");
            list_of(array(value, &place)?, &place, depth + 1)?
        }
        None => Vec::new(),
    };
    Ok(Layer::Residual { branch, shortcut })
}

fn repeat(table: &Table, place: &str, depth: usize) -> Result<Vec<Layer>> {
    let times = number(table, "repeat", 1..=MOST_LAYERS, None).map_err(|error| error.at(place))?;
    let Some(list) = table.get("layers") else {
        return Err(Error::input("`repeat` has no `layers`")
            .hint("write it as `{ repeat = 2, layers = [ … ] }`")
            .at(place));
    };
    let repeated = layers(list, &format!("{place}, in what it repeats"), depth + 1)?;
    // Before anything is copied: repetitions within repetitions multiply.
    let count = times * repeated.iter().map(Layer::count).sum::<usize>();
    if count > MOST_LAYERS {
        return Err(too_many(count).at(place));
    }
    Ok(std::iter::repeat_n(repeated, times).flatten().collect())
}

fn outputs(table: &Table, key: &str) -> Result<Outputs> {
    match table.get(key) {
        Some(Value::String(word)) if word == "classes" => Ok(Outputs::Classes),
        Some(Value::String(word)) => Err(Error::input(format!("`{key} = \"{word}\"` is not a number of outputs"))
            .hint("write a number, or `\"classes\"` for one output a class")),
        _ => number(table, key, 1..=WIDEST, None).map(Outputs::Count),
    }
}
