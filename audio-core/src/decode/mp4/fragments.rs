//! When the fragments of a movie are played: their decode times (`tfdt`, ISO/IEC 14496-12, 8.8.12).
//!
//! Symphonia counts the durations of samples and never looks at these times, so that a start above
//! zero and gaps between fragments are found here.

use super::{child, children, huge, long};

/// One track's part of a movie fragment.
pub(super) struct Fragment {
    track: u32,
    /// When its first sample is decoded, in ticks of the track.
    time: Option<u64>,
    /// Ticks of the samples that have a duration of their own.
    ticks: u64,
    /// Samples without one.
    samples: u64,
    /// Their duration, unless the movie box tells it.
    default: Option<u32>,
}

/// The parts that the body of a `moof` box describes.
pub(super) fn parse(moof: &[u8]) -> impl Iterator<Item = Fragment> {
    children(moof).filter(|(kind, _)| kind == b"traf").filter_map(|(_, traf)| track_part(traf))
}

fn track_part(traf: &[u8]) -> Option<Fragment> {
    let header = child(traf, &[b"tfhd"])?;
    let flags = long(header, 0)?;
    let mut at = 8;
    at += if flags & 1 != 0 { 8 } else { 0 };
    at += if flags & 2 != 0 { 4 } else { 0 };
    let default = if flags & 8 != 0 { Some(long(header, at)?) } else { None };
    let time = child(traf, &[b"tfdt"]).and_then(|body| match body.first()? {
        1 => huge(body, 4),
        _ => long(body, 4).map(u64::from),
    });
    let mut part = Fragment { track: long(header, 4)?, time, ticks: 0, samples: 0, default };
    for (_, run) in children(traf).filter(|(kind, _)| kind == b"trun") {
        part.add_run(run);
    }
    Some(part)
}

impl Fragment {
    fn add_run(&mut self, run: &[u8]) -> Option<()> {
        let (flags, count) = (long(run, 0)?, long(run, 4)?);
        if flags & 0x100 == 0 {
            self.samples += u64::from(count);
            return Some(());
        }
        let start = 8 + 4 * (flags & 5).count_ones() as usize;
        let size = 4 * (flags & 0xf00).count_ones() as usize;
        let samples = run.get(start..)?.chunks_exact(size).take(count as usize);
        let ticks = samples.filter_map(|sample| long(sample, 0)).map(u64::from).sum();
        self.ticks = self.ticks.saturating_add(ticks);
        Some(())
    }
}

/// A track's clock, as its fragments tell it; all times in ticks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Clock {
    /// When the first sample is decoded.
    pub(super) first: u64,
    /// When the last one ends.
    pub(super) end: u64,
    /// From which count of durations on how much is to be added to it.
    pub(super) shifts: Vec<(u64, i64)>,
}

/// The clock of a track whose samples outside of fragments last `total`; `None` without fragments.
pub(super) fn clock(fragments: &[Fragment], track: u32, total: u64, moov: &[u8]) -> Option<Clock> {
    let defaults = child(moov, &[b"mvex"]).into_iter().flat_map(children);
    let default = defaults
        .filter(|(kind, body)| kind == b"trex" && long(body, 4) == Some(track))
        .find_map(|(_, body)| long(body, 12))
        .unwrap_or(0);
    let mut clock = Clock::default();
    let (mut counted, mut shift) = (total, 0);
    for part in fragments.iter().filter(|part| part.track == track) {
        let found = part.time.and_then(|time| i64::try_from(time).ok());
        let found = found
            .map_or(shift, |time| time.saturating_sub(i64::try_from(counted).unwrap_or(i64::MAX)));
        if clock.shifts.is_empty() || found != shift {
            shift = found;
            clock.shifts.push((counted, shift));
        }
        let own = u64::from(part.default.unwrap_or(default));
        counted =
            counted.saturating_add(part.ticks).saturating_add(part.samples.saturating_mul(own));
    }
    let &(_, first) = clock.shifts.first()?;
    // What lies outside of fragments begins at zero.
    clock.first = if total > 0 { 0 } else { u64::try_from(first).unwrap_or(0) };
    clock.end = counted.saturating_add_signed(shift);
    Some(clock)
}
