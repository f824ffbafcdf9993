use super::*;
use crate::depthwise::DepthwiseConfig;
use crate::gemm::Precision;
use crate::uninit::as_uninit;

const CHANNELS: usize = 10;
const HALF: usize = 12;
const QUERY_KEY: usize = 6;
const TURNED: usize = 4;
const WIDTH: usize = 2 * HALF + QUERY_KEY;

fn numbers(len: usize, seed: usize, scale: f32) -> Vec<f32> {
    (0..len).map(|i| (((i + 1) * (7919 + 2 * seed)) as f32 * 0.618).sin() * scale).collect()
}

/// All that a block has learnt.
struct Learnt {
    projection: Vec<f32>,
    projection_bias: Vec<f32>,
    taps: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    to_out: Vec<f32>,
    to_out_bias: Vec<f32>,
    out_taps: Vec<f32>,
}

impl Learnt {
    fn new() -> Self {
        Self {
            projection: numbers(WIDTH * CHANNELS, 1, 0.5),
            projection_bias: numbers(WIDTH, 2, 0.3),
            taps: numbers(WIDTH * 5, 3, 0.4),
            gamma: numbers(4 * QUERY_KEY, 4, 0.4),
            beta: numbers(4 * QUERY_KEY, 5, 0.5),
            to_out: numbers(CHANNELS * HALF, 6, 0.5),
            to_out_bias: numbers(CHANNELS, 7, 0.3),
            out_taps: numbers(CHANNELS * 3, 8, 0.4),
        }
    }

    /// The block as it is defined, one frame and channel after the other, in 64 bits.
    fn definition(&self, x: &[f32], cos: &[f32], sin: &[f32], group: usize) -> Vec<f64> {
        let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| f64::from(x)).collect() };
        let x = wide(x);
        let frames = x.len() / CHANNELS;
        let shifted: Vec<f64> = (0..x.len())
            .map(|i| match i % CHANNELS < CHANNELS / 2 {
                true => i.checked_sub(CHANNELS).map_or(0.0, |i| x[i]),
                false => x[i],
            })
            .collect();
        let unit = |x: &[f64], channels: usize| -> Vec<f64> {
            let length = |x: &[f64]| {
                (x.iter().map(|x| x * x).sum::<f64>() / channels as f64).sqrt().max(1e-5)
            };
            x.chunks(channels).flat_map(|x| x.iter().map(move |y| y / length(x))).collect()
        };
        let linear = |x: &[f64], weight: &[f32], bias: &[f32]| -> Vec<f64> {
            let inputs = weight.len() / bias.len();
            let one = |x: &[f64], output: usize| {
                let products = x.iter().zip(&weight[output * inputs..]);
                let sum =
                    f64::from(bias[output]) + products.map(|(x, &w)| x * f64::from(w)).sum::<f64>();
                sum / (1.0 + (-sum).exp())
            };
            x.chunks(inputs).flat_map(|x| (0..bias.len()).map(move |o| one(x, o))).collect()
        };
        let convolve = |x: &[f64], taps: &[f32], channels: usize| -> Vec<f64> {
            let kernel = taps.len() / channels;
            let one = |frame: usize, channel: usize| {
                let tap = |k: usize| {
                    let at = (frame + k).checked_sub(kernel / 2).filter(|&at| at < frames);
                    at.map_or(0.0, |at| {
                        x[at * channels + channel] * f64::from(taps[channel * kernel + k])
                    })
                };
                (0..kernel).map(tap).sum::<f64>()
            };
            (0..frames).flat_map(|f| (0..channels).map(move |c| one(f, c))).collect()
        };
        let normed = unit(&shifted, CHANNELS);
        let projected =
            convolve(&linear(&normed, &self.projection, &self.projection_bias), &self.taps, WIDTH);
        let head = |head: usize, frame: usize| -> Vec<f64> {
            let mut y: Vec<f64> = (0..QUERY_KEY)
                .map(|c| {
                    let x = projected[frame * WIDTH + 2 * HALF + c];
                    let at = head * QUERY_KEY + c;
                    x * f64::from(self.gamma[at]) + f64::from(self.beta[at])
                })
                .collect();
            for c in (0..TURNED).step_by(2) {
                let [cos, sin] = [cos, sin].map(|table| f64::from(table[frame * TURNED + c]));
                let [a, b] = [y[c], y[c + 1]];
                (y[c], y[c + 1]) = (a * cos - b * sin, b * cos + a * sin);
            }
            y
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let seen = |frame: usize, channel: usize| {
            let value = |frame: usize| projected[frame * WIDTH + channel];
            let own = |other: usize| other / group == frame / group;
            (0..frames)
                .map(|other| {
                    let linear = dot(&head(LINEAR_QUERY, frame), &head(LINEAR_KEY, other));
                    let near = dot(&head(QUADRATIC_QUERY, frame), &head(QUADRATIC_KEY, other));
                    let near = if own(other) { near.max(0.0).powi(2) } else { 0.0 };
                    (linear / frames as f64 + near) * value(other)
                })
                .sum::<f64>()
        };
        let gated: Vec<f64> = (0..frames)
            .flat_map(|frame| {
                let (projected, seen) = (&projected, &seen);
                (0..HALF).map(move |c| {
                    let [v, u] = [c, HALF + c].map(|c| projected[frame * WIDTH + c]);
                    let [att_v, att_u] = [c, HALF + c].map(|c| seen(frame, c));
                    att_u * v / (1.0 + (-att_v * u).exp())
                })
            })
            .collect();
        let out = linear(&unit(&gated, HALF), &self.to_out, &self.to_out_bias);
        convolve(&out, &self.out_taps, CHANNELS).iter().zip(&x).map(|(y, x)| y + x).collect()
    }

    fn run(&self, gemm: Gemm, x: &[f32], [cos, sin]: [&[f32]; 2], group: usize) -> [Vec<f32>; 3] {
        let layer = |weight: &[f32], bias: &[f32]| {
            let matrix = Matrix::dense(weight, [bias.len(), weight.len() / bias.len()]);
            Linear::new(gemm, matrix.expect("fits"), bias, Activation::Silu).expect("fits")
        };
        let projection = layer(&self.projection, &self.projection_bias);
        let to_out = layer(&self.to_out, &self.to_out_bias);
        let inside = DepthwiseConfig { padding: (0, 0), ..DepthwiseConfig::same(5) };
        let conv = DepthwiseConv1d::new(inside, &self.taps, &[]).expect("fits");
        let out_conv =
            DepthwiseConv1d::new(DepthwiseConfig::same(3), &self.out_taps, &[]).expect("fits");
        let block = GatedAttention::new(Layers {
            projection: &projection,
            conv: &conv,
            gamma: &self.gamma,
            beta: &self.beta,
            to_out: &to_out,
            out_conv: &out_conv,
            group,
        });
        let block = block.expect("fits");
        let rotation = Rotation { cos, sin, dim: TURNED };
        // Memory that holds what another signal left.
        let mut scratch = Scratch::default();
        let other = vec![0.7; 33 * CHANNELS];
        let turn = Rotation { cos: &[1.0; 33 * TURNED], sin: &[0.0; 33 * TURNED], dim: TURNED };
        let out = &mut vec![MaybeUninit::uninit(); other.len()];
        block.run(&other, turn, out, &mut scratch, 2).expect("fits");
        [1, 2, 5].map(|threads| {
            let mut out = vec![0.0; x.len()];
            // SAFETY: the block writes numbers.
            let written = unsafe { as_uninit(&mut out) };
            block.run(x, rotation, written, &mut scratch, threads).expect("fits");
            out
        })
    }
}

#[test]
fn the_block_equals_its_definition() {
    let learnt = Learnt::new();
    for (frames, group) in [(1, 16), (2, 16), (37, 16), (300, 64), (530, 256), (300, 400)] {
        let x = numbers(frames * CHANNELS, 9, 1.0);
        let angles = numbers(frames * TURNED / 2, 10, 3.0);
        let [cos, sin] = [f32::cos, f32::sin]
            .map(|f| angles.iter().flat_map(|&x| [f(x); 2]).collect::<Vec<f32>>());
        let wanted = learnt.definition(&x, &cos, &sin, group);
        let power = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>();
        for level in crate::simd::Level::available() {
            // Operands of bf16 have 16 bits less, and errors are 2^16 times as large.
            for (precision, limit) in [(Precision::Single, 6e-7), (Precision::Bf16, 4e-2)] {
                let Some(gemm) = Gemm::with_level(level, precision) else { continue };
                for found in learnt.run(gemm, &x, [&cos, &sin], group) {
                    let mut errors = found.iter().zip(&wanted).map(|(&y, w)| f64::from(y) - w);
                    let error = power(&mut errors) / power(&mut wanted.iter().copied());
                    let error = error.sqrt();
                    assert!(error < limit, "{frames} by {group}, {gemm:?}: {error}");
                }
            }
        }
    }
}
