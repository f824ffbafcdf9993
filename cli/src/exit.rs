//! The exit status, decided here and nowhere else.

use crate::failure::Kind;

/// What came of the whole command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Work on a list: how many were done (or needed nothing done), and why the others failed.
    Worked {
        /// Inputs that are done.
        done: usize,
        /// One entry for each input that failed.
        failed: Vec<Kind>,
        /// Whether the user stopped it.
        interrupted: bool,
    },
    /// Nothing was done, for this reason.
    Failed(Kind),
}

impl Outcome {
    /// All done.
    pub(crate) fn done() -> Self {
        Self::Worked { done: 1, failed: Vec::new(), interrupted: false }
    }
}

/// The number that the shell sees.
pub(crate) fn code(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Failed(kind) => of_kind(*kind),
        Outcome::Worked { interrupted: true, .. } => of_kind(Kind::Interrupted),
        Outcome::Worked { failed, .. } if failed.contains(&Kind::Internal) => {
            of_kind(Kind::Internal)
        }
        // Who closes our standard output has seen enough.
        Outcome::Worked { failed, .. } if failed.contains(&Kind::BrokenPipe) => 0,
        Outcome::Worked { failed, .. } if failed.is_empty() => 0,
        Outcome::Worked { done: 0, failed, .. } => {
            // Nothing worked: the reason that lies deepest speaks for all.
            let order = [Kind::Device, Kind::Model, Kind::Input];
            order.into_iter().find(|kind| failed.contains(kind)).map_or(2, of_kind)
        }
        Outcome::Worked { .. } => 1,
    }
}

fn of_kind(kind: Kind) -> u8 {
    match kind {
        Kind::BrokenPipe => 0,
        Kind::Usage | Kind::Output => 2,
        Kind::Input => 3,
        Kind::Model => 4,
        Kind::Device => 5,
        Kind::Internal => 70,
        Kind::Interrupted => 130,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worked(done: usize, failed: &[Kind]) -> u8 {
        code(&Outcome::Worked { done, failed: failed.to_vec(), interrupted: false })
    }

    #[test]
    fn lists() {
        assert_eq!(worked(3, &[]), 0);
        assert_eq!(worked(0, &[]), 0); // an empty shard
        assert_eq!(worked(2, &[Kind::Input]), 1);
        assert_eq!(worked(0, &[Kind::Input, Kind::Input]), 3);
        assert_eq!(worked(0, &[Kind::Output]), 2);
        assert_eq!(worked(0, &[Kind::Input, Kind::Device]), 5);
        assert_eq!(worked(2, &[Kind::BrokenPipe]), 0);
        assert_eq!(worked(2, &[Kind::Input, Kind::Internal]), 70);
        let stopped = Outcome::Worked { done: 2, failed: vec![Kind::Input], interrupted: true };
        assert_eq!(code(&stopped), 130);
    }

    #[test]
    fn single_reasons() {
        let kinds = [Kind::Usage, Kind::Input, Kind::Model, Kind::Device, Kind::Internal];
        assert_eq!(kinds.map(|kind| code(&Outcome::Failed(kind))), [2, 3, 4, 5, 70]);
        assert_eq!(code(&Outcome::Failed(Kind::Interrupted)), 130);
        assert_eq!(code(&Outcome::done()), 0);
    }
}
