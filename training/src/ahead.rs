//! Batches that another thread composes while the network learns from those before.

use std::sync::mpsc::{Receiver, sync_channel};

use crate::error::Result;

/// Batches that may wait to be learnt from.
const WAITING: usize = 3;

/// Makes a batch of each of `plans`, in order and on a thread of its own, and hands each with its
/// number to `learn`, which may stop early.
pub(crate) fn compose_ahead<P, B: Send>(
    plans: impl Iterator<Item = P> + Send,
    make: impl Fn(P) -> Result<B> + Send,
    mut learn: impl FnMut(usize, B) -> Result<()>,
) -> Result<()> {
    std::thread::scope(|scope| {
        let (sender, receiver): (_, Receiver<Result<B>>) = sync_channel(WAITING);
        scope.spawn(move || {
            for plan in plans {
                // The receiver is gone when learning stopped early.
                if sender.send(make(plan)).is_err() {
                    return;
                }
            }
        });
        for (step, batch) in receiver.into_iter().enumerate() {
            learn(step, batch?)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn in_order_and_until_somebody_stops() {
        let mut seen = Vec::new();
        let take = |step: usize, batch: usize| {
            seen.push((step, batch));
            Ok(())
        };
        compose_ahead(0..5, |n| Ok(n * n), take).expect("nobody stops");
        assert_eq!(seen, [(0, 0), (1, 1), (2, 4), (3, 9), (4, 16)]);
        let stopped =
            compose_ahead(
                0..1000,
                Ok,
                |step, _: usize| {
                    if step == 2 { Err(Error::Interrupted) } else { Ok(()) }
                },
            );
        assert!(matches!(stopped, Err(Error::Interrupted)));
        let broken = |n| if n == 1 { Err(Error::Data("no".to_owned())) } else { Ok(n) };
        assert!(matches!(compose_ahead(0..3, broken, |_, _: i32| Ok(())), Err(Error::Data(_))));
    }
}
