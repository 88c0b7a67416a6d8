//! What decides a training and stands in no setting: the layers of a network, the contents of a file. It may not know of torch.

use std::collections::HashMap;

use super::stage::dense_id;
use crate::sweep::settings::Settings;
use tombola_words::StageId;
use tombola_words::value::Load;

/// What identities are made of besides settings.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Canonical text of each network of the user's own.
    pub networks: HashMap<String, String>,
    /// Checksum of each file that a dense network is loaded from.
    pub loaded: HashMap<String, String>,
}

impl Outside {
    /// The identity of the dense training that these settings ask for.
    pub(super) fn dense_id(&self, settings: &Settings) -> StageId {
        let loaded = match &settings.load {
            Load::Path(path) => self.loaded.get(&path.display().to_string()),
            Load::None | Load::Auto => None,
        };
        let network = self.networks.get(&settings.network);
        dense_id(settings, network.map(String::as_str), loaded.map(String::as_str))
    }
}
