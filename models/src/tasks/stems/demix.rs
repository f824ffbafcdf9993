//! Long mixes through a network: overlapping chunks, faded and averaged as the reference's
//! programs do it, on a stream, so that memory follows the chunk and not the recording.
//!
//! Source: `demix` of Music-Source-Separation-Training and `demix_track` of the vocal model, which
//! differ in a few samples at the ends.

use tch::{Kind, Tensor};

use crate::arch::mel_roformer::{DemixConfig, EndRule};
use crate::error::Result;

/// Separates a mix that arrives in pieces. The network takes `[batch, channels, chunk_size]` and
/// gives `[batch, stems, channels, chunk_size]`.
#[derive(Debug)]
pub struct Demixer {
    config: DemixConfig,
    window: Tensor,
    /// The mix from sample `base` on, borders included, `[channels, samples]`.
    buffer: Tensor,
    base: usize,
    /// Pieces that wait until there are enough of them for a batch, and their samples.
    waiting: Vec<Tensor>,
    waiting_samples: usize,
    /// Whether borders are added; not known before enough has arrived.
    bordered: Option<bool>,
    /// Where the next chunk begins.
    next: usize,
    /// Sums of stems and weights from sample `settled` on.
    sums: Option<(Tensor, Tensor)>,
    settled: usize,
    /// Samples of the border still to be thrown away.
    skip: usize,
    received: usize,
    returned: usize,
}

impl Demixer {
    /// A demixer for `channels` channels at the start of a mix.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for an impossible cut.
    pub fn new(config: DemixConfig, channels: usize) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            config,
            window: window(&config),
            buffer: Tensor::zeros([channels as i64, 0], tch::kind::FLOAT_CPU),
            base: 0,
            waiting: Vec::new(),
            waiting_samples: 0,
            bordered: None,
            next: 0,
            sums: None,
            settled: 0,
            skip: 0,
            received: 0,
            returned: 0,
        })
    }

    /// Takes `[channels, samples]` and returns the stems that no later chunk changes,
    /// `[stems, channels, samples']`, if there are any.
    ///
    /// # Errors
    /// Those of `network`.
    pub fn push(
        &mut self,
        piece: &Tensor,
        network: &mut dyn FnMut(&Tensor) -> Result<Tensor>,
    ) -> Result<Option<Tensor>> {
        let samples = piece.size()[1] as usize;
        self.received += samples;
        self.waiting_samples += samples;
        self.waiting.push(piece.copy());
        let border = self.config.border();
        let enough = match self.bordered {
            None => self.received > 2 * border,
            Some(_) => self.end() + self.waiting_samples > self.next_batch_end(),
        };
        if !enough {
            return Ok(None);
        }
        self.absorb();
        if self.bordered.is_none() {
            self.begin(border > 0);
        }
        let mut parts = Vec::new();
        // One sample more than the batch needs: it does not hold the end.
        while self.end() > self.next_batch_end() {
            let starts = self.starts(usize::MAX);
            parts.extend(self.compute(&starts, None, network)?);
        }
        // What the border at the end mirrors must stay.
        let keep = self.next.min(self.end().saturating_sub(border + 1));
        if keep > self.base {
            let rest = (self.end() - keep) as i64;
            self.buffer = self.buffer.narrow(1, (keep - self.base) as i64, rest).copy();
            self.base = keep;
        }
        Ok((!parts.is_empty()).then(|| Tensor::cat(&parts, 2)))
    }

    /// Ends the mix and returns the rest of the stems; `None` for a mix without samples.
    ///
    /// # Errors
    /// Those of `network`.
    pub fn finish(
        mut self,
        network: &mut dyn FnMut(&Tensor) -> Result<Tensor>,
    ) -> Result<Option<Tensor>> {
        if self.received == 0 {
            return Ok(None);
        }
        self.absorb();
        let border = self.config.border() as i64;
        if self.bordered.is_none() {
            self.begin(false);
        }
        if self.bordered == Some(true) {
            let (length, samples) = (self.buffer.size()[1], border + 1);
            let mirrored = self.buffer.narrow(1, length - samples, samples).flip([1]);
            self.buffer = Tensor::cat(&[&self.buffer, &mirrored.narrow(1, 1, border)], 1);
        }
        let end = self.end();
        let mut parts = Vec::new();
        while self.next < end {
            let starts = self.starts(end);
            parts.extend(self.compute(&starts, Some(end), network)?);
        }
        parts.extend(self.settle(end));
        let left = (self.received - (self.returned - parts_length(&parts))) as i64;
        Ok((!parts.is_empty()).then(|| Tensor::cat(&parts, 2).narrow(2, 0, left)))
    }

    /// Decides about the borders and adds the first.
    fn begin(&mut self, bordered: bool) {
        self.bordered = Some(bordered);
        if bordered {
            let border = self.config.border();
            let mirrored = self.buffer.narrow(1, 1, border as i64).flip([1]);
            self.buffer = Tensor::cat(&[&mirrored, &self.buffer], 1);
            self.skip = border;
        }
    }

    /// Takes over what waits.
    fn absorb(&mut self) {
        let pieces = std::iter::once(self.buffer.shallow_clone()).chain(self.waiting.drain(..));
        self.buffer = Tensor::cat(&pieces.collect::<Vec<_>>(), 1);
        self.waiting_samples = 0;
    }

    /// Where the last chunk of the next batch ends.
    fn next_batch_end(&self) -> usize {
        self.next + (self.batch() - 1) * self.config.step() + self.config.chunk_size
    }

    fn end(&self) -> usize {
        self.base + self.buffer.size()[1] as usize
    }

    fn batch(&self) -> usize {
        match self.config.ends {
            EndRule::TrainingKit => self.config.batch_size,
            EndRule::VocalModel => 1,
        }
    }

    /// Where the chunks of the next batch begin, and moves on.
    fn starts(&mut self, end: usize) -> Vec<usize> {
        let mut starts = Vec::with_capacity(self.batch());
        while starts.len() < self.batch() && self.next < end {
            starts.push(self.next);
            self.next += self.config.step();
        }
        starts
    }

    /// Computes a batch and returns what is settled then; `end` is that of the mix, if known.
    fn compute(
        &mut self,
        starts: &[usize],
        end: Option<usize>,
        network: &mut dyn FnMut(&Tensor) -> Result<Tensor>,
    ) -> Result<Option<Tensor>> {
        let chunk = self.config.chunk_size;
        let lengths: Vec<usize> = starts.iter().map(|at| (self.end() - at).min(chunk)).collect();
        let chunks: Vec<Tensor> =
            starts.iter().zip(&lengths).map(|(at, length)| self.cut(*at, *length)).collect();
        let stems = network(&Tensor::stack(&chunks, 0))?.to_device(tch::Device::Cpu);
        let weights = self.weights(starts, end);
        for (row, (&at, &length)) in starts.iter().zip(&lengths).enumerate() {
            let weights = weights.narrow(0, 0, length as i64);
            let part = stems.get(row as i64).narrow(2, 0, length as i64) * &weights;
            self.add(at, &part, &weights);
        }
        Ok(self.settle(self.next.min(end.unwrap_or(usize::MAX))))
    }

    /// A chunk, filled up on the right where the mix ends.
    fn cut(&self, at: usize, length: usize) -> Tensor {
        let (chunk, size) = (self.config.chunk_size, length as i64);
        let part = self.buffer.narrow(1, (at - self.base) as i64, size);
        let missing = (chunk - length) as i64;
        let half = match self.config.ends {
            EndRule::TrainingKit => chunk / 2,
            EndRule::VocalModel => chunk / 2 + 1,
        };
        match missing {
            0 => part.shallow_clone(),
            _ if length > half => part.reflection_pad1d([0, missing]),
            _ => part.constant_pad_nd([0, missing]),
        }
    }

    /// The window of a batch.
    fn weights(&self, starts: &[usize], end: Option<usize>) -> Tensor {
        let weights = self.window.copy();
        let (chunk, fade) = (self.config.chunk_size as i64, (self.config.chunk_size / 10) as i64);
        let (first, last) = match self.config.ends {
            EndRule::TrainingKit => {
                (self.next == self.config.step(), end.is_some_and(|end| self.next >= end))
            }
            EndRule::VocalModel => {
                let holds = |end: usize| starts[0] + self.config.chunk_size >= end;
                (starts[0] == 0, end.is_some_and(holds))
            }
        };
        // Never both, as in the reference.
        if first {
            let _ = weights.narrow(0, 0, fade).fill_(1.0);
        } else if last {
            let _ = weights.narrow(0, chunk - fade, fade).fill_(1.0);
        }
        weights
    }

    fn add(&mut self, at: usize, part: &Tensor, weights: &Tensor) {
        let from = (at - self.settled) as i64;
        let length = weights.size()[0];
        let (sum, count) = match self.sums.take() {
            Some((sum, count)) => {
                let more = (from + length - count.size()[0]).max(0);
                (sum.constant_pad_nd([0, more]), count.constant_pad_nd([0, more]))
            }
            None => {
                let size = part.size();
                let total = from + length;
                let zeros = |shape: &[i64]| Tensor::zeros(shape, tch::kind::FLOAT_CPU);
                (zeros(&[size[0], size[1], total]), zeros(&[total]))
            }
        };
        let _ = sum.narrow(2, from, length).g_add_(part);
        let _ = count.narrow(0, from, length).g_add_(weights);
        self.sums = Some((sum, count));
    }

    /// The stems up to sample `until`, which no chunk changes any more.
    fn settle(&mut self, until: usize) -> Option<Tensor> {
        let (sum, count) = self.sums.take()?;
        let available = count.size()[0];
        let length = ((until - self.settled) as i64).min(available);
        if length > 0 {
            let rest = |t: &Tensor, axis: i64| t.narrow(axis, length, available - length).copy();
            self.sums = Some((rest(&sum, 2), rest(&count, 0)));
        } else {
            self.sums = Some((sum, count));
            return None;
        }
        self.settled += length as usize;
        let stems = sum.narrow(2, 0, length) / count.narrow(0, 0, length);
        let stems = stems.nan_to_num(0.0, 0.0, 0.0);
        let skip = self.skip.min(length as usize);
        self.skip -= skip;
        let kept = length - skip as i64;
        self.returned += kept as usize;
        (kept > 0).then(|| stems.narrow(2, skip as i64, kept))
    }
}

fn parts_length(parts: &[Tensor]) -> usize {
    parts.iter().map(|part| part.size()[2] as usize).sum()
}

/// Ones with a straight rise and fall over a tenth of the chunk each.
fn window(config: &DemixConfig) -> Tensor {
    let (chunk, fade) = (config.chunk_size as i64, (config.chunk_size / 10) as i64);
    let window = Tensor::ones([chunk], tch::kind::FLOAT_CPU);
    let rise = Tensor::linspace(0, 1, fade, (Kind::Float, tch::Device::Cpu));
    window.narrow(0, 0, fade).copy_(&rise);
    window.narrow(0, chunk - fade, fade).copy_(&rise.flip([0]));
    window
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(config: DemixConfig, mix: &Tensor, piece: i64) -> Tensor {
        let mut demixer = Demixer::new(config, mix.size()[0] as usize).expect("valid");
        let mut identity = |chunks: &Tensor| Ok(chunks.unsqueeze(1));
        let (mut parts, total, mut at) = (Vec::new(), mix.size()[1], 0);
        while at < total {
            let length = piece.min(total - at);
            parts.extend(demixer.push(&mix.narrow(1, at, length), &mut identity).expect("fine"));
            at += length;
        }
        parts.extend(demixer.finish(&mut identity).expect("fine"));
        Tensor::cat(&parts, 2)
    }

    #[test]
    fn s10_identity_comes_back_whatever_the_pieces() {
        for ends in [EndRule::TrainingKit, EndRule::VocalModel] {
            for (num_overlap, batch_size) in [(2, 1), (4, 1), (3, 2), (2, 4)] {
                let config = DemixConfig { chunk_size: 100, num_overlap, batch_size, ends };
                for samples in [101i64, 150, 151, 200, 201, 999, 1000, 1001] {
                    let mix = Tensor::randn([2, samples], tch::kind::FLOAT_CPU);
                    let wanted = through(config, &mix, samples);
                    assert_eq!(wanted.size(), [1, 2, samples], "{config:?}");
                    let worst = (wanted.get(0) - &mix).narrow(1, 1, samples - 2).abs().max();
                    assert!(worst.double_value(&[]) < 1e-5, "{config:?}, {samples}");
                    for piece in [1, 37, 100, 640] {
                        let found = through(config, &mix, piece);
                        assert!(found.equal(&wanted), "{config:?}, {samples} by {piece}");
                    }
                }
            }
        }
    }

    #[test]
    fn tiny_mixes_have_their_length_and_none_gives_none() {
        let config = DemixConfig { chunk_size: 100, ..DemixConfig::default() };
        for samples in [1, 2, 49, 50, 51, 99, 100] {
            let mix = Tensor::randn([1, samples], tch::kind::FLOAT_CPU);
            assert_eq!(through(config, &mix, 7).size(), [1, 1, samples]);
        }
        let demixer = Demixer::new(config, 1).expect("valid");
        assert!(demixer.finish(&mut |x| Ok(x.unsqueeze(1))).expect("fine").is_none());
    }
}
