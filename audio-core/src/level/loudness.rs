//! Loudness after EBU R 128 and true peak after ITU-R BS.1770, both computed by the `ebur128` crate.
//!
//! This file feeds it in steps of 100 ms, names the channels, and keeps the running maxima. Exact
//! gating needs the energy of every 100 ms: 0.3 MB an hour, the only thing that grows.

use std::collections::VecDeque;

use ebur128::{Channel, EbuR128, Mode};
use serde::{Deserialize, Serialize};

use crate::buffer::AudioSpec;
use crate::layout::{ChannelLayout, Position};

/// Blocks of 100 ms in the momentary window (400 ms).
const MOMENTARY_BLOCKS: usize = 4;
/// Blocks of 100 ms in the short-term window (3 s).
const SHORT_TERM_BLOCKS: usize = 30;

/// Loudness of a stretch of audio. A figure is `None` where the audio is too short for it (400 ms
/// for momentary and integrated, 3 s for short-term and range) or has no block above the gate of
/// -70 LUFS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Loudness {
    /// Gated loudness of the whole, in LUFS.
    pub integrated_lufs: Option<f64>,
    /// Loudest 400 ms, in LUFS.
    pub momentary_max_lufs: Option<f64>,
    /// Loudest 3 s, in LUFS.
    pub short_term_max_lufs: Option<f64>,
    /// Loudness range (EBU Tech 3342) in LU.
    pub range_lu: Option<f64>,
}

/// The running measurement.
pub(super) struct LoudnessMeter {
    ebu: EbuR128,
    block: usize,
    in_block: usize,
    blocks: VecDeque<f64>,
    momentary: Option<f64>,
    short_term: Option<f64>,
    maxima: Loudness,
}

impl LoudnessMeter {
    /// `None` for rates and channel counts that the standard's filters do not cover (below 16 Hz,
    /// above 2.8 MHz, more than 64 channels).
    pub(super) fn new(spec: AudioSpec) -> Option<Self> {
        let channels = u32::try_from(spec.channels()).ok()?;
        let mode = Mode::I | Mode::LRA | Mode::TRUE_PEAK;
        let mut ebu = EbuR128::new(channels, spec.rate, mode).ok()?;
        ebu.set_channel_map(&channel_map(spec.layout)).ok()?;
        Some(Self {
            ebu,
            block: (spec.rate / 10).max(1) as usize,
            in_block: 0,
            blocks: VecDeque::with_capacity(SHORT_TERM_BLOCKS),
            momentary: None,
            short_term: None,
            maxima: Loudness::default(),
        })
    }

    /// Take finite planar samples of equal length.
    pub(super) fn push(&mut self, planar: &[&[f32]]) {
        let frames = planar.first().map_or(0, |channel| channel.len());
        let mut at = 0;
        while at < frames {
            let take = (self.block - self.in_block).min(frames - at);
            let piece: Vec<&[f32]> = planar.iter().map(|c| &c[at..at + take]).collect();
            // The only error is a wrong channel count, which the meter has checked.
            if self.ebu.add_frames_planar_f32(&piece).is_err() {
                return;
            }
            at += take;
            self.in_block += take;
            if self.in_block == self.block {
                self.in_block = 0;
                self.end_block();
            }
        }
    }

    fn end_block(&mut self) {
        if self.blocks.len() == SHORT_TERM_BLOCKS {
            self.blocks.pop_front();
        }
        let loudness = self.ebu.loudness_window(100).unwrap_or(f64::NEG_INFINITY);
        self.blocks.push_back(10f64.powf(loudness / 10.0));
        self.momentary = self.window(MOMENTARY_BLOCKS);
        self.short_term = self.window(SHORT_TERM_BLOCKS);
        raise(&mut self.maxima.momentary_max_lufs, self.momentary);
        raise(&mut self.maxima.short_term_max_lufs, self.short_term);
    }

    fn window(&self, blocks: usize) -> Option<f64> {
        if self.blocks.len() < blocks {
            return None;
        }
        let sum: f64 = self.blocks.iter().rev().take(blocks).sum();
        super::power_db(sum / blocks as f64)
    }

    pub(super) fn momentary(&self) -> Option<f64> {
        self.momentary
    }

    pub(super) fn short_term(&self) -> Option<f64> {
        self.short_term
    }

    pub(super) fn true_peak(&self, channel: usize) -> Option<f64> {
        let channel = u32::try_from(channel).ok()?;
        self.ebu.true_peak(channel).ok().filter(|peak| peak.is_finite())
    }

    pub(super) fn loudness(&self) -> Loudness {
        let integrated = self.ebu.loudness_global().ok().filter(|l| l.is_finite());
        let range = self.maxima.short_term_max_lufs.and(integrated);
        Loudness {
            integrated_lufs: integrated,
            range_lu: range.and_then(|_| self.ebu.loudness_range().ok()).filter(|l| l.is_finite()),
            ..self.maxima
        }
    }
}

fn raise(maximum: &mut Option<f64>, value: Option<f64>) {
    if let Some(value) = value {
        *maximum = Some(maximum.map_or(value, |m| m.max(value)));
    }
}

/// Weights by position: surrounds at 60 to 120 degrees count 1.5 dB more, the LFE not at all
/// (ITU-R BS.1770-4, table 4). Discrete channels count as front channels.
fn channel_map(layout: ChannelLayout) -> Vec<Channel> {
    if let ChannelLayout::Discrete(n) = layout {
        return vec![Channel::Center; usize::from(n)];
    }
    let place = |position: &Position| match position {
        Position::FrontLeft => Channel::Left,
        Position::FrontRight => Channel::Right,
        Position::Lfe => Channel::Unused,
        Position::SideLeft => Channel::LeftSurround,
        Position::SideRight => Channel::RightSurround,
        Position::BackLeft => Channel::Mp135,
        Position::BackRight => Channel::Mm135,
        Position::BackCenter => Channel::Mp180,
        // In front of the listener or above: no more and no less than the centre.
        _ => Channel::Center,
    };
    layout.positions().iter().map(place).collect()
}
