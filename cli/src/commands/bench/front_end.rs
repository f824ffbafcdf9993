//! Jobs of the front end, each on one core.

use formant_audio_core::AudioBuf;
use formant_audio_core::decode::{BlockReader, DecodeOptions};
use formant_audio_core::encode::{SampleFormat, WriteOptions, write_wav};
use formant_audio_core::features::{FeaturePlan, presets};
use formant_audio_core::resample::{Quality, resample};
use formant_models::Precision;
use tch::Device;

use super::{BenchPlan, Job, Run};
use crate::failure::Failure;

fn on_one_core(detail: String, audio: &AudioBuf, work: Box<Run>) -> Job {
    Job {
        detail,
        seconds: audio.duration(),
        threads: 1,
        device: Device::Cpu,
        precision: Precision::F32,
        work,
    }
}

pub(super) fn decode(plan: &BenchPlan, audio: &AudioBuf) -> Result<Job, Failure> {
    let folder =
        tempfile::tempdir().map_err(|e| Failure::output("temporary folder".as_ref(), &e))?;
    let (path, detail) = match &plan.input {
        Some(path) => (path.clone(), "input"),
        None => {
            let path = folder.path().join("bench.wav");
            let options =
                WriteOptions { format: Some(SampleFormat::S16), ..WriteOptions::default() };
            write_wav(&path, &audio.view(), &options).map_err(Failure::of_writing)?;
            (path, "wav")
        }
    };
    let work = move || {
        // The file lives as long as its folder.
        let _ = &folder;
        let mut reader = BlockReader::open(&path, &DecodeOptions::default())?;
        while reader.next_block()?.is_some() {}
        Ok(Vec::new())
    };
    Ok(on_one_core(detail.to_owned(), audio, Box::new(work)))
}

pub(super) fn to_16k(audio: &AudioBuf) -> Job {
    let detail = format!("{} to 16000", audio.rate());
    let input = audio.clone();
    let work = move || {
        std::hint::black_box(resample(&input.view(), 16_000, Quality::High)?);
        Ok(Vec::new())
    };
    on_one_core(detail, audio, Box::new(work))
}

pub(super) fn features(plan: &BenchPlan, audio: &AudioBuf) -> Result<Job, Failure> {
    let front = FeaturePlan::new(&presets::by_name(&plan.preset)?)?;
    let input = resample(&audio.view(), front.sample_rate(), Quality::High)?;
    let seconds = input.duration();
    let work = move || {
        std::hint::black_box(front.compute(input.channel(0))?);
        Ok(Vec::new())
    };
    Ok(Job { seconds, ..on_one_core(plan.preset.clone(), audio, Box::new(work)) })
}
