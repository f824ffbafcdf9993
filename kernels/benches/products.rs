//! Matrix products beside libtorch's, in turns, at the sizes of the separators' layers.
//!
//! Run with `cargo bench -p formant-kernels --features tch --bench products`.

use std::time::Instant;

use formant_kernels::activation::Activation;
use formant_kernels::gemm::{Gemm, Matrix, MatrixMut, Precision, Right, Start, Workspace};
use tch::{Kind, Tensor};

const ROUNDS: usize = 25;

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn least(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::INFINITY, f64::min)
}

fn main() {
    tch::set_num_threads(1);
    let _guard = tch::no_grad_guard();
    let kinds = [(Precision::Single, Kind::Float, 1e-4), (Precision::Bf16, Kind::BFloat16, 1e-2)];
    let sizes =
        [[272, 512, 2176], [256, 1024, 512], [256, 128, 2048], [256, 256, 2048], [2000, 512, 256]];
    for (precision, kind, tolerance) in kinds {
        let Some(gemm) = Gemm::new(precision) else { continue };
        for [rows, depth, columns] in sizes {
            let x = Tensor::randn([rows, depth], tch::kind::FLOAT_CPU);
            let w = Tensor::randn([depth, columns], tch::kind::FLOAT_CPU);
            let (x_of_kind, w_of_kind) = (x.to_kind(kind), w.tr().contiguous().to_kind(kind));
            let values = |x: &Tensor| Vec::<f32>::try_from(x.reshape([-1])).expect("floats");
            let (left, right) = (values(&x), values(&w));
            let [m, k, n] = [rows, depth, columns].map(|size| size as usize);
            let left = Matrix::dense(&left, [m, k]).expect("fits");
            let right = Matrix::dense(&right, [k, n]).expect("fits");
            let packed = gemm.pack(right);
            let mut out = vec![0.0; m * n];
            let mut workspace = Workspace::default();
            let mut multiply = |right: Right<'_>| {
                let out = &mut MatrixMut::dense(&mut out, [m, n]).expect("fits");
                let identity = Activation::Identity;
                gemm.multiply(left, right, Start::Zero, identity, out, &mut workspace)
                    .expect("fits");
            };
            let mut turns = [const { Vec::new() }; 3];
            for _ in 0..ROUNDS {
                turns[0].push(seconds(|| multiply(Right::Packed(&packed))));
                turns[1].push(seconds(|| multiply(Right::Plain(right))));
                turns[2].push(seconds(|| drop(x_of_kind.linear::<&Tensor>(&w_of_kind, None))));
            }
            let wanted = x.matmul(&w);
            let worst = (Tensor::from_slice(&out).view([rows, columns]) - &wanted).abs().max();
            let worst = (worst / wanted.abs().max()).double_value(&[]);
            assert!(worst < tolerance, "{precision:?}: off by {worst}");
            let speed = |turns: Vec<f64>| {
                (2 * rows * depth * columns) as f64 / least(turns.into_iter()) / 1e9
            };
            let [packed, plain, libtorch] = turns.map(speed);
            println!(
                "{{\"numbers\": \"{precision:?}\", \"rows\": {rows}, \"depth\": {depth}, \
                 \"columns\": {columns}, \"packed_gflops\": {packed:.1}, \
                 \"plain_gflops\": {plain:.1}, \"libtorch_gflops\": {libtorch:.1}}}"
            );
        }
    }
}
