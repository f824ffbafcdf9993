"""Jobs of other libraries, timed on one thread; `cargo xtask bench-peers` starts one process a library.

peers.py LIBRARY AUDIO_FOLDER reads requests from standard input, a line each, and answers each with one
line of JSON. The first line, unasked, says the versions.

    JOB SECONDS                      time JOB for about so long
    convert KIND FROM TO IN OUT      resample raw float32 samples, for the measurement of quality
"""

import json
import os
import sys
import time

for name in ("OMP", "MKL", "OPENBLAS", "NUMBA", "VECLIB_MAXIMUM", "NUMEXPR"):
    os.environ[f"{name}_NUM_THREADS"] = "1"

from importlib.metadata import version  # noqa: E402

import numpy as np  # noqa: E402

RATES = {"44k_16k": (44100, 16000), "16k_48k": (16000, 48000)}


class Job:
    """What gives the numbers, and what does the same work and returns the seconds that it took."""

    def __init__(self, result, seconds=None):
        self.result = result
        self.seconds = seconds or self.whole

    def whole(self):
        start = time.perf_counter()
        self.result()
        return time.perf_counter() - start


def librosa_jobs(audio):
    import librosa
    import soundfile

    speech = audio("speech_16k.f32")
    stereo = np.stack([audio("music_left_44k.f32"), audio("music_right_44k.f32")])[:, : 8 * 44100]

    def log_mel():
        mel = librosa.feature.melspectrogram(y=speech, sr=16000, n_fft=400, hop_length=160, n_mels=80)
        return librosa.power_to_db(mel)

    def decode(name):
        # What librosa.load does for these formats, without its conversion of rate and channels.
        return lambda: soundfile.read(audio.path(name), dtype="float32")[0]

    return {
        "log_mel": log_mel,
        "stft": lambda: librosa.stft(stereo, n_fft=2048, hop_length=441),
        "decode_mp3": decode("music_44k.mp3"),
        "decode_flac": decode("music_44k.flac"),
    }, ["librosa", "soundfile", "numpy"]


def torchaudio_jobs(audio):
    import torch
    import torchaudio

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    tensor = torch.from_numpy
    speech = tensor(audio("speech_16k.f32"))
    stereo = torch.stack([tensor(audio("music_left_44k.f32")), tensor(audio("music_right_44k.f32"))])
    stereo = stereo[:, : 8 * 44100].contiguous()
    window = torch.hann_window(2048)
    mel = torchaudio.transforms.MelSpectrogram(
        16000, n_fft=400, hop_length=160, n_mels=80, norm="slaney", mel_scale="slaney", pad_mode="constant"
    )
    decibels = torchaudio.transforms.AmplitudeToDB(top_db=80)
    whole_scale = speech[None] * 32768

    def resample(source, rates):
        # The object keeps its kernel, the function would compute it again at each call.
        change = torchaudio.transforms.Resample(*rates)
        return lambda: change(source)

    return {
        "log_mel": lambda: decibels(mel(speech)),
        "fbank": lambda: torchaudio.compliance.kaldi.fbank(whole_scale, num_mel_bins=80, dither=0.0),
        "stft": lambda: torch.stft(stereo, 2048, 441, window=window, return_complex=True),
        "resample_44k_16k": resample(tensor(audio("music_left_44k.f32")), RATES["44k_16k"]),
        "resample_16k_48k": resample(speech, RATES["16k_48k"]),
    }, ["torchaudio", "torch", "numpy"]


def kaldi_native_fbank_jobs(audio):
    import kaldi_native_fbank

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = 80
    # The binding turns a list into the library's own vector faster than an array.
    whole_scale = (audio("speech_16k.f32") * 32768).tolist()
    no_frame = kaldi_native_fbank.FbankOptions()
    no_frame.frame_opts.frame_length_ms = 61_000.0

    def feed(options):
        fbank = kaldi_native_fbank.OnlineFbank(options)
        start = time.perf_counter()
        fbank.accept_waveform(16000, whole_scale)
        fbank.input_finished()
        return fbank, time.perf_counter() - start

    def rows():
        fbank, _ = feed(options)
        return np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])

    # Rows stay where the library keeps them: fetching them one by one would be Python's time.
    return {
        "fbank": Job(rows, lambda: feed(options)[1]),
        "fbank_core": Job(rows, lambda: feed(options)[1] - feed(no_frame)[1]),
    }, ["kaldi-native-fbank", "numpy"]


def soxr_jobs(audio):
    import soxr

    def resample(name, rates, quality):
        source = audio(name)
        return lambda: soxr.resample(source, *rates, quality=quality)

    jobs = {}
    for quality in ("HQ", "VHQ"):
        for which, name in (("44k_16k", "music_left_44k.f32"), ("16k_48k", "speech_16k.f32")):
            jobs[f"resample_{which}_{quality}"] = resample(name, RATES[which], quality)
    return jobs, ["soxr", "numpy"]


def convert(kind, source, rates):
    if kind.startswith("soxr-"):
        import soxr

        return soxr.resample(source, *rates, quality=kind.removeprefix("soxr-"))
    import torch
    from torchaudio.functional import resample

    settings = {
        "torchaudio-hann": {},
        "torchaudio-kaiser_best": {
            "lowpass_filter_width": 64,
            "rolloff": 0.9475937167399596,
            "resampling_method": "sinc_interp_kaiser",
            "beta": 14.769656459379492,
        },
    }[kind]
    return resample(torch.from_numpy(source), *rates, **settings).numpy()


class Audio:
    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def __call__(self, name):
        return np.fromfile(self.path(name), dtype=np.float32)


def timed(job, seconds):
    job = job if isinstance(job, Job) else Job(job)
    values = np.abs(np.asarray(job.result())).astype(np.float64)
    job.seconds()  # the warm-up run
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 2 or (time.perf_counter() < end and len(times) < 50):
        times.append(job.seconds() * 1e3)
    return {"milliseconds": times, "values": values.size, "rms": float(np.sqrt(np.mean(values**2)))}


def answer(jobs, words):
    if words[0] == "convert":
        kind, source_rate, target_rate, source, target = words[1:]
        samples = convert(kind, np.fromfile(source, dtype=np.float32), (int(source_rate), int(target_rate)))
        np.ascontiguousarray(samples, dtype=np.float32).tofile(target)
        return {"frames": len(samples)}
    return timed(jobs[words[0]], float(words[1]))


LIBRARIES = {
    "librosa": librosa_jobs,
    "torchaudio": torchaudio_jobs,
    "kaldi-native-fbank": kaldi_native_fbank_jobs,
    "soxr": soxr_jobs,
}


def main():
    library, folder = sys.argv[1:]
    jobs, packages = LIBRARIES[library](Audio(folder))
    versions = [f"{package} {version(package)}" for package in packages]
    print(json.dumps({"versions": ", ".join(versions)}), flush=True)
    for line in sys.stdin:
        try:
            reply = answer(jobs, line.split())
        except Exception as error:  # the caller says what it asked for
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
