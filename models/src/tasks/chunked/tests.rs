//! The adapter on stub models: seams, and the order of sources over minutes.

use super::*;

/// Gives the chunk itself, or spoils its ends.
struct Identity {
    spoilt: usize,
}

impl SourceModel for Identity {
    fn sources(&self) -> usize {
        1
    }

    fn process(&mut self, chunk: &[f32]) -> Result<Vec<Vec<f32>>> {
        let mut out = chunk.to_vec();
        let (count, end) = (self.spoilt.min(out.len()), out.len());
        out[..count].fill(0.0);
        out[end - count..].fill(0.0);
        Ok(vec![out])
    }
}

fn sweep(rate: u32, frames: usize) -> Vec<f32> {
    let seconds = frames as f64 / f64::from(rate);
    let growth = (20_000.0f64 / 30.0).ln();
    (0..frames)
        .map(|n| {
            let t = n as f64 / f64::from(rate) / seconds;
            let phase =
                std::f64::consts::TAU * 30.0 * seconds / growth * ((growth * t).exp() - 1.0);
            (0.5 * phase.sin()) as f32
        })
        .collect()
}

fn run<M: SourceModel>(
    adapter: &mut ChunkedSources<M>,
    signal: &[f32],
    piece: usize,
) -> (Vec<Vec<f32>>, SourcesReport) {
    let mut outputs: Vec<Vec<f32>> = vec![Vec::new(); adapter.model.sources()];
    let mut take = |audio: Option<AudioBuf>| {
        for (channel, output) in outputs.iter_mut().enumerate() {
            if let Some(audio) = &audio {
                output.extend_from_slice(audio.channel(channel));
            }
        }
    };
    for samples in signal.chunks(piece) {
        take(adapter.push(samples).expect("a stub"));
    }
    let (rest, report) = adapter.finish().expect("a stub");
    take(rest);
    (outputs, report)
}

#[test]
fn s10_seams_leave_no_trace() {
    let rate = 44_100;
    let second = rate as usize;
    let config = ChunkConfig::new(8 * second, second, second / 4).expect("sound");
    for frames in [(61.3 * f64::from(rate)) as usize, 8 * second, 8 * second + 1] {
        let signal = sweep(rate, frames);
        for (spoilt, limit) in [(0, 1e-6), (second / 5, 1e-4)] {
            let mut adapter = ChunkedSources::new(Identity { spoilt }, config, rate, None);
            let (outputs, _) = run(&mut adapter, &signal, 30_011);
            let out = &outputs[0];
            assert_eq!(out.len(), frames);
            let bend = |x: &[f32], n: usize| (x[n + 1] - 2.0 * x[n] + x[n - 1]).abs();
            for n in spoilt + 1..frames - spoilt - 1 {
                assert!((out[n] - signal[n]).abs() <= limit, "{frames}, {spoilt}: {n}");
                assert!(bend(out, n) <= bend(&signal, n) + 1e-3, "{frames}, {spoilt}: {n}");
            }
        }
    }
}

const RATE: u32 = 8_000;

/// Numbers that repeat.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Pulses of `pitch` Hz through resonances.
fn voice(pitch: f64, formants: [f64; 3], samples: usize) -> Vec<f32> {
    let period = f64::from(RATE) / pitch;
    let mut signal: Vec<f64> =
        (0..samples).map(|n| f64::from(u8::from((n as f64 % period) < 1.0))).collect();
    for formant in formants {
        let radius = (-std::f64::consts::PI * 90.0 / f64::from(RATE)).exp();
        let angle = std::f64::consts::TAU * formant / f64::from(RATE);
        let (a, b) = (2.0 * radius * angle.cos(), -radius * radius);
        let (mut y1, mut y2) = (0.0, 0.0);
        for x in &mut signal {
            let y = *x + a * y1 + b * y2;
            (y2, y1) = (y1, y);
            *x = y;
        }
    }
    let peak = signal.iter().fold(0.0f64, |peak, x| peak.max(x.abs()));
    signal.iter().map(|x| (0.5 * x / peak) as f32).collect()
}

/// Turns of half to two seconds, pauses of one to four, and nobody for seven seconds at a minute.
fn gate(voice: &mut [f32], draws: &mut Draws) {
    let second = f64::from(RATE);
    let mut at = 0;
    while at < voice.len() {
        let pause = ((1.0 + 3.0 * draws.next()) * second) as usize;
        let turn = ((0.5 + 1.5 * draws.next()) * second) as usize;
        let end = voice.len().min(at + pause);
        voice[at..end].fill(0.0);
        at = end + turn;
    }
    let gap = (60.0 * second) as usize..(67.0 * second) as usize;
    voice[gap].fill(0.0);
}

/// Gives the true sources of each chunk, in an order that changes, with some of the other in each.
struct Swapping<'a> {
    voices: &'a [Vec<f32>; 2],
    draws: Draws,
    crosstalk: f32,
    at: Vec<(usize, usize)>,
}

impl SourceModel for Swapping<'_> {
    fn sources(&self) -> usize {
        2
    }

    fn process(&mut self, chunk: &[f32]) -> Result<Vec<Vec<f32>>> {
        let (start, length) = self.at.remove(0);
        assert_eq!(length, chunk.len());
        let range = start..start + length;
        let [a, b] = [0, 1].map(|i| &self.voices[i][range.clone()]);
        let mix = |x: &[f32], y: &[f32]| -> Vec<f32> {
            x.iter().zip(y).map(|(x, y)| x + self.crosstalk * y).collect()
        };
        let mut sources = vec![mix(a, b), mix(b, a)];
        if self.draws.next() < 0.5 {
            sources.swap(0, 1);
        }
        Ok(sources)
    }
}

/// Mean log spectrum in coarse bands: enough to tell the two voices.
struct Bands;

impl Likeness for Bands {
    fn print(&self, samples: &[f32], rate: u32) -> Result<Option<Vec<f32>>> {
        super::super::separate::spectral_print(samples, rate)
    }
}

/// The share of an output's energy that belongs to the voice it has most of.
fn purity(output: &[f32], voices: &[Vec<f32>; 2]) -> (usize, f64) {
    // What is here where the other voice is silent.
    let shares = [1, 0].map(|other: usize| -> f64 {
        let alone = output.iter().zip(&voices[other]).filter(|(_, other)| **other == 0.0);
        alone.map(|(x, _)| f64::from(*x) * f64::from(*x)).sum()
    });
    let best = usize::from(shares[1] > shares[0]);
    (best, shares[best] / (shares[0] + shares[1]))
}

#[test]
fn s11_the_same_voice_stays_in_the_same_output() {
    let samples = 180 * RATE as usize;
    let mut draws = Draws(11);
    let mut voices = [
        voice(110.0, [700.0, 1100.0, 2500.0], samples),
        voice(220.0, [300.0, 2200.0, 3000.0], samples),
    ];
    for voice in &mut voices {
        gate(voice, &mut draws);
    }
    let mixture: Vec<f32> = voices[0].iter().zip(&voices[1]).map(|(a, b)| a + b).collect();
    let config = ChunkConfig::new(8 * RATE as usize, 2 * RATE as usize, 0).expect("sound");
    for (crosstalk, least) in [(0.0, 0.99), (0.316, 0.95)] {
        let at = config.ranges(samples).into_iter().map(|r| (r.start, r.len())).collect();
        let model = Swapping { voices: &voices, draws: Draws(5), crosstalk, at };
        let mut adapter = ChunkedSources::new(model, config, RATE, Some(Box::new(Bands)));
        let (mut outputs, report) = run(&mut adapter, &mixture, 12_345);
        assert!(report.sources.iter().all(|source| source.active), "{report:?}");
        if crosstalk > 0.0 {
            // What the stub mixes in is no fault of the order: taken out again.
            let c = crosstalk;
            let [first, second] = outputs.as_mut_slice() else { panic!("two outputs") };
            for (a, b) in first.iter_mut().zip(second) {
                let (x, y) = (*a, *b);
                *a = (x - c * y) / (1.0 - c * c);
                *b = (y - c * x) / (1.0 - c * c);
            }
        }
        let (first, share) = purity(&outputs[0], &voices);
        let (second, other) = purity(&outputs[1], &voices);
        assert_ne!(first, second);
        assert!(share >= least && other >= least, "{crosstalk}: {share} {other} {report:?}");
    }
}

#[test]
fn s11_a_voice_that_never_speaks_is_reported() {
    let samples = 60 * RATE as usize;
    let mut voices = [voice(110.0, [700.0, 1100.0, 2500.0], samples), vec![0.0; samples]];
    let mut draws = Draws(3);
    let second = RATE as usize;
    for at in (0..samples).step_by(3 * second) {
        let pause = at + (f64::from(RATE) * (1.0 + draws.next())) as usize;
        voices[0][at..pause.min(samples)].fill(0.0);
    }
    let config = ChunkConfig::new(8 * second, 2 * second, 0).expect("sound");
    let at = config.ranges(samples).into_iter().map(|r| (r.start, r.len())).collect();
    let model = Swapping { voices: &voices, draws: Draws(5), crosstalk: 0.0, at };
    let mut adapter = ChunkedSources::new(model, config, RATE, Some(Box::new(Bands)));
    let (outputs, report) = run(&mut adapter, &voices[0], 9_999);
    let active: Vec<bool> = report.sources.iter().map(|source| source.active).collect();
    assert_eq!(active.iter().filter(|&&active| active).count(), 1, "{report:?}");
    let silent = active.iter().position(|active| !active).expect("one of them");
    assert!(outputs[silent].iter().all(|&x| x == 0.0));
}
