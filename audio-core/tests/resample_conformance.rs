//! Kernels of other libraries against their numbers, and our own filter against soxr's.

mod other_resamplers;
mod support;

use formant_audio_core::AudioView;
use formant_audio_core::resample::{Quality, resample};
use other_resamplers::{KAISER_BEST, KAISER_FAST, TORCHAUDIO_HANN, TORCHAUDIO_KAISER};
use support::{Goldens, assert_close_slice};

fn goldens() -> Goldens {
    Goldens::all("libraries/resample.safetensors").remove(0)
}

#[test]
fn kernels_of_torchaudio() {
    let goldens = goldens();
    let wave = goldens.values("wave");
    for (name, kernel) in
        [("hann", TORCHAUDIO_HANN), ("kaiser", TORCHAUDIO_KAISER), ("kaiser_best", KAISER_BEST)]
    {
        // torchaudio rounds its kernels' phases to single precision, which is worth 5e-6.
        for (from, to) in [(44_100, 16_000), (16_000, 48_000), (8000, 16_000), (48_000, 44_100)] {
            let found = kernel.resample(&wave, from, to);
            let expected = goldens.values(&format!("{name}.{from}.{to}"));
            assert_close_slice(&format!("{name} {from} to {to}"), &found, &expected, 1e-5);
        }
    }
}

#[test]
fn same_sweep_as_librosa_and_soxr() {
    let goldens = goldens();
    let sweep = goldens.values("sweep");
    for quality in [Quality::Fast, Quality::High, Quality::Best] {
        let out = resample(&AudioView::from_mono(44_100, &sweep), 16_000, quality)
            .expect("converts")
            .into_planar();
        // soxr's HQ promises 20 bits, its VHQ 28; the sweep stays inside every pass-band.
        let found = goldens.values("soxr_hq.44100.16000");
        assert_close_slice("librosa's default", &out, &found, 1e-5);
        let tolerance = if quality == Quality::Fast { 1e-5 } else { 3e-6 };
        let found = goldens.values("soxr_vhq.44100.16000");
        assert_close_slice("soxr VHQ", &out, &found, tolerance);
    }
}

#[test]
fn kernels_take_nothing_and_one_rate() {
    assert_eq!(KAISER_FAST.resample(&[], 44_100, 8000).len(), 0);
    assert_eq!(KAISER_FAST.resample(&[0.5], 8000, 8000), [0.5]);
}
