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
        // What the user calls data changes nothing; what they hold does.
        if let Some(form) = settings.own_set.as_ref().and_then(|own| own.form.as_ref()) {
            let dataset = format!("own:{}", form.content);
            return self.dense_id(&Settings { dataset, own_set: None, ..settings.clone() });
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{LoadedFile, Plan};
    use crate::sweep::Spec;

    /// The names of the trainings of a sweep, where its files have these checksums.
    fn names(text: &str, files: &[(&str, &str)]) -> Vec<StageId> {
        let spec = Spec::read(Some(&format!("pr = 0.5\nreinit = \"init\"\n{text}")), &[]).unwrap();
        let file = |(word, checksum): &(&str, &str)| {
            (word.to_string(), LoadedFile { place: "/x".into(), checksum: checksum.to_string() })
        };
        let outside = Outside { loaded: files.iter().map(file).collect(), ..Outside::default() };
        let plan = Plan::grow(spec.trials().unwrap(), &spec.run, &outside).unwrap();
        plan.stages.iter().map(|stage| stage.id).collect()
    }

    #[test]
    fn contents_of_files_are_part_of_names_and_their_places_are_not() {
        let plain = names("", &[]);
        for key in ["load-init", "load-mask"] {
            let one = names(&format!("{key} = \"a\""), &[("a", "12")]);
            assert_eq!(one, names(&format!("{key} = \"b/c\""), &[("b/c", "12")]), "{key}");
            let other = names(&format!("{key} = \"a\""), &[("a", "34")]);
            assert!(one[1] != other[1] && one[1] != plain[1], "{key}");
            // The dense network has nothing of a mask.
            assert_eq!(one[0] == plain[0], key == "load-mask", "{key}");
        }
        let of_names = |checksum| names("load-init = \"a\"\nload-names = \"n\"", &[("a", "12"), ("n", checksum)]);
        assert_ne!(of_names("1")[0], of_names("2")[0]);
        // Where nothing is loaded, names and heads mean nothing.
        assert_eq!(names("load-names = \"n\"\nload-head = \"new\"", &[("n", "1")]), plain);
        let mask = |more: &str| names(&format!("load-mask = \"a\"\n{more}"), &[("a", "12")]);
        assert_eq!(mask(""), mask("criterion = \"random\"\nscope = \"layer\"\nprune-layers = \"conv\""));
    }

    #[test]
    fn weights_of_a_file_are_gone_back_to_as_a_snapshot() {
        let spec = Spec::read(Some("pr = 0.5\nreinit = \"init\"\nload-init = \"a\""), &[]).unwrap();
        let plan = Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap();
        assert_eq!(
            plan.sources(1).last().map(|(stage, moment)| (*stage, *moment)),
            Some((0, tombola_words::value::Moment::Epoch(0)))
        );
        assert_eq!(plan.stages[1].epochs(), 0..160);
        assert_eq!(plan.label(1), "resnetb seed 1 · level 1, 50.0 % · init");
    }
}
