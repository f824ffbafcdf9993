//! Leaky integrate-and-fire neurons along the frame axis.
//!
//! Source: SpikingJelly's multi-step LIF node with hard reset; inference only.

use tch::{Device, Kind, Tensor};

/// Constants of a layer of neurons.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lif {
    /// Membrane time constant in frames.
    pub tau: f32,
    /// A neuron fires when its voltage reaches this.
    pub threshold: f32,
    /// Voltage after firing, and before the first frame.
    pub reset: f32,
}

/// Membrane voltages of one layer, carried along a stream; empty before the first frame.
#[derive(Debug, Clone, Default)]
pub struct Voltages(Vec<f32>);

impl Lif {
    /// Spikes (0 or 1) for the currents `x [batch, channels, frames]`, same shape.
    ///
    /// Voltages start at [`Lif::reset`] and are carried in `voltages`. The recurrence is
    /// sequential and tiny, so that it always runs on the CPU; the result goes back to `x`'s
    /// device.
    ///
    /// # Panics
    /// When `voltages` belong to a layer of another size.
    pub fn forward(&self, x: &Tensor, voltages: &mut Voltages) -> Tensor {
        let size = x.size();
        let neurons = (size[0] * size[1]) as usize;
        if voltages.0.is_empty() {
            voltages.0 = vec![self.reset; neurons];
        }
        assert_eq!(voltages.0.len(), neurons, "voltages of another layer");
        let kernel = formant_kernels::lif::Lif {
            tau: self.tau,
            threshold: self.threshold,
            reset: self.reset,
        };
        let input = x.detach().to_device(Device::Cpu).to_kind(Kind::Float);
        let spikes = formant_kernels::tensor::lif(&kernel, &input, &mut voltages.0);
        spikes
            .ok()
            .flatten()
            .expect("a plain tensor with as many neurons as there are voltages")
            .to_device(x.device())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIF: Lif = Lif { tau: 2.0, threshold: 1.0, reset: 0.0 };

    #[test]
    fn charges_fires_and_resets() {
        // v: 0.75, 1.125 (fires), 0.75, 1.125 (fires)
        let x = Tensor::from_slice(&[1.5f32; 4]).view([1, 1, 4]);
        let spikes = Vec::<f32>::try_from(LIF.forward(&x, &mut Voltages::default()).view([-1]));
        assert_eq!(spikes.expect("flat"), [0.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn blocks_equal_the_whole() {
        let x = Tensor::rand([2, 3, 17], tch::kind::FLOAT_CPU) * 3.0;
        let whole = LIF.forward(&x, &mut Voltages::default());
        let mut voltages = Voltages::default();
        let parts = [0..1, 1..6, 6..17]
            .map(|r| LIF.forward(&x.narrow(2, r.start, r.end - r.start), &mut voltages));
        assert!(whole.equal(&Tensor::cat(&parts, 2)));
    }
}
