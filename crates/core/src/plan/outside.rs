//! What decides a training and stands in no setting: the layers of a network, the contents of a file. It may not know of torch.

use std::collections::HashMap;

use super::loaded::LoadedFiles;
use super::stage::{dense_id_with, pruned_id_with};
use crate::net::custom::OwnNetwork;
use crate::sweep::settings::Settings;
use tombola_words::StageId;
use tombola_words::value::{NamedFile, Value};

/// What a network of the user's own adds to an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnText {
    /// Its canonical text.
    pub text: String,
    /// Whether that is in the place of the name: what the user calls it changes nothing.
    pub names: bool,
}

impl OwnText {
    /// Of this network.
    pub(super) fn of(network: &OwnNetwork) -> Self {
        Self { text: network.canonical(), names: network.is_named_by_content() }
    }
}

/// What identities are made of besides settings.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Each network of the user's own.
    pub networks: HashMap<String, OwnText>,
    /// The files that dense networks and masks are loaded from.
    pub loaded: LoadedFiles,
}

impl Outside {
    /// The identity of the dense training that these settings ask for.
    pub(super) fn dense_id(&self, settings: &Settings) -> StageId {
        let network = self.networks.get(&settings.network);
        if let Some(own) = network.filter(|own| own.names) {
            return self.dense_id_of(&Settings { network: own.text.clone(), ..settings.clone() }, None);
        }
        self.dense_id_of(settings, network.map(|own| own.text.as_str()))
    }

    fn dense_id_of(&self, settings: &Settings, network: Option<&str>) -> StageId {
        let loaded = self.loaded.get(&settings.load.show()).map(|file| file.checksum.as_str());
        let names = self.checksum(&settings.load_names).filter(|_| settings.loads_weights());
        let parts = [
            ("layers", network),
            ("loaded", loaded),
            ("loaded-init", self.checksum(&settings.load_init)),
            ("loaded-names", names),
        ];
        dense_id_with(settings, &parts)
    }

    /// The identity of the training that follows `parent` when it is pruned at `rate` as these settings say.
    pub(super) fn pruned_id(&self, parent: StageId, rate: f64, settings: &Settings) -> StageId {
        let mask = self.checksum(&settings.load_mask);
        let names = self.checksum(&settings.load_names).filter(|_| mask.is_some());
        pruned_id_with(parent, rate, settings, &[("loaded-mask", mask), ("loaded-names", names)])
    }

    fn checksum(&self, file: &NamedFile) -> Option<&str> {
        let word = file.0.as_ref()?.display().to_string();
        self.loaded.get(&word).map(|file| file.checksum.as_str())
    }
}
