//! Spectrograms of any length to waveforms, in memory that does not grow with them.
//!
//! The signal is cut into cores of a fixed length. Each call of the network works on the cores one
//! after the other, a core behind the call before it, and sees the cores beside its own: what lies
//! further away it does not depend on, so that there are no seams. The conditioning encoder depends
//! on all frames by the norms of its channels alone. Where they are not known beforehand, they are
//! measured over the first frames, all of a signal that is not longer, and hold for the rest.

use std::collections::VecDeque;
use std::ops::Range;

use tch::{Device, Kind, Tensor};

use super::{VocodeOptions, Vocoder, noise};
use crate::arch::periodwave::{Base, Call, CondNorms, FreeU, Latents, STEP, Stretch};
use crate::compute::compute;
use crate::error::{Error, Result};

/// Seconds of a core, about.
const CORE_SECONDS: f64 = 6.0;
/// Frames beyond those that the encoder sees, for the steps around the mid frames of a core.
const MORE_FRAMES: usize = 8;

/// One spectrogram on its way to a waveform: rows in, samples out.
pub(super) struct Flow {
    vocoder: Vocoder,
    calls: Vec<Call>,
    free_u: FreeU,
    temperature: f64,
    seed: u64,
    threads: usize,
    /// Frames over which norms are measured.
    measured: usize,
    /// Samples of a core, a multiple of the network's grid.
    core: usize,
    /// Rows from frame `first` on, `[frames, bands]`.
    rows: Vec<f32>,
    first: usize,
    /// Frames of the whole signal, once they are known.
    frames: Option<usize>,
    norms: Option<CondNorms>,
    /// Steps of the conditioning of the whole signal, where norms are measured over all of it.
    steps: Option<Tensor>,
    /// What the paths add, core by core, a row of tensors each.
    latents: Vec<Cores>,
    /// The states that the calls see, and the result.
    states: Vec<Cores>,
    /// Cores that came out.
    given: usize,
}

/// Tensors of consecutive cores.
struct Cores {
    /// The axis of the time.
    axis: i64,
    first: usize,
    items: VecDeque<Tensor>,
}

impl Cores {
    fn along(axis: i64) -> Self {
        Self { axis, first: 0, items: VecDeque::new() }
    }

    /// Cores so far, those forgotten included.
    fn done(&self) -> usize {
        self.first + self.items.len()
    }

    fn get(&self, core: usize) -> &Tensor {
        &self.items[core - self.first]
    }

    /// A core with its neighbors, and the index of the first.
    fn around(&self, core: usize) -> (Tensor, usize) {
        let from = core.saturating_sub(1);
        let to = (core + 2).min(self.done());
        let parts: Vec<&Tensor> = (from..to).map(|core| self.get(core)).collect();
        (Tensor::cat(&parts, self.axis), from)
    }

    fn forget_before(&mut self, core: usize) {
        while self.first < core && !self.items.is_empty() {
            self.items.pop_front();
            self.first += 1;
        }
    }
}

impl Flow {
    /// Of a spectrogram whose norms may be known, so that nothing waits for them.
    pub(super) fn new(
        vocoder: &Vocoder,
        options: &VocodeOptions,
        norms: Option<CondNorms>,
    ) -> Result<Self> {
        Self::of_cores(vocoder, options, norms, CORE_SECONDS)
    }

    pub(super) fn of_cores(
        vocoder: &Vocoder,
        options: &VocodeOptions,
        norms: Option<CondNorms>,
        seconds: f64,
    ) -> Result<Self> {
        let sampling = options.sampling(&vocoder.card)?;
        let threads = if vocoder.device == Device::Cpu { options.threads.max(1) } else { 1 };
        let mut vocoder = vocoder.clone();
        vocoder.network.set_threads(threads);
        let network = &vocoder.network;
        let config = network.config();
        let (grid, rate) = (config.grid() as usize, f64::from(vocoder.sample_rate()));
        // A call sees no further than the neighbors of its core.
        let least = (seconds * rate) as usize;
        let core = least.max(network.sample_halo() as usize).next_multiple_of(grid);
        let hop = config.hop() as f64;
        let measured = (options.measured_seconds * rate / hop).ceil() as usize;
        Ok(Self {
            calls: sampling.calls(),
            free_u: sampling.free_u,
            temperature: sampling.temperature,
            seed: options.seed,
            threads,
            measured: measured.max(config.minimum_frames() as usize),
            core,
            rows: Vec::new(),
            first: 0,
            frames: None,
            norms,
            steps: None,
            latents: config.periods.iter().map(|_| Cores::along(1)).collect(),
            states: (0..=sampling.calls().len()).map(|_| Cores::along(2)).collect(),
            given: 0,
            vocoder,
        })
    }

    /// The norms over all of `rows`; none where a flow sees these as a whole by itself.
    ///
    /// # Errors
    /// As [`Flow::new`]; what libtorch says.
    pub(super) fn norms_of(
        vocoder: &Vocoder,
        options: &VocodeOptions,
        rows: &[f32],
    ) -> Result<Option<CondNorms>> {
        let mut flow = Self::new(vocoder, options, None)?;
        let frames = rows.len() / flow.bands();
        if frames <= flow.measured {
            return Ok(None);
        }
        flow.take(rows)?;
        let shape = [1, flow.bands() as i64, frames as i64];
        compute("the vocoder's conditioning", &shape, || {
            let inputs =
                |range: Range<i64>| flow.inputs(range.start as usize, range.end as usize).0;
            Some(flow.vocoder.network.norms_in_parts(frames as i64, inputs))
        })
    }

    /// Takes frames, one after the other in `rows`, and returns the samples that are settled with
    /// them.
    ///
    /// # Errors
    /// [`Error::Config`] when they are no whole frames; what libtorch says.
    pub(super) fn push(&mut self, rows: &[f32]) -> Result<Vec<f32>> {
        self.take(rows)?;
        self.advance()
    }

    fn take(&mut self, rows: &[f32]) -> Result<()> {
        let bands = self.bands();
        if !rows.len().is_multiple_of(bands) {
            let reason = format!("{} values are no frames of {bands}", rows.len());
            return Err(Error::config("spectrogram", reason));
        }
        self.rows.extend(rows.iter().map(|x| if x.is_finite() { *x } else { 0.0 }));
        Ok(())
    }

    /// Ends the spectrogram: the rest of the samples, so that there is a hop of them for each frame.
    ///
    /// # Errors
    /// What libtorch says.
    pub(super) fn finish(mut self) -> Result<Vec<f32>> {
        let bands = self.bands();
        let frames = self.first + self.rows.len() / bands;
        if frames == 0 {
            return Ok(Vec::new());
        }
        // The last frame stays for as many as the network needs.
        let needed = frames.max(self.vocoder.network.config().minimum_frames() as usize);
        let last = self.rows[self.rows.len() - bands..].to_vec();
        (frames..needed).for_each(|_| self.rows.extend(&last));
        self.frames = Some(needed);
        let given = self.given * self.core;
        let mut rest = self.advance()?;
        rest.truncate(frames * self.hop() - given);
        Ok(rest)
    }

    fn bands(&self) -> usize {
        self.vocoder.network.config().n_mel_channels as usize
    }

    fn hop(&self) -> usize {
        self.vocoder.network.config().hop() as usize
    }

    /// Samples of the signal, once they are known.
    fn end(&self) -> Option<usize> {
        self.frames.map(|frames| frames * self.hop())
    }

    /// Cores of the signal, once they are known.
    fn cores(&self) -> usize {
        self.end().map_or(usize::MAX, |end| end.div_ceil(self.core))
    }

    /// All work that can be done with the frames so far.
    fn advance(&mut self) -> Result<Vec<f32>> {
        let known = self.first + self.rows.len() / self.bands();
        if self.norms.is_none() {
            if self.frames.is_none() && known < self.measured {
                return Ok(Vec::new());
            }
            let frames = known.min(self.measured);
            let (steps, norms) = self.measure(frames)?;
            self.norms = Some(norms);
            self.steps = self.frames.filter(|all| *all == frames).map(|_| steps);
        }
        let mut out = Vec::new();
        loop {
            let mut is_idle = true;
            let next = self.states[0].done();
            if next < self.cores() && (self.frames.is_some() || known >= self.seen(next).1) {
                self.condition(next, known)?;
                is_idle = false;
            }
            for call in 0..self.calls.len() {
                let (next, ready) = (self.states[call + 1].done(), self.states[call].done());
                // The neighbor behind has to be there.
                if next < ready && (next + 1 < ready || ready == self.cores()) {
                    self.call(call, next)?;
                    is_idle = false;
                }
            }
            if is_idle {
                break;
            }
            let result = self.states.last_mut().expect("the result is one of them");
            for core in std::mem::take(&mut result.items) {
                result.first += 1;
                self.given += 1;
                let samples = core.to_device(Device::Cpu).contiguous().view([-1]);
                let samples = Vec::<f32>::try_from(samples)?;
                out.extend(samples.into_iter().map(|x| if x.is_finite() { x } else { 0.0 }));
            }
            self.forget();
        }
        Ok(out)
    }

    /// Drops what no call needs any more.
    fn forget(&mut self) {
        let done: Vec<usize> = self.states.iter().map(Cores::done).collect();
        for (index, state) in self.states.iter_mut().enumerate() {
            // A later call may add to what this one saw.
            let user = (index + 2).min(done.len() - 1);
            state.forget_before(done[user].saturating_sub(1));
        }
        let last = done.last().copied().unwrap_or(0);
        self.latents.iter_mut().for_each(|latents| latents.forget_before(last.saturating_sub(1)));
        let (needed, bands) =
            (self.seen(done[0]).0.min(self.first + self.rows.len()), self.bands());
        if needed > self.first {
            let rows = (needed - self.first) * bands;
            self.rows.drain(..rows.min(self.rows.len()));
            self.first = needed;
        }
    }

    /// The frames that the conditioning of a core sees, where the signal has them.
    fn seen(&self, core: usize) -> (usize, usize) {
        let around = self.vocoder.network.frame_halo() as usize + MORE_FRAMES;
        let (from, to) = (core * self.core / self.hop(), (core + 1) * self.core / self.hop());
        (from.saturating_sub(around), to + around)
    }

    /// Frames `from..to` as the card's prior makes them: inputs of the encoder, and deviations.
    fn inputs(&self, from: usize, to: usize) -> (Tensor, Tensor) {
        let bands = self.bands();
        let rows = &self.rows[(from - self.first) * bands..(to - self.first) * bands];
        let frames = Tensor::from_slice(rows)
            .view([1, (to - from) as i64, bands as i64])
            .to_device(self.vocoder.device)
            .transpose(1, 2)
            .contiguous();
        self.vocoder.card.prior(&frames)
    }

    fn measure(&self, frames: usize) -> Result<(Tensor, CondNorms)> {
        let shape = [1, self.bands() as i64, frames as i64];
        compute("the vocoder's conditioning", &shape, || {
            self.vocoder.network.measure(&self.inputs(0, frames).0)
        })
    }

    /// What the paths add in a core, and its noise.
    fn condition(&mut self, core: usize, known: usize) -> Result<()> {
        let known = self.frames.unwrap_or(known);
        let (hop, (from, to)) = (self.hop(), self.seen(core));
        let to = to.min(known);
        let (start, stop) = (core * self.core, (core + 1) * self.core);
        let stop = self.end().map_or(stop, |end| stop.min(end));
        let network = &self.vocoder.network;
        let norms = self.norms.as_ref().expect("measured before");
        let shape = [1, self.bands() as i64, (to - from) as i64];
        let (latents, z) = compute("the vocoder's conditioning", &shape, || {
            let (inputs, deviations) = self.inputs(from, to);
            let config = network.config();
            let rate = config.steps_a_frame();
            let (steps, at) = match &self.steps {
                Some(steps) => (steps.shallow_clone(), 0),
                None => (network.steps(&inputs, norms), from as i64 * rate),
            };
            // A signal that goes on has more steps than any core sees.
            let end = self.frames.map_or(i64::MAX / 2, |frames| frames as i64 * rate);
            let latents: Vec<Tensor> = (0..config.periods.len())
                .map(|path| {
                    let unit = (STEP * config.periods[path]) as usize;
                    let range = (start / unit) as i64..stop.div_ceil(unit) as i64;
                    network.latents(path, &steps, at, range, end).values
                })
                .collect();
            let mut noise = vec![0.0; stop - start];
            noise::fill(self.seed, start as u64, &mut noise);
            let (first, frames) = (start / hop - from, (stop - start) / hop);
            let scale = self.vocoder.card.noise_scale * self.temperature;
            let deviations = deviations.narrow(2, first as i64, frames as i64) * scale;
            let z = Tensor::from_slice(&noise).view([1, frames as i64, hop as i64]);
            let z = z.to_device(self.vocoder.device) * deviations.transpose(1, 2);
            (latents, z.view([1, 1, -1]))
        })?;
        self.states[0].items.push_back(z);
        self.latents.iter_mut().zip(latents).for_each(|(cores, one)| cores.items.push_back(one));
        Ok(())
    }

    /// A call of the network on a core.
    fn call(&mut self, index: usize, core: usize) -> Result<()> {
        let Call { time, scale, base } = self.calls[index];
        let seen = &self.states[index];
        let (x, from) = seen.around(core);
        let network = &self.vocoder.network;
        let config = network.config();
        let latents = self.latents.iter().zip(&config.periods).map(|(cores, period)| {
            let (values, from) = cores.around(core);
            Latents { values, at: (from * self.core) as i64 / (STEP * period) }
        });
        let latents: Vec<Latents> = latents.collect();
        let start = core * self.core;
        let stop = start + seen.get(core).size()[2] as usize;
        let stretch = Stretch {
            x: &x,
            at: (from * self.core) as i64,
            latents: &latents,
            core: start as i64..stop as i64,
            end: self.end().map_or(i64::MAX / 2, |end| end as i64),
        };
        let next = compute("the vocoder", &x.size(), || {
            let times = Tensor::full([1], f64::from(time), (Kind::Float, x.device()));
            let change = network.velocity_on(&stretch, &times, self.free_u, self.threads);
            let change = change * f64::from(scale);
            let base = match base {
                Base::Seen => seen.get(core),
                Base::Before => self.states[index - 1].get(core),
            };
            base + change
        })?;
        self.states[index + 1].items.push_back(next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::periodwave::{
        PeriodWave, PeriodWaveCard, PeriodWaveConfig, Sampling, Solver, Variant,
    };
    use crate::model::Model;
    use crate::network::NoTrace;

    /// A small network in which norms matter.
    fn vocoder(variant: Variant) -> Vocoder {
        let config = PeriodWaveConfig { variant, n_mel_channels: 80, ..PeriodWaveConfig::tiny() };
        let card = PeriodWaveCard::published(config).expect("a card");
        tch::manual_seed(11);
        let model = Model::<PeriodWave>::random(card, Device::Cpu).expect("sound sizes");
        tch::no_grad(|| {
            for (name, mut weight) in model.weights() {
                if name.contains(".grn.") {
                    let _ = weight.normal_(0.5, 0.5);
                }
            }
        });
        Vocoder::of(model)
    }

    /// Rows that change over time as speech does.
    fn rows(frames: usize) -> Vec<f32> {
        let value = |n: usize| {
            let (frame, band) = (n / 80, n % 80);
            let syllable = (frame as f32 * 0.13).sin().max(-0.5) * 4.0;
            syllable - 5.0 - band as f32 * 0.03 + (n * 7919 % 1009) as f32 / 1009.0
        };
        (0..frames * 80).map(value).collect()
    }

    fn whole(vocoder: &Vocoder, rows: &[f32], sampling: &Sampling, seed: u64) -> Vec<f32> {
        let _guard = tch::no_grad_guard();
        let (frames, hop) = (rows.len() as i64 / 80, vocoder.network.config().hop());
        let mel = Tensor::from_slice(rows).view([1, frames, 80]).transpose(1, 2);
        let (inputs, deviations) = vocoder.card.prior(&mel);
        let mut draws = vec![0.0; (frames * hop) as usize];
        noise::fill(seed, 0, &mut draws);
        let std = deviations.repeat_interleave_self_int(hop, 2, None);
        let z = Tensor::from_slice(&draws).view([1, 1, -1])
            * std
            * (vocoder.card.noise_scale * sampling.temperature);
        let latents = vocoder.network.condition(&inputs, &mut NoTrace);
        let out = vocoder.network.sample(&z, &latents, sampling).reshape([-1]);
        Vec::try_from(out).expect("samples")
    }

    fn streamed(vocoder: &Vocoder, rows: &[f32], options: &VocodeOptions, step: usize) -> Vec<f32> {
        streamed_with(None, vocoder, rows, options, step)
    }

    fn streamed_with(
        norms: Option<CondNorms>,
        vocoder: &Vocoder,
        rows: &[f32],
        options: &VocodeOptions,
        step: usize,
    ) -> Vec<f32> {
        let mut stream = Flow::of_cores(vocoder, options, norms, 1.0).expect("sound options");
        let mut out = Vec::new();
        for rows in rows.chunks(step * 80) {
            out.extend(stream.push(rows).expect("runs"));
        }
        out.extend(stream.finish().expect("runs"));
        out
    }

    fn decibels(found: &[f32], wanted: &[f32]) -> f64 {
        let energy = |x: f32| f64::from(x) * f64::from(x);
        let change: f64 = found.iter().zip(wanted).map(|(a, b)| energy(a - b)).sum();
        let all: f64 = wanted.iter().map(|x| energy(*x)).sum();
        10.0 * (change / all).max(1e-30).log10()
    }

    /// Every layout and solver, at lengths around those of cores; and blocks change no byte.
    #[test]
    fn s10_chunks_equal_the_whole_and_blocks_change_nothing() {
        for (variant, solver, steps) in [
            (Variant::Base, Solver::Euler, 2),
            (Variant::Large, Solver::Midpoint, 1),
            (Variant::Codec, Solver::Euler, 1),
        ] {
            let vocoder = vocoder(variant);
            let options = VocodeOptions {
                steps: Some(steps),
                solver: Some(solver),
                temperature: Some(0.7),
                seed: 5,
                ..VocodeOptions::default()
            };
            let sampling = options.sampling(&vocoder.card).expect("sound");
            let stream = Flow::of_cores(&vocoder, &options, None, 1.0).expect("sound");
            let (core, hop) = (stream.core, vocoder.network.config().hop() as usize);
            let all = [1, 2, core / hop, core / hop + 1, 3 * core / hop + 17];
            let lengths = if variant == Variant::Base { &all[..] } else { &all[3..] };
            for &frames in lengths {
                let rows = rows(frames);
                let found = streamed(&vocoder, &rows, &options, 7000);
                assert_eq!(found.len(), frames * hop);
                if frames > 1 {
                    let wanted = whole(&vocoder, &rows, &sampling, 5);
                    let level = decibels(&found, &wanted);
                    assert!(level < -90.0, "{variant:?}, {frames} frames: {level:.1} dB");
                }
                if frames > 3 * core / hop {
                    let again = streamed(&vocoder, &rows, &options, 113);
                    assert!(found == again, "{variant:?}: blocks of another length");
                    let other = VocodeOptions { seed: 6, ..options };
                    assert!(found != streamed(&vocoder, &rows, &other, 7000));
                }
            }
        }
    }

    /// Norms of the first seconds hold for the rest: the result is that of a whole with such norms
    /// up to what the norms of all frames would change, and nothing jumps where cores end.
    #[test]
    fn s10_norms_of_the_beginning_hold() {
        let vocoder = vocoder(Variant::Base);
        let options = VocodeOptions { measured_seconds: 3.0, ..VocodeOptions::default() };
        let rows = rows(900);
        let found = streamed(&vocoder, &rows, &options, 100);
        let wanted = whole(&vocoder, &rows, &Sampling::default(), 0);
        assert_eq!(found.len(), wanted.len());
        let level = decibels(&found, &wanted);
        assert!(level < -40.0, "{level:.1} dB");
    }

    /// Norms that were measured over all frames beforehand, in parts: chunks equal the whole.
    #[test]
    fn s10_norms_of_all_frames_make_chunks_equal_the_whole() {
        let options = VocodeOptions { measured_seconds: 3.0, ..VocodeOptions::default() };
        for variant in [Variant::Base, Variant::Codec] {
            let vocoder = vocoder(variant);
            // Longer than a part, and with another sound at the end.
            let mut rows = rows(2500);
            rows[2000 * 80..].iter_mut().for_each(|x| *x *= 0.6);
            let wanted = whole(&vocoder, &rows, &Sampling::default(), 0);
            let norms = Flow::norms_of(&vocoder, &options, &rows).expect("runs");
            assert!(norms.is_some());
            let found = streamed_with(norms, &vocoder, &rows, &options, 777);
            let level = decibels(&found, &wanted);
            assert!(level < -90.0, "{variant:?}: {level:.1} dB");
            let beginning = decibels(&streamed(&vocoder, &rows, &options, 777), &wanted);
            assert!(beginning > level + 20.0, "{variant:?}: {beginning:.1} dB by the beginning");
            let short = Flow::norms_of(&vocoder, &options, &rows[..80 * 200]).expect("runs");
            assert!(short.is_none());
        }
    }

    #[test]
    fn s9_values_that_are_no_numbers_do_no_harm() {
        let vocoder = vocoder(Variant::Base);
        let mut rows = rows(9);
        rows[80] = f32::NAN;
        rows[300] = f32::INFINITY;
        rows[500] = 3e38;
        let out = vocoder.process_mel(&rows, &VocodeOptions::default()).expect("runs");
        assert!(out.len() == 9 * 256 && out.iter().all(|x| x.is_finite()));
        assert!(vocoder.process_mel(&rows[..81], &VocodeOptions::default()).is_err());
        assert_eq!(
            vocoder.process_mel(&[], &VocodeOptions::default()).expect("runs"),
            Vec::<f32>::new()
        );
    }
}
