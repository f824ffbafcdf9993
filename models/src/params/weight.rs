//! A tensor of a network that clones share.

use std::borrow::Borrow;
use std::ops::Deref;

use tch::Tensor;

/// A tensor that is not written to while a network computes. Cloning shares its storage, so that
/// clones of a network cost no memory, and each of them can go to a thread of its own.
#[derive(Debug)]
pub struct Weight(Tensor);

impl Clone for Weight {
    fn clone(&self) -> Self {
        Self(self.0.shallow_clone())
    }
}

impl Deref for Weight {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.0
    }
}

impl From<Tensor> for Weight {
    fn from(tensor: Tensor) -> Self {
        Self(tensor)
    }
}

impl Borrow<Tensor> for Weight {
    fn borrow(&self) -> &Tensor {
        &self.0
    }
}

impl Borrow<Tensor> for &Weight {
    fn borrow(&self) -> &Tensor {
        &self.0
    }
}

impl Weight {
    /// The same values without a gradient, in the same storage.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self(self.0.detach())
    }
}
