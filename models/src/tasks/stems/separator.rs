//! The separator: one model or several that are averaged, audio of any rate and channel count in,
//! stems of the same rate, channels and length out, on a stream.

use std::collections::VecDeque;

use formant_audio_core::resample::{Quality, StreamResampler};
use formant_audio_core::{AudioBuf, AudioSpec, AudioView};
use tch::Tensor;

use super::demix::Demixer;
use super::model::{Augment, StemsModel};
use crate::arch::mel_roformer::DemixConfig;
use crate::error::{Error, Result};
use crate::source::{LoadOptions, ModelSource};

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
/// use formant_models::tasks::stems::{StemSeparator, StemsOptions};
/// use formant_audio_core::decode::{DecodeOptions, decode_file};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let separator = StemSeparator::load(
///     &[ModelSource::Path("MelBandRoformer.ckpt".into())],
///     &Default::default(),
/// )?;
/// let song = decode_file("song.flac".as_ref(), &DecodeOptions::default())?;
/// let options = StemsOptions::default();
/// for (name, stem) in separator.separate(&song.audio.view(), &options)? {
///     println!("{name}: {} frames", stem.frames());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct StemSeparator {
    models: Vec<StemsModel>,
    stems: Vec<String>,
}

/// Stems of a stretch of the mix.
#[derive(Debug, Clone, PartialEq)]
pub struct StemsBlock {
    /// The mix.
    pub mix: AudioBuf,
    /// The stems wanted, in their order, each as long as the mix.
    pub stems: Vec<AudioBuf>,
}

/// Where a stem comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
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
    pub fn load(sources: &[ModelSource], options: &LoadOptions) -> Result<Self> {
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

    /// Separates a whole mix; for long ones use [`StemSeparator::start`].
    ///
    /// # Errors
    /// As [`StemSeparator::start`] and [`StemsSession::push`].
    pub fn separate(
        &self,
        mix: &AudioView<'_>,
        options: &StemsOptions,
    ) -> Result<Vec<(String, AudioBuf)>> {
        let mut session = self.start(mix.spec(), options)?;
        let names = session.names.clone();
        let mut stems: Vec<AudioBuf> =
            names.iter().map(|_| AudioBuf::silence(mix.spec(), 0)).collect();
        let blocks = session.push(mix)?.into_iter().chain(session.finish()?);
        for block in blocks {
            for (whole, part) in stems.iter_mut().zip(&block.stems) {
                whole.append(&part.view())?;
            }
        }
        Ok(names.into_iter().zip(stems).collect())
    }

    /// A session for a mix that arrives in blocks.
    ///
    /// # Errors
    /// [`Error::Config`] for a stem that there is not, or an impossible cut.
    pub fn start(&self, spec: AudioSpec, options: &StemsOptions) -> Result<StemsSession<'_>> {
        let names = if options.stems.is_empty() { &self.stems } else { &options.stems };
        let origins = names.iter().map(|name| self.origin(name)).collect::<Result<Vec<_>>>()?;
        let card = self.models[0].card();
        let demix = options.demix.unwrap_or(card.demix);
        let shifts = options.shifts.max(1);
        let lanes = lanes(spec.channels(), card.config.stereo);
        let mut runs = Vec::new();
        for (model, lane, shift) in (0..self.models.len())
            .flat_map(|m| (0..lanes.len()).flat_map(move |l| (0..shifts).map(move |s| (m, l, s))))
        {
            let channels = self.models[model].card().config.channels() as usize;
            let lead = shift * demix.step() / shifts;
            let mut run = Run {
                model,
                lane,
                demixer: Some(Demixer::new(demix, channels)?),
                skip: lead,
                ready: None,
            };
            if lead > 0 {
                let silence = [channels as i64, lead as i64];
                let silence = Tensor::zeros(silence, tch::kind::FLOAT_CPU);
                run.push(&silence, &self.models[model], options.augment)?;
            }
            runs.push(run);
        }
        let rate = card.sample_rate();
        let resampler = |from: AudioSpec, to: u32| -> Result<Option<StreamResampler>> {
            let needed = from.rate != to;
            Ok(needed.then(|| StreamResampler::new(from, to, Quality::High)).transpose()?)
        };
        let inside = AudioSpec { rate, ..spec };
        Ok(StemsSession {
            separator: self,
            names: names.clone(),
            back: origins.iter().map(|_| resampler(inside, spec.rate)).collect::<Result<_>>()?,
            forth: resampler(spec, rate)?,
            origins,
            augment: options.augment,
            lanes,
            runs,
            spec,
            inside,
            dry: VecDeque::from([AudioBuf::silence(spec, 0)]),
            wet: names.iter().map(|_| AudioBuf::silence(spec, 0)).collect(),
            received: 0,
            returned: 0,
        })
    }

    fn origin(&self, name: &str) -> Result<Origin> {
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

/// Which channels of the input go into the network together. A stereo network takes pairs, and a
/// channel that is left over twice; a mono network takes each on its own.
fn lanes(channels: usize, stereo: bool) -> Vec<Vec<usize>> {
    let width = if stereo { 2 } else { 1 };
    let all: Vec<usize> = (0..channels).collect();
    all.chunks(width).map(<[usize]>::to_vec).collect()
}

/// One model on one lane with one shift.
#[derive(Debug)]
struct Run {
    model: usize,
    lane: usize,
    demixer: Option<Demixer>,
    /// Frames still to be thrown away: those of the shift.
    skip: usize,
    /// `[stems, channels, frames]`
    ready: Option<Tensor>,
}

impl Run {
    fn push(&mut self, mix: &Tensor, model: &StemsModel, augment: Augment) -> Result<()> {
        let Some(demixer) = &mut self.demixer else { return Ok(()) };
        let stems = demixer.push(mix, &mut |chunks| model.separate(chunks, augment))?;
        self.take(stems);
        Ok(())
    }

    fn finish(&mut self, model: &StemsModel, augment: Augment) -> Result<()> {
        let Some(demixer) = self.demixer.take() else { return Ok(()) };
        let stems = demixer.finish(&mut |chunks| model.separate(chunks, augment))?;
        self.take(stems);
        Ok(())
    }

    fn take(&mut self, stems: Option<Tensor>) {
        let Some(stems) = stems else { return };
        let frames = stems.size()[2];
        let skip = (self.skip as i64).min(frames);
        self.skip -= skip as usize;
        let stems = stems.narrow(2, skip, frames - skip);
        self.ready = Some(match self.ready.take() {
            Some(ready) => Tensor::cat(&[ready, stems], 2),
            None => stems,
        });
    }

    fn available(&self) -> i64 {
        self.ready.as_ref().map_or(0, |ready| ready.size()[2])
    }
}

/// A mix on its way through a [`StemSeparator`].
pub struct StemsSession<'a> {
    separator: &'a StemSeparator,
    names: Vec<String>,
    origins: Vec<Origin>,
    augment: Augment,
    lanes: Vec<Vec<usize>>,
    runs: Vec<Run>,
    spec: AudioSpec,
    /// Spec at the models' rate.
    inside: AudioSpec,
    forth: Option<StreamResampler>,
    back: Vec<Option<StreamResampler>>,
    /// The mix that no stems were returned for, in blocks.
    dry: VecDeque<AudioBuf>,
    /// Stems of the models that wait for the mix, or for each other.
    wet: Vec<AudioBuf>,
    received: usize,
    returned: usize,
}

impl std::fmt::Debug for StemsSession<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StemsSession")
            .field("names", &self.names)
            .field("received", &self.received)
            .field("returned", &self.returned)
            .finish_non_exhaustive()
    }
}

impl StemsSession<'_> {
    /// Names of the stems that come out.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Frames that stems were returned for.
    #[must_use]
    pub fn returned(&self) -> usize {
        self.returned
    }

    /// Takes a block of the mix and returns the stems that are known then, if any.
    ///
    /// # Errors
    /// [`Error::Audio`] for audio of another spec, [`Error::Torch`] when libtorch fails.
    pub fn push(&mut self, block: &AudioView<'_>) -> Result<Option<StemsBlock>> {
        self.received += block.frames();
        let resampled = match &mut self.forth {
            Some(forth) => forth.push(block)?,
            None => block.to_owned(),
        };
        self.dry.push_back(block.to_owned());
        self.feed(&resampled)?;
        self.collect(false)
    }

    /// Ends the mix and returns the rest.
    ///
    /// # Errors
    /// As [`StemsSession::push`], and when there was no sample at all.
    pub fn finish(mut self) -> Result<Option<StemsBlock>> {
        if self.received == 0 {
            return Err(Error::Audio(formant_audio_core::Error::Empty));
        }
        if let Some(forth) = &mut self.forth {
            let rest = forth.finish()?;
            self.feed(&rest)?;
        }
        for run in &mut self.runs {
            run.finish(&self.separator.models[run.model], self.augment)?;
        }
        self.collect(true)
    }

    fn feed(&mut self, mix: &AudioBuf) -> Result<()> {
        if mix.is_empty() {
            return Ok(());
        }
        for run in &mut self.runs {
            let model = &self.separator.models[run.model];
            let lane = &self.lanes[run.lane];
            let rows: Vec<Tensor> = (0..model.card().config.channels() as usize)
                .map(|i| Tensor::from_slice(mix.channel(lane[i.min(lane.len() - 1)])))
                .collect();
            run.push(&Tensor::stack(&rows, 0), model, self.augment)?;
        }
        Ok(())
    }

    /// What all runs have ready.
    fn collect(&mut self, last: bool) -> Result<Option<StemsBlock>> {
        let frames = self.runs.iter().map(Run::available).min().unwrap_or(0);
        if frames > 0 {
            self.mean(frames)?;
        }
        if last {
            for (wet, back) in self.wet.iter_mut().zip(&mut self.back) {
                if let Some(back) = back {
                    wet.append(&back.finish()?.view())?;
                }
            }
        }
        let known = self.wet.iter().zip(&self.origins).filter(|(_, o)| **o != Origin::Residual);
        let known = known.map(|(wet, _)| wet.frames()).min();
        // With nothing but the residual wanted its stem is still computed.
        let frames =
            known.unwrap_or_else(|| self.wet[0].frames()).min(self.received - self.returned);
        Ok(if frames > 0 { Some(self.block(frames)?) } else { None })
    }

    /// Averages over models, back at the input's rate and channels.
    fn mean(&mut self, frames: i64) -> Result<()> {
        let mut planes: Vec<Vec<f32>> = vec![Vec::new(); self.names.len()];
        for lane in 0..self.lanes.len() {
            let runs: Vec<&Run> = self.runs.iter().filter(|run| run.lane == lane).collect();
            for (origin, plane) in self.origins.iter().zip(&mut planes) {
                // What is left is computed from the stem that is taken away.
                let own: Vec<(usize, i64)> = match origin {
                    Origin::Models(found) => found.clone(),
                    Origin::Residual => (0..self.separator.models.len()).map(|m| (m, 0)).collect(),
                };
                let parts: Vec<Tensor> = runs
                    .iter()
                    .filter_map(|run| {
                        let (_, stem) = own.iter().find(|(model, _)| *model == run.model)?;
                        Some(run.ready.as_ref()?.get(*stem).narrow(1, 0, frames))
                    })
                    .collect();
                let mean = Tensor::stack(&parts, 0).mean_dim([0i64].as_slice(), false, None);
                // A channel that went in twice comes out as the mean of both.
                let mean = if self.lanes[lane].len() < mean.size()[0] as usize {
                    mean.mean_dim([0i64].as_slice(), true, None)
                } else {
                    mean
                };
                plane.extend(Vec::<f32>::try_from(mean.contiguous().view([-1]))?);
            }
        }
        for run in &mut self.runs {
            let left = run.available() - frames;
            run.ready = run.ready.take().map(|ready| ready.narrow(2, frames, left).copy());
        }
        for ((plane, back), wet) in planes.into_iter().zip(&mut self.back).zip(&mut self.wet) {
            let stem = AudioBuf::from_planar(self.inside, plane)?;
            let stem = match back {
                Some(back) => back.push(&stem.view())?,
                None => stem,
            };
            wet.append(&stem.view())?;
        }
        Ok(())
    }

    /// The next `frames` frames of the mix and of all stems.
    fn block(&mut self, frames: usize) -> Result<StemsBlock> {
        let mut mix = AudioBuf::silence(self.spec, 0);
        while let Some(first) = self.dry.pop_front() {
            let wanted = frames - mix.frames();
            if first.frames() > wanted {
                mix.append(&first.view().slice(0..wanted))?;
                let rest = first.view().slice(wanted..first.frames()).to_owned();
                self.dry.push_front(rest);
                break;
            }
            mix.append(&first.view())?;
        }
        let mut stems = Vec::with_capacity(self.wet.len());
        for (wet, origin) in self.wet.iter_mut().zip(&self.origins) {
            let mut stem = wet.view().slice(0..frames).to_owned();
            *wet = wet.view().slice(frames..wet.frames()).to_owned();
            if *origin == Origin::Residual {
                // Taken away at the input's own rate, so that the stems add up to the mix.
                let pairs = stem.as_planar_mut().iter_mut().zip(mix.as_planar());
                pairs.for_each(|(stem, mix)| *stem = mix - *stem);
            }
            stems.push(stem);
        }
        self.returned += frames;
        Ok(StemsBlock { mix, stems })
    }
}

#[cfg(test)]
mod tests {
    use formant_audio_core::ChannelLayout;
    use tch::Device;

    use super::*;
    use crate::arch::mel_roformer::MelRoformerConfig;
    use crate::tasks::stems::StemsCard;

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
                let stems = separator.separate(&mix.view(), &options).expect("separated");
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
        let whole = separator.separate(&mix.view(), &options).expect("separated");
        for step in [97, 4096] {
            let mut session = separator.start(mix.spec(), &options).expect("valid");
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
            session.finish().expect("computed").into_iter().for_each(&mut take);
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
            let stems = separator.separate(&mix.view(), &options).expect("separated");
            (separator.models.into_iter().next().expect("one"), stems[0].1.clone())
        };
        let ((a, from_a), (b, from_b)) = (alone(a), alone(b));
        let both = StemSeparator::new(vec![a, b]).expect("equal rates");
        assert_eq!(both.stems(), ["vocals", "drums"]);
        let stems = both.separate(&noise(8000, 2, 3000).view(), &StemsOptions::default());
        let stems = stems.expect("separated");
        let pairs = from_a.as_planar().iter().zip(from_b.as_planar());
        for (found, (a, b)) in stems[0].1.as_planar().iter().zip(pairs) {
            assert!((found - (a + b) / 2.0).abs() < 1e-6);
        }
        let missing = StemsOptions { stems: vec!["bass".into()], ..Default::default() };
        let error = both.start(AudioSpec::mono(8000), &missing).expect_err("not there");
        assert!(error.to_string().contains("vocals, drums"));
    }

    #[test]
    fn s9_nothing_is_an_error_and_silence_is_silence() {
        let separator = StemSeparator::new(vec![model(true, &["vocals"])]).expect("one");
        let options = StemsOptions::default();
        let separate = |frames| {
            separator.separate(&AudioBuf::silence(AudioSpec::mono(8000), frames).view(), &options)
        };
        assert!(matches!(separate(0), Err(Error::Audio(formant_audio_core::Error::Empty))));
        for (_, stem) in separate(4000).expect("separated") {
            assert!(stem.as_planar().iter().all(|&x| x == 0.0));
        }
    }
}
