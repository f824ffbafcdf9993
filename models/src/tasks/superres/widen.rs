//! One channel of a window: below the edge of its band the recording, above it what a network adds.

use tch::{Kind, Tensor};

use super::crossover::Crossover;
use super::{FULL_BAND, SuperResolver};
use crate::error::Result;

/// Hz in which the recording gives way to what the network adds.
pub const SEAM: f64 = 300.0;
/// Samples up to this are silence (-100 dBFS), to which nothing is added.
const SILENCE: f32 = 1e-5;
/// Seconds of silence around sound in which what is added stays, and seconds in which it fades then;
/// so it does at the cuts of a window, since a step has a low band of its own.
pub(in crate::tasks) const HOLD_SECONDS: f64 = 0.01;

/// A window with a full band.
pub(super) struct Widened {
    pub(super) samples: Vec<f32>,
    /// Energy of the recording below the edge, and of what changed there.
    pub(super) low_energy: f64,
    pub(super) low_change: f64,
}

/// Whether there is something to add to samples whose band ends at `edge` Hz.
pub(super) fn is_narrow(samples: &[f32], edge: f64) -> bool {
    edge < FULL_BAND && samples.iter().any(|x| x.abs() > SILENCE)
}

/// `samples` with a full band: below `edge` as they are.
pub(super) fn widened(resolver: &SuperResolver, samples: &[f32], edge: f64) -> Result<Widened> {
    let rate = f64::from(resolver.sample_rate());
    let seam = Crossover::new(edge, edge + SEAM, rate);
    let x = Tensor::from_slice(samples);
    // The network hears nothing of what a soft slope, or noise, leaves above the edge.
    let low = seam.low(&x);
    let heard = Vec::<f32>::try_from(&low)?;
    let added = Tensor::from_slice(&resolver.cover(&heard)?);
    let gate = Tensor::from_slice(&gate(samples, (HOLD_SECONDS * rate) as usize));
    // Where the gate is shut the recording stays as it is to the bit.
    let y = (seam.high(&(added * &gate)) + &low - &x) * gate + &x;
    // What the filters and the gate did below the edge, and how much is there.
    let inside = Crossover::new(edge - SEAM, edge, rate);
    let energy = |x: &Tensor| inside.low(x).square().sum(Kind::Double).double_value(&[]);
    Ok(Widened {
        low_energy: energy(&x),
        low_change: energy(&(&y - &x)),
        samples: Vec::<f32>::try_from(&y)?,
    })
}

/// One where a sample within `hold` samples is more than silence, falling to zero within as many, and
/// at the ends.
pub(in crate::tasks) fn gate(samples: &[f32], hold: usize) -> Vec<f32> {
    let mut distances = vec![usize::MAX; samples.len()];
    let pass = |distances: &mut [usize], order: &mut dyn Iterator<Item = usize>| {
        let mut distance = usize::MAX;
        for at in order {
            distance = match samples[at].abs() > SILENCE {
                true => 0,
                false => distance.saturating_add(1),
            };
            distances[at] = distances[at].min(distance);
        }
    };
    pass(&mut distances, &mut (0..samples.len()));
    pass(&mut distances, &mut (0..samples.len()).rev());
    let hold = hold.max(1);
    let share = |(at, distance): (usize, usize)| {
        let open = hold - distance.saturating_sub(hold).min(hold);
        open.min(at).min(samples.len() - 1 - at) as f32 / hold as f32
    };
    distances.into_iter().enumerate().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_open_around_sound() {
        let mut samples = vec![0.0; 100];
        samples[50] = 0.1;
        let shares = gate(&samples, 10);
        assert_eq!([shares[50], shares[40], shares[60]], [1.0; 3]);
        assert_eq!([shares[35], shares[65]], [0.5; 2]);
        assert_eq!([shares[30], shares[70], shares[0]], [0.0; 3]);
        assert!(gate(&[0.0; 5], 10).iter().all(|&share| share == 0.0));
    }
}
