//! What a speaker model's file holds beside the network: the mean voice and the cohort that scores
//! are normalised with.

use super::score::Cohort;
use crate::checkpoint::{RawTensor, StateDict};
use crate::error::Result;

/// Mean of the training speakers' voices of unit length, `[values]`.
const CENTRE_KEY: &str = "scoring.centre";
/// Voices of the training speakers, `[speakers, values]`, of unit length.
const COHORT_KEY: &str = "scoring.cohort";

/// What a file holds besides the network.
#[derive(Debug, Clone, Default)]
pub(super) struct Companions {
    pub(super) centre: Option<Vec<f32>>,
    pub(super) cohort: Option<Cohort>,
}

impl Companions {
    /// From the tensors of a file.
    pub(super) fn of_state(state: &StateDict) -> Result<Self> {
        let values = |key: &str| -> Result<Option<(&[usize], Vec<f32>)>> {
            let Some(raw) = state.get(key) else { return Ok(None) };
            let values = raw.to_f32_vec().map_err(|fault| fault.at(&state.path))?;
            Ok(Some((raw.shape(), values)))
        };
        let centre = values(CENTRE_KEY)?.map(|(_, values)| values);
        let cohort = match values(COHORT_KEY)? {
            Some(([_, width], values)) => Some(Cohort::new(values, *width)?),
            _ => None,
        };
        Ok(Self { centre, cohort })
    }

    /// As the tensors of a file.
    pub(super) fn to_state(&self) -> Result<StateDict> {
        let mut state = StateDict::default();
        let mut insert = |key: &str, shape: Vec<usize>, values: &[f32]| -> Result<()> {
            let tensor = RawTensor::from_f32(shape, values);
            state.insert(key, tensor.map_err(|fault| fault.at(key.as_ref()))?);
            Ok(())
        };
        if let Some(centre) = &self.centre {
            insert(CENTRE_KEY, vec![centre.len()], centre)?;
        }
        if let Some(cohort) = &self.cohort {
            let width = cohort.width();
            insert(COHORT_KEY, vec![cohort.values().len() / width.max(1), width], cohort.values())?;
        }
        Ok(state)
    }
}
