//! What decides a training and stands in no setting: the layers of a network, the contents of a file. It may not know of torch.

use std::collections::HashMap;

use super::loaded::LoadedFiles;
use super::stage::{OwnText, dense_id};
use crate::sweep::settings::Settings;
use tombola_words::StageId;
use tombola_words::value::Value;

/// What identities are made of besides settings.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Each network of the user's own.
    pub networks: HashMap<String, OwnText>,
    /// The files that dense networks are loaded from.
    pub loaded: LoadedFiles,
}

impl Outside {
    /// The identity of the dense training that these settings ask for.
    pub(super) fn dense_id(&self, settings: &Settings) -> StageId {
        let loaded = self.loaded.get(&settings.load.show()).map(|file| file.checksum.as_str());
        dense_id(settings, self.networks.get(&settings.network), loaded)
    }
}
