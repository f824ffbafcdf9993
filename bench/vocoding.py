"""The figures of `formant eval vocode` by other libraries; `cargo xtask bench-peers --vocoding` runs it.

vocoding.py FOLDER reads pairs NAME.original.wav and NAME.made.wav and formant's figures of them in
figures.jsonl, and prints a table with both: multi-resolution STFT distance by auraloss; periodicity, voiced
frames and pitch by librosa's YIN; and PESQ (ITU-T P.862.2, wide band), which formant does not have. It ends
with status 1 when a figure of formant's is not the other library's.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import auraloss
import librosa
import numpy as np
import soundfile
import torch
from librosa.core import pitch as yin_steps
from pesq import pesq

# As in audio-core/src/pitch.rs and audio-core/src/metrics/voice.rs.
F_MIN, F_MAX, TROUGH, VOICED_BELOW = 60.0, 500.0, 0.15, 0.2

# Where both compute in 32 bits, as auraloss does, and where a frame may lie on the edge of being voiced.
TOLERANCES = {
    "multi_resolution": 1e-3,
    "periodicity_rmse": 1e-3,
    "voiced_f1": 2e-3,
    "pitch_rmse_cents": 0.1,
}


def multi_resolution(original, made):
    distance = auraloss.freq.MultiResolutionSTFTLoss()
    signals = (torch.from_numpy(samples)[None, None] for samples in (made, original))
    return distance(*signals).item()


def pitch_and_aperiodicity(samples, rate):
    """librosa.yin, and the depth of the trough that it takes, which it does not return."""
    frame_length, hop_length = rate * 64 // 1000, rate // 100
    samples = samples.astype(np.float64)
    settings = dict(frame_length=frame_length, hop_length=hop_length)
    hz = librosa.yin(samples, fmin=F_MIN, fmax=F_MAX, sr=rate, trough_threshold=TROUGH, **settings)
    padded = np.pad(samples, frame_length // 2)
    frames = librosa.util.frame(padded, **settings)
    shortest, longest = int(np.floor(rate / F_MAX)), min(int(np.ceil(rate / F_MIN)), frame_length - 1)
    differences = yin_steps._cumulative_mean_normalized_difference(frames.copy(), shortest, longest)
    # The trough is the point that the refined period was refined from, at most one point away.
    near = np.rint(rate / hz).astype(int) - shortest
    near = np.clip(near[None] + np.arange(-1, 2)[:, None], 0, len(differences) - 1)
    depth = np.take_along_axis(differences, near, axis=0).min(axis=0)
    return hz, np.where(np.any(frames != 0, axis=0), depth, 1.0)


def voice(original, made, rate):
    (hz_a, depth_a), (hz_b, depth_b) = (pitch_and_aperiodicity(x, rate) for x in (original, made))
    voiced_a, voiced_b = depth_a < VOICED_BELOW, depth_b < VOICED_BELOW
    either, both = voiced_a | voiced_b, voiced_a & voiced_b
    total = voiced_a.sum() + voiced_b.sum()
    periodicity = [np.maximum(1.0 - depth, 0.0) for depth in (depth_a, depth_b)]

    def rms(values):
        return float(np.sqrt(np.mean(np.square(values)))) if len(values) else None

    return {
        "periodicity_rmse": rms((periodicity[0] - periodicity[1])[either]),
        "voiced_f1": float(2 * both.sum() / total) if total else None,
        "pitch_rmse_cents": rms(1200.0 * np.log2(hz_a[both] / hz_b[both])),
    }


def quality(original, made, rate):
    original, made = (
        librosa.resample(x, orig_sr=rate, target_sr=16000, res_type="soxr_hq") for x in (original, made)
    )
    return pesq(16000, original, made, "wb")


def main(folder):
    versions = ", ".join(f"{name} {version(name)}" for name in ("auraloss", "librosa", "pesq"))
    print(f"formant / {versions}\n")
    print("| pair | multi-resolution | periodicity | voiced (F1) | pitch, cents | PESQ |")
    print("|---|---|---|---|---|---|")
    wrong, qualities, by_method = [], [], {}
    for line in (folder / "figures.jsonl").read_text().splitlines():
        ours = json.loads(line)
        name = ours["name"]
        original, rate = soundfile.read(folder / f"{name}.original.wav", dtype="float32")
        made, _ = soundfile.read(folder / f"{name}.made.wav", dtype="float32")
        count = min(len(original), len(made))
        original, made = original[:count], made[:count]
        theirs = {"multi_resolution": multi_resolution(original, made), **voice(original, made, rate)}
        qualities.append(quality(original, made, rate))
        by_method.setdefault(name.rpartition(".")[2], []).append(qualities[-1])
        cells = []
        for figure, tolerance in TOLERANCES.items():
            pair = ours[figure], theirs[figure]
            cells.append(" / ".join("-" if value is None else f"{value:.4f}" for value in pair))
            if (None in pair and pair != (None, None)) or (None not in pair and abs(pair[0] - pair[1]) > tolerance):
                wrong.append(f"{name}: {figure} {cells[-1]}")
        print(f"| {name} | {' | '.join(cells)} | {qualities[-1]:.2f} |")
    if not qualities:
        sys.exit("no pairs in the folder")
    print()
    for method, values in by_method.items():
        print(f"mean PESQ, {method}: {np.mean(values):.2f}")
    if wrong:
        sys.exit("figures that are not those of the other library:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
