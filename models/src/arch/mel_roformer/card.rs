//! What a stem model says about itself: sizes, names of its stems, how long mixes are cut, origin
//! and measured quality. Stored as JSON in the metadata of its weights file.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::{Layout, MelRoformerConfig};
use super::demix_config::DemixConfig;
use crate::error::{Error, Result};

/// Everything about a stem model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StemsCard {
    /// Sizes of the network.
    pub config: MelRoformerConfig,
    /// What its stems are, in their order.
    pub stems: Vec<String>,
    /// How long mixes are cut.
    #[serde(default)]
    pub demix: DemixConfig,
    /// Where the weights come from: recipe, data, licence, measured quality; free-form.
    #[serde(default)]
    pub provenance: Value,
}

impl StemsCard {
    /// The card of a network of which nothing but the weights is known: names and cuts as
    /// published for such sizes.
    #[must_use]
    pub fn of_config(config: MelRoformerConfig) -> Self {
        let stems: Vec<String> = match config.num_stems {
            1 => vec!["vocals".to_owned()],
            count => (1..=count).map(|i| format!("stem{i}")).collect(),
        };
        let hop = config.stft_hop_length.max(1) as usize;
        // About eleven seconds where transforms are long, else eight.
        let seconds = if config.stft_n_fft >= 4096 { 11 } else { 8 };
        let hops = (seconds * config.sample_rate as usize).div_ceil(hop);
        let demix = DemixConfig { chunk_size: hops * hop, ..DemixConfig::default() };
        Self { config, stems, demix, provenance: Value::Null }
    }

    /// The card of a published checkpoint from its configuration file.
    ///
    /// # Errors
    /// [`Error::Config`] for arguments that formant does not compute.
    pub fn of_yaml(yaml: &Value, layout: Layout) -> Result<Self> {
        let empty = Value::Null;
        let arguments = yaml.get("model").unwrap_or(&empty);
        let config = MelRoformerConfig::from_arguments(arguments, layout)?;
        // Before each of the stems that it claims gets a name.
        config.validate()?;
        let mut card = Self::of_config(config);
        let entry = |section: &str, name: &str| yaml.get(section).and_then(|s| s.get(name));
        let number = |section: &str, name: &str| {
            entry(section, name).and_then(Value::as_u64).map(|n| n as usize)
        };
        let instruments: Vec<String> = entry("training", "instruments")
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        let target = entry("training", "target_instrument").and_then(Value::as_str);
        let count = card.config.num_stems as usize;
        match target {
            Some(target) if count == 1 => card.stems = vec![target.to_owned()],
            // Of a single stem with several names the first is what it was trained for.
            _ if instruments.len() >= count && count > 0 => {
                card.stems = instruments.into_iter().take(count).collect();
            }
            _ => {}
        }
        if entry("inference", "normalize").and_then(Value::as_bool) == Some(true) {
            let reason = "normalising the whole mix beforehand is not supported";
            return Err(Error::config("inference.normalize", reason));
        }
        let chunk = number("inference", "chunk_size").or(number("audio", "chunk_size"));
        let demix = &mut card.demix;
        demix.chunk_size = chunk.unwrap_or(demix.chunk_size);
        demix.num_overlap = number("inference", "num_overlap").unwrap_or(demix.num_overlap);
        Ok(card)
    }

    /// Sample rate in Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.config.sample_rate
    }

    /// What the mix is without its only stem.
    #[must_use]
    pub fn residual(&self) -> Option<String> {
        let [stem] = self.stems.as_slice() else { return None };
        Some(match stem.to_lowercase().as_str() {
            "vocals" | "vocal" | "voice" => "instrumental".to_owned(),
            "instrumental" | "other" | "karaoke" => "vocals".to_owned(),
            _ => format!("no-{stem}"),
        })
    }

    /// Refuses a card whose parts do not fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] naming the part.
    pub fn validate(&self) -> Result<()> {
        self.config.validate()?;
        self.demix.validate()?;
        if self.stems.len() as i64 != self.config.num_stems {
            let reason = format!("{} names for {} stems", self.stems.len(), self.config.num_stems);
            return Err(Error::config("stems", reason));
        }
        if self.demix.chunk_size as i64 <= self.config.stft_n_fft / 2 {
            let reason = "a chunk must be longer than half a transform";
            return Err(Error::config("chunk_size", reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn published_configs_name_stems_and_cuts() {
        let yaml = json!({
            "audio": { "chunk_size": 131_584, "hop_length": 512 },
            "model": { "dim": 8, "depth": 1, "stereo": true, "num_stems": 1 },
            "training": { "instruments": ["vocals", "other"], "target_instrument": "vocals" },
            "inference": { "chunk_size": 352_800, "num_overlap": 4, "dim_t": 256, "batch_size": 8 },
        });
        let card = StemsCard::of_yaml(&yaml, Layout::Reference).expect("readable");
        card.validate().expect("fits");
        assert_eq!(card.stems, ["vocals"]);
        assert_eq!(card.residual().as_deref(), Some("instrumental"));
        assert_eq!((card.demix.chunk_size, card.demix.num_overlap), (352_800, 4));
        assert_eq!(
            card.demix.batch_size, 1,
            "batches change the result, so they are not taken over"
        );
    }

    #[test]
    fn no_names_are_made_for_more_stems_than_a_network_can_have() {
        for num_stems in [-1, 0, i64::from(i32::MAX), 1 << 32] {
            let yaml = json!({ "model": { "dim": 8, "depth": 1, "num_stems": num_stems } });
            let error = StemsCard::of_yaml(&yaml, Layout::Reference).expect_err("refused");
            assert!(error.to_string().contains("num_stems"), "{error}");
        }
    }

    #[test]
    fn cuts_follow_the_published_sizes() {
        let card = StemsCard::of_config(MelRoformerConfig::default());
        assert_eq!(card.demix.chunk_size, 352_800);
        let long = MelRoformerConfig {
            stft_n_fft: 4096,
            stft_win_length: 4096,
            stft_hop_length: 882,
            ..MelRoformerConfig::default()
        };
        assert_eq!(StemsCard::of_config(long).demix.chunk_size, 485_100);
    }
}
