//! Leaky integrate-and-fire neurons along the frame axis, several neurons in a vector.
//!
//! The recurrence of one neuron waits for a division at every frame; neurons do not wait for each
//! other. All versions do the same roundings, so that not a single spike differs.

use crate::error::{Error, Result, check_length, check_shape};
use crate::simd::{Kernel, Lanes, Level, dispatch};
use crate::view::{View, ViewMut};

/// Constants of a layer of neurons.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lif {
    /// Membrane time constant in frames.
    pub tau: f32,
    /// A neuron fires when its voltage reaches this.
    pub threshold: f32,
    /// Voltage after firing.
    pub reset: f32,
}

impl Lif {
    /// Writes the spikes for the currents `x` to `out`, which has the same shape, and moves the
    /// voltages on, one for every channel of every signal, `[batch, channels]`. Any strides.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn run(&self, x: View<'_>, voltages: &mut [f32], out: &mut ViewMut<'_>) -> Result<()> {
        self.run_with(Level::best(), x, voltages, out)
    }

    /// Like [`Lif::run`] with given instructions, for tests and comparisons.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn run_with(
        &self,
        level: Level,
        x: View<'_>,
        voltages: &mut [f32],
        out: &mut ViewMut<'_>,
    ) -> Result<()> {
        self.check(&x, voltages, out)?;
        dispatch(level, Neurons { lif: *self, x, voltages, out });
        Ok(())
    }

    fn check(&self, x: &View<'_>, voltages: &[f32], out: &ViewMut<'_>) -> Result<()> {
        let neurons = x.shape.batch.checked_mul(x.shape.channels).ok_or(Error::Setting {
            setting: "shape",
            reason: "has more neurons than can be counted",
        })?;
        check_length("voltages", voltages.len(), neurons)?;
        check_shape("the output", out.shape, x.shape)
    }
}

/// Frames that are turned at a time, so that neurons become neighbours.
const BLOCK: usize = 32;

/// Neurons of the longest vector.
const WIDEST: usize = 16;

struct Neurons<'a, 'b> {
    lif: Lif,
    x: View<'a>,
    voltages: &'a mut [f32],
    out: &'a mut ViewMut<'b>,
}

impl Kernel for Neurons<'_, '_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let Self { lif, x, voltages, out } = self;
        let (channels, frames) = (x.shape.channels, x.shape.frames);
        let mut block = [0.0f32; BLOCK * WIDEST]; // [frame, neuron]
        for (group, voltages) in voltages.chunks_mut(V::N).enumerate() {
            let places = |neuron: usize| {
                let (b, c) =
                    ((group * V::N + neuron) / channels, (group * V::N + neuron) % channels);
                (x.strides.at(b, c, 0), out.strides.at(b, c, 0))
            };
            // SAFETY: the caller promises the instructions; a vector is not longer than `WIDEST`.
            // There are as many voltages as neurons, so that all elements are inside the views.
            unsafe {
                let (tau, threshold) = (V::splat(lif.tau), V::splat(lif.threshold));
                let reset = V::splat(lif.reset);
                let mut voltage = V::load_part(voltages.as_ptr(), voltages.len());
                for start in (0..frames).step_by(BLOCK) {
                    let count = BLOCK.min(frames - start);
                    for neuron in 0..voltages.len() {
                        let from = x.ptr.add(places(neuron).0);
                        for t in 0..count {
                            block[t * V::N + neuron] = *from.add((start + t) * x.strides.frame);
                        }
                    }
                    for t in 0..count {
                        let place = block.as_mut_ptr().add(t * V::N);
                        let pull = V::load(place).sub(voltage.sub(reset));
                        voltage = voltage.add(pull.div(tau));
                        let spike = voltage.where_at_least(threshold, V::splat(1.0), V::splat(0.0));
                        voltage = voltage.where_at_least(threshold, reset, voltage);
                        spike.store(place);
                    }
                    for neuron in 0..voltages.len() {
                        let to = out.ptr.add(places(neuron).1);
                        for t in 0..count {
                            to.add((start + t) * out.strides.frame).write(block[t * V::N + neuron]);
                        }
                    }
                }
                voltage.store_part(voltages.as_mut_ptr(), voltages.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::view::Shape;

    impl Lif {
        /// Moves the voltage on by a frame and returns the spike, 0 or 1.
        fn step(self, voltage: &mut f32, current: f32) -> f32 {
            *voltage += (current - (*voltage - self.reset)) / self.tau;
            if *voltage >= self.threshold {
                *voltage = self.reset;
                1.0
            } else {
                0.0
            }
        }

        /// The definition.
        fn run_scalar(
            &self,
            x: View<'_>,
            voltages: &mut [f32],
            out: &mut ViewMut<'_>,
        ) -> Result<()> {
            self.check(&x, voltages, out)?;
            for (neuron, voltage) in voltages.iter_mut().enumerate() {
                let (b, c) = (neuron / x.shape.channels, neuron % x.shape.channels);
                for t in 0..x.shape.frames {
                    // SAFETY: there are as many voltages as neurons, so that the element is inside
                    // both views.
                    unsafe {
                        let current = *x.ptr.add(x.strides.at(b, c, t));
                        out.ptr.add(out.strides.at(b, c, t)).write(self.step(voltage, current));
                    }
                }
            }
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn every_spike_is_the_definition_s(
            (batch, channels, frames) in (0usize..4, 0usize..40, 0usize..100),
            (tau, threshold, reset) in (1.0f32..5.0, 0.1f32..2.0, -0.5f32..0.05),
            (last_in, last_out) in any::<(bool, bool)>(),
            x in prop::collection::vec(-2.0f32..6.0, 4 * 40 * 100),
        ) {
            let lif = Lif { tau, threshold, reset };
            let shape = Shape::new(batch, channels, frames);
            let strides = |last: bool| {
                if last { shape.channels_last() } else { shape.channels_first() }
            };
            let view = View::new(&x, shape, strides(last_in)).expect("fits");
            let run = |level: Option<Level>| {
                let mut voltages: Vec<f32> =
                    (0..batch * channels).map(|i| (i % 7) as f32 * 0.01).collect();
                let mut y = vec![-1.0; batch * channels * frames];
                let mut out = ViewMut::new(&mut y, shape, strides(last_out)).expect("fits");
                match level {
                    Some(level) => lif.run_with(level, view, &mut voltages, &mut out),
                    None => lif.run_scalar(view, &mut voltages, &mut out),
                }.expect("shapes fit");
                (y, voltages)
            };
            let wanted = run(None);
            for level in Level::available() {
                prop_assert!(run(Some(level)) == wanted, "{:?}", level);
            }
        }
    }

    #[test]
    fn wrong_arguments_are_refused() {
        let lif = Lif { tau: 2.0, threshold: 1.0, reset: 0.0 };
        let (x, mut y) = ([0.0; 6], [0.0; 6]);
        let shape = Shape::new(1, 2, 3);
        let view = View::new(&x, shape, shape.channels_first()).expect("fits");
        let mut out = ViewMut::new(&mut y, shape, shape.channels_first()).expect("fits");
        assert!(matches!(lif.run(view, &mut [0.0; 3], &mut out), Err(Error::Length { .. })));
        let other = Shape::new(1, 3, 2);
        let mut out = ViewMut::new(&mut y, other, other.channels_first()).expect("fits");
        assert!(matches!(lif.run(view, &mut [0.0; 2], &mut out), Err(Error::Shape { .. })));
    }
}
