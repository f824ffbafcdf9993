//! What waits for one task, and what is skipped when too much does.
//!
//! The shedding rule: when more than the longest lag waits for a task of a live session, all but
//! the newest second is skipped. The task ends its stretch and begins a new one behind the gap.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Audio that an elastic session lets wait, in seconds.
const ELASTIC: f64 = 2.0;
/// What is kept when a live task is too slow, in seconds.
const KEPT: f64 = 1.0;
/// Blocks are joined up to this length when several wait, in seconds.
const JOINED: f64 = 0.25;

/// Mono samples at a task's rate.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) samples: Vec<f32>,
    /// Seconds of the session at the first sample.
    pub(crate) start: f64,
    pub(crate) seconds: f64,
    /// Seconds of the session up to which the source was heard, and when that was captured.
    pub(crate) heard: (f64, Instant),
    pub(crate) queued: Instant,
}

/// What a task takes from its queue.
pub(crate) enum Taken {
    Audio(Vec<Arc<Chunk>>),
    /// Something is missing; the next stretch begins here.
    Restart(f64),
    End,
}

enum Item {
    Audio(Arc<Chunk>),
    Restart(f64),
}

#[derive(Default)]
struct Inner {
    items: VecDeque<Item>,
    waiting: f64,
    ended: bool,
    /// The task is no longer there.
    closed: bool,
}

/// The queue of one task.
#[derive(Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Queue {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds audio of a session that goes on anyway; the stretch that is skipped when more than
    /// `longest` seconds wait.
    pub(crate) fn push_live(&self, chunk: Arc<Chunk>, longest: f64) -> Option<(f64, f64)> {
        let mut inner = self.inner();
        if inner.closed {
            return None;
        }
        inner.waiting += chunk.seconds;
        inner.items.push_back(Item::Audio(chunk));
        let gap = if inner.waiting > longest { shed(&mut inner) } else { None };
        drop(inner);
        self.changed.notify_all();
        gap
    }

    /// Adds audio, after waiting until there is room.
    pub(crate) fn push_elastic(&self, chunk: Arc<Chunk>) {
        let mut inner = self.inner();
        while inner.waiting > ELASTIC && !inner.closed {
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        if !inner.closed {
            inner.waiting += chunk.seconds;
            inner.items.push_back(Item::Audio(chunk));
        }
        drop(inner);
        self.changed.notify_all();
    }

    /// Something is missing; the next audio begins at `at`.
    pub(crate) fn restart(&self, at: f64) {
        self.inner().items.push_back(Item::Restart(at));
        self.changed.notify_all();
    }

    /// Nothing will follow.
    pub(crate) fn end(&self) {
        self.inner().ended = true;
        self.changed.notify_all();
    }

    /// Nobody will take anything any more.
    pub(crate) fn close(&self) {
        self.inner().closed = true;
        self.changed.notify_all();
    }

    /// What comes next; waits for it.
    pub(crate) fn take(&self) -> Taken {
        let mut inner = self.inner();
        loop {
            match inner.items.front() {
                Some(Item::Restart(at)) => {
                    let at = *at;
                    inner.items.pop_front();
                    return Taken::Restart(at);
                }
                Some(Item::Audio(_)) => break,
                None if inner.ended => return Taken::End,
                None => {
                    let wait = Duration::from_secs(1);
                    let woken = self.changed.wait_timeout(inner, wait);
                    inner = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
        let (mut chunks, mut seconds) = (Vec::new(), 0.0);
        while let Some(Item::Audio(chunk)) = inner.items.front() {
            if !chunks.is_empty() && seconds + chunk.seconds > JOINED {
                break;
            }
            seconds += chunk.seconds;
            chunks.push(Arc::clone(chunk));
            inner.items.pop_front();
        }
        inner.waiting = (inner.waiting - seconds).max(0.0);
        drop(inner);
        self.changed.notify_all();
        Taken::Audio(chunks)
    }
}

/// Skips all but the newest audio.
fn shed(inner: &mut Inner) -> Option<(f64, f64)> {
    let (mut kept, mut seconds) = (VecDeque::new(), 0.0);
    while let Some(Item::Audio(chunk)) = inner.items.back() {
        if !kept.is_empty() && seconds + chunk.seconds > KEPT {
            break;
        }
        seconds += chunk.seconds;
        kept.push_front(Arc::clone(chunk));
        inner.items.pop_back();
    }
    let from = inner.items.iter().find_map(|item| match item {
        Item::Audio(chunk) => Some(chunk.start),
        Item::Restart(_) => None,
    })?;
    let to = kept.front()?.start;
    inner.items.clear();
    inner.items.push_back(Item::Restart(to));
    inner.items.extend(kept.into_iter().map(Item::Audio));
    inner.waiting = seconds;
    Some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(at: usize) -> Arc<Chunk> {
        let (start, now) = (at as f64 * 0.1, Instant::now());
        let heard = (start + 0.1, now);
        Arc::new(Chunk { samples: vec![at as f32], start, seconds: 0.1, heard, queued: now })
    }

    fn taken(queue: &Queue) -> Vec<f32> {
        let mut heard = Vec::new();
        loop {
            match queue.take() {
                Taken::Audio(chunks) => heard.extend(chunks.iter().map(|c| c.samples[0])),
                Taken::Restart(at) => heard.push(-at as f32),
                Taken::End => return heard,
            }
        }
    }

    #[test]
    fn too_slow_tasks_skip_to_the_newest_second() {
        let queue = Queue::default();
        let gaps: Vec<(f64, f64)> =
            (0..35).filter_map(|at| queue.push_live(chunk(at), 3.0)).collect();
        queue.end();
        assert_eq!(gaps.len(), 1);
        let (from, to) = gaps[0];
        assert_eq!(from, 0.0);
        let heard = taken(&queue);
        assert_eq!(heard[0], -to as f32);
        assert!(heard.len() <= 17 && heard.last() == Some(&34.0), "{heard:?}");
        assert!((f64::from(heard[1]) * 0.1 - to).abs() < 1e-6);
    }

    #[test]
    fn elastic_sources_wait() {
        let queue = Queue::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..100).for_each(|at| queue.push_elastic(chunk(at)));
                queue.restart(7.0);
                queue.end();
            });
            std::thread::sleep(Duration::from_millis(20));
            assert!(queue.inner().waiting <= ELASTIC + 0.11);
            let heard = taken(&queue);
            assert_eq!((heard.len(), heard[99], heard[100]), (101, 99.0, -7.0));
        });
    }

    #[test]
    fn nobody_waits_for_a_task_that_is_gone() {
        let queue = Queue::default();
        queue.close();
        (0..100).for_each(|at| queue.push_elastic(chunk(at)));
        assert_eq!(queue.push_live(chunk(0), 0.0), None);
    }
}
