//! A network with everything that belongs to it: what an architecture has to say about itself, and
//! the one way from a checkpoint to a network. What users call is in `tasks`.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, Tensor};

use crate::checkpoint::{
    self, Architecture, Container, LoadOptions, RawTensor, StateDict, WeightNorm, glob,
};
use crate::error::{Error, Result};
use crate::params::{Params, SharedStore, Stored};
use crate::registry::{self, Located, Published};
use crate::source::ModelSource;

/// An architecture: its card, its network, and how checkpoints of other toolkits become both.
///
/// A new network is a folder in `arch` with an implementation of this trait, and the rows of the
/// detection table (`checkpoint/table.rs`) that name it.
pub trait Arch: Debug + 'static {
    /// Name in messages, such as `Squeezeformer`.
    const NAME: &'static str;
    /// Rows of the detection table that this implementation loads.
    const ARCHITECTURES: &'static [Architecture];
    /// Key of the card in the metadata of a weights file.
    const CARD_KEY: &'static str;
    /// What to give instead of a checkpoint that is none of this architecture.
    const WANTED: &'static str;
    /// Patterns (`*` is any text) of tensors that a file may have or lack.
    const IGNORED_KEYS: &'static [&'static str] = &[];
    /// Patterns of buffers that follow from the card: files lack them.
    const REBUILT_KEYS: &'static [&'static str] = &[];
    /// Patterns of tensors for which half floats are too coarse.
    const F32_KEYS: &'static [&'static str] = &[];
    /// Patterns of tensors beside the network: [`Model::companions`].
    const COMPANION_KEYS: &'static [&'static str] = &[];

    /// Everything about a model but its weights: sizes, front end, labels, origin, quality.
    type Card: Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send + 'static;
    /// The network. Clones share their weights.
    type Network: Clone + Debug + Send + 'static;

    /// Refuses a card whose parts do not fit each other, or whose sizes are out of their bounds.
    ///
    /// # Errors
    /// [`Error::Config`] naming the part.
    fn validate(card: &Self::Card) -> Result<()>;

    /// The card of a checkpoint of another toolkit. May rename and add tensors, so that names are
    /// those of the network.
    ///
    /// # Errors
    /// What is missing or not supported.
    fn adopt(found: &mut Foreign<'_>) -> Result<Self::Card>;

    /// The network of the card's sizes.
    ///
    /// # Errors
    /// As [`Params::get`].
    fn build(params: &Params<'_>, card: &Self::Card) -> Result<Self::Network>;
}

/// A checkpoint of another toolkit.
#[derive(Debug)]
pub struct Foreign<'a> {
    /// The weights, names without wrappers.
    pub state: &'a mut StateDict,
    /// The file or folder, with configs and tokenizers.
    pub container: &'a Container,
    /// What the registry knows about it, where it was named.
    pub published: Option<&'static Published>,
}

/// A card of any architecture; see [`adopt`].
pub(crate) type AnyCard = Box<dyn Any>;

/// The form of [`Arch::adopt`] that rows of the detection table hold.
pub(crate) fn adopt<A: Arch>(found: &mut Foreign<'_>) -> Result<AnyCard> {
    Ok(Box::new(A::adopt(found)?))
}

/// Who made a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// formant: the file has a card.
    Own,
    /// Another toolkit.
    Foreign,
}

/// A network with its card, on a device. Clones share the weights.
#[derive(Debug)]
pub struct Model<A: Arch> {
    /// What the model says about itself.
    pub card: A::Card,
    /// The network.
    pub network: A::Network,
    /// The weights of the network by name; trainable where they are random.
    pub store: SharedStore,
    /// Tensors beside the network that its file holds, such as statistics for scores.
    pub companions: StateDict,
}

impl<A: Arch> Clone for Model<A> {
    fn clone(&self) -> Self {
        Self {
            card: self.card.clone(),
            network: self.network.clone(),
            store: self.store.clone(),
            companions: self.companions.clone(),
        }
    }
}

impl<A: Arch> Model<A> {
    /// A network of the card's sizes with random weights, which can be trained.
    ///
    /// # Errors
    /// [`Error::Config`] for a card that does not fit itself.
    pub fn random(card: A::Card, device: Device) -> Result<Self> {
        A::validate(&card)?;
        let store = SharedStore::new(device);
        let network = A::build(&Params::random(&store.root()), &card)?;
        Ok(Self { card, network, store, companions: StateDict::default() })
    }

    /// The card's network with these weights, all of which have to fit.
    ///
    /// # Errors
    /// [`Error::Mismatch`] naming what does not fit, before memory for it is asked for;
    /// [`Error::Config`] for a card that does not fit itself.
    pub fn from_state(card: A::Card, state: &StateDict, device: Device) -> Result<Self> {
        A::validate(&card)?;
        let (companions, state) = part_companions::<A>(state);
        let options = LoadOptions::default().ignoring(A::IGNORED_KEYS).ignoring(A::REBUILT_KEYS);
        let stored = Stored::new(&state, &options)?;
        let store = SharedStore::new(device);
        match A::build(&Params::stored(&store.root(), &stored), &card) {
            Ok(network) => {
                stored.finish()?;
                Ok(Self { card, network, store, companions })
            }
            // The first tensor that does not fit stopped it: the error lists all of them.
            Err(Error::Mismatch(_)) => {
                let (survey, store) = (stored.into_survey(), SharedStore::new(device));
                A::build(&Params::stored(&store.root(), &survey), &card)?;
                Err(survey.finish().err().unwrap_or_else(|| {
                    Error::config("model", "the same tensors fit and do not fit")
                }))
            }
            Err(error) => Err(error),
        }
    }

    /// The card's network with these tensors by name, as training makes them.
    ///
    /// # Errors
    /// As [`Model::from_state`].
    pub fn from_tensors(
        card: A::Card,
        weights: &BTreeMap<String, Tensor>,
        device: Device,
    ) -> Result<Self> {
        let mut state = StateDict::default();
        for (name, tensor) in weights {
            state.insert(name.clone(), RawTensor::from_tensor(&tensor.detach())?);
        }
        Self::from_state(card, &state, device)
    }

    /// Loads a bundled model, a published checkpoint by name or path, or one of formant's own files.
    ///
    /// # Errors
    /// What reading says; [`Error::Unsupported`] for a checkpoint of another kind;
    /// [`Error::Card`] and [`Error::Mismatch`] for one whose card or config does not fit.
    pub fn load(source: &ModelSource, device: Device) -> Result<Self> {
        Self::load_with(source, device, |_, _| ())
    }

    /// As [`Model::load`], with changes to the card before the network is built.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_with(
        source: &ModelSource,
        device: Device,
        change: impl FnOnce(&mut A::Card, Origin),
    ) -> Result<Self> {
        let (mut card, state, origin) = read::<A>(source)?;
        change(&mut card, origin);
        Self::from_state(card, &state, device).map_err(|error| of_file(error, &state.path))
    }

    /// The weights by name.
    #[must_use]
    pub fn weights(&self) -> BTreeMap<String, Tensor> {
        self.store.variables().into_iter().collect()
    }

    /// Where the weights are.
    #[must_use]
    pub fn device(&self) -> Device {
        self.store.device()
    }

    /// Writes weights, card and companions to a safetensors file, floats with the given type.
    ///
    /// # Errors
    /// When the file can't be written; nothing half-written is left under `path`.
    pub fn save(&self, path: &Path, kind: Kind) -> Result<()> {
        let mut state = StateDict::default();
        let matches =
            |patterns: &[&str], name: &str| patterns.iter().any(|p| glob::matches(p, name));
        for (name, tensor) in self.weights() {
            if matches(A::REBUILT_KEYS, &name) {
                continue;
            }
            let kind = if matches(A::F32_KEYS, &name) { Kind::Float } else { kind };
            state.insert(name, RawTensor::from_tensor(&tensor.detach().to_kind(kind))?);
        }
        for (name, raw) in self.companions.iter() {
            let tensor = raw.to_tensor()?.to_kind(kind);
            state.insert(name, RawTensor::from_tensor(&tensor)?);
        }
        let card = serde_json::to_string(&self.card)
            .map_err(|e| Error::config(A::CARD_KEY, format!("the card can't be written: {e}")))?;
        let metadata = BTreeMap::from([(A::CARD_KEY.to_owned(), card)]);
        checkpoint::write_safetensors(path, &state, &metadata)
    }
}

/// Card and weights of a source.
fn read<A: Arch>(source: &ModelSource) -> Result<(A::Card, StateDict, Origin)> {
    let (container, mut state) = match registry::locate(source)? {
        Located::Bundled(model) => {
            let name = format!("bundled model {}", model.name);
            (None, checkpoint::read_bytes(model.bytes()?, &name)?)
        }
        Located::Path(path) => {
            let container = Container::open(&path)?;
            let state = container.state_dict()?.clone();
            (Some(container), state)
        }
    };
    if let Some(text) = state.metadata.get(A::CARD_KEY) {
        let card = serde_json::from_str(text).map_err(|error| Error::Card {
            path: state.path.clone(),
            setting: A::CARD_KEY.to_owned(),
            reason: format!("unreadable: {error}"),
        })?;
        return Ok((card, state, Origin::Own));
    }
    checkpoint::clean(&mut state, WeightNorm::Keep)?;
    let row = checkpoint::detection_row(&state);
    let fits = |row: &&checkpoint::Row| A::ARCHITECTURES.contains(&row.architecture);
    let adopt = row.filter(fits).and_then(|row| row.adopt);
    let (Some(adopt), Some(container)) = (adopt, container) else {
        let found = row.map_or("unknown weights".to_owned(), |row| row.detection().to_string());
        let reason = format!("{found}, no {} to run; {}", A::NAME, A::WANTED);
        return Err(Error::unsupported(&state.path, reason));
    };
    let published = match source {
        ModelSource::Published(name) => registry::published(name),
        ModelSource::Bundled(_) | ModelSource::Path(_) => None,
    };
    let path = state.path.clone();
    let mut found = Foreign { state: &mut state, container: &container, published };
    let card = adopt(&mut found).map_err(|error| of_file(error, &path))?;
    match card.downcast::<A::Card>() {
        Ok(card) => Ok((*card, state, Origin::Foreign)),
        Err(_) => {
            let reason = format!("its row of the detection table does not make a {}", A::NAME);
            Err(Error::unsupported(&path, reason))
        }
    }
}

/// A setting that a file states is a fault of the file.
fn of_file(error: Error, path: &Path) -> Error {
    match error {
        Error::Config { setting, reason } => Error::Card { path: path.to_owned(), setting, reason },
        Error::Audio(formant_audio_core::Error::Config { setting, reason }) => {
            Error::Card { path: path.to_owned(), setting: setting.to_owned(), reason }
        }
        other => other,
    }
}

fn part_companions<A: Arch>(state: &StateDict) -> (StateDict, StateDict) {
    let is_companion = |name: &str| A::COMPANION_KEYS.iter().any(|key| glob::matches(key, name));
    let mut weights = state.clone();
    weights.tensors.retain(|name, _| !is_companion(name));
    let mut companions = StateDict { path: state.path.clone(), ..StateDict::default() };
    for (name, tensor) in state.iter().filter(|(name, _)| is_companion(name)) {
        companions.insert(name, tensor.clone());
    }
    (companions, weights)
}
