//! Depth-wise convolution by itself: layouts, kernels and instructions on one thread.
//!
//! Run with `cargo bench -p formant-kernels --bench depthwise`.

#![allow(missing_docs, reason = "the macros of the harness make undocumented functions")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use formant_kernels::depthwise::{DepthwiseConfig, DepthwiseConv1d};
use formant_kernels::simd::Level;
use formant_kernels::view::{Shape, View, ViewMut};

fn depthwise(criterion: &mut Criterion) {
    let shape = Shape::new(1, 512, 2000);
    let elements = shape.batch * shape.channels * shape.frames;
    let x: Vec<f32> = (0..elements).map(|i| (i % 97) as f32 / 97.0 - 0.5).collect();
    let mut y = vec![0.0; elements];
    let layouts =
        [("channels_first", shape.channels_first()), ("channels_last", shape.channels_last())];
    for (layout, strides) in layouts {
        let mut group = criterion.benchmark_group(layout);
        group.throughput(Throughput::Elements(elements as u64));
        for kernel in [5, 17, 31] {
            let weight = vec![0.5; shape.channels * kernel];
            let conv = DepthwiseConv1d::new(DepthwiseConfig::same(kernel), &weight, &[])
                .expect("lengths fit");
            for level in Level::available() {
                let id = BenchmarkId::new(format!("kernel_{kernel}"), format!("{level:?}"));
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        let x = View::new(black_box(&x), shape, strides).expect("fits");
                        let mut out = ViewMut::new(&mut y, shape, strides).expect("fits");
                        conv.run_with(level, x, None, &mut out, 1).expect("shapes fit");
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, depthwise);
criterion_main!(benches);
