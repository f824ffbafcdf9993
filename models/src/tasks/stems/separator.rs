//! The separator: one model or several that are averaged, audio of any rate and channel count in,
//! stems of the same rate, channels and length out.

use formant_audio_core::AudioBuf;

use super::model::{Augment, StemsModel};
use super::session::StemsSession;
use crate::arch::mel_roformer::DemixConfig;
use crate::error::{Error, Result};
use crate::source::{LoadOptions, ModelSource};
use crate::tasks::task::{Pieces, Task, transposed};

/// How a separator works on a mix.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StemsOptions {
    /// How mixes are cut, where it is not as the first model says.
    pub demix: Option<DemixConfig>,
    /// Times that the mix is computed, each with its cuts at other places; 0 and 1 are once.
    pub shifts: usize,
    /// Averages of a chunk and its mirror images.
    pub augment: Augment,
    /// The stems wanted, in this order; all there are if empty.
    pub stems: Vec<String>,
}

/// Separates mixes into stems.
///
/// ```no_run
/// use formant_models::ModelSource;
/// use formant_models::tasks::Task;
/// use formant_models::tasks::stems::{StemSeparator, StemsOptions};
/// use formant_audio_core::decode::{DecodeOptions, decode_file};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let model = ModelSource::Path("MelBandRoformer.ckpt".into());
/// let separator = StemSeparator::load(&model, &Default::default())?;
/// let song = decode_file("song.flac".as_ref(), &DecodeOptions::default())?;
/// let options = StemsOptions::default();
/// let (stems, _) = separator.process(&song.audio.view(), &options)?;
/// for (name, stem) in stems {
///     println!("{name}: {} frames", stem.frames());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct StemSeparator {
    pub(super) models: Vec<StemsModel>,
    stems: Vec<String>,
}

/// Where a stem comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The mean over models, each with the number that the stem has there.
    Models(Vec<(usize, i64)>),
    /// The mix without the only stem of the models.
    Residual,
}

impl StemSeparator {
    /// Loads the models that are averaged, at least one.
    ///
    /// # Errors
    /// What loading says; [`Error::Config`] for models of different rates.
    pub fn ensemble(sources: &[ModelSource], options: &LoadOptions) -> Result<Self> {
        let device = options.device.resolve()?;
        let load = |source| {
            let mut model = StemsModel::load(source, device)?;
            model.set_precision(options.precision);
            Ok(model)
        };
        Self::new(sources.iter().map(load).collect::<Result<_>>()?)
    }

    /// From models.
    ///
    /// # Errors
    /// [`Error::Config`] without a model, or for models of different rates.
    pub fn new(models: Vec<StemsModel>) -> Result<Self> {
        let Some(first) = models.first() else {
            return Err(Error::config("model", "at least one is needed"));
        };
        let rate = first.card().sample_rate();
        if let Some(other) = models.iter().find(|model| model.card().sample_rate() != rate) {
            let reason = format!(
                "models for {rate} and {} Hz can't be averaged",
                other.card().sample_rate()
            );
            return Err(Error::config("ensemble", reason));
        }
        let mut stems: Vec<String> = Vec::new();
        for name in models.iter().flat_map(|model| &model.card().stems) {
            if !stems.contains(name) {
                stems.push(name.clone());
            }
        }
        if let [_] = stems.as_slice() {
            stems.extend(first.card().residual());
        }
        Ok(Self { models, stems })
    }

    /// Keeps what lies at 0 Hz, whatever the models say.
    pub fn keep_dc(&mut self) {
        self.models.iter_mut().for_each(StemsModel::keep_dc);
    }

    /// The models.
    #[must_use]
    pub fn models(&self) -> &[StemsModel] {
        &self.models
    }

    /// Names of the stems that there are: those of the models, and what is left where they have
    /// but one.
    #[must_use]
    pub fn stems(&self) -> &[String] {
        &self.stems
    }

    /// The stems that are asked for.
    pub(super) fn wanted<'a>(&'a self, options: &'a StemsOptions) -> &'a [String] {
        if options.stems.is_empty() { &self.stems } else { &options.stems }
    }

    pub(super) fn origin(&self, name: &str) -> Result<Origin> {
        let found: Vec<(usize, i64)> = self
            .models
            .iter()
            .enumerate()
            .filter_map(|(model, m)| {
                let index = m.card().stems.iter().position(|stem| stem == name)?;
                Some((model, index as i64))
            })
            .collect();
        if !found.is_empty() {
            return Ok(Origin::Models(found));
        }
        if self.stems.iter().any(|stem| stem == name) {
            return Ok(Origin::Residual);
        }
        let reason = format!("no stem `{name}`; there are: {}", self.stems.join(", "));
        Err(Error::config("stems", reason))
    }
}

impl Task for StemSeparator {
    const NAME: &'static str = "stems";
    type Options = StemsOptions;
    type Session = StemsSession;
    /// The stems wanted by name, each with rate, channels and length of the mix.
    type Output = Vec<(String, AudioBuf)>;

    fn load(source: &ModelSource, options: &LoadOptions) -> Result<Self> {
        Self::ensemble(std::slice::from_ref(source), options)
    }

    fn start(&self, options: &StemsOptions) -> Result<StemsSession> {
        StemsSession::new(self, options)
    }

    fn join(&self, pieces: Pieces<'_, Self>) -> Result<Vec<(String, AudioBuf)>> {
        let parts = pieces.parts.into_iter().flatten().map(|block| block.stems).collect();
        let stems = transposed(parts);
        let named = self.wanted(pieces.options).iter().cloned().zip(stems);
        named.map(|(name, stem)| Ok((name, AudioBuf::concat(&stem)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use formant_audio_core::{AudioSpec, ChannelLayout};
    use tch::Device;

    use super::*;
    use crate::arch::mel_roformer::MelRoformerConfig;
    use crate::tasks::stems::{StemsBlock, StemsCard};
    use crate::tasks::task::TaskSession;

    fn model(stereo: bool, stems: &[&str]) -> StemsModel {
        let config = MelRoformerConfig {
            dim: 8,
            depth: 1,
            stereo,
            heads: 2,
            dim_head: 4,
            num_bands: 16,
            num_stems: stems.len() as i64,
            sample_rate: 8000,
            stft_n_fft: 256,
            stft_win_length: 256,
            stft_hop_length: 64,
            mlp_expansion_factor: 1,
            ..MelRoformerConfig::default()
        };
        let card = StemsCard {
            stems: stems.iter().map(|&name| name.to_owned()).collect(),
            demix: DemixConfig { chunk_size: 1280, ..DemixConfig::default() },
            ..StemsCard::of_config(config)
        };
        StemsModel::random(card, Device::Cpu).expect("valid")
    }

    fn noise(rate: u32, channels: u16, frames: usize) -> AudioBuf {
        let spec = AudioSpec { rate, layout: ChannelLayout::from_count(channels) };
        let mut state = 1u32;
        let samples = (0..frames * spec.channels()).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        });
        AudioBuf::from_planar(spec, samples.collect()).expect("whole frames")
    }

    #[test]
    fn any_rate_and_channel_count_comes_back_and_adds_up() {
        for stereo in [true, false] {
            let separator = StemSeparator::new(vec![model(stereo, &["vocals"])]).expect("one");
            assert_eq!(separator.stems(), ["vocals", "instrumental"]);
            for (rate, channels, frames) in [
                (8000, 2, 5000),
                (8000, 1, 700),
                (11_025, 6, 3001),
                (44_100, 3, 9000),
                (8000, 2, 1),
            ] {
                let mix = noise(rate, channels, frames);
                let options = StemsOptions { shifts: 2, ..StemsOptions::default() };
                let stems = separator.process(&mix.view(), &options).expect("separated").0;
                let views: Vec<_> = stems.iter().map(|(_, stem)| stem.view()).collect();
                let null = formant_audio_core::level::null_test(&views, &mix.view());
                let null = null.expect("equal shapes");
                assert!(null.residual_dbfs.is_none_or(|db| db < -90.0), "{rate}, {channels}");
            }
        }
    }

    #[test]
    fn blocks_of_any_size_give_the_same() {
        let separator = StemSeparator::new(vec![model(true, &["a", "b"])]).expect("one");
        let mix = noise(8000, 2, 6001);
        let options = StemsOptions { augment: Augment::Yes, ..StemsOptions::default() };
        let whole = separator.process(&mix.view(), &options).expect("separated").0;
        for step in [97, 4096] {
            let mut session = separator.start(&options).expect("valid");
            let mut parts = vec![AudioBuf::silence(mix.spec(), 0); 2];
            let mut heard = AudioBuf::silence(mix.spec(), 0);
            let mut take = |block: StemsBlock| {
                heard.append(&block.mix.view()).expect("same spec");
                for (whole, part) in parts.iter_mut().zip(&block.stems) {
                    whole.append(&part.view()).expect("same spec");
                }
            };
            for at in (0..mix.frames()).step_by(step) {
                let block = session.push(&mix.view().slice(at..at + step)).expect("computed");
                block.into_iter().for_each(&mut take);
            }
            session.finish().expect("computed").0.into_iter().for_each(&mut take);
            assert_eq!(heard, mix);
            for ((_, wanted), found) in whole.iter().zip(&parts) {
                assert_eq!(wanted, found, "blocks of {step}");
            }
        }
    }

    #[test]
    fn an_ensemble_is_the_mean_and_names_are_checked() {
        let (a, b) = (model(true, &["vocals"]), model(true, &["vocals", "drums"]));
        let alone = |model: StemsModel| {
            let separator = StemSeparator::new(vec![model]).expect("one");
            let options = StemsOptions { stems: vec!["vocals".into()], ..Default::default() };
            let mix = noise(8000, 2, 3000);
            let stems = separator.process(&mix.view(), &options).expect("separated").0;
            (separator.models.into_iter().next().expect("one"), stems[0].1.clone())
        };
        let ((a, from_a), (b, from_b)) = (alone(a), alone(b));
        let both = StemSeparator::new(vec![a, b]).expect("equal rates");
        assert_eq!(both.stems(), ["vocals", "drums"]);
        let stems = both.process(&noise(8000, 2, 3000).view(), &StemsOptions::default());
        let (stems, _) = stems.expect("separated");
        let pairs = from_a.as_planar().iter().zip(from_b.as_planar());
        for (found, (a, b)) in stems[0].1.as_planar().iter().zip(pairs) {
            assert!((found - (a + b) / 2.0).abs() < 1e-6);
        }
        let missing = StemsOptions { stems: vec!["bass".into()], ..Default::default() };
        let error = both.start(&missing).err().expect("not there");
        assert!(error.to_string().contains("vocals, drums"));
    }

    #[test]
    fn s9_nothing_is_an_error_and_silence_is_silence() {
        let separator = StemSeparator::new(vec![model(true, &["vocals"])]).expect("one");
        let options = StemsOptions::default();
        let separate = |frames| {
            separator.process(&AudioBuf::silence(AudioSpec::mono(8000), frames).view(), &options)
        };
        assert!(matches!(separate(0), Err(Error::Audio(formant_audio_core::Error::Empty))));
        for (_, stem) in separate(4000).expect("separated").0 {
            assert!(stem.as_planar().iter().all(|&x| x == 0.0));
        }
    }
}
