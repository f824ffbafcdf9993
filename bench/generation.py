"""The networks behind sound from words in PyTorch, with the parameter names of released files.

Sources: Comunita et al., "SpecMaskGIT" (arXiv 2406.17672), whose transformer is a plain one; Iashin and Rahtu,
"Taming Visually Guided Sound Generation" (BMVC 2021), whose tokenizer is that of Esser et al., "Taming Transformers"
(CVPR 2021); Kong et al., "HiFi-GAN" (NeurIPS 2020); Lee et al., "BigVGAN" (ICLR 2023). These are their graphs as the
papers and the released weights define them, with modules of PyTorch's alone.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import remove_weight_norm, weight_norm


class TokenBlock(nn.Module):
    def __init__(self, dim, heads, inner):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, 1e-6), nn.LayerNorm(dim, 1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(dim, 3 * dim), "proj": nn.Linear(dim, dim)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, inner), "fc2": nn.Linear(inner, dim)})

    def forward(self, x):
        batch, count, dim = x.shape
        qkv = self.attn["qkv"](self.norm1(x)).view(batch, count, 3, self.heads, dim // self.heads)
        seen = F.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4))
        x = x + self.attn["proj"](seen.transpose(1, 2).reshape(batch, count, dim))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class MaskedTransformer(nn.Module):
    """From tokens and an embedding of a description to logits."""

    def __init__(self, codes=1024, rows=5, columns=53, dim=768, depth=24, heads=8, inner=3072, described=512):
        super().__init__()
        self.tokens = rows * columns
        self.config = {
            "codebook_size": codes,
            "grid_h": rows,
            "grid_w": columns,
            "dim": dim,
            "depth": depth,
            "heads": heads,
            "mlp_dim": inner,
            "cond_dim": described,
        }
        self.token_emb = nn.Embedding(codes + 1, dim)
        self.cond_proj = nn.Linear(described, dim)
        self.null_cond = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.pos_emb = nn.Parameter(0.02 * torch.randn(1, 1 + self.tokens, dim))
        self.blocks = nn.ModuleList(TokenBlock(dim, heads, inner) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, 1e-6)
        self.head = nn.Linear(dim, codes)

    def forward(self, tokens, conditions):
        x = torch.cat([conditions, self.token_emb(tokens)], 1) + self.pos_emb
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 1:])

    def steps(self, count=16):
        """The calls of as many steps, with both passes of guidance in one batch."""
        size = self.config["cond_dim"]
        described = self.cond_proj(torch.full((1, size), size**-0.5))[:, None]
        conditions = torch.cat([described, self.null_cond])
        tokens = torch.full((2, self.tokens), self.config["codebook_size"])
        for _ in range(count):
            logits = self(tokens, conditions)
        return logits


def norm(channels):
    return nn.GroupNorm(32, channels, 1e-6)


def plane(inputs, outputs, kernel=3):
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


class PlaneBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.norm1, self.conv1 = norm(inputs), plane(inputs, outputs)
        self.norm2, self.conv2 = norm(outputs), plane(outputs, outputs)
        self.nin_shortcut = plane(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x):
        y = self.conv1(F.silu(self.norm1(x)))
        return self.nin_shortcut(x) + self.conv2(F.silu(self.norm2(y)))


class PlaneAttention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v, self.proj_out = (plane(channels, channels, 1) for _ in range(4))

    def forward(self, x):
        y = self.norm(x)
        q, k, v = (layer(y).flatten(2) for layer in (self.q, self.k, self.v))
        weights = (q.transpose(1, 2) @ k * q.shape[1] ** -0.5).softmax(2)
        return x + self.proj_out((v @ weights.transpose(1, 2)).view_as(x))


class Level(nn.Module):
    def __init__(self, inputs, outputs, count, has_attention, resampled):
        super().__init__()
        self.block = nn.ModuleList(PlaneBlock(outputs if at else inputs, outputs) for at in range(count))
        self.attn = nn.ModuleList(PlaneAttention(outputs) for _ in range(count if has_attention else 0))
        if resampled:
            conv = nn.Conv2d(outputs, outputs, 3, 2) if resampled == "downsample" else plane(outputs, outputs)
            self.add_module(resampled, nn.ModuleDict({"conv": conv}))

    def forward(self, x):
        for at, block in enumerate(self.block):
            x = self.attn[at](block(x)) if len(self.attn) else block(x)
        return x


class Middle(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.block_1, self.block_2 = PlaneBlock(channels, channels), PlaneBlock(channels, channels)
        self.attn_1 = PlaneAttention(channels)

    def forward(self, x):
        return self.block_2(self.attn_1(self.block_1(x)))


class Half(nn.Module):
    """Encoder or decoder; the encoder is there for its weights."""

    def __init__(self, is_encoder, channels=128, multiples=(1, 1, 2, 2, 4), latents=256):
        super().__init__()
        sizes = [channels * multiple for multiple in multiples]
        last, bottom = len(sizes) - 1, sizes[-1]
        self.mid, self.norm_out = Middle(bottom), norm(bottom if is_encoder else sizes[0])
        if is_encoder:
            self.conv_in, self.conv_out = plane(1, channels), plane(bottom, latents)
            inputs = [channels, *sizes]
            self.down = nn.ModuleList(
                Level(inputs[at], sizes[at], 2, at == last, "" if at == last else "downsample")
                for at in range(len(sizes))
            )
        else:
            self.conv_in, self.conv_out = plane(latents, bottom), plane(sizes[0], 1)
            inputs = [*sizes[1:], bottom]
            self.up = nn.ModuleList(
                Level(inputs[at], sizes[at], 3, at == last, "upsample" if at else "") for at in range(len(sizes))
            )

    def forward(self, x):
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
            if hasattr(level, "upsample"):
                x = level.upsample["conv"](F.interpolate(x, scale_factor=2.0))
        return self.conv_out(F.silu(self.norm_out(x)))


class Tokenizer(nn.Module):
    """From tokens to a spectrogram."""

    def __init__(self, codes=1024, dims=256):
        super().__init__()
        self.codes = codes
        self.encoder, self.decoder = Half(True), Half(False)
        self.quant_conv, self.post_quant_conv = plane(dims, dims, 1), plane(dims, dims, 1)
        self.quantize = nn.ModuleDict({"embedding": nn.Embedding(codes, dims)})

    def decoded(self, rows=5, columns=53):
        tokens = (torch.arange(rows * columns) * 7919 % self.codes).view(1, rows, columns)
        return self.decoder(self.post_quant_conv(self.quantize["embedding"](tokens).permute(0, 3, 1, 2)))


class Leaky(nn.Module):
    def forward(self, x):
        return F.leaky_relu(x, 0.1)


class Periodic(nn.Module):
    """Snake with a weight for its height, at twice the rate."""

    def __init__(self, channels):
        super().__init__()
        self.act = nn.ParameterDict({"alpha": torch.zeros(channels), "beta": torch.zeros(channels)})
        self.filter = half_band()

    def forward(self, x):
        channels = x.shape[1]
        taps = self.filter.expand(channels, -1, -1)
        y = 2 * F.conv_transpose1d(F.pad(x, (5, 5), "replicate"), taps, stride=2, groups=channels)[..., 15:-15]
        alpha, beta = (self.act[name].exp()[:, None] for name in ("alpha", "beta"))
        y = y + (1 / (beta + 1e-9)) * (y * alpha).sin().square()
        return F.conv1d(F.pad(y, (5, 6), "replicate"), taps, stride=2, groups=channels)


def half_band(taps=12, cutoff=0.25):
    attenuation = 2.285 * (taps // 2 - 1) * math.pi * 1.2 + 7.95
    window = torch.kaiser_window(taps, False, 0.1102 * (attenuation - 8.7))
    time = torch.arange(taps) - (taps - 1) / 2
    band = 2 * cutoff * window * torch.sinc(2 * cutoff * time)
    return (band / band.sum())[None, None]


class LineBlock(nn.Module):
    def __init__(self, channels, kernel, is_periodic):
        super().__init__()
        conv = lambda dilation: weight_norm(
            nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=dilation * (kernel // 2))
        )
        self.convs1 = nn.ModuleList(conv(dilation) for dilation in (1, 3, 5))
        self.convs2 = nn.ModuleList(conv(1) for _ in range(3))
        make = (lambda: Periodic(channels)) if is_periodic else Leaky
        self.activations = nn.ModuleList(make() for _ in range(6))

    def forward(self, x):
        for at, (first, second) in enumerate(zip(self.convs1, self.convs2)):
            y = first(self.activations[2 * at](x))
            x = x + second(self.activations[2 * at + 1](y))
        return x


class Generator(nn.Module):
    """HiFi-GAN V1 at 22.05 kHz, or BigVGAN at 24 kHz."""

    def __init__(self, is_big):
        super().__init__()
        self.is_big = is_big
        bands, channels = (100, 1536) if is_big else (80, 512)
        self.rates = (4, 4, 2, 2, 2, 2) if is_big else (8, 8, 2, 2)
        self.conv_pre = weight_norm(nn.Conv1d(bands, channels, 7, padding=3))
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate in self.rates:
            up = weight_norm(nn.ConvTranspose1d(channels, channels // 2, 2 * rate, rate, rate // 2))
            self.ups.append(nn.ModuleList([up]) if is_big else up)
            channels //= 2
            self.resblocks.extend(LineBlock(channels, kernel, is_big) for kernel in (3, 7, 11))
        if is_big:
            self.activation_post = Periodic(channels)
        self.conv_post = weight_norm(nn.Conv1d(channels, 1, 7, padding=3))

    @property
    def config(self):
        config = {
            "resblock": "1",
            "num_mels": self.conv_pre.in_channels,
            "upsample_rates": self.rates,
            "upsample_kernel_sizes": [2 * rate for rate in self.rates],
            "upsample_initial_channel": self.conv_pre.out_channels,
            "resblock_kernel_sizes": [3, 7, 11],
            "resblock_dilation_sizes": [[1, 3, 5]] * 3,
            "n_fft": 1024,
            "hop_size": 256,
            "win_size": 1024,
            "sampling_rate": 24000 if self.is_big else 22050,
            "fmin": 0,
            "fmax": 12000 if self.is_big else 8000,
        }
        return {**config, "activation": "snakebeta", "snake_logscale": True} if self.is_big else config

    def remove_weight_norm(self):
        for module in self.modules():
            if hasattr(module, "weight_g"):
                remove_weight_norm(module)

    def forward(self, mel):
        x = self.conv_pre(mel)
        for at, up in enumerate(self.ups):
            x = up[0](x) if self.is_big else up(F.leaky_relu(x, 0.1))
            x = sum(block(x) for block in self.resblocks[3 * at : 3 * at + 3]) / 3
        x = self.activation_post(x) if self.is_big else F.leaky_relu(x)
        return self.conv_post(x).tanh()
