//! A variable store that clones share.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use tch::Device;
use tch::nn::VarStore;

/// The variables of a network by name. Clones are the same variables.
#[derive(Debug)]
pub struct SharedStore(VarStore);

impl SharedStore {
    /// An empty store for tensors on `device`.
    #[must_use]
    pub fn new(device: Device) -> Self {
        Self(VarStore::new(device))
    }

    /// The store, for an optimizer.
    #[must_use]
    pub fn into_inner(self) -> VarStore {
        self.0
    }
}

impl Clone for SharedStore {
    fn clone(&self) -> Self {
        let mut clone = VarStore::new(self.0.device());
        clone.variables_ = Arc::clone(&self.0.variables_);
        Self(clone)
    }
}

impl Deref for SharedStore {
    type Target = VarStore;

    fn deref(&self) -> &VarStore {
        &self.0
    }
}

impl DerefMut for SharedStore {
    fn deref_mut(&mut self) -> &mut VarStore {
        &mut self.0
    }
}
