//! Weight normalisation: `weight = g * v / |v|`, the norm over all axes along which `g` has one
//! element (all but the first, in practice). Old and new spellings of its names.

use std::collections::HashSet;

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
    let pairs: HashSet<String> = state
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
            let plain = || format!("{}_{letter}", stem.replacen("parametrizations.", "", 1));
            pairs.contains(stem).then(plain)
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

/// The `x` of every pair `x_g`, `x_v` for which `wanted(x)` holds.
pub(crate) fn pairs(state: &StateDict, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    state
        .names()
        .filter_map(|name| name.strip_suffix("_g"))
        .filter(|stem| stem.ends_with("weight") && wanted(stem))
        .filter(|stem| state.get(&format!("{stem}_v")).is_some() && state.get(stem).is_none())
        .map(str::to_owned)
        .collect()
}

/// Folds every pair `x_g`, `x_v` with `x` ending in `weight` for which `wanted(x)` holds.
///
/// # Errors
/// When a tensor can't be read, or the shapes of a pair do not belong together.
pub(crate) fn fold(state: &mut StateDict, wanted: impl Fn(&str) -> bool) -> Outcome<()> {
    let stems: HashSet<String> = pairs(state, wanted).into_iter().collect();
    if stems.is_empty() {
        return Ok(());
    }
    let tensors = std::mem::take(&mut state.tensors);
    for (name, tensor) in &tensors {
        let stem = name.strip_suffix("_g").filter(|stem| stems.contains(*stem));
        // The weight takes the place of `g`; `v` goes with it.
        if let Some(stem) = stem
            && let Some(v) = tensors.get(&format!("{stem}_v"))
        {
            state.insert(stem, fold_pair(stem, tensor, v)?);
        } else if name.strip_suffix("_v").is_none_or(|stem| !stems.contains(stem)) {
            state.insert(name.clone(), tensor.clone());
        }
    }
    state.steps.push(Step::Folded { count: stems.len() });
    Ok(())
}

/// The weight whose factors are `g` and `v`.
pub(crate) fn fold_pair(name: &str, g: &RawTensor, v: &RawTensor) -> Outcome<RawTensor> {
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
    let group = groups(g.shape(), shape);
    let mut squares = vec![0.0f64; gains.len()];
    for (index, value) in values.iter().enumerate() {
        squares[group(index)] += f64::from(*value).powi(2);
    }
    let scale: Vec<f64> = gains
        .iter()
        .zip(squares)
        .map(|(gain, square)| if square > 0.0 { f64::from(*gain) / square.sqrt() } else { 0.0 })
        .collect();
    let scaled = |(index, value): (usize, &f32)| (f64::from(*value) * scale[group(index)]) as f32;
    let folded: Vec<f32> = values.iter().enumerate().map(scaled).collect();
    RawTensor::from_bytes(DType::F32, shape.to_vec(), DType::F32.encode_f32(&folded))
}

/// Which element of `g` belongs to an element of `v`, by their flat indices.
fn groups(g: &[usize], v: &[usize]) -> Box<dyn Fn(usize) -> usize> {
    if g.iter().skip(1).all(|dim| *dim == 1) {
        // One gain for each index of the first axis, or one for all.
        let inner: usize = v.iter().skip(usize::from(g.first().is_some_and(|n| *n > 1))).product();
        let inner = inner.max(1);
        return Box::new(move |index| index / inner);
    }
    let mut axes = Vec::with_capacity(v.len()); // (size, stride in g), last axis first
    let mut step = 1;
    for (dim, kept) in v.iter().zip(g).rev() {
        axes.push((*dim, if *kept > 1 { step } else { 0 }));
        step *= kept;
    }
    Box::new(move |mut index| {
        let mut at = 0;
        for (dim, stride) in &axes {
            at += index % dim * stride;
            index /= dim;
        }
        at
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(g: (&[usize], &[f32]), v: (&[usize], &[f32])) -> Vec<f32> {
        let tensor = |(shape, values): (&[usize], &[f32])| {
            RawTensor::from_f32(shape.to_vec(), values).expect("fits")
        };
        let mut state = StateDict::default();
        state.insert("a.weight_v", tensor(v));
        state.insert("a.weight_g", tensor(g));
        fold(&mut state, |_| true).expect("folds");
        assert_eq!(state.names().collect::<Vec<_>>(), ["a.weight"]);
        state.get("a.weight").expect("weight").to_f32_vec().expect("reads")
    }

    #[test]
    fn the_norm_goes_over_all_axes_but_that_of_g() {
        let v: (&[usize], &[f32]) = (&[2, 2], &[3.0, 4.0, 0.0, 2.0]);
        assert_eq!(folded((&[2, 1], &[10.0, 1.0]), v), [6.0, 8.0, 0.0, 1.0]);
        let columns = [3.0, 4.0 / 20f32.sqrt(), 0.0, 2.0 / 20f32.sqrt()];
        assert_eq!(folded((&[1, 2], &[3.0, 1.0]), v), columns);
        let all = 29f32.sqrt();
        assert_eq!(folded((&[], &[29f32.sqrt()]), v)[1], 4.0 * all / all);
    }

    #[test]
    fn a_zero_direction_gives_zeros() {
        assert_eq!(folded((&[1, 1], &[2.0]), (&[1, 2], &[0.0, 0.0])), [0.0, 0.0]);
    }

    #[test]
    fn shapes_that_do_not_belong_together_are_an_error() {
        let mut state = StateDict::default();
        state.insert("a.weight_g", RawTensor::from_f32(vec![3, 1], &[1.0; 3]).expect("fits"));
        state.insert("a.weight_v", RawTensor::from_f32(vec![2, 2], &[1.0; 4]).expect("fits"));
        assert!(fold(&mut state, |_| true).is_err());
    }

    #[test]
    fn new_names_become_old_ones_and_others_stay() {
        let mut state = StateDict::default();
        let one = || RawTensor::from_f32(vec![1], &[1.0]).expect("fits");
        for name in ["up.parametrizations.weight.original0", "up.parametrizations.weight.original1"]
        {
            state.insert(name, one());
        }
        state.insert("lone.parametrizations.weight.original0", one());
        use_old_names(&mut state);
        let names: Vec<_> = state.names().collect();
        assert_eq!(names, ["up.weight_g", "up.weight_v", "lone.parametrizations.weight.original0"]);
    }
}
