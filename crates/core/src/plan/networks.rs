//! The network of each dense training of a plan, built once for all that are alike. It may not know of torch or files.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::estimate;
use super::forest::Plan;
use crate::net::custom::OwnNetwork;
use crate::net::{Graph, Layout};
use tombola_words::error::Result;

/// A network and where its weights lie.
#[derive(Debug, Clone)]
pub struct Network {
    /// Its operations.
    pub graph: Arc<Graph>,
    /// Its weights.
    pub layout: Arc<Layout>,
}

/// The networks of a plan.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    of_root: HashMap<usize, Network>,
}

impl Networks {
    /// Builds those of the dense stages `roots`, for data of the form that their publishers state.
    ///
    /// # Errors
    /// When a network is unknown or cannot work on its data.
    pub fn of(plan: &Plan, roots: &[usize], own: &BTreeMap<String, OwnNetwork>) -> Result<Self> {
        let mut alike: HashMap<String, Network> = HashMap::new();
        let mut of_root = HashMap::new();
        for &root in roots {
            let settings = &plan.stages[root].settings;
            let form = estimate::form(settings);
            if !alike.contains_key(&form) {
                let (shape, classes, _) = estimate::data_form(settings)?;
                let graph = estimate::network(settings, own, shape, classes)?;
                let layout = Arc::new(Layout::of(&graph));
                alike.insert(form.clone(), Network { graph: Arc::new(graph), layout });
            }
            if let Some(network) = alike.get(&form) {
                of_root.insert(root, network.clone());
            }
        }
        Ok(Self { of_root })
    }

    /// The network of a stage.
    pub fn get(&self, plan: &Plan, stage: usize) -> Option<&Network> {
        self.of_root.get(&plan.stages[stage].root)
    }
}
