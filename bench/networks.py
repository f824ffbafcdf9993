"""Reference implementations of networks at their published sizes; `cargo xtask bench-peers --networks` starts them.

networks.py NETWORK FOLDER THREADS makes the network with random weights (always the same), stores these in FOLDER
as its authors publish theirs, with a recording beside them, and says on its first line of JSON where they are. Then
each line on standard input, a number of seconds, is answered with the times of runs from samples to output, for
about so long. A first run is not timed; of a long recording it takes a part alone.
"""

import io
import json
import os
import sys
import tarfile
import time
from importlib.metadata import version

import numpy as np


# Seconds of a long recording that the first run takes.
WARM_UP = 8


def recording(path, rate, seconds):
    """Noise with the rhythm of speech."""
    import soundfile

    count = int(rate * seconds)
    syllables = np.maximum(np.sin(np.arange(count) / rate * 4 * 2 * np.pi), 0)
    samples = 0.1 * np.random.default_rng(0).standard_normal(count) * syllables
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return soundfile.read(path, dtype="float32")[0]


def randomised(module):
    """Weights and statistics that no layer can be left out with: a new network's norms do nothing."""
    import torch

    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var") or (name.endswith("weight") and tensor.dim() == 1):
            tensor.copy_(0.8 + 0.4 * torch.rand(tensor.shape, generator=generator))
        elif name.endswith("running_mean") or (name.endswith("bias") and tensor.dim() == 1):
            tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
    return module.eval()


def ecapa_tdnn(folder, seconds):
    import torch
    from speechbrain.lobes.features import Fbank
    from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
    from speechbrain.processing.features import InputNormalization

    width = 1024
    network = randomised(
        ECAPA_TDNN(80, 192, channels=[width] * 4 + [3 * width], attention_channels=128, lin_neurons=192)
    )
    features, normalise = Fbank(n_mels=80), InputNormalization(norm_type="sentence", std_norm=False)
    checkpoint = os.path.join(folder, "ecapa-tdnn")
    os.makedirs(checkpoint, exist_ok=True)
    torch.save(network.state_dict(), os.path.join(checkpoint, "embedding_model.ckpt"))
    with open(os.path.join(checkpoint, "hyperparams.yaml"), "w") as file:
        file.write(
            "n_mels: 80\n"
            "compute_features: !new:speechbrain.lobes.features.Fbank\n"
            "    n_mels: !ref <n_mels>\n"
            "mean_var_norm: !new:speechbrain.processing.features.InputNormalization\n"
            "    norm_type: sentence\n"
            "    std_norm: False\n"
            "embedding_model: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN\n"
            "    input_size: !ref <n_mels>\n"
            f"    channels: [{width}, {width}, {width}, {width}, {3 * width}]\n"
            "    kernel_sizes: [5, 3, 3, 3, 1]\n"
            "    dilations: [1, 2, 3, 4, 1]\n"
            "    attention_channels: 128\n"
            "    lin_neurons: 192\n"
        )
    input_path = os.path.join(folder, "ecapa-tdnn.wav")
    samples = torch.from_numpy(recording(input_path, 16000, seconds))[None]
    length = torch.ones(1)
    return {
        "run": lambda: network(normalise(features(samples), length), length),
        "checkpoint": checkpoint,
        "input": input_path,
        "packages": ["speechbrain", "torch"],
    }


def squeezeformer(size):
    layers, width, heads, reduce = {"medium": (20, 324, 4, 9), "large": (22, 640, 8, 10)}[size]

    def make(folder, seconds):
        import torch
        from nemo.collections.asr.modules import (
            AudioToMelSpectrogramPreprocessor,
            ConvASRDecoder,
            SqueezeformerEncoder,
        )

        pieces = [f"p{number}" for number in range(128)]
        encoder_settings = {
            "feat_in": 80,
            "n_layers": layers,
            "d_model": width,
            "subsampling": "dw_striding",
            "subsampling_factor": 4,
            "subsampling_conv_channels": -1,
            "ff_expansion_factor": 4,
            "n_heads": heads,
            "conv_kernel_size": 31,
            "adaptive_scale": True,
            "time_reduce_idx": reduce,
        }
        front_settings = {
            "sample_rate": 16000,
            "normalize": "per_feature",
            "window_size": 0.025,
            "window_stride": 0.01,
            "window": "hann",
            "features": 80,
            "n_fft": 512,
            "dither": 0.0,
            "pad_to": 0,
        }
        network = torch.nn.ModuleDict(
            {
                "preprocessor": AudioToMelSpectrogramPreprocessor(**front_settings),
                "encoder": SqueezeformerEncoder(**encoder_settings),
                "decoder": ConvASRDecoder(feat_in=width, num_classes=len(pieces), vocabulary=pieces),
            }
        )
        randomised(network)
        checkpoint = os.path.join(folder, f"squeezeformer-{size}.nemo")
        config = {
            "sample_rate": 16000,
            "preprocessor": front_settings,
            "encoder": encoder_settings,
            "decoder": {"feat_in": width, "num_classes": len(pieces), "vocabulary": pieces},
            "target": "nemo.collections.asr.models.ctc_bpe_models.EncDecCTCModelBPE",
        }
        weights = io.BytesIO()
        torch.save(network.state_dict(), weights)
        # JSON is YAML, too.
        files = {"model_config.yaml": json.dumps(config).encode(), "model_weights.ckpt": weights.getvalue()}
        with tarfile.open(checkpoint, "w") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(f"./{name}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        input_path = os.path.join(folder, f"squeezeformer-{size}.wav")
        samples = torch.from_numpy(recording(input_path, 16000, seconds))[None]
        count = torch.tensor([samples.shape[1]])

        def run():
            features, frames = network["preprocessor"](input_signal=samples, length=count)
            encoded, _ = network["encoder"](audio_signal=features, length=frames)
            return network["decoder"](encoder_output=encoded)

        return {
            "run": run,
            "checkpoint": checkpoint,
            "input": input_path,
            "packages": ["nemo_toolkit", "torch"],
        }

    return make


def clearer_voice(module):
    """A module of ClearerVoice-Studio, whose package asks for a command line's dependencies when imported."""
    import importlib
    import types

    if "clearvoice" not in sys.modules:
        package = types.ModuleType("clearvoice")
        package.__path__ = list(importlib.util.find_spec("clearvoice").submodule_search_locations)
        sys.modules["clearvoice"] = package
    return importlib.import_module(f"clearvoice.{module}")


def pointed_to(folder, name, state):
    """Stores weights as ClearerVoice-Studio does: a file, and another that names it."""
    import torch

    checkpoint = os.path.join(folder, name)
    os.makedirs(checkpoint, exist_ok=True)
    with open(os.path.join(checkpoint, "last_best_checkpoint"), "w") as file:
        file.write("last_best_checkpoint.pt\n")
    torch.save(state, os.path.join(checkpoint, "last_best_checkpoint.pt"))
    return checkpoint


def mossformer2_ss(folder, seconds):
    import torch
    from types import SimpleNamespace

    settings = SimpleNamespace(
        encoder_embedding_dim=512,
        mossformer_sequence_dim=512,
        num_mossformer_layer=24,
        encoder_kernel_size=16,
        num_spks=2,
    )
    network = randomised(clearer_voice("models.mossformer2_ss.mossformer2").MossFormer2_SS_16K(settings).model)
    checkpoint = pointed_to(folder, "MossFormer2_SS_16K", {"model": network.state_dict()})
    input_path = os.path.join(folder, "mossformer2-ss.wav")
    samples = torch.from_numpy(recording(input_path, 16000, seconds))[None]
    return {
        "run": lambda: torch.cat(network(samples)),
        "warm_up": lambda: network(samples[:, : 16000 * WARM_UP]),
        "checkpoint": checkpoint,
        "input": input_path,
        "packages": ["clearvoice", "torch"],
    }


def mossformer2_se(folder, seconds):
    import torch
    from types import SimpleNamespace

    wrapper = clearer_voice("models.mossformer2_se.mossformer2_se_wrapper")
    network = randomised(wrapper.MossFormer2_SE_48K(None).model)
    checkpoint = pointed_to(folder, "MossFormer2_SE_48K", network.state_dict())
    settings = SimpleNamespace(
        sampling_rate=48000,
        one_time_decode_length=max(20, seconds),
        decode_window=4,
        win_type="hamming",
        win_len=1920,
        win_inc=384,
        fft_len=1920,
        num_mels=60,
    )
    decode = clearer_voice("utils.decode").decode_one_audio_mossformer2_se_48k
    input_path = os.path.join(folder, "mossformer2-se.wav")
    samples = recording(input_path, 48000, seconds)[None]

    def run(samples=samples):
        return torch.from_numpy(np.asarray(decode(network, torch.device("cpu"), samples, settings)))

    return {
        "run": run,
        "warm_up": lambda: run(samples[:, : 48000 * WARM_UP]),
        "checkpoint": checkpoint,
        "input": input_path,
        "packages": ["clearvoice", "torch"],
    }


def mossformer2_sr(folder, seconds):
    import torch
    from types import SimpleNamespace

    settings = SimpleNamespace(
        resblock="1",
        upsample_rates=[8, 8, 2, 2],
        upsample_kernel_sizes=[16, 16, 4, 4],
        upsample_initial_channel=1024,
        resblock_kernel_sizes=[3, 7, 11],
        resblock_dilation_sizes=[[1, 3, 5]] * 3,
        num_mels=80,
        n_fft=1024,
        hop_size=256,
        win_size=1024,
        sampling_rate=48000,
        fmin=0,
        fmax=8000,
    )
    parts = clearer_voice("models.mossformer2_sr.generator")
    encoder, generator = randomised(parts.Mossformer()), randomised(parts.Generator(settings))
    names = ["last_best_checkpoint_m.pt", "last_best_checkpoint_g.pt"]
    checkpoint = os.path.join(folder, "MossFormer2_SR_48K")
    os.makedirs(checkpoint, exist_ok=True)
    with open(os.path.join(checkpoint, "last_best_checkpoint"), "w") as file:
        file.write("".join(f"{name}\n" for name in names))
    states = [{"mossformer": encoder.state_dict()}, {"generator": generator.state_dict()}]
    for name, state in zip(names, states):
        torch.save(state, os.path.join(checkpoint, name))
    generator.remove_weight_norm()
    mel = clearer_voice("utils.decode").get_mel
    input_path = os.path.join(folder, "mossformer2-sr.wav")
    samples = torch.from_numpy(recording(input_path, 48000, seconds))[None]
    return {
        "run": lambda: generator(encoder(mel(samples, settings))),
        "checkpoint": checkpoint,
        "input": input_path,
        "packages": ["clearvoice", "torch"],
    }


def mel_roformer(folder, seconds):
    import torch
    from bs_roformer.mel_band_roformer import MelBandRoformer

    sizes = {
        "dim": 384,
        "depth": 6,
        "stereo": True,
        "num_stems": 1,
        "time_transformer_depth": 1,
        "freq_transformer_depth": 1,
        "num_bands": 60,
        "dim_head": 64,
        "heads": 8,
        "flash_attn": True,
        "dim_freqs_in": 1025,
        "sample_rate": 44100,
        "stft_n_fft": 2048,
        "stft_hop_length": 441,
        "stft_win_length": 2048,
        "stft_normalized": False,
        "mask_estimator_depth": 2,
    }
    network = randomised(MelBandRoformer(**sizes))
    checkpoint = os.path.join(folder, "mel-roformer.ckpt")
    torch.save(network.state_dict(), checkpoint)
    config = {
        "audio": {"chunk_size": int(44100 * seconds), "sample_rate": 44100, "num_channels": 2},
        "model": {**sizes, "zero_dc": False},
        "training": {"instruments": ["vocals", "other"], "target_instrument": "vocals"},
        "inference": {"num_overlap": 2, "dim_t": 1101},
    }
    with open(os.path.join(folder, "mel-roformer.yaml"), "w") as file:
        json.dump(config, file)
    input_path = os.path.join(folder, "mel-roformer.wav")
    samples = torch.from_numpy(recording(input_path, 44100, seconds)).expand(1, 2, -1)
    return {
        "run": lambda: network(samples),
        "checkpoint": checkpoint,
        "input": input_path,
        "packages": ["BS-RoFormer", "torch"],
    }


def periodwave(size):
    """From spectrogram to waveform: as `formant bench vocode`, without the front end."""

    def make(folder, seconds):
        import torch
        from periodwave import PeriodWave, log_mel

        network = randomised(PeriodWave(size == "large"))
        for name, tensor in network.state_dict().items():
            if ".grn." in name:
                tensor.copy_(0.5 * torch.randn(tensor.shape))
        checkpoint = os.path.join(folder, f"periodwave_turbo_{size}")
        os.makedirs(checkpoint, exist_ok=True)
        state = {"model": network.state_dict(), "iteration": 1}
        torch.save(state, os.path.join(checkpoint, "G_1.pth"))
        # That of the large network says the same.
        config = {
            "data": {
                "sampling_rate": 24000,
                "filter_length": 1024,
                "hop_length": 256,
                "win_length": 1024,
                "n_mel_channels": 100,
                "mel_fmin": 0,
                "mel_fmax": 12000,
                "energy_max": "stats_libritts_24000hz/energy_max_train.npy",
                "energy_min": "stats_libritts_24000hz/energy_min_train.npy",
            },
            "model": {"periods": [1, 2, 3, 5, 7], "noise_scale": 0.5, "final_dim": 32, "hidden_dim": 512},
        }
        with open(os.path.join(checkpoint, "config.json"), "w") as file:
            json.dump(config, file)
        network.remove_weight_norm()
        input_path = os.path.join(folder, f"periodwave-{size}.wav")
        mel = log_mel(torch.from_numpy(recording(input_path, 24000, seconds))[None])
        return {"run": lambda: network(mel), "checkpoint": checkpoint, "input": input_path, "packages": ["torch"]}

    return make


def stored(folder, name, file, state, config=None):
    """Stores weights and sizes as a release does."""
    import torch

    checkpoint = os.path.join(folder, name)
    os.makedirs(checkpoint, exist_ok=True)
    torch.save(state, os.path.join(checkpoint, file))
    if config:
        with open(os.path.join(checkpoint, "config.json"), "w") as stream:
            json.dump(config, stream)
    return checkpoint


def masked_transformer(folder, seconds):
    from generation import MaskedTransformer

    network = randomised(MaskedTransformer())
    checkpoint = stored(folder, "specmaskgit", "model.pt", network.state_dict(), network.config)
    input_path = os.path.join(folder, "specmaskgit.wav")
    recording(input_path, 22050, seconds)
    return {"run": network.steps, "checkpoint": checkpoint, "input": input_path, "packages": ["torch"]}


def specvqgan(folder, seconds):
    from generation import Tokenizer

    network = randomised(Tokenizer())
    checkpoint = stored(folder, "specvqgan", "last.ckpt", {"state_dict": network.state_dict()})
    input_path = os.path.join(folder, "specvqgan.wav")
    recording(input_path, 22050, seconds)
    checkpoint = os.path.join(checkpoint, "last.ckpt")
    return {"run": network.decoded, "checkpoint": checkpoint, "input": input_path, "packages": ["torch"]}


def gan_vocoder(name):
    """From spectrogram to waveform, without the front end."""

    def make(folder, seconds):
        import torch
        from generation import Generator
        from periodwave import log_mel

        network = randomised(Generator(name == "bigvgan"))
        file = "bigvgan_generator.pt" if name == "bigvgan" else "g_00000001"
        checkpoint = stored(folder, name, file, {"generator": network.state_dict()}, network.config)
        network.remove_weight_norm()
        input_path = os.path.join(folder, f"{name}.wav")
        rate, bands, top = (network.config[key] for key in ("sampling_rate", "num_mels", "fmax"))
        mel = log_mel(torch.from_numpy(recording(input_path, rate, seconds))[None], rate, bands, top)
        return {"run": lambda: network(mel), "checkpoint": checkpoint, "input": input_path, "packages": ["torch"]}

    return make


NETWORKS = {
    "ecapa-tdnn": ecapa_tdnn,
    "squeezeformer-medium": squeezeformer("medium"),
    "squeezeformer-large": squeezeformer("large"),
    "mossformer2-ss": mossformer2_ss,
    "mossformer2-se": mossformer2_se,
    "mossformer2-sr": mossformer2_sr,
    "mel-roformer": mel_roformer,
    "periodwave-base": periodwave("base"),
    "periodwave-large": periodwave("large"),
    "specmaskgit": masked_transformer,
    "specvqgan": specvqgan,
    "hifigan": gan_vocoder("hifigan"),
    "bigvgan": gan_vocoder("bigvgan"),
}


def timed(run, seconds):
    times = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        output = run()
        times.append((time.perf_counter() - start) * 1e3)
    rms = float(np.sqrt(np.mean(output.numpy().astype(np.float64) ** 2)))
    return {"milliseconds": times, "rms": rms}


def main():
    name, folder, threads, seconds = sys.argv[1:]
    # What the packages print on being imported must not get between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    import torch

    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    os.makedirs(folder, exist_ok=True)
    with torch.inference_mode():
        network = NETWORKS[name](folder, float(seconds))
        run = network.pop("run")
        warm_up = network.pop("warm_up", run)
        network["versions"] = ", ".join(f"{package} {version(package)}" for package in network.pop("packages"))
        # Before the first line, so that nothing is timed beside it.
        warm_up()
        print(json.dumps(network), file=answers, flush=True)
        for line in sys.stdin:
            try:
                reply = timed(run, float(line))
            except Exception as error:  # the caller says what it asked for
                reply = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    main()
