//! A mix on its way through a separator: blocks in, the stems that are known out.

use std::collections::VecDeque;

use formant_audio_core::resample::StreamResampler;
use formant_audio_core::{AudioBuf, AudioSpec, AudioView};
use tch::Tensor;

use super::demix::Demixer;
use super::model::{Augment, StemsModel};
use super::separator::{Origin, StemSeparator, StemsOptions};
use crate::arch::mel_roformer::DemixConfig;
use crate::error::Result;
use crate::tasks::intake::{Guard, Pace, resampler};
use crate::tasks::task::{Heard, TaskSession};

/// Stems of a stretch of the mix.
#[derive(Debug, Clone, PartialEq)]
pub struct StemsBlock {
    /// The mix.
    pub mix: AudioBuf,
    /// The stems wanted, in their order, each as long as the mix.
    pub stems: Vec<AudioBuf>,
}

/// A mix on its way through a [`StemSeparator`].
pub struct StemsSession {
    work: Work,
    guard: Guard,
    stream: Option<Stream>,
}

/// What is to be done with any mix.
struct Work {
    separator: StemSeparator,
    names: Vec<String>,
    origins: Vec<Origin>,
    demix: DemixConfig,
    shifts: usize,
    augment: Augment,
}

impl StemsSession {
    pub(super) fn new(separator: &StemSeparator, options: &StemsOptions) -> Result<Self> {
        let names = separator.wanted(options).to_vec();
        let origins = names.iter().map(|name| separator.origin(name)).collect::<Result<_>>()?;
        let demix = options.demix.unwrap_or(separator.models[0].card().demix);
        // Refuses cuts that are impossible before there is a mix.
        Demixer::new(demix, 1)?;
        let (shifts, augment) = (options.shifts.max(1), options.augment);
        let separator = separator.clone();
        let work = Work { separator, names, origins, demix, shifts, augment };
        Ok(Self { work, guard: Guard::default(), stream: None })
    }

    /// Names of the stems that come out.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.work.names
    }
}

impl TaskSession for StemsSession {
    /// The stems that are known, if any.
    type Part = Option<StemsBlock>;
    type Report = Heard;

    fn push(&mut self, block: &AudioView<'_>) -> Result<Option<StemsBlock>> {
        let block = self.guard.take(block)?;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            empty => empty.insert(Stream::new(&self.work, block.spec())?),
        };
        stream.push(&self.work, block)
    }

    fn heard(&self) -> Heard {
        self.guard.heard()
    }

    fn finish(mut self) -> Result<(Option<StemsBlock>, Heard)> {
        self.guard.end()?;
        let last = match &mut self.stream {
            Some(stream) => stream.finish(&self.work)?,
            None => None,
        };
        Ok((last, self.heard()))
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

/// What hangs on the rate and the channels of a mix.
struct Stream {
    lanes: Vec<Vec<usize>>,
    runs: Vec<Run>,
    spec: AudioSpec,
    /// Spec at the models' rate.
    inside: AudioSpec,
    forth: StreamResampler,
    back: Vec<StreamResampler>,
    /// The mix that no stems were returned for, in blocks, and its frames.
    dry: VecDeque<AudioBuf>,
    due: usize,
    /// Stems of the models that wait for the mix, or for each other.
    wet: Vec<AudioBuf>,
}

impl Stream {
    fn new(work: &Work, spec: AudioSpec) -> Result<Self> {
        let models = &work.separator.models;
        let card = models[0].card();
        let lanes = lanes(spec.channels(), card.config.stereo);
        let mut runs = Vec::new();
        for (model, lane, shift) in (0..models.len()).flat_map(|m| {
            (0..lanes.len()).flat_map(move |l| (0..work.shifts).map(move |s| (m, l, s)))
        }) {
            let channels = models[model].card().config.channels() as usize;
            let lead = shift * work.demix.step() / work.shifts;
            let demixer = Some(Demixer::new(work.demix, channels)?);
            let mut run = Run { model, lane, demixer, skip: lead, ready: None };
            if lead > 0 {
                let silence = [channels as i64, lead as i64];
                let silence = Tensor::zeros(silence, tch::kind::FLOAT_CPU);
                run.push(&silence, &models[model], work.augment)?;
            }
            runs.push(run);
        }
        let rate = card.sample_rate();
        let inside = AudioSpec { rate, ..spec };
        let back = || resampler(inside, spec.rate, Pace::Throughput);
        Ok(Self {
            lanes,
            runs,
            spec,
            inside,
            forth: resampler(spec, rate, Pace::Throughput)?,
            back: work.names.iter().map(|_| back()).collect::<Result<_>>()?,
            dry: VecDeque::from([AudioBuf::silence(spec, 0)]),
            due: 0,
            wet: work.names.iter().map(|_| AudioBuf::silence(spec, 0)).collect(),
        })
    }

    fn push(&mut self, work: &Work, block: AudioBuf) -> Result<Option<StemsBlock>> {
        self.due += block.frames();
        let resampled = self.forth.push(&block.view())?;
        self.feed(work, &resampled)?;
        self.dry.push_back(block);
        self.collect(work, false)
    }

    fn finish(&mut self, work: &Work) -> Result<Option<StemsBlock>> {
        let rest = self.forth.finish()?;
        self.feed(work, &rest)?;
        for run in &mut self.runs {
            run.finish(&work.separator.models[run.model], work.augment)?;
        }
        self.collect(work, true)
    }

    fn feed(&mut self, work: &Work, mix: &AudioBuf) -> Result<()> {
        if mix.is_empty() {
            return Ok(());
        }
        for run in &mut self.runs {
            let model = &work.separator.models[run.model];
            let lane = &self.lanes[run.lane];
            let rows: Vec<Tensor> = (0..model.card().config.channels() as usize)
                .map(|i| Tensor::from_slice(mix.channel(lane[i.min(lane.len() - 1)])))
                .collect();
            run.push(&Tensor::stack(&rows, 0), model, work.augment)?;
        }
        Ok(())
    }

    /// What all runs have ready.
    fn collect(&mut self, work: &Work, last: bool) -> Result<Option<StemsBlock>> {
        let frames = self.runs.iter().map(Run::available).min().unwrap_or(0);
        if frames > 0 {
            self.mean(work, frames)?;
        }
        if last {
            for (wet, back) in self.wet.iter_mut().zip(&mut self.back) {
                wet.append(&back.finish()?.view())?;
            }
        }
        let known = self.wet.iter().zip(&work.origins).filter(|(_, o)| **o != Origin::Residual);
        let known = known.map(|(wet, _)| wet.frames()).min();
        // With nothing but the residual wanted its stem is still computed.
        let frames = known.unwrap_or_else(|| self.wet[0].frames()).min(self.due);
        Ok(if frames > 0 { Some(self.block(work, frames)?) } else { None })
    }

    /// Averages over models, back at the input's rate and channels.
    fn mean(&mut self, work: &Work, frames: i64) -> Result<()> {
        let mut planes: Vec<Vec<f32>> = vec![Vec::new(); work.names.len()];
        for lane in 0..self.lanes.len() {
            let runs: Vec<&Run> = self.runs.iter().filter(|run| run.lane == lane).collect();
            for (origin, plane) in work.origins.iter().zip(&mut planes) {
                // What is left is computed from the stem that is taken away.
                let own: Vec<(usize, i64)> = match origin {
                    Origin::Models(found) => found.clone(),
                    Origin::Residual => (0..work.separator.models.len()).map(|m| (m, 0)).collect(),
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
            wet.append(&back.push(&stem.view())?.view())?;
        }
        Ok(())
    }

    /// The next `frames` frames of the mix and of all stems.
    fn block(&mut self, work: &Work, frames: usize) -> Result<StemsBlock> {
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
        for (wet, origin) in self.wet.iter_mut().zip(&work.origins) {
            let mut stem = wet.view().slice(0..frames).to_owned();
            *wet = wet.view().slice(frames..wet.frames()).to_owned();
            if *origin == Origin::Residual {
                // Taken away at the input's own rate, so that the stems add up to the mix.
                let pairs = stem.as_planar_mut().iter_mut().zip(mix.as_planar());
                pairs.for_each(|(stem, mix)| *stem = mix - *stem);
            }
            stems.push(stem);
        }
        self.due -= frames;
        Ok(StemsBlock { mix, stems })
    }
}
