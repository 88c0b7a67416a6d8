//! Which layers a pruning may take from, and which have rates of their own. It may not know how weights are scored.

use std::collections::BTreeSet;

use crate::net::{Layout, Parameter, Role};
use crate::plan::LayerChoice;
use tombola_words::error::{Error, Result};
use tombola_words::value::{LayerPattern, PruneLayers};

/// The connections that may be pruned, with their numbers in the layout.
pub fn prunable<'l>(
    layout: &'l Layout,
    layers: &LayerChoice,
) -> impl Iterator<Item = (usize, &'l Parameter)> + use<'l> {
    let spared = places(layout, layers.spared.patterns());
    let kind = layers.kind;
    let all = layout.parameters.iter().enumerate();
    all.filter(move |(number, parameter)| is_of(kind, parameter) && !spared.contains(number))
}

/// Whether a parameter is the connections of a layer of this kind.
fn is_of(kind: PruneLayers, parameter: &Parameter) -> bool {
    let window = || parameter.shape.iter().skip(2).product::<usize>();
    match kind {
        PruneLayers::All => parameter.role.is_connection(),
        PruneLayers::Conv => parameter.role.is_convolution(),
        PruneLayers::Linear => parameter.role == Role::LinearWeight,
        PruneLayers::Spatial => parameter.role.is_convolution() && window() > 1,
        PruneLayers::Pointwise => parameter.role.is_convolution() && window() == 1,
    }
}

/// The numbers of the connections that patterns name.
pub fn places(layout: &Layout, patterns: &[LayerPattern]) -> BTreeSet<usize> {
    patterns.iter().flat_map(|pattern| named(layout, pattern)).collect()
}

/// The first of some patterns, each with something, that names these connections.
pub fn first_for<'r, T>(layout: &Layout, patterns: &'r [(LayerPattern, T)], number: usize) -> Option<&'r T> {
    patterns.iter().find(|(pattern, _)| named(layout, pattern).contains(&number)).map(|(_, own)| own)
}

/// The numbers of the connections that a pattern names.
fn named(layout: &Layout, pattern: &LayerPattern) -> Vec<usize> {
    let connections = layout.parameters.iter().enumerate().filter(|(_, parameter)| parameter.role.is_connection());
    let mut numbers = connections.clone().map(|(number, _)| number);
    match pattern.text() {
        LayerPattern::FIRST => numbers.next().into_iter().collect(),
        LayerPattern::LAST => numbers.next_back().into_iter().collect(),
        _ => connections.filter(|(_, parameter)| pattern.names(layer(parameter))).map(|(number, _)| number).collect(),
    }
}

/// The layer of a parameter: its name without what the parameter is there.
pub fn layer(parameter: &Parameter) -> &str {
    parameter.name.rsplit_once('.').map_or(&parameter.name, |(layer, _)| layer)
}

/// Refuses a pattern that names no layer of a network, neither of those with connections nor of `others`, or none that is `among` those
/// that are pruned.
///
/// # Errors
/// When there is one; the message names the layers that there are.
pub fn check_names<'p>(
    layout: &Layout,
    others: &[String],
    key: &str,
    patterns: impl Iterator<Item = &'p LayerPattern>,
    among: impl Fn(&LayerPattern, &[usize]) -> bool,
) -> Result<()> {
    let connections = || layout.parameters.iter().filter(|parameter| parameter.role.is_connection());
    for pattern in patterns {
        if named(layout, pattern).is_empty() && !others.iter().any(|other| pattern.names(other)) {
            let names: Vec<&str> = connections().map(layer).collect();
            let error = Error::input(format!("`{key}` names `{}`, but no layer is called so", pattern.text()));
            let near = tombola_words::error::nearest(pattern.text(), names.iter().copied());
            return Err(error.hint(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its layers with connections are {}", shortened(&names)),
            }));
        }
        if !among(pattern, &named(layout, pattern)) {
            return Err(Error::input(format!("`{key}` names `{}`, which is not pruned anyhow", pattern.text()))
                .hint("see `prune-layers`, `spare` and, for channels, `streams`; or leave the name out"));
        }
    }
    Ok(())
}

/// A list of names that fits a line or two.
fn shortened(names: &[&str]) -> String {
    const MOST: usize = 12;
    match names.len() {
        0..=MOST => names.join(", "),
        more => format!("{}, … and {} more", names[..MOST].join(", "), more - MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::zoo::{self, Choice};
    use tombola_words::Shape;
    use tombola_words::value::{LayerSet, Value};

    fn names(kind: PruneLayers, spared: &str) -> Vec<String> {
        let choice = Choice { depth: 8, ..Choice::named("resnet") };
        let layout = Layout::of(&zoo::build(&choice, Shape::Image(3, 32, 32), 10).unwrap());
        let layers = LayerChoice { kind, spared: LayerSet::parse(spared).unwrap() };
        prunable(&layout, &layers).map(|(_, parameter)| layer(parameter).to_string()).collect()
    }

    #[test]
    fn layers_are_spared_by_name_by_module_and_by_place() {
        let all = names(PruneLayers::All, "[]");
        assert_eq!(all.len(), 8);
        assert_eq!((all[0].as_str(), all[7].as_str()), ("conv1", "fc"));
        assert_eq!(names(PruneLayers::All, "[first, last]"), all[1..7]);
        assert_eq!(
            names(PruneLayers::Conv, "layer*.0.conv2"),
            ["conv1", "layer1.0.conv1", "layer2.0.conv1", "layer3.0.conv1"]
        );
        assert_eq!(names(PruneLayers::Linear, "layer1"), ["fc"]);
        assert_eq!(names(PruneLayers::Spatial, "[]").len(), 7);
        assert!(names(PruneLayers::Pointwise, "[]").is_empty());
    }

    #[test]
    fn names_that_are_none_are_refused_with_those_that_there_are() {
        let layout = Layout::of(&zoo::build(&Choice::named("lenet-5"), Shape::Image(1, 28, 28), 10).unwrap());
        let check = |text: &str| {
            let names = LayerSet::parse(text).unwrap();
            check_names(&layout, &[], "spare", names.patterns().iter(), |_, _| true)
        };
        check("[conv1, fc*, first, last]").unwrap();
        let error = check("conv9").unwrap_err();
        assert!(error.message.contains("`spare` names `conv9`"), "{error}");
        assert!(error.hint.unwrap().contains("did you mean"));
        assert!(check("quite-other").unwrap_err().hint.unwrap().contains("conv1"));
    }
}
