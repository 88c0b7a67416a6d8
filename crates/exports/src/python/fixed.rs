//! What a network holds and never learns: constants, and lists of places. Short ones are written out; the others lie in a file
//! beside the weights.

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::literals::{float, tuple};
use tombola_core::net::{Graph, Op};
use tombola_words::error::{Error, Result};

/// The most values that are written out.
const MOST_WRITTEN: usize = 1024;
/// The most places that stand where they are taken.
const MOST_INLINE: usize = 64;

/// The constants and lists of a network that its nodes use.
pub(super) struct PythonFixed<'a> {
    graph: &'a Graph,
    /// What their names begin with: no layer is called so.
    prefix: String,
    constants: Vec<usize>,
    lists: Vec<usize>,
}

impl<'a> PythonFixed<'a> {
    /// Those of a network.
    pub(super) fn of(graph: &'a Graph) -> Self {
        let mut prefix = "fixed".to_string();
        while graph.nodes.iter().any(|node| node.name.split('.').next() == Some(&prefix)) {
            prefix.push('_');
        }
        let used = |which: &dyn Fn(Op) -> Option<usize>| {
            let mut used: Vec<usize> = graph.nodes.iter().filter_map(|node| which(node.op)).collect();
            used.sort_unstable();
            used.dedup();
            used
        };
        let constants = used(&|op| match op {
            Op::Constant { list } => Some(list),
            _ => None,
        });
        let mut lists = used(&|op| match op {
            Op::Take { list, .. } | Op::Select { list, .. } => Some(list),
            _ => None,
        });
        lists.retain(|list| graph.selections[*list].len() > MOST_INLINE);
        Self { graph, prefix, constants, lists }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.constants.is_empty() && self.lists.is_empty()
    }

    /// How a constant is called.
    pub(super) fn constant(&self, list: usize) -> String {
        format!("fixed(\"{}.constant{list}\")", self.prefix)
    }

    /// A list of places, or how it is called.
    pub(super) fn places(&self, list: usize) -> String {
        match self.lists.contains(&list) {
            true => format!("fixed(\"{}.places{list}\")", self.prefix),
            false => format!("{:?}", self.graph.selections[list]),
        }
    }

    /// The lines of all of them; the long ones are asked for in `held`.
    pub(super) fn lines(&self) -> Vec<String> {
        let constants = self.constants.iter().map(|&list| {
            let fixed = &self.graph.constants[list];
            let values = if fixed.bits.len() > MOST_WRITTEN {
                format!("held[\"constant{list}\"]")
            } else {
                let values: Vec<String> = fixed.values().into_iter().map(float).collect();
                format!("torch.tensor([{}]).view{}", values.join(", "), tuple(fixed.axes.as_slice()))
            };
            format!("        \"{}.constant{list}\": {values},", self.prefix)
        });
        let lists = self.lists.iter().map(|&list| {
            let places = &self.graph.selections[list];
            let values = if places.len() > MOST_WRITTEN {
                format!("held[\"places{list}\"]")
            } else {
                format!("torch.tensor({places:?})")
            };
            format!("        \"{}.places{list}\": {values},", self.prefix)
        });
        constants.chain(lists).collect()
    }

    /// The file of the long ones, if there are any.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn file(&self) -> Result<Option<Vec<u8>>> {
        let mut held: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        for &list in &self.constants {
            let fixed = &self.graph.constants[list];
            if fixed.bits.len() > MOST_WRITTEN {
                let bytes = fixed.bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
                held.push((format!("constant{list}"), Dtype::F32, Vec::from(fixed.axes), bytes));
            }
        }
        for &list in &self.lists {
            let places = &self.graph.selections[list];
            if places.len() > MOST_WRITTEN {
                let bytes = places.iter().flat_map(|place| (*place as i64).to_le_bytes()).collect();
                held.push((format!("places{list}"), Dtype::I64, vec![places.len()], bytes));
            }
        }
        if held.is_empty() {
            return Ok(None);
        }
        let wrong = |error: safetensors::SafeTensorError| {
            Error::environment(format!("cannot encode the constants of the network: {error}"))
        };
        let views = held.iter().map(|(name, kind, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(*kind, shape.clone(), bytes).map_err(wrong)?))
        });
        let views: Vec<(&str, TensorView)> = views.collect::<Result<_>>()?;
        safetensors::serialize(views, None).map_err(wrong).map(Some)
    }
}
