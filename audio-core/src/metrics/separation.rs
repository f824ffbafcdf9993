//! Separation and enhancement: SI-SDR, and the definitions of SDR that are in use.
//!
//! All compare time signals sample by sample; what they allow to differ is said at each.

use serde::{Deserialize, Serialize};

use super::filtered::explained_share;
use super::{check_pair, energy, mean, median, permutation, ratio_db};
use crate::buffer::AudioView;
use crate::error::{Error, Result};

/// Scale-invariant signal-to-distortion ratio in dB (Le Roux et al., 2019), on signals whose mean
/// is removed. `None` when the reference is silent.
///
/// # Errors
/// [`Error::Shape`] for different lengths, [`Error::Empty`] without samples, [`Error::Config`]
/// for samples that are not finite.
pub fn si_sdr(reference: &[f32], estimate: &[f32]) -> Result<Option<f64>> {
    check_pair(reference, estimate)?;
    let centre = |samples: &[f32]| {
        let mean = samples.iter().map(|&s| f64::from(s)).sum::<f64>() / samples.len() as f64;
        samples.iter().map(move |&s| f64::from(s) - mean).collect::<Vec<f64>>()
    };
    let (reference, estimate) = (centre(reference), centre(estimate));
    let power = energy(reference.iter().copied());
    // A constant has a mean that rounds; what is left of it is no signal.
    if power <= 1e-20 * reference.len() as f64 {
        return Ok(None);
    }
    let scale = reference.iter().zip(&estimate).map(|(r, e)| r * e).sum::<f64>() / power;
    let noise = energy(reference.iter().zip(&estimate).map(|(r, e)| e - scale * r));
    Ok(Some(ratio_db(scale * scale * power, noise)))
}

/// SI-SDR of several sources in the order that fits best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceScores {
    /// For each reference the index of the estimate that was assigned to it.
    pub permutation: Vec<usize>,
    /// SI-SDR of each reference's estimate.
    pub si_sdr_db: Vec<Option<f64>>,
    /// What was gained over taking the mix for the estimate; empty when no mix was given.
    pub si_sdr_improvement_db: Vec<Option<f64>>,
    /// Mean of `si_sdr_db`, silent references left out.
    pub mean_si_sdr_db: Option<f64>,
    /// Mean of `si_sdr_improvement_db`, silent references left out.
    pub mean_si_sdr_improvement_db: Option<f64>,
}

/// Score `estimates` against `references`, of which there are as many (up to 8), in whatever order
/// gives the largest mean SI-SDR. With the `mix` the improvement (SI-SDRi) is reported too.
///
/// # Errors
/// Those of [`si_sdr`], and [`Error::Shape`] when the numbers of sources differ.
pub fn si_sdr_sources(
    references: &[&[f32]],
    estimates: &[&[f32]],
    mix: Option<&[f32]>,
) -> Result<SourceScores> {
    if references.len() != estimates.len() {
        return Err(Error::Shape {
            what: "estimated sources",
            expected: references.len().to_string(),
            found: estimates.len().to_string(),
        });
    }
    let table = references
        .iter()
        .map(|reference| estimates.iter().map(|estimate| si_sdr(reference, estimate)).collect())
        .collect::<Result<Vec<Vec<Option<f64>>>>>()?;
    let numbers: Vec<Vec<f64>> =
        table.iter().map(|row| row.iter().map(|v| v.unwrap_or(0.0)).collect()).collect();
    let permutation = permutation::best(&numbers)?;
    let scores: Vec<Option<f64>> =
        table.iter().zip(&permutation).map(|(row, &estimate)| row[estimate]).collect();
    let improvement = match mix {
        None => Vec::new(),
        Some(mix) => references
            .iter()
            .zip(&scores)
            .map(|(reference, score)| {
                Ok(score.zip(si_sdr(reference, mix)?).map(|(after, before)| after - before))
            })
            .collect::<Result<Vec<Option<f64>>>>()?,
    };
    Ok(SourceScores {
        mean_si_sdr_db: mean(scores.iter().flatten().copied()),
        mean_si_sdr_improvement_db: mean(improvement.iter().flatten().copied()),
        permutation,
        si_sdr_db: scores,
        si_sdr_improvement_db: improvement,
    })
}

/// SDR of the Music Demixing Challenge: energy of the reference over that of the error, over all
/// channels and the whole track, both with 1e-7 added.
///
/// # Errors
/// [`Error::Shape`] when rate, layout or length differ, [`Error::Empty`] without samples.
pub fn sdr(reference: &AudioView<'_>, estimate: &AudioView<'_>) -> Result<f64> {
    const DELTA: f64 = 1e-7;
    check_views(reference, estimate)?;
    let (signal, error, _) = energies(reference, estimate);
    Ok(ratio_db(signal + DELTA, error + DELTA))
}

/// SDR by windows, as BSSEval version 4 (museval) reports it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FramewiseSdr {
    /// Median over the windows that have a value: the figure of a track.
    pub median_db: Option<f64>,
    /// SDR of each window; `None` where a reference or an estimate is silent throughout.
    pub windows_db: Vec<Option<f64>>,
}

/// SDR of BSSEval version 4 for images, in windows of `window` frames every `hop` frames (museval
/// takes one second for both), for all `references` and `estimates` of a track in the same order.
///
/// For images the distortion is everything in which the estimate differs from the reference, so
/// the 512-tap filters of BSSEval, which only split it into kinds, do not enter. A window counts
/// only when no reference and no estimate is silent in it.
///
/// # Errors
/// [`Error::Shape`] when counts, rates, layouts or lengths differ, [`Error::Empty`] without
/// samples, [`Error::Config`] when window or hop is 0.
pub fn sdr_framewise(
    references: &[AudioView<'_>],
    estimates: &[AudioView<'_>],
    window: usize,
    hop: usize,
) -> Result<Vec<FramewiseSdr>> {
    if references.len() != estimates.len() {
        return Err(Error::Shape {
            what: "estimated sources",
            expected: references.len().to_string(),
            found: estimates.len().to_string(),
        });
    }
    let Some(first) = references.first() else { return Err(Error::Empty) };
    for (reference, estimate) in references.iter().zip(estimates) {
        check_views(first, reference)?;
        check_views(reference, estimate)?;
    }
    if window == 0 || hop == 0 {
        return Err(Error::config("window and hop", "0 frames; use one second, the sample rate"));
    }
    let window = window.min(first.frames());
    let count = (first.frames() - window) / hop + 1;
    let mut results =
        vec![FramewiseSdr { median_db: None, windows_db: Vec::new() }; references.len()];
    for index in 0..count {
        let range = index * hop..index * hop + window;
        let pairs: Vec<_> = references
            .iter()
            .zip(estimates)
            .map(|(r, e)| energies(&r.slice(range.clone()), &e.slice(range.clone())))
            .collect();
        let heard = pairs.iter().all(|&(signal, _, estimate)| signal > 0.0 && estimate > 0.0);
        for (result, &(signal, error, _)) in results.iter_mut().zip(&pairs) {
            result.windows_db.push(heard.then(|| ratio_db(signal, error)));
        }
    }
    for result in &mut results {
        result.median_db = median(result.windows_db.iter().flatten().copied().collect());
    }
    Ok(results)
}

/// SDR of BSSEval version 3 for sources: what a filter of `taps` taps (512 is usual) can make of
/// the reference is not counted as distortion. `None` when the reference is silent.
///
/// # Errors
/// Those of [`si_sdr`], and [`Error::Config`] when `taps` is 0.
pub fn sdr_filtered(reference: &[f32], estimate: &[f32], taps: usize) -> Result<Option<f64>> {
    check_pair(reference, estimate)?;
    if taps == 0 {
        return Err(Error::config("taps", "0; use 512"));
    }
    if reference.iter().all(|&s| s == 0.0) {
        return Ok(None);
    }
    let share = explained_share(reference, estimate, taps);
    Ok(Some(ratio_db(share, 1.0 - share)))
}

fn check_views(reference: &AudioView<'_>, estimate: &AudioView<'_>) -> Result<()> {
    if reference.spec() != estimate.spec() {
        let describe = |a: &AudioView<'_>| format!("{} Hz {}", a.rate(), a.spec().layout);
        return Err(Error::Shape {
            what: "estimate to compare with its reference",
            expected: describe(reference),
            found: describe(estimate),
        });
    }
    (0..reference.channels())
        .try_for_each(|c| check_pair(reference.channel(c), estimate.channel(c)))
}

/// Energies of the reference, of the difference and of the estimate, over all channels.
fn energies(reference: &AudioView<'_>, estimate: &AudioView<'_>) -> (f64, f64, f64) {
    let (mut signal, mut error, mut estimated) = (0.0, 0.0, 0.0);
    for channel in 0..reference.channels() {
        for (&r, &e) in reference.channel(channel).iter().zip(estimate.channel(channel)) {
            let (r, e) = (f64::from(r), f64::from(e));
            signal += r * r;
            error += (r - e) * (r - e);
            estimated += e * e;
        }
    }
    (signal, error, estimated)
}

#[cfg(test)]
mod tests {
    use super::super::signals::sources;
    use super::*;
    use crate::buffer::{AudioBuf, AudioSpec};
    use crate::layout::ChannelLayout;

    fn close(value: Option<f64>, want: f64) {
        let value = value.expect("a number");
        assert!((value - want).abs() < 1e-4, "{value} is not {want}");
    }

    /// fast_bss_eval 0.1.4, si_sdr with zero_mean.
    #[test]
    fn si_sdr_and_permutation_equal_fast_bss_eval() {
        let [r1, r2, e1, e2] = sources();
        close(si_sdr(&r1, &e1).expect("equal lengths"), 18.684_609_46);
        close(si_sdr(&r2, &e2).expect("equal lengths"), 4.482_060_41);
        let mix: Vec<f32> = r1.iter().zip(&r2).map(|(a, b)| a + b).collect();
        let scores = si_sdr_sources(&[&r1, &r2], &[&e2, &e1], Some(&mix)).expect("two sources");
        assert_eq!(scores.permutation, [1, 0]);
        close(scores.si_sdr_db[1], 4.482_060_41);
        close(scores.si_sdr_improvement_db[0], 18.684_609_46 - 3.223_122_35);
        close(scores.si_sdr_improvement_db[1], 4.482_060_41 + 3.210_974_91);
        close(scores.mean_si_sdr_db, (18.684_609_46 + 4.482_060_41) / 2.0);
    }

    /// fast_bss_eval 0.1.4, sdr; museval 0.4.1, bss_eval as bss_eval_sources: the same numbers.
    #[test]
    fn filtered_sdr_equals_bss_eval_3() {
        let [r1, r2, e1, e2] = sources();
        close(sdr_filtered(&r1, &e1, 512).expect("equal lengths"), 18.780_642_63);
        close(sdr_filtered(&r2, &e2, 512).expect("equal lengths"), 9.660_582_56);
    }

    /// museval 0.4.1, metrics.bss_eval with its defaults for images, mono and stereo.
    #[test]
    fn framewise_sdr_equals_museval() {
        let [r1, r2, e1, e2] = sources();
        let views = |a, b| [AudioView::from_mono(16_000, a), AudioView::from_mono(16_000, b)];
        let (references, estimates) = (views(&r1, &r2), views(&e1, &e2));
        let result = sdr_framewise(&references, &estimates, 16_000, 16_000).expect("comparable");
        close(result[0].windows_db[1], 16.642_263_37);
        close(result[0].median_db, 16.598_497_62);
        close(result[1].median_db, 5.839_504_13);
        let result = sdr_framewise(&references, &estimates, 8000, 4000).expect("comparable");
        assert_eq!(result[0].windows_db.len(), 9);
        close(result[0].median_db, 16.809_095_21);
        close(result[1].median_db, 5.110_145_94);
        let spec = AudioSpec { rate: 16_000, layout: ChannelLayout::Stereo };
        let stereo = |a: &[f32], b: &[f32]| AudioBuf::from_planar(spec, [a, b].concat());
        let (r, e) = (stereo(&r1, &r2).expect("even"), stereo(&e1, &e2).expect("even"));
        let result = sdr_framewise(&[r.view()], &[e.view()], 16_000, 16_000).expect("comparable");
        close(result[0].windows_db[0], 9.862_264_21);
        close(result[0].windows_db[1], 9.799_076_81);
    }

    /// numpy 2.4.6 from the definition of the challenge.
    #[test]
    fn plain_sdr() {
        let [r1, r2, e1, e2] = sources();
        for (r, e, want) in [(&r1, &e1, 16.772_198_65), (&r2, &e2, 5.640_167_08)] {
            let view = |s| AudioView::from_mono(16_000, s);
            close(sdr(&view(r), &view(e)).ok(), want);
        }
    }

    #[test]
    fn odd_inputs_have_defined_results() {
        let (zeros, ones) = ([0.0f32; 8], [1.0f32; 8]);
        let wave = [0.5f32, -0.5, 0.25, -0.25, 0.5, -0.5, 0.1, -0.1];
        assert_eq!(si_sdr(&zeros, &wave).expect("finite"), None);
        assert_eq!(si_sdr(&ones, &wave).expect("finite"), None);
        assert_eq!(si_sdr(&wave, &zeros).expect("finite"), Some(-super::super::LIMIT_DB));
        assert!(si_sdr(&wave, &wave).expect("finite").is_some_and(|db| db > 150.0));
        assert!(si_sdr(&wave, &wave[1..]).is_err());
        assert!(si_sdr(&[], &[]).is_err());
        assert!(si_sdr(&[f32::NAN], &[0.0]).is_err());
        assert_eq!(sdr_filtered(&zeros, &wave, 4).expect("finite"), None);
        let view = AudioView::from_mono(8000, &zeros);
        let silent = sdr_framewise(&[view], &[view], 4, 4).expect("finite");
        assert_eq!((silent[0].median_db, silent[0].windows_db.len()), (None, 2));
    }
}
