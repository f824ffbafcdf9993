//! A recording on its way through its spectrogram, every channel by itself, in memory that does not
//! grow with it.

use formant_audio_core::features::{FeaturePlan, FeatureStream};
use formant_audio_core::resample::StreamResampler;
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, Warning};
use serde::Serialize;

use super::griffin_lim::GriffinLimVocoder;
use super::level::{Level, Leveler, gain, peak};
use super::one_pass::OnePassVocoder;
use super::survey::{Survey, Surveyed};
use super::synthesis::{Synthesis, Waveform};
use super::{VocodeOptions, Vocoder};
use crate::arch::periodwave::CondNorms;
use crate::error::Result;
use crate::tasks::intake::{Guard, Pace, resampler};
use crate::tasks::task::{Heard, TaskSession};

/// What was done to a recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VocodeReport {
    /// Seconds of the recording.
    pub seconds: f64,
    /// Calls of the network that each sample took; none without a network.
    pub calls: usize,
    /// What was odd about the recording.
    pub warnings: Vec<Warning>,
}

/// Blocks in, blocks of the spectrogram's rate out.
pub struct VocodeSession {
    synthesis: Synthesis,
    front_end: FeaturePlan,
    level: Level,
    calls: usize,
    /// Samples over which the level is measured; where it is not changed, none.
    measured: usize,
    survey: Survey,
    guard: Guard,
    stream: Option<Stream>,
}

/// What hangs on the rate and the channels of a recording.
struct Stream {
    forth: StreamResampler,
    voices: Vec<Voice>,
}

/// A channel.
#[derive(Default)]
struct Voice {
    /// Whether all of it is known to be silence.
    is_silent: bool,
    /// What came before the level was known.
    waiting: Vec<f32>,
    running: Option<Running>,
    /// Samples that came, and that went out.
    heard: usize,
    given: usize,
    /// Results of this channel that other channels are not ready for.
    ready: Vec<f32>,
}

struct Running {
    gain: f32,
    front_end: FeatureStream,
    waveform: Waveform,
    leveler: Leveler,
}

impl VocodeSession {
    pub(super) fn of_network(
        vocoder: &Vocoder,
        options: &VocodeOptions,
        survey: Survey,
    ) -> Result<Self> {
        let calls = options.sampling(&vocoder.card)?.calls().len();
        let synthesis = Synthesis::Network(Box::new(vocoder.clone()), *options);
        let front_end = synthesis.plan()?;
        let measured = (options.measured_seconds * f64::from(vocoder.sample_rate())) as usize;
        let (level, guard) = (options.level, Guard::default());
        Ok(Self { synthesis, front_end, level, calls, measured, survey, guard, stream: None })
    }

    pub(super) fn of_one_pass(vocoder: &OnePassVocoder) -> Self {
        let (synthesis, front_end) = (vocoder.clone(), vocoder.front_end.clone());
        Self::of_plain(Synthesis::OnePass(Box::new(synthesis)), front_end, 1)
    }

    pub(super) fn of_griffin_lim(vocoder: &GriffinLimVocoder) -> Self {
        let front_end = vocoder.front_end.clone();
        Self::of_plain(Synthesis::GriffinLim(vocoder.clone()), front_end, 0)
    }

    /// Of a method that takes recordings at their own level.
    fn of_plain(synthesis: Synthesis, front_end: FeaturePlan, calls: usize) -> Self {
        Self {
            synthesis,
            front_end,
            level: Level::Kept,
            calls,
            measured: 0,
            survey: Survey::default(),
            guard: Guard::default(),
            stream: None,
        }
    }

    /// Rate and layout of what comes out for a recording of `input`.
    #[must_use]
    pub fn output_spec(&self, input: AudioSpec) -> AudioSpec {
        AudioSpec { rate: self.front_end.sample_rate(), ..input }
    }

    /// A channel, of which a survey may know what it depends on.
    fn voice(&self, surveyed: Option<&Surveyed>) -> Result<Voice> {
        let Some(Surveyed { is_silent, gain, norms }) = surveyed else {
            return Ok(Voice::default());
        };
        let running = (!is_silent).then(|| self.begin(*gain, norms.clone())).transpose()?;
        Ok(Voice { is_silent: *is_silent, running, ..Voice::default() })
    }

    fn begin(&self, gain: f32, norms: Option<CondNorms>) -> Result<Running> {
        Ok(Running {
            gain,
            front_end: self.front_end.stream(),
            waveform: self.synthesis.start(norms)?,
            leveler: Leveler::new(self.level, gain, self.measured),
        })
    }

    fn hear(&self, voice: &mut Voice, samples: &[f32]) -> Result<()> {
        voice.heard += samples.len();
        let fresh = match &mut voice.running {
            Some(running) => running.push(samples)?,
            None if voice.is_silent => samples.to_vec(),
            None => {
                voice.waiting.extend(samples);
                if voice.waiting.len() < self.measured {
                    return Ok(());
                }
                // The level hangs on these samples alone, wherever blocks end.
                let mut running = self.begin(gain(peak(&voice.waiting[..self.measured])), None)?;
                let fresh = running.push(&std::mem::take(&mut voice.waiting))?;
                voice.running = Some(running);
                fresh
            }
        };
        voice.ready.extend(fresh);
        Ok(())
    }

    fn end(&self, voice: &mut Voice) -> Result<()> {
        let (heard, waiting) = (voice.heard, std::mem::take(&mut voice.waiting));
        if voice.running.is_none() && waiting.iter().all(|x| *x == 0.0) {
            // Silence stays silence.
            voice.ready.extend(waiting);
            return Ok(());
        }
        let mut running = match voice.running.take() {
            Some(running) => running,
            None => self.begin(gain(peak(&waiting)), None)?,
        };
        voice.ready.extend(running.push(&waiting)?);
        let whole = self.synthesis.whole(heard, &self.front_end);
        voice.ready.extend(running.push(&vec![0.0; whole - heard])?);
        voice.ready.extend(running.finish()?);
        voice.ready.resize(heard - voice.given, 0.0);
        Ok(())
    }
}

impl Running {
    fn push(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        let scaled: Vec<f32> = samples.iter().map(|x| x * self.gain).collect();
        let mut rows = Vec::new();
        self.front_end.push_into(&scaled, &mut rows);
        Ok(self.leveler.push(self.waveform.push(&rows)?))
    }

    fn finish(self) -> Result<Vec<f32>> {
        let Self { mut front_end, mut waveform, mut leveler, .. } = self;
        let mut rows = Vec::new();
        front_end.finish_into(&mut rows);
        let mut out = leveler.push(waveform.push(&rows)?);
        out.extend(leveler.push(waveform.finish()?));
        out.extend(leveler.finish());
        Ok(out)
    }
}

/// As many samples of all channels as each has.
fn given(voices: &mut [Voice], spec: AudioSpec) -> Result<AudioBuf> {
    let count = voices.iter().map(|voice| voice.ready.len()).min().unwrap_or(0);
    let planes = voices.iter_mut().flat_map(|voice| {
        voice.given += count;
        voice.ready.drain(..count).collect::<Vec<_>>()
    });
    Ok(AudioBuf::from_planar(spec, planes.collect())?)
}

impl TaskSession for VocodeSession {
    /// What is settled, at the network's rate with the stream's channels; often nothing.
    type Part = AudioBuf;
    type Report = VocodeReport;

    fn push(&mut self, block: &AudioView<'_>) -> Result<AudioBuf> {
        let block = self.guard.take(block)?;
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let (spec, rate) = (block.spec(), self.front_end.sample_rate());
                let voice = |channel| self.voice(self.survey.channels.get(channel));
                let voices = (0..spec.channels()).map(voice).collect::<Result<_>>()?;
                Stream { forth: resampler(spec, rate, Pace::Throughput)?, voices }
            }
        };
        let inside = stream.forth.push(&block.view())?;
        for (channel, voice) in stream.voices.iter_mut().enumerate() {
            self.hear(voice, inside.channel(channel))?;
        }
        let part = given(&mut stream.voices, inside.spec())?;
        self.stream = Some(stream);
        Ok(part)
    }

    fn heard(&self) -> Heard {
        self.guard.heard()
    }

    fn finish(mut self) -> Result<(AudioBuf, VocodeReport)> {
        let spec = self.output_spec(self.guard.end()?);
        let mut rest = AudioBuf::silence(spec, 0);
        if let Some(mut stream) = self.stream.take() {
            let inside = stream.forth.finish()?;
            for (channel, voice) in stream.voices.iter_mut().enumerate() {
                self.hear(voice, inside.channel(channel))?;
                self.end(voice)?;
            }
            rest = given(&mut stream.voices, spec)?;
        }
        let Heard { seconds, warnings } = self.heard();
        Ok((rest, VocodeReport { seconds, calls: self.calls, warnings }))
    }
}

#[cfg(test)]
mod tests {
    use formant_audio_core::ChannelLayout;
    use formant_audio_core::chunk::Edges;
    use formant_audio_core::features::{FeatureConfig, presets};
    use formant_audio_core::griffin_lim::GriffinLimOptions;
    use formant_audio_core::resample::output_frames;
    use tch::Device;

    use super::*;
    use crate::arch::periodwave::{PeriodWaveCard, PeriodWaveConfig};
    use crate::tasks::task::Task;

    fn vocoder() -> Vocoder {
        let card = PeriodWaveCard::published(PeriodWaveConfig::tiny()).expect("a card");
        tch::manual_seed(4);
        Vocoder::random(card, Device::Cpu).expect("sound sizes")
    }

    fn noise(spec: AudioSpec, frames: usize, level: f32) -> AudioBuf {
        let mut audio = AudioBuf::silence(spec, frames);
        for channel in 0..spec.channels() {
            for (n, x) in audio.channel_mut(channel).iter_mut().enumerate() {
                *x = (((n * 7919 + channel * 31) % 1009) as f32 / 504.5 - 1.0) * level;
            }
        }
        audio
    }

    fn two_steps() -> VocodeOptions {
        VocodeOptions { steps: Some(2), ..VocodeOptions::default() }
    }

    fn rms(samples: &[f32]) -> f64 {
        let sum: f64 = samples.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        (sum / samples.len().max(1) as f64).sqrt()
    }

    #[test]
    fn s8_lengths_are_exact_and_channels_stay() {
        let vocoder = vocoder();
        for (rate, layout) in [(22_050, ChannelLayout::Mono), (44_100, ChannelLayout::Stereo)] {
            for frames in [1, 2, 79, 160, 255, 256, 400, 1023, 1600, 20_011] {
                let audio = noise(AudioSpec { rate, layout }, frames, 0.3);
                let (out, report) = vocoder.process(&audio.view(), &two_steps()).expect("runs");
                let wanted = output_frames(frames as u64, rate, 22_050) as usize;
                assert_eq!((out.rate(), out.frames()), (22_050, wanted), "{frames} at {rate}");
                assert_eq!(out.channels(), audio.channels());
                assert!(out.as_planar().iter().all(|x| x.is_finite()));
                assert_eq!(report.calls, 2);
            }
        }
        let empty = AudioBuf::silence(AudioSpec::mono(8000), 0);
        assert!(vocoder.process(&empty.view(), &two_steps()).is_err());
    }

    #[test]
    fn s9_silence_stays_silence_and_bad_samples_are_told() {
        let vocoder = vocoder();
        let stereo = AudioSpec { rate: 22_050, layout: ChannelLayout::Stereo };
        let mut audio = noise(stereo, 9_000, 0.3);
        audio.channel_mut(1).fill(0.0);
        audio.channel_mut(0)[17] = f32::NAN;
        audio.channel_mut(0)[170] = f32::INFINITY;
        let (out, report) = vocoder.process(&audio.view(), &two_steps()).expect("runs");
        assert!(out.channel(0).iter().all(|x| x.is_finite()) && rms(out.channel(0)) > 0.0);
        assert!(out.channel(1).iter().all(|x| *x == 0.0));
        assert_eq!(report.warnings, [Warning::NonFinite { count: 2 }]);
    }

    #[test]
    fn the_level_follows_the_input_or_is_that_of_the_reference() {
        let vocoder = vocoder();
        let spec = AudioSpec::mono(22_050);
        let run = |level: f32, options: &VocodeOptions| {
            let audio = noise(spec, 8_000, level);
            let (out, _) = vocoder.process(&audio.view(), options).expect("runs");
            rms(out.channel(0))
        };
        let kept = two_steps();
        let (loud, quiet) = (run(0.8, &kept), run(0.008, &kept));
        assert!((loud / quiet / 100.0 - 1.0).abs() < 1e-3, "{loud} and {quiet}");
        let reference = VocodeOptions { level: Level::Reference, ..kept };
        let (loud, quiet) = (run(0.8, &reference), run(0.008, &reference));
        assert!((loud / quiet - 1.0).abs() < 1e-3, "{loud} and {quiet}");
    }

    /// Where blocks end, and what is beside a channel, changes no byte.
    #[test]
    fn blocks_and_channels_change_nothing() {
        let vocoder = vocoder();
        let audio = noise(AudioSpec::mono(22_050), 450_000, 0.4);
        // Longer than what is measured, so that parts come out on the way.
        let options =
            VocodeOptions { steps: Some(1), measured_seconds: 1.5, seed: 3, ..two_steps() };
        let (whole, _) = vocoder.process(&audio.view(), &options).expect("runs");
        assert_eq!(whole.frames(), 450_000);
        let mut session = vocoder.start(&options).expect("sound");
        let mut parts = Vec::new();
        for from in (0..450_000).step_by(44_444) {
            let block = audio.view().slice(from..(from + 44_444).min(450_000));
            parts.push(session.push(&block).expect("runs"));
        }
        assert!(parts.iter().any(|part| part.frames() > 0), "nothing came before the end");
        parts.push(session.finish().expect("runs").0);
        assert!(AudioBuf::concat(&parts).expect("of one kind") == whole);

        let stereo = AudioSpec { rate: 22_050, layout: ChannelLayout::Stereo };
        let audio = noise(stereo, 9_000, 0.4);
        let (both, _) = vocoder.process(&audio.view(), &options).expect("runs");
        let left = AudioBuf::from_mono(22_050, audio.channel(0).to_vec());
        let (alone, _) = vocoder.process(&left.view(), &options).expect("runs");
        assert!(alone.channel(0) == both.channel(0));
    }

    /// What was measured over all of a recording beforehand gives the waveform of the whole, however the
    /// blocks of the second reading end; a silent channel stays silent.
    #[test]
    fn s10_a_surveyed_recording_is_seen_as_a_whole() {
        let vocoder = vocoder();
        let stereo = AudioSpec { rate: 44_100, layout: ChannelLayout::Stereo };
        let mut audio = noise(stereo, 150_000, 0.2);
        audio.channel_mut(0)[120_000..].iter_mut().for_each(|x| *x *= 3.0);
        audio.channel_mut(1).fill(0.0);
        let at_once = VocodeOptions { steps: Some(1), ..VocodeOptions::default() };
        let parted = VocodeOptions { measured_seconds: 1.0, ..at_once };
        let (whole, _) = vocoder.process(&audio.view(), &at_once).expect("runs");
        let (found, _) = vocoder.process(&audio.view(), &parted).expect("runs");
        assert_eq!(found.spec(), whole.spec());
        let change: Vec<f32> =
            found.channel(0).iter().zip(whole.channel(0)).map(|(a, b)| a - b).collect();
        assert!(rms(&change) < 1e-5 * rms(whole.channel(0)), "{}", rms(&change));
        assert!(found.channel(1).iter().all(|x| *x == 0.0));
        let survey = vocoder.survey(&parted, |hear| hear(&audio.view())).expect("runs");
        let mut session = vocoder.start_surveyed(&parted, survey).expect("sound");
        let (first, second) = (audio.view().slice(0..99_999), audio.view().slice(99_999..150_000));
        let parts = [session.push(&first), session.push(&second)].map(|part| part.expect("runs"));
        let rest = session.finish().expect("runs").0;
        let [first, second] = parts;
        assert!(AudioBuf::concat(&[first, second, rest]).expect("of one kind") == found);
        let mut session = vocoder.start(&parted).expect("sound");
        let beginning = session.push(&audio.view()).expect("runs");
        let rest = session.finish().expect("runs").0;
        let streamed = AudioBuf::concat(&[beginning, rest]).expect("of one kind");
        assert!(streamed.channel(0) != found.channel(0), "the norms of the beginning are others");
    }

    /// Whatever the front end, the length is exact, and parts come out on the way.
    #[test]
    fn without_a_network_lengths_are_exact_and_blocks_change_nothing() {
        let options = GriffinLimOptions { iterations: 1, ..GriffinLimOptions::default() };
        let unpadded = FeatureConfig { edges: Edges::Snip, ..presets::vocoder(22_050, 80, 8000.0) };
        let librosa = presets::by_name("librosa").expect("a preset");
        for front_end in [presets::vocoder(22_050, 80, 8000.0), unpadded, librosa] {
            let vocoder = GriffinLimVocoder::new(&front_end, options).expect("a vocoder's");
            let vocoder = vocoder.refined(2).expect("mel bands");
            for (frames, step) in [(1, 1), (255, 17), (1024, 1000), (1025, 4000), (300_011, 7_777)]
            {
                let spec = AudioSpec { rate: 22_050, layout: ChannelLayout::Stereo };
                let mut audio = noise(spec, frames, 0.3);
                audio.channel_mut(1).fill(0.0);
                let run = |step: usize| {
                    let mut session = vocoder.start();
                    let mut parts = Vec::new();
                    for from in (0..frames).step_by(step) {
                        let block = audio.view().slice(from..(from + step).min(frames));
                        parts.push(session.push(&block).expect("runs"));
                    }
                    let early: usize = parts.iter().map(AudioBuf::frames).sum();
                    assert_eq!(early > 0, frames > 300_000, "{frames}");
                    parts.push(session.finish().expect("runs").0);
                    AudioBuf::concat(&parts).expect("of one kind")
                };
                let out = run(step);
                assert_eq!((out.frames(), out.channels()), (frames, 2), "{:?}", front_end.edges);
                assert!(out.channel(1).iter().all(|x| *x == 0.0));
                assert!(out == run(frames), "{frames}");
            }
            let nothing = vocoder.start().finish();
            assert!(nothing.is_err());
        }
        let lost = presets::by_name("nemo").expect("a preset");
        assert!(GriffinLimVocoder::new(&lost, options).is_err());
    }
}
