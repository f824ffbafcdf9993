//! What published configs state beside weights, taken over into formant's own.

use formant_audio_core::chunk::Edges;
use formant_audio_core::features::FeatureConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

/// `config` with the fields of `stated` that it has.
pub(super) fn amended<T: Serialize + DeserializeOwned>(
    config: &T,
    stated: Option<&Value>,
) -> Result<T> {
    let unreadable = |e: serde_json::Error| Error::config("config", e.to_string());
    let mut fields = serde_json::to_value(config).map_err(unreadable)?;
    if let (Some(known), Some(stated)) = (fields.as_object_mut(), stated.and_then(Value::as_object))
    {
        for (name, value) in known.iter_mut().filter(|(name, _)| *name != "model") {
            if let Some(stated) = stated.get(name).filter(|stated| !stated.is_null()) {
                *value = stated.clone();
            }
        }
    }
    serde_json::from_value(fields).map_err(unreadable)
}

/// `config` with the sizes that the reference's config gives by its own names.
pub(super) fn with_sizes(mut config: FeatureConfig, stated: &Value) -> Result<FeatureConfig> {
    fn field<T: DeserializeOwned>(stated: &Value, name: &str, usual: T) -> Result<T> {
        match stated.get(name).filter(|value| !value.is_null()) {
            Some(value) => T::deserialize(value).map_err(|e| Error::config(name, e.to_string())),
            None => Ok(usual),
        }
    }
    config.sample_rate = field(stated, "sampling_rate", config.sample_rate)?;
    config.n_fft = field(stated, "n_fft", config.n_fft)?;
    config.win_length = field(stated, "win_size", config.win_length)?;
    config.hop_length = field(stated, "hop_size", config.hop_length)?;
    let padding = config.n_fft.saturating_sub(config.hop_length) / 2;
    if let Edges::Pad { samples, .. } = &mut config.edges {
        *samples = padding;
    }
    if let Some(mel) = &mut config.mel {
        mel.n_mels = field(stated, "num_mels", mel.n_mels)?;
        mel.f_min = field(stated, "fmin", mel.f_min)?;
        mel.f_max = field(stated, "fmax", mel.f_max)?;
    }
    Ok(config)
}
