//! Enhanced audio on its way to the application.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::failure::{Failure, FormantStatus, guarded};
use crate::session::{FormantSession, with};

/// Seconds of a live session that are kept for the application.
const LIVE_SECONDS: usize = 60;

/// Samples that wait for the application. Of a live session the oldest give way.
pub(crate) struct Enhanced {
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    samples: VecDeque<f32>,
    /// Frame of the session at the first of them.
    first: u64,
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Enhanced {
    /// None yet, and what takes them. `live_rate` is the rate of a live session in Hz.
    pub(crate) fn new(live_rate: Option<u32>) -> (Self, impl FnMut(&[f32]) + Send + 'static) {
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let filled = Arc::clone(&waiting);
        let most = live_rate.map_or(usize::MAX, |rate| LIVE_SECONDS * rate as usize);
        let sink = move |clean: &[f32]| {
            let mut waiting = lock(&filled);
            waiting.samples.extend(clean);
            let old = waiting.samples.len().saturating_sub(most);
            waiting.samples.drain(..old);
            waiting.first += old as u64;
        };
        (Self { waiting }, sink)
    }

    /// Moves samples to `into`; how many, and the frame of the session at the first. `None` when
    /// there will be no more.
    fn take(&self, into: &mut [f32]) -> Option<(usize, u64)> {
        // Asked before the samples are looked at: nothing can follow once it is so.
        let ended = Arc::strong_count(&self.waiting) == 1;
        let mut waiting = lock(&self.waiting);
        let count = into.len().min(waiting.samples.len());
        if ended && waiting.samples.is_empty() {
            return None;
        }
        for (sample, clean) in into.iter_mut().zip(waiting.samples.drain(..count)) {
            *sample = clean;
        }
        let first = waiting.first;
        waiting.first += count as u64;
        Some((count, first))
    }
}

/// Takes up to `room` frames of enhanced audio, mono at the rate of the session: ok with `count`
/// frames, nothing while there are none, over after the last ones. `position` is the frame of the
/// session at the first of them and may be null; it jumps where a live session gave more than 60
/// seconds that were not taken. What was not heard is silence.
///
/// # Safety
/// `session` is null or comes from `formant_session_new` and was not freed; `samples` is null or
/// points to `room` samples that may be written; `count` and `position` are null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formant_session_enhanced(
    session: *mut FormantSession,
    samples: *mut f32,
    room: usize,
    count: *mut usize,
    position: *mut u64,
) -> FormantStatus {
    let work = |session: &FormantSession| {
        let enhanced = session.enhanced.as_ref();
        let enhanced = enhanced.ok_or_else(|| Failure::argument("enhance_model", "is null"))?;
        if samples.is_null() || count.is_null() {
            return Err(Failure::argument("samples, count", "must not be null"));
        }
        if room == 0 || room > isize::MAX as usize / 4 {
            return Err(Failure::argument("room", "is zero or too much"));
        }
        // The application's memory may hold anything.
        // SAFETY: it is not null, the length fits, and the caller vouches for the rest.
        let into = unsafe {
            samples.write_bytes(0, room);
            std::slice::from_raw_parts_mut(samples, room)
        };
        let taken = enhanced.take(into);
        let (taken, first) = match taken {
            Some((0, _)) => return Ok(FormantStatus::Nothing),
            Some(taken) => taken,
            None => return Ok(FormantStatus::Over),
        };
        // SAFETY: the caller vouches for what is not null.
        unsafe {
            count.write(taken);
            if !position.is_null() {
                position.write(first);
            }
        }
        Ok(FormantStatus::Ok)
    };
    // SAFETY: the caller vouches for the session.
    guarded(|status| status, || unsafe { with(session, work) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_audio_that_is_not_taken_gives_way() {
        let (enhanced, mut sink) = Enhanced::new(Some(10));
        assert_eq!(enhanced.take(&mut [0.0; 4]), Some((0, 0)));
        sink(&[0.5; 590]);
        sink(&[0.25; 30]);
        let mut into = [0.0; 580];
        assert_eq!(enhanced.take(&mut into), Some((580, 20)));
        assert_eq!((into[569], into[570]), (0.5, 0.25));
        drop(sink);
        assert_eq!(enhanced.take(&mut into), Some((20, 600)));
        assert_eq!(enhanced.take(&mut into), None);
    }

    #[test]
    fn nothing_gives_way_where_the_source_waits() {
        let (enhanced, mut sink) = Enhanced::new(None);
        (0..1000).for_each(|_| sink(&[0.5; 1000]));
        assert_eq!(enhanced.take(&mut vec![0.0; 2_000_000]), Some((1_000_000, 0)));
    }
}
