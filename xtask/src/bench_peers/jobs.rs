//! What is measured, on what, and against which budget. A further comparison is one more entry.

/// A program that takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Formant,
    Librosa,
    Torchaudio,
    KaldiNativeFbank,
    Soxr,
    Ffmpeg,
}

impl Program {
    /// Those that `bench/peers.py` runs.
    pub(super) const LIBRARIES: [Self; 4] =
        [Self::Librosa, Self::Torchaudio, Self::KaldiNativeFbank, Self::Soxr];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Formant => "formant",
            Self::Librosa => "librosa",
            Self::Torchaudio => "torchaudio",
            Self::KaldiNativeFbank => "kaldi-native-fbank",
            Self::Soxr => "soxr",
            Self::Ffmpeg => "ffmpeg",
        }
    }
}

/// One program at one job.
pub(super) struct Entry {
    pub(super) program: Program,
    /// How the table calls it.
    pub(super) label: &'static str,
    /// How the program calls the job; for ffmpeg the file to decode.
    pub(super) job: &'static str,
    /// For other programs: which of formant's entries is set beside it.
    pub(super) against: usize,
    /// What its time over that entry's must be at least.
    pub(super) budget: Option<f64>,
}

/// Something that several programs do.
pub(super) struct Job {
    pub(super) title: &'static str,
    pub(super) entries: &'static [Entry],
}

const fn formant(label: &'static str, job: &'static str) -> Entry {
    Entry { program: Program::Formant, label, job, against: 0, budget: None }
}

const fn peer(program: Program, label: &'static str, job: &'static str) -> Entry {
    Entry { program, label, job, against: 0, budget: None }
}

const fn budget(program: Program, label: &'static str, job: &'static str, least: f64) -> Entry {
    Entry { program, label, job, against: 0, budget: Some(least) }
}

/// Place of `best` and `high` among the entries of a resampling job.
const HIGH: usize = 1;
const BEST: usize = 2;
/// Decoding may take 1.3 times ffmpeg's time.
const DECODE: f64 = 1.0 / 1.3;

pub(super) const JOBS: &[Job] = &[
    Job {
        title: "log-mel, 80 bands, n_fft 400, hop 160; 60 s at 16 kHz",
        entries: &[
            formant("formant", "log_mel"),
            budget(Program::Librosa, "librosa", "log_mel", 2.0),
            budget(Program::Torchaudio, "torchaudio", "log_mel", 4.0),
        ],
    },
    Job {
        title: "Kaldi filter bank, 80 bands; 60 s at 16 kHz",
        entries: &[
            formant("formant", "fbank"),
            budget(Program::KaldiNativeFbank, "kaldi-native-fbank, fed from Python", "fbank", 1.5),
            budget(Program::KaldiNativeFbank, "kaldi-native-fbank, itself", "fbank_core", 1.5),
            budget(Program::Torchaudio, "torchaudio", "fbank", 4.0),
        ],
    },
    Job {
        title: "STFT, 2048/441; 8 s stereo at 44.1 kHz",
        entries: &[
            formant("formant", "stft"),
            peer(Program::Librosa, "librosa", "stft"),
            peer(Program::Torchaudio, "torch", "stft"),
        ],
    },
    Job {
        title: "resampling 44.1 to 16 kHz; 60 s",
        entries: &[
            formant("formant fast", "resample_44k_16k_fast"),
            formant("formant high", "resample_44k_16k_high"),
            formant("formant best", "resample_44k_16k_best"),
            Entry { against: BEST, ..budget(Program::Soxr, "soxr HQ", "resample_44k_16k_HQ", 1.0) },
            Entry { against: BEST, ..peer(Program::Soxr, "soxr VHQ", "resample_44k_16k_VHQ") },
            Entry { against: HIGH, ..peer(Program::Torchaudio, "torchaudio", "resample_44k_16k") },
        ],
    },
    Job {
        title: "resampling 16 to 48 kHz; 60 s",
        entries: &[
            formant("formant fast", "resample_16k_48k_fast"),
            formant("formant high", "resample_16k_48k_high"),
            formant("formant best", "resample_16k_48k_best"),
            Entry { against: BEST, ..budget(Program::Soxr, "soxr HQ", "resample_16k_48k_HQ", 1.0) },
            Entry { against: BEST, ..peer(Program::Soxr, "soxr VHQ", "resample_16k_48k_VHQ") },
            Entry { against: HIGH, ..peer(Program::Torchaudio, "torchaudio", "resample_16k_48k") },
        ],
    },
    Job {
        title: "decoding MP3, 192 kbit/s; 60 s stereo at 44.1 kHz",
        entries: &[
            formant("formant", "decode_mp3"),
            budget(Program::Ffmpeg, "ffmpeg", "music_44k.mp3", DECODE),
            peer(Program::Librosa, "libsndfile (librosa)", "decode_mp3"),
        ],
    },
    Job {
        title: "decoding FLAC; 60 s stereo at 44.1 kHz",
        entries: &[
            formant("formant", "decode_flac"),
            budget(Program::Ffmpeg, "ffmpeg", "music_44k.flac", DECODE),
            peer(Program::Librosa, "libsndfile (librosa)", "decode_flac"),
        ],
    },
    Job {
        title: "decoding M4A (AAC), 192 kbit/s; 60 s stereo at 44.1 kHz",
        entries: &[
            formant("formant", "decode_m4a"),
            budget(Program::Ffmpeg, "ffmpeg", "music_44k.m4a", DECODE),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_set_beside_formant() {
        for job in JOBS {
            for entry in job.entries {
                assert_eq!(job.entries[entry.against].program, Program::Formant, "{}", job.title);
            }
        }
    }
}
