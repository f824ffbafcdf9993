"""PeriodWave-Turbo in PyTorch, with the parameter names of the released files.

Source: Lee et al., "PeriodWave" (arXiv 2408.07547) and "PeriodWave-Turbo" (arXiv 2408.08019). There is no package of
the network; this is its graph as the papers and the released weights define it, with modules of PyTorch's alone.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import remove_weight_norm, weight_norm

PERIODS = [1, 2, 3, 5, 7]
STEP = 64
HOP = 256


class Residual(nn.Module):
    def __init__(self, channels, dilation, conv):
        super().__init__()
        axes = 1 if conv is nn.Conv1d else 2
        along = lambda size, rest: size if axes == 1 else (size, rest)
        make = lambda d: weight_norm(
            conv(channels, channels, along(3, 1), dilation=along(d, 1), padding=along(d, 0))
        )
        self.block1, self.block2 = make(dilation), make(1)

    def forward(self, x):
        return x + self.block2(F.silu(self.block1(F.silu(x))))


def residuals(channels, dilations, conv=nn.Conv2d):
    return nn.ModuleList(Residual(channels, dilation, conv) for dilation in dilations)


def through(blocks, x):
    for block in blocks:
        x = block(x)
    return x


class Stage(nn.Module):
    """A change of the rate, the term of the time, and residual blocks."""

    def __init__(self, hidden, name, conv, channels, dilations, timed=True):
        super().__init__()
        self.add_module(name, weight_norm(conv))
        if timed:
            self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(hidden, channels))
        self.ResBlocks = residuals(channels, dilations)

    def time(self, tau):
        return self.mlp(tau)[:, :, None, None]


class Paths(nn.Module):
    """What all periods share."""

    def __init__(self, hidden, dilations):
        super().__init__()
        a, b, c = hidden // 16, hidden // 8, hidden // 4
        longer = lambda i, o: nn.Conv2d(i, o, (9, 1), (4, 1), (4, 0), bias=False)
        up = lambda i, o: nn.ConvTranspose2d(i, o, (8, 1), (4, 1), (2, 0), bias=False)
        stage = lambda name, conv, channels: Stage(hidden, name, conv, channels, [1, 2])
        self.downs = nn.ModuleList(
            [
                stage("down", nn.Conv2d(1, a, 1, bias=False), a),
                stage("down", longer(a, b), b),
                stage("down", longer(b, c), c),
            ]
        )
        self.mids = nn.ModuleList([Stage(hidden, "down", longer(c, hidden), hidden, dilations, timed=False)])
        self.ups = nn.ModuleList(
            [stage("up", up(hidden, c), c), stage("up", up(c, b), b), stage("up", up(b, a), a)]
        )

    def forward(self, x, tau, latent, period):
        batch, _, samples = x.shape
        missing = -samples % (STEP * period)
        x = F.pad(x, (0, missing), "reflect").view(batch, 1, -1, period)
        skips = []
        for index, stage in enumerate(self.downs):
            x = stage.down(x if index == 0 else F.silu(x)) + stage.time(tau)
            x = through(stage.ResBlocks, x)
            skips.append(x)
        x = self.mids[0].down(F.silu(x))
        x = through(self.mids[0].ResBlocks, x + latent[:, :, : x.shape[2]])
        for stage in self.ups:
            x = stage.up(F.silu(x)) + skips.pop() + stage.time(tau)
            x = through(stage.ResBlocks, x)
        return x.flatten(2)[:, :, :samples]


class ResponseNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, channels))

    def forward(self, x):
        norm = x.norm(dim=1, keepdim=True)
        return self.gamma * (x * (norm / (norm.mean(-1, keepdim=True) + 1e-6))) + self.beta + x


class ConvNext(nn.Module):
    def __init__(self, channels, inner):
        super().__init__()
        self.dwconv = nn.Conv1d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pwconv1, self.grn = nn.Linear(channels, inner), ResponseNorm(inner)
        self.pwconv2 = nn.Linear(inner, channels)

    def forward(self, x):
        y = self.norm(self.dwconv(x).transpose(1, 2))
        return x + self.pwconv2(self.grn(F.gelu(self.pwconv1(y)))).transpose(1, 2)


class MelCond(nn.Module):
    def __init__(self, inputs, hidden):
        super().__init__()
        half = hidden // 2
        self.embed = nn.Conv1d(inputs, hidden, 7, padding=3)
        self.convnext_block = nn.ModuleList(ConvNext(hidden, 3 * hidden) for _ in range(8))
        self.up = weight_norm(nn.ConvTranspose1d(hidden, half, 8, 4, 2))
        self.cond = nn.ModuleList(ConvNext(half, 4 * half) for _ in range(4))
        self.cond_block = nn.ModuleList(
            weight_norm(nn.Conv2d(half, hidden, (2 * p, 1), (p, 1), (p - 1, 0))) for p in PERIODS
        )

    def forward(self, x):
        x = self.embed(x)
        x = self.up(F.silu(through(self.convnext_block, x) + x))
        x = F.silu(through(self.cond, x))
        padded = (F.pad(x, (0, max(p - 1, 1)), "reflect")[..., None] for p in PERIODS)
        return [conv(x) for conv, x in zip(self.cond_block, padded)]


class Behind(nn.Module):
    def __init__(self, channels, dilations):
        super().__init__()
        self.ResBlocks = residuals(channels, dilations, nn.Conv1d)
        self.final_layer = weight_norm(nn.Conv1d(channels, 1, 7, padding=3, bias=False))

    def forward(self, x):
        return self.final_layer(F.silu(through(self.ResBlocks, x)))


class Shared(nn.Module):
    def __init__(self, hidden, dilations):
        super().__init__()
        self.mpg = Paths(hidden, dilations)


class Estimator(nn.Module):
    def __init__(self, bands, hidden, dilations):
        super().__init__()
        self.hidden = hidden
        self.MelCond = MelCond(bands + 1, hidden)
        self.period_emb = nn.Embedding(len(PERIODS), hidden // 2)
        self.mlp = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.SiLU(), nn.Linear(4 * hidden, hidden))
        self.mpg = Shared(hidden, dilations)
        self.proj_layer = Behind(hidden // 16, dilations)

    def forward(self, x, time, latents):
        half = self.hidden // 4
        angles = 1000 * time * torch.exp(torch.arange(half) * (-math.log(10000) / (half - 1)))
        time = torch.cat([angles.sin(), angles.cos()])[None]
        total = 0
        for index, period in enumerate(PERIODS):
            own = self.period_emb.weight[index][None] * math.sqrt(self.hidden)
            tau = self.mlp(torch.cat([time, own], 1))
            total = total + self.mpg.mpg(x, tau, latents[index], period)
        return self.proj_layer(total / math.sqrt(len(PERIODS)))


class PeriodWave(nn.Module):
    """From log-mel spectrograms at 24 kHz, with the built-in statistics of LibriTTS."""

    ENERGY = (0.03162278234958649, 9.124345779418945)
    NOISE = 0.5

    def __init__(self, large, bands=100):
        super().__init__()
        self.estimator = Estimator(bands, *((768, [1, 2, 1, 4]) if large else (512, [1, 2, 4])))

    def remove_weight_norm(self):
        for module in self.modules():
            if hasattr(module, "weight_g"):
                remove_weight_norm(module)

    def forward(self, mel, steps=4):
        low, high = self.ENERGY
        energy = mel.exp().sum(1, keepdim=True).sqrt()
        deviation = ((energy - low) / (high - low)).clamp(min=0.1)
        latents = self.estimator.MelCond(torch.cat([mel, deviation], 1))
        deviation = deviation.repeat_interleave(HOP, 2)
        x = torch.randn_like(deviation) * deviation * self.NOISE
        for step in range(steps):
            x = x + self.estimator(x, step / steps, latents) / steps
        return x


def log_mel(samples, rate=24000, bands=100, top=12000):
    """The front end of the released models, `[batch, bands, frames]`: that of HiFi-GAN."""
    padding = (1024 - HOP) // 2
    padded = F.pad(samples[:, None], (padding, padding), "reflect")[:, 0]
    spectrum = torch.stft(padded, 1024, HOP, 1024, torch.hann_window(1024), center=False, return_complex=True)
    magnitude = (spectrum.real.square() + spectrum.imag.square() + 1e-9).sqrt()
    return (slaney(rate, bands, top) @ magnitude).clamp(min=1e-5).log()


def slaney(rate, bands, top, bins=513):
    """Slaney's mel filters of unit area, `[bands, bins]`."""
    knee, step = 15.0, math.log(6.4) / 27
    mel = lambda hz: hz * 3 / 200 if hz < 1000 else knee + math.log(hz / 1000) / step
    mels = torch.linspace(0, mel(top), bands + 2, dtype=torch.float64)
    edges = torch.where(mels < knee, mels * 200 / 3, 1000 * ((mels - knee) * step).exp())
    hz = torch.linspace(0, rate / 2, bins, dtype=torch.float64)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = torch.minimum((hz - low) / (centre - low), (high - hz) / (high - centre)).clamp(min=0)
    return (triangles * 2 / (high - low)).float()
