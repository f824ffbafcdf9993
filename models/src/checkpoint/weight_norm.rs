//! Weight normalisation: `weight = g * v / |v|`, the norm over all axes along which `g` has one
//! element (all but the first, in practice). Old and new spellings of its names.

use super::dtype::DType;
use super::fault::{Fault, Outcome};
use super::state_dict::StateDict;
use super::steps::Step;
use super::tensor::RawTensor;

const NEW_G: &str = "original0";
const NEW_V: &str = "original1";

/// Gives `x.parametrizations.weight.original0/1` their older names `x.weight_g/_v`.
pub(crate) fn use_old_names(state: &mut StateDict) {
    let mut count = 0;
    let is_pair = |state: &StateDict, stem: &str| {
        [NEW_G, NEW_V].iter().all(|part| state.get(&format!("{stem}.{part}")).is_some())
    };
    let pairs: Vec<String> = state
        .names()
        .filter_map(|name| name.strip_suffix(NEW_G)?.strip_suffix('.'))
        .filter(|stem| stem.contains("parametrizations.") && is_pair(state, stem))
        .map(str::to_owned)
        .collect();
    if pairs.is_empty() {
        return;
    }
    state.rename(|name| {
        let renamed = name.rsplit_once('.').and_then(|(stem, part)| {
            let letter = match part {
                NEW_G => "g",
                NEW_V => "v",
                _ => return None,
            };
            let known = pairs.binary_search_by(|pair| pair.as_str().cmp(stem)).is_ok()
                || pairs.iter().any(|pair| pair == stem);
            known.then(|| format!("{}_{letter}", stem.replacen("parametrizations.", "", 1)))
        });
        match renamed {
            Some(new) => {
                count += 1;
                new
            }
            None => name.to_owned(),
        }
    });
    state.steps.push(Step::Renamed { from: "torch parametrizations".into(), count });
}

/// Folds every pair `x_g`, `x_v` with `x` ending in `weight` for which `wanted(x)` holds.
///
/// # Errors
/// When a tensor can't be read, or the shapes of a pair do not belong together.
pub(crate) fn fold(state: &mut StateDict, wanted: impl Fn(&str) -> bool) -> Outcome<()> {
    let stems: Vec<String> = state
        .names()
        .filter_map(|name| name.strip_suffix("_g"))
        .filter(|stem| stem.ends_with("weight") && wanted(stem))
        .filter(|stem| state.get(&format!("{stem}_v")).is_some() && state.get(stem).is_none())
        .map(str::to_owned)
        .collect();
    if stems.is_empty() {
        return Ok(());
    }
    for stem in &stems {
        let [g, v] = ["g", "v"].map(|part| state.tensors.get(&format!("{stem}_{part}")).cloned());
        let (Some(g), Some(v)) = (g, v) else { continue };
        let weight = fold_pair(stem, &g, &v)?;
        // The weight takes the place of the pair.
        let place = state.tensors.shift_remove_full(&format!("{stem}_g")).map(|(at, ..)| at);
        state.tensors.shift_remove(&format!("{stem}_v"));
        let place = place.unwrap_or_default().min(state.tensors.len());
        state.tensors.shift_insert(place, stem.clone(), weight);
    }
    state.steps.push(Step::Folded { count: stems.len() });
    Ok(())
}

fn fold_pair(name: &str, g: &RawTensor, v: &RawTensor) -> Outcome<RawTensor> {
    let shape = v.shape();
    let fits = g.shape().is_empty()
        || g.shape().len() == shape.len()
            && g.shape().iter().zip(shape).all(|(g, v)| *g == 1 || g == v);
    if !fits {
        return Err(Fault::Damaged(format!(
            "{name}_g of shape {:?} does not belong to {name}_v of shape {shape:?}",
            g.shape()
        )));
    }
    let (gains, values) = (g.to_f32_vec()?, v.to_f32_vec()?);
    // Which element of `g` belongs to each element of `v`.
    let mut strides = vec![0; shape.len()];
    let mut step = 1;
    for axis in (0..g.shape().len()).rev() {
        if g.shape()[axis] > 1 {
            strides[axis] = step;
            step *= g.shape()[axis];
        }
    }
    let group = |mut index: usize| {
        let mut at = 0;
        for axis in (0..shape.len()).rev() {
            at += index % shape[axis] * strides[axis];
            index /= shape[axis];
        }
        at
    };
    let mut squares = vec![0.0f64; gains.len()];
    for (index, value) in values.iter().enumerate() {
        squares[group(index)] += f64::from(*value).powi(2);
    }
    let scale: Vec<f64> = gains
        .iter()
        .zip(squares)
        .map(|(gain, square)| if square > 0.0 { f64::from(*gain) / square.sqrt() } else { 0.0 })
        .collect();
    let folded: Vec<f32> = values
        .iter()
        .enumerate()
        .map(|(index, value)| (f64::from(*value) * scale[group(index)]) as f32)
        .collect();
    RawTensor::from_bytes(DType::F32, shape.to_vec(), DType::F32.encode_f32(&folded))
}
