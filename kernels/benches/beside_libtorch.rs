//! Depth-wise convolution beside libtorch's: both take turns in one process, so that what else
//! the machine does falls on both. Where it is busy, least times say more than medians.
//!
//! Run with `cargo bench -p formant-kernels --features tch --bench beside_libtorch [-- threads]`.

use std::time::Instant;

use formant_kernels::depthwise::{DepthwiseConfig, DepthwiseConv1d};
use formant_kernels::tensor::{Axes, depthwise_conv1d};
use tch::Tensor;

const ROUNDS: usize = 25;

fn seconds(work: impl FnOnce() -> Tensor) -> f64 {
    let start = Instant::now();
    let result = work();
    let seconds = start.elapsed().as_secs_f64();
    drop(result);
    seconds
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn least(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::INFINITY, f64::min)
}

fn compare(job: &str, ours: impl Fn() -> Tensor, theirs: impl Fn() -> Tensor) {
    let worst = (ours() - theirs()).abs().max().double_value(&[]);
    assert!(worst < 1e-3, "{job}: results differ by {worst}");
    let pairs: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (seconds(&ours), seconds(&theirs))).collect();
    let ratio = median(pairs.iter().map(|pair| pair.1 / pair.0).collect());
    let ours = least(pairs.iter().map(|pair| pair.0 * 1e3));
    let theirs = least(pairs.iter().map(|pair| pair.1 * 1e3));
    println!(
        "{{\"job\": \"{job}\", \"least_milliseconds\": {ours:.3}, \
         \"least_libtorch\": {theirs:.3}, \"ratio_of_least\": {:.2}, \
         \"median_ratio\": {ratio:.2}}}",
        theirs / ours
    );
}

fn main() {
    let threads = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(1);
    tch::set_num_threads(threads as i32);
    let _guard = tch::no_grad_guard();
    let (batch, channels, frames) = (4i64, 512i64, 2000i64);
    let first = Tensor::randn([batch, channels, frames], tch::kind::FLOAT_CPU);
    let last = first.transpose(1, 2).contiguous().transpose(1, 2);
    for kernel in [5, 17, 31] {
        let weight = Tensor::randn([channels, 1, kernel], tch::kind::FLOAT_CPU);
        let taps = Vec::<f32>::try_from(weight.view([-1])).expect("floats");
        let conv = DepthwiseConv1d::new(DepthwiseConfig::same(kernel as usize), &taps, &[])
            .expect("lengths fit");
        let ours = |x: &Tensor| {
            depthwise_conv1d(&conv, x, None, Axes::ChannelsFirst, threads)
                .expect("shapes fit")
                .expect("plain tensors")
        };
        let half = kernel / 2;
        let conv1d = |x: &Tensor| x.conv1d(&weight, None::<&Tensor>, 1, half, 1, channels);
        // The fastest way that libtorch has: two dimensions, one of them of size 1.
        let weight_2d = weight.unsqueeze(2);
        let conv2d = |x: &Tensor| {
            x.unsqueeze(2)
                .conv2d(&weight_2d, None::<&Tensor>, [1, 1], [0, half], [1, 1], channels)
                .squeeze_dim(2)
        };
        let size = format!("[{batch}, {channels}, {frames}], kernel {kernel}, {threads} threads");
        compare(&format!("channels first, conv1d, {size}"), || ours(&first), || conv1d(&first));
        compare(&format!("channels first, conv2d, {size}"), || ours(&first), || conv2d(&first));
        compare(&format!("channels last, conv1d, {size}"), || ours(&last), || conv1d(&last));
        compare(&format!("channels last, conv2d, {size}"), || ours(&last), || conv2d(&last));
    }
}
