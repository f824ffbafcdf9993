//! Convolutions over time beside libtorch's, in turns, at the sizes of a vocoder's residual blocks.
//!
//! Run with `cargo bench -p formant-kernels --features tch --bench convolution`.

use std::time::Instant;

use formant_kernels::convolution::{Convolution, ConvolutionConfig, Onto};
use formant_kernels::gemm::{Gemm, Precision};
use formant_kernels::row_activation::RowActivation;
use tch::{Kind, Tensor};

const ROUNDS: usize = 9;

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn main() {
    tch::set_num_threads(1);
    let _guard = tch::no_grad_guard();
    let kinds = [(Precision::Single, Kind::Float, 1e-5), (Precision::Bf16, Kind::BFloat16, 3e-2)];
    println!("numbers, channels, kernel, dilation, rows: GFLOP/s of the direct sum, libtorch's");
    for (precision, kind, tolerance) in kinds {
        let Some(gemm) = Gemm::new(precision) else { continue };
        for [channels, rows] in [[512, 1500], [256, 6000], [128, 12_000], [64, 24_000]] {
            for [kernel, dilation] in [[3, 1], [7, 3], [11, 5]] {
                let size = [channels, channels, kernel];
                let weight = Tensor::randn(size, tch::kind::FLOAT_CPU) / (channels as f64).sqrt();
                let x = Tensor::randn([1, channels, rows], tch::kind::FLOAT_CPU);
                let values = |x: Tensor| Vec::<f32>::try_from(x.reshape([-1])).expect("floats");
                let taps = values(weight.permute([2, 1, 0]));
                let [c, k, d] = [channels, kernel, dilation].map(|size| size as usize);
                let config = ConvolutionConfig { inputs: c, outputs: c, kernel: k, dilation: d };
                let bias = vec![0.0; c];
                let conv = Convolution::new(gemm, config, RowActivation::Identity, &taps, &bias)
                    .expect("fits");
                let row = values(x.transpose(1, 2));
                let mut out = vec![0.0; row.len()];
                let padding = kernel / 2 * dilation;
                let direct = |x: &Tensor, weight: &Tensor| {
                    x.conv1d::<&Tensor>(weight, None, [1], [padding], [dilation], 1)
                };
                let (x_of_kind, weight_of_kind) = (x.to_kind(kind), weight.to_kind(kind));
                let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
                for _ in 0..ROUNDS {
                    ours = ours.min(seconds(|| {
                        conv.run(&row, 0, Onto::default(), &mut out, 1).expect("fits");
                    }));
                    theirs = theirs.min(seconds(|| drop(direct(&x_of_kind, &weight_of_kind))));
                }
                let wanted = direct(&x, &weight).transpose(1, 2).reshape([-1]);
                let worst = (Tensor::from_slice(&out) - &wanted).abs().max() / wanted.abs().max();
                let worst = worst.double_value(&[]);
                assert!(worst < tolerance, "{precision:?}, {config:?}: off by {worst}");
                let work = (2 * rows * channels * channels * kernel) as f64 / 1e9;
                println!(
                    "{precision:?}, {channels}, {kernel}, {dilation}, {rows}: {:.0}, {:.0}",
                    work / ours,
                    work / theirs
                );
            }
        }
    }
}
