use super::*;
use crate::gemm::Precision;
use crate::simd::Level;

fn noise(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729) as f32 * 0.618_034).sin()).collect()
}

fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

/// The definition, in 64 bits.
fn defined(config: RowConfig, weight: &[f32], x: &[f32], rows: usize) -> Vec<f64> {
    let RowConfig { inputs, outputs, kernel, dilation, stride, padding } = config;
    let mut y = vec![0.0; rows * outputs];
    for (at, y) in y.iter_mut().enumerate() {
        let (t, o) = (at / outputs, at % outputs);
        for k in 0..kernel {
            let Some(row) = (t * stride + k * dilation).checked_sub(padding) else { continue };
            for (i, x) in x.chunks_exact(inputs).nth(row).into_iter().flatten().enumerate() {
                *y += f64::from(*x) * f64::from(weight[(k * inputs + i) * outputs + o]);
            }
        }
    }
    y
}

/// The elements of an operand's rows.
fn elements(operand: &Operand, rows: usize) -> Vec<f32> {
    let (row, products) = (operand.row(), operand.products());
    let bf16 = products.gemm.precision == Precision::Bf16;
    let both = |number: &u32| match bf16 {
        true => vec![f32::from_bits(number << 16), f32::from_bits(number & 0xffff_0000)],
        false => vec![f32::from_bits(*number)],
    };
    let planes = operand.numbers().chunks_exact(operand.plane()).map(|plane| {
        plane[AROUND * row..][..rows * row].iter().flat_map(both).collect::<Vec<f32>>()
    });
    let sum = |a: Vec<f32>, b: Vec<f32>| a.iter().zip(b).map(|(a, b)| a + b).collect();
    planes.reduce(sum).expect("one plane at least")
}

fn ways() -> impl Iterator<Item = (Products, f64)> {
    let plain = Level::available().flat_map(|level| {
        [(Precision::Single, 1e-6), (Precision::Bf16, 2e-2)].into_iter().filter_map(
            move |(one, bound)| Some((Products::plain(Gemm::with_level(level, one)?), bound)),
        )
    });
    plain.chain(Products::new(Precision::Single).map(|thirds| (thirds, 1e-6)))
}

fn worst(found: &[f32], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let peak = wanted.iter().fold(1e-30, |peak: f64, x| peak.max(x.abs()));
    let errors = found.iter().zip(wanted).map(|(a, b)| (f64::from(*a) - b).abs());
    errors.fold(0.0, f64::max) / peak
}

#[test]
fn equals_the_definition_with_all_instructions() {
    let plain = |inputs, outputs, dilation| RowConfig {
        inputs,
        outputs,
        kernel: 3,
        dilation,
        stride: 1,
        padding: dilation,
    };
    let cases = [
        (plain(32, 32, 1), 100),
        (plain(48, 48, 2), 33),
        (plain(2, 6, 4), 50),
        (plain(8, 8, 2), 1),
        (plain(64, 130, 1), 29),
        (RowConfig { kernel: 9, stride: 4, padding: 4, ..plain(6, 20, 1) }, 41),
        (RowConfig { kernel: 2, padding: 1, ..plain(10, 16, 1) }, 30),
        (RowConfig { kernel: 7, padding: 3, ..plain(4, 2, 1) }, 30),
    ];
    for (config, rows) in cases {
        let RowConfig { inputs, outputs, kernel, stride, .. } = config;
        let x = noise(rows * stride * inputs, 3);
        let weight = noise(kernel * inputs * outputs, 1);
        let (bias, before) = (noise(outputs, 2), noise(rows * outputs, 4));
        let wanted = defined(config, &weight, &x, rows);
        for (gemm, bound) in ways() {
            if !inputs.is_multiple_of(gemm.per_number()) {
                assert!(RowConvolution::new(gemm, config, &weight).is_err());
                continue;
            }
            let single = Products::new(Precision::Single).expect("always there");
            let conv = RowConvolution::new(single, config, &weight).expect("fits");
            let conv = conv.with_products(gemm).expect("fits");
            let mut operand = Operand::new(gemm, inputs).expect("fits");
            operand.resize(rows * stride);
            operand.activate(&x, 0..rows * stride, Activation::Identity).expect("fits");
            let mut out = Operand::new(gemm, outputs).expect("fits");
            out.resize(rows);
            let mut found = before.clone();
            // In two pieces.
            for part in [0..rows / 3, rows / 3..rows] {
                let sink = Sink {
                    bias: &bias,
                    scale: 0.5,
                    rows: Some((&mut found, 2.0)),
                    operand: Some((&mut out, AROUND, Activation::Silu)),
                };
                conv.run(&operand, part, sink).expect("fits");
            }
            let sum = |(at, sum): (usize, &f64)| {
                0.5 * sum + f64::from(bias[at % outputs]) + 2.0 * f64::from(before[at])
            };
            let sums: Vec<f64> = wanted.iter().enumerate().map(sum).collect();
            let error = worst(&found, &sums);
            assert!(error < bound, "{gemm:?}, {config:?}: off by {error}");
            let activated: Vec<f64> = found.iter().map(|x| f64::from(silu(*x))).collect();
            let error = worst(&elements(&out, rows), &activated);
            assert!(error < bound, "{gemm:?}, {config:?}: off by {error} behind the activation");
            // What was there plays no role.
            let mut found = vec![f32::NAN; rows * outputs];
            let rows_alone = Some((&mut found[..], 0.0));
            let sink = Sink { bias: &bias, scale: 0.5, rows: rows_alone, operand: None };
            conv.run(&operand, 0..rows, sink).expect("fits");
            assert!(found.iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let gemm = Products::plain(Gemm::new(Precision::Single).expect("32 bits are always there"));
    let config = RowConfig { inputs: 4, outputs: 3, kernel: 3, dilation: 1, stride: 1, padding: 1 };
    let conv = RowConvolution::new(gemm, config, &[0.0; 36]).expect("fits");
    let mut x = Operand::new(gemm, 4).expect("fits");
    x.resize(10);
    let mut out = [0.0; 30];
    let mut run = |x: &Operand, rows: Range<usize>, bias: &[f32]| {
        let sink = Sink { bias, scale: 1.0, rows: Some((&mut out, 0.0)), operand: None };
        conv.run(x, rows, sink)
    };
    assert!(run(&x, 0..10, &[0.0; 3]).is_ok());
    assert!(run(&x, 10..10, &[0.0; 3]).is_ok());
    assert!(run(&x, 0..11, &[0.0; 3]).is_err());
    assert!(run(&x, 0..10, &[0.0; 2]).is_err());
    assert!(run(&Operand::new(gemm, 3).expect("fits"), 0..1, &[0.0; 3]).is_err());
    assert!(run(&Operand::new(gemm, 4).expect("fits"), 0..1, &[0.0; 3]).is_err());
    assert!(x.activate(&[0.0; 36], 0..9, Activation::Silu).is_err());
    assert!(x.activate(&[0.0; 40], 0..11, Activation::Silu).is_err());
    assert!(RowConvolution::new(gemm, config, &[0.0; 35]).is_err());
    assert!(RowConvolution::new(gemm, RowConfig { stride: 0, ..config }, &[0.0; 36]).is_err());
    assert!(RowConvolution::new(gemm, RowConfig { padding: 5, ..config }, &[0.0; 36]).is_err());
    let pairs = Products::new(Precision::Bf16);
    assert!(pairs.is_none_or(|gemm| Operand::new(gemm, 3).is_err()));
}
