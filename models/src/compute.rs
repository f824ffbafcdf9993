//! The border between tasks and libtorch: what libtorch throws while a network computes becomes an
//! error with the network and the shape of its input.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::error::{Error, Result};

/// Computes without gradients.
///
/// # Errors
/// [`Error::Torch`] when libtorch fails, such as for want of memory.
pub(crate) fn compute<T>(network: &str, input: &[i64], run: impl FnOnce() -> T) -> Result<T> {
    let _guard = tch::no_grad_guard();
    // Networks are not written to while they compute, so that nothing is left half done.
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| match reason_of(&*payload) {
        Some(reason) => Error::Torch(format!("{network} on an input of shape {input:?}: {reason}")),
        None => resume_unwind(payload),
    })
}

fn reason_of(payload: &(dyn Any + Send)) -> Option<String> {
    libtorch_reason(payload.downcast_ref::<String>()?)
}

/// What libtorch said, in one line without its stack, where the text of a panic is that of a
/// failed call of it.
#[must_use]
pub fn libtorch_reason(text: &str) -> Option<String> {
    // The wrapper's infallible calls unwrap an error of this form.
    let reason = text.split_once("Torch(\"")?.1;
    let end = ["\\nException raised", "\\n", "\")"].iter().filter_map(|end| reason.find(end)).min();
    Some(reason[..end.unwrap_or(reason.len())].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    #[test]
    fn a_failed_call_is_an_error_with_its_shapes_and_without_a_stack() {
        let x = Tensor::ones([2, 3], tch::kind::FLOAT_CPU);
        let error = compute("a network", &x.size(), || x.matmul(&x)).expect_err("shapes differ");
        let text = error.to_string();
        assert!(text.contains("a network on an input of shape [2, 3]"), "{text}");
        assert!(text.contains("2x3"), "{text}");
        assert!(!text.contains("frame #") && !text.contains("Exception raised"), "{text}");
        let tracked = Tensor::ones([1], tch::kind::FLOAT_CPU).set_requires_grad(true);
        assert!((tracked * 2.0).requires_grad(), "gradients are on again after a failure");
    }

    #[test]
    #[should_panic(expected = "of ours")]
    fn other_panics_go_on() {
        let _ = compute("a network", &[], || panic!("of ours"));
    }
}
