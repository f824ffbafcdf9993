//! formant: an audio and speech toolkit that runs offline.
//!
//! # The life of a sound
//!
//! 1. **Decode.** [`decode_file`](audio::decode::decode_file) reads a whole file,
//!    [`BlockReader`](audio::decode::BlockReader) one of any length, block by block.
//! 2. **Hold.** [`AudioBuf`](audio::AudioBuf) owns the samples: planar `f32`, with rate and channel layout;
//!    [`AudioView`](audio::AudioView) borrows them.
//! 3. **Resample.** Tasks take any rate and channel count and resample themselves;
//!    [`resample`](audio::resample::resample) does it by itself.
//! 4. **Features.** [`FeaturePlan`](audio::features::FeaturePlan) computes what networks read, by the presets of
//!    the reference implementations.
//! 5. **Task.** A task ([`models::tasks`]) holds a loaded model, which [`ModelSource`](models::ModelSource) names
//!    and [`LoadOptions`](models::LoadOptions) place on a device. All have the verbs of
//!    [`Task`](models::tasks::Task): load, process, or start a session and push blocks.
//! 6. **Result.** Plain data: words with times, scores, or sound of the length of the input.
//! 7. **Write.** [`write_file`](audio::encode::write_file) writes WAV or FLAC.
//!
//! Live audio goes the same way: see [`streaming`]. All errors become one, [`Error`].
//!
//! ```
//! use formant::audio::features::{FeaturePlan, presets};
//! use formant::prelude::*;
//!
//! let clip = decode_file("samples/keyword_yes_16k.wav".as_ref(), &DecodeOptions::default())?;
//! let plan = FeaturePlan::new(&presets::by_name("whisper")?)?;
//! let audio = resample(&clip.audio.view(), plan.sample_rate(), Quality::High)?;
//! let features = plan.compute(&audio.view().to_mono())?; // [frames, bins]
//! assert_eq!(features.ncols(), 80);
//! # Ok::<(), Error>(())
//! ```
//!
//! # Tasks
//!
//! The models that are named here are part of the library. The same programs, with a command line, are in
//! `examples/`.
//!
//! ## Remove noise from speech
//!
//! ```
//! use formant::prelude::*;
//!
//! let noisy = decode_file("samples/speech_noisy_5db_16k.wav".as_ref(), &DecodeOptions::default())?.audio;
//! let enhancer = Enhancer::load(&ModelSource::named("enhance-speech"), &LoadOptions::default())?;
//! let (clean, _) = enhancer.process(&noisy.view(), &EnhanceOptions::default())?;
//! assert_eq!(clean.frames(), noisy.frames());
//! # Ok::<(), Error>(())
//! ```
//!
//! ## Separate overlapping speakers
//!
//! ```
//! use formant::prelude::*;
//!
//! let mixture = decode_file("samples/mix_two_speakers_8k.wav".as_ref(), &DecodeOptions::default())?.audio;
//! let separator = Separator::load(&ModelSource::named("separate-voices"), &LoadOptions::default())?;
//! let (voices, _) = separator.process(&mixture.view(), &SeparateOptions::default())?;
//! assert_eq!(voices.len(), 2);
//! # Ok::<(), Error>(())
//! ```
//!
//! ## Compare speakers
//!
//! ```
//! use formant::prelude::*;
//!
//! let embedder =
//!     SpeakerEmbedder::load(&ModelSource::named("speaker-voices"), &LoadOptions::default())?;
//! let embed = |path: &str| -> Result<_> {
//!     let audio = decode_file(path.as_ref(), &DecodeOptions::default())?.audio;
//!     Ok(embedder.process(&audio.view(), &EmbedOptions::default())?.0?)
//! };
//! let a = embed("samples/speech_en_female_a1_24k.wav")?;
//! let b = embed("samples/speech_en_male_b1_24k.wav")?;
//! assert!(!embedder.scorer().verify(&a.values, &b.values).same_speaker);
//! # Ok::<(), Error>(())
//! ```
//!
//! ## Find keywords
//!
//! ```
//! use formant::prelude::*;
//!
//! let stream = decode_file("samples/keyword_stream_16k.wav".as_ref(), &DecodeOptions::default())?.audio;
//! let spotter = Spotter::load(&ModelSource::named("spot-commands"), &LoadOptions::default())?;
//! let (found, _) = spotter.process(&stream.view(), &SpotOptions::default())?;
//! assert_eq!(found[0].label, "yes");
//! # Ok::<(), Error>(())
//! ```
//!
//! ## Separate vocals from accompaniment
//!
//! ```
//! use formant::prelude::*;
//!
//! let song = decode_file("samples/song_mix_44k.flac".as_ref(), &DecodeOptions::default())?.audio;
//! let model = ModelSource::named("stems-vocals");
//! let separator = StemSeparator::load(&model, &LoadOptions::default())?;
//! let (stems, _) = separator.process(&song.view(), &StemsOptions::default())?;
//! for (name, stem) in stems {
//!     assert_eq!(stem.frames(), song.frames(), "{name}");
//! }
//! # Ok::<(), Error>(())
//! ```
//!
//! ## Transcribe speech
//!
//! ```
//! use formant::prelude::*;
//!
//! let speech = decode_file("samples/keyword_stream_16k.wav".as_ref(), &DecodeOptions::default())?.audio;
//! let transcriber = Transcriber::load(&ModelSource::named("asr-an4"), &LoadOptions::default())?;
//! let (transcript, _) = transcriber.process(&speech.view(), &TranscribeOptions::default())?;
//! assert!(transcript.text.contains("stop"));
//! # Ok::<(), Error>(())
//! ```
//!
//! # Tensors
//!
//! Applications need no tensors. For those that want them, [`tch`] is the version that formant is built with, and
//! [`models::arch`] holds the networks.

pub mod error;
pub mod prelude;

pub use error::{Error, Result};
pub use formant_audio_core as audio;
pub use formant_models as models;
pub use formant_streaming as streaming;
#[cfg(feature = "training")]
pub use formant_training as training;
pub use tch;
