//! Gradients that kernels compute, which libtorch knows nothing of.
//!
//! While a tape records, what a kernel makes is a new beginning for autograd, and the tape notes how
//! to go on behind it: what the gradient of the inputs is when that of the output is known.
//! [`Tape::backward`] goes the whole way back.
//!
//! Autograd goes through the part before a new beginning once for every tensor that the tape has
//! noted there. A tensor that several operations use, of which one ends at a kernel, has to be made a
//! new beginning itself by [`cut`]; where that is forgotten, libtorch refuses to go through a part
//! twice.

use std::cell::RefCell;

use tch::Tensor;

thread_local! {
    static RECORDING: RefCell<Option<Vec<Node>>> = const { RefCell::new(None) };
}

/// How gradients pass an operation: from that of its output to those of its inputs.
type Gradient = Box<dyn FnOnce(&Tensor) -> Vec<Tensor>>;

struct Node {
    inputs: Vec<Tensor>,
    output: Tensor,
    gradient: Gradient,
}

/// What was computed while it recorded.
#[derive(Default)]
pub struct Tape {
    nodes: Vec<Node>,
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape").field("nodes", &self.nodes.len()).finish()
    }
}

/// Records on this thread while `compute` runs.
pub fn record<T>(compute: impl FnOnce() -> T) -> (T, Tape) {
    /// Puts back what was there before, also when `compute` panics.
    struct Before(Option<Vec<Node>>);
    impl Drop for Before {
        fn drop(&mut self) {
            RECORDING.set(self.0.take());
        }
    }
    let before = Before(RECORDING.replace(Some(Vec::new())));
    let result = compute();
    let nodes = RECORDING.take().unwrap_or_default();
    drop(before);
    (result, Tape { nodes })
}

/// Whether a tape records on this thread.
#[must_use]
pub fn is_recording() -> bool {
    RECORDING.with_borrow(Option::is_some)
}

/// `x` as a new beginning for autograd; without a tape, or where `x` has no gradient, as it is.
pub fn cut(x: &Tensor) -> Tensor {
    if !is_recording() || !x.requires_grad() {
        return x.shallow_clone();
    }
    note(vec![x.shallow_clone()], x, Box::new(|gradient| vec![gradient.shallow_clone()]))
}

/// Notes that `value` was made of `inputs`, and how its gradient becomes theirs, in their order and
/// of their shapes. Returns `value` as a new beginning for autograd.
pub(super) fn note(inputs: Vec<Tensor>, value: &Tensor, gradient: Gradient) -> Tensor {
    let output = value.detach().set_requires_grad(true);
    let node = Node { inputs, output: output.shallow_clone(), gradient };
    RECORDING.with_borrow_mut(|nodes| nodes.get_or_insert_default().push(node));
    output
}

impl Tape {
    /// Adds the gradients of `loss`, a number that was computed while this recorded, to those of all
    /// parameters that went into it.
    pub fn backward(self, loss: &Tensor) {
        loss.backward();
        for Node { inputs, output, gradient } in self.nodes.into_iter().rev() {
            let known = output.grad();
            drop(output);
            if !known.defined() {
                continue; // nothing came of it
            }
            let gradients = tch::no_grad(|| gradient(&known));
            drop(known);
            // Autograd begins with numbers: the one whose gradients are these.
            let products = inputs
                .iter()
                .zip(&gradients)
                .filter(|(input, _)| input.requires_grad())
                .map(|(input, gradient)| input.reshape([-1]).dot(&gradient.reshape([-1])));
            if let Some(sum) = products.reduce(|sum, product| sum + product) {
                sum.backward();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    /// Twice its input, by a gradient of its own.
    fn doubled(x: &Tensor) -> Tensor {
        let value = x.detach() * 2.0;
        note(vec![x.shallow_clone()], &value, Box::new(|gradient| vec![gradient * 2.0]))
    }

    fn parameter() -> Tensor {
        Tensor::from_slice(&[1.0f32, -2.0, 3.0]).set_requires_grad(true)
    }

    #[test]
    fn gradients_go_the_whole_way_back() {
        let p = parameter();
        let (loss, tape) = record(|| {
            let x = cut(&(&p * &p)); // used twice
            let y = doubled(&(&x * 3.0));
            let _unused = doubled(&x.exp());
            (&y * &x).sum(Kind::Float) // 6 p^4
        });
        assert!((loss.double_value(&[]) - 6.0 * 98.0).abs() < 1e-3);
        tape.backward(&loss);
        let wanted = p.detach().pow_tensor_scalar(3) * 24.0;
        assert!((p.grad() - wanted).abs().max().double_value(&[]) < 1e-3);
        assert!(!is_recording());
    }

    #[test]
    fn without_a_tape_nothing_is_cut() {
        let p = parameter();
        let loss = cut(&(&p * &p)).sum(Kind::Float);
        loss.backward();
        assert_eq!(p.grad(), p.detach() * 2.0);
        let (plain, tape) = record(|| cut(&Tensor::from_slice(&[1.0f32])));
        assert!(!plain.requires_grad() && tape.nodes.is_empty());
    }
}
