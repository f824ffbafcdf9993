//! Jobs of the front end, each on one core.

use formant_audio_core::AudioBuf;
use formant_audio_core::decode::{BlockReader, DecodeOptions};
use formant_audio_core::encode::{SampleFormat, WriteOptions, write_wav};
use formant_audio_core::features::{FeaturePlan, presets};
use formant_audio_core::resample::{Quality, resample};

use super::{Measured, time};
use crate::failure::Failure;
use crate::plan::BenchPlan;
use crate::run::write_failure;

fn on_one_core(name: String, audio: &AudioBuf, wall: Vec<f64>) -> Measured {
    Measured {
        name,
        audio_seconds: audio.duration(),
        wall,
        threads: 1,
        device: "cpu".to_owned(),
        precision: formant_models::Precision::F32,
        output_rms: None,
    }
}

pub(super) fn decode(plan: &BenchPlan, audio: &AudioBuf) -> Result<Measured, Failure> {
    let folder =
        tempfile::tempdir().map_err(|e| Failure::output("temporary folder".as_ref(), &e))?;
    let (path, name) = match &plan.input {
        Some(path) => (path.clone(), "decode input".to_owned()),
        None => {
            let path = folder.path().join("bench.wav");
            let options =
                WriteOptions { format: Some(SampleFormat::S16), ..WriteOptions::default() };
            write_wav(&path, &audio.view(), &options).map_err(write_failure)?;
            (path, "decode wav".to_owned())
        }
    };
    let wall = time(plan, || {
        let mut reader = BlockReader::open(&path, &DecodeOptions::default())?;
        while reader.next_block()?.is_some() {}
        Ok(())
    })?;
    Ok(on_one_core(name, audio, wall))
}

pub(super) fn to_16k(plan: &BenchPlan, audio: &AudioBuf) -> Result<Measured, Failure> {
    let wall = time(plan, || {
        std::hint::black_box(resample(&audio.view(), 16_000, Quality::High)?);
        Ok(())
    })?;
    Ok(on_one_core(format!("resample {} to 16000", audio.rate()), audio, wall))
}

pub(super) fn features(plan: &BenchPlan, audio: &AudioBuf) -> Result<Measured, Failure> {
    let front = FeaturePlan::new(&presets::by_name(&plan.preset)?)?;
    let audio = resample(&audio.view(), front.sample_rate(), Quality::High)?;
    let wall = time(plan, || {
        std::hint::black_box(front.compute(audio.channel(0))?);
        Ok(())
    })?;
    Ok(on_one_core(format!("features {}", plan.preset), &audio, wall))
}
