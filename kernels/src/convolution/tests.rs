use super::*;
use crate::gemm::Precision;
use crate::row_activation::Snake;
use crate::simd::Level;

fn noise(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729) as f32 * 0.618_034).sin()).collect()
}

/// The definition, in 64 bits.
fn defined(
    config: ConvolutionConfig,
    [weight, bias, x]: [&[f32]; 3],
    before: impl Fn(f32, usize) -> f32,
) -> Vec<f64> {
    let ConvolutionConfig { inputs, outputs, kernel, dilation } = config;
    let rows = x.len() / inputs;
    let mut y = Vec::with_capacity(rows * outputs);
    for t in 0..rows {
        for o in 0..outputs {
            let mut sum = f64::from(bias[o]);
            for k in 0..kernel {
                let Some(row) = (t + k * dilation).checked_sub(config.reach()) else { continue };
                if row < rows {
                    for i in 0..inputs {
                        let value = f64::from(before(x[row * inputs + i], i));
                        sum += value * f64::from(weight[(k * inputs + i) * outputs + o]);
                    }
                }
            }
            y.push(sum);
        }
    }
    y
}

struct Case {
    config: ConvolutionConfig,
    weight: Vec<f32>,
    bias: Vec<f32>,
    x: Vec<f32>,
    snake: Snake,
}

fn case(inputs: usize, outputs: usize, kernel: usize, dilation: usize, rows: usize) -> Case {
    let config = ConvolutionConfig { inputs, outputs, kernel, dilation };
    let alpha: Vec<f32> = (0..inputs).map(|i| 0.3 + i as f32 * 0.1).collect();
    let inverse: Vec<f32> = alpha.iter().map(|alpha| 1.0 / alpha).collect();
    Case {
        config,
        weight: noise(outputs * inputs * kernel, 1),
        bias: noise(outputs, 2),
        x: noise(rows * inputs, 3),
        snake: Snake::new(&alpha, &inverse).expect("fits"),
    }
}

/// The largest error, in parts of the largest value.
fn worst(found: &[f32], wanted: impl Iterator<Item = f64>) -> f64 {
    let pairs = found.iter().zip(wanted);
    let (error, peak) = pairs.fold((0.0, 0.0), |(error, peak): (f64, f64), (&found, wanted)| {
        (error.max((f64::from(found) - wanted).abs()), peak.max(wanted.abs()))
    });
    error / peak
}

#[test]
fn equals_the_definition_with_all_instructions() {
    let sizes = [
        (5, 7, 3, 1, 40),
        (16, 16, 11, 5, 333),
        (33, 17, 7, 3, 100),
        (20, 48, 1, 1, 9),
        (16, 4, 17, 2, 70),
        (3, 3, 11, 9, 6),
        (80, 64, 3, 2, 1),
        // Rows narrower than a tile, whose taps are one stretch.
        (32, 45, 3, 1, 700),
        (16, 33, 7, 1, 90),
        (48, 8, 5, 1, 40),
    ];
    for (inputs, outputs, kernel, dilation, rows) in sizes {
        let Case { config, weight, bias, x, snake } = case(inputs, outputs, kernel, dilation, rows);
        let wanted = defined(config, [&weight, &bias, &x], |x, i| snake.of(x, i));
        let residual = noise(rows * outputs, 4);
        for level in Level::available() {
            for (precision, bound) in [(Precision::Single, 2e-6), (Precision::Bf16, 4e-2)] {
                let Some(gemm) = Gemm::with_level(level, precision) else { continue };
                let before = RowActivation::Snake(snake.clone());
                let conv = Convolution::new(gemm, config, before, &weight, &bias).expect("fits");
                let form = Transformed::new(gemm, config, &weight).expect("fits");
                let transformed = Convolution { form: Form::Transformed(form), ..conv.clone() };
                for conv in [conv, transformed] {
                    let mut out = vec![0.5; rows * outputs];
                    conv.run(&x, 0, Onto::default(), &mut out, 1).expect("fits");
                    let error = worst(&out, wanted.iter().copied());
                    assert!(error < bound, "{level:?}, {config:?}: off by {error}");
                    let onto = Onto { residual: Some(&residual), output: true };
                    let before = out.clone();
                    conv.run(&x, 0, onto, &mut out, 2).expect("fits");
                    let sums = before.iter().zip(&residual).zip(&before);
                    let sums =
                        sums.map(|((a, b), c)| f64::from(*a) + f64::from(*b) + f64::from(*c));
                    assert!(worst(&out, sums) < 1e-6, "{level:?}, {config:?}");
                }
            }
        }
    }
}

/// Numbers that are none are none in all that depends on them; zeros stay zeros.
#[test]
fn odd_numbers_are_what_they_are_in_a_sum() {
    let Case { config, weight, bias, x, .. } = case(20, 30, 3, 1, 700);
    for level in Level::available() {
        let gemm = Gemm::with_level(level, Precision::Single).expect("32 bits are always there");
        let make = |bias: &[f32]| {
            Convolution::new(gemm, config, RowActivation::Silu, &weight, bias).expect("fits")
        };
        let mut out = vec![7.0; 700 * 30];
        make(&[0.0; 30]).run(&vec![0.0; x.len()], 0, Onto::default(), &mut out, 1).expect("fits");
        assert!(out.iter().all(|&x| x == 0.0), "{level:?}");
        for odd in [f32::NAN, f32::INFINITY] {
            let mut x = x.clone();
            x[100 * 20 + 3] = odd;
            make(&bias).run(&x, 0, Onto::default(), &mut out, 1).expect("fits");
            assert!(out[99 * 30..102 * 30].iter().all(|x| !x.is_finite()), "{level:?}");
            assert!(out[660 * 30..].iter().all(|x| x.is_finite()), "{level:?}");
        }
    }
}

/// A layer whose numbers are changed computes what one of the others does.
#[test]
fn numbers_can_be_changed() {
    let Case { config, weight, bias, x, .. } = case(40, 24, 7, 2, 100);
    let wanted = defined(config, [&weight, &bias, &x], |x, _| x);
    let (single, bf16) = (Gemm::new(Precision::Single), Gemm::new(Precision::Bf16));
    let single = single.expect("32 bits are always there");
    let before = RowActivation::Identity;
    let mut conv = Convolution::new(single, config, before, &weight, &bias).expect("fits");
    let mut out = vec![0.0; 100 * 24];
    for (gemm, bound) in [(bf16, 4e-2), (Some(single), 4e-2)] {
        let Some(gemm) = gemm else { continue };
        conv.set_gemm(gemm);
        assert_eq!(conv.gemm(), gemm);
        conv.run(&x, 0, Onto::default(), &mut out, 1).expect("fits");
        let error = worst(&out, wanted.iter().copied());
        assert!(error < bound, "{gemm:?}: off by {error}");
    }
}

/// Frames of a part that sees enough of its neighbors are those of the whole.
#[test]
fn parts_and_threads_change_nothing() {
    let Case { config, weight, bias, x, snake } = case(64, 64, 11, 5, 3000);
    let gemm = Gemm::new(Precision::Single).expect("32 bits are always there");
    let before = RowActivation::Snake(snake);
    let conv = Convolution::new(gemm, config, before, &weight, &bias).expect("fits");
    let run = |threads| {
        let mut out = vec![0.0; 3000 * 64];
        conv.run(&x, 0, Onto::default(), &mut out, threads).expect("fits");
        out
    };
    let whole = run(1);
    assert_eq!(whole, run(3));
    let mut part = vec![0.0; 500 * 64];
    let reach = config.reach();
    let around = &x[(700 - reach) * 64..(1200 + reach) * 64];
    conv.run(around, reach, Onto::default(), &mut part, 2).expect("fits");
    let wanted = whole[700 * 64..1200 * 64].iter().map(|&x| f64::from(x));
    assert!(worst(&part, wanted) < 2e-6);
}

#[test]
fn what_does_not_fit_is_refused() {
    let Case { config, weight, bias, x, .. } = case(4, 6, 3, 1, 10);
    let gemm = Gemm::new(Precision::Single).expect("32 bits are always there");
    let make = |config, weight: &[f32], bias: &[f32]| {
        Convolution::new(gemm, config, RowActivation::Silu, weight, bias)
    };
    let conv = make(config, &weight, &bias).expect("fits");
    let run =
        |x: &[f32], onto: Onto<'_>, rows: usize| conv.run(x, 0, onto, &mut vec![0.0; rows], 1);
    assert!(run(&x, Onto::default(), 60).is_ok());
    assert!(run(&x, Onto::default(), 0).is_ok());
    assert!(run(&[], Onto::default(), 12).is_ok());
    assert!(run(&x[1..], Onto::default(), 60).is_err());
    assert!(run(&x, Onto::default(), 59).is_err());
    assert!(run(&x, Onto { residual: Some(&x), output: false }, 60).is_err());
    assert!(make(config, &weight[1..], &bias).is_err());
    assert!(make(config, &weight, &bias[1..]).is_err());
    assert!(make(ConvolutionConfig { dilation: 0, ..config }, &weight, &bias).is_err());
    for kernel in [0, 2, 33] {
        let weight = vec![0.0; 24 * kernel];
        assert!(make(ConvolutionConfig { kernel, ..config }, &weight, &bias).is_err());
    }
}

/// Two layers in one go are those one behind the other, also for parts.
#[test]
fn layers_behind_each_other_equal_both() {
    let Case { config, weight, bias, x, snake } = case(24, 40, 7, 3, 1500);
    let after = case(40, 24, 5, 2, 1);
    for level in Level::available() {
        let gemm = Gemm::with_level(level, Precision::Single).expect("32 bits are always there");
        let before = RowActivation::Snake(snake.clone());
        let inner = Convolution::new(gemm, config, before, &weight, &bias).expect("fits");
        let before = RowActivation::Snake(after.snake.clone());
        let outer = Convolution::new(gemm, after.config, before, &after.weight, &after.bias);
        let outer = outer.expect("fits");
        let mut between = vec![0.0; 1500 * 40];
        inner.run(&x, 0, Onto::default(), &mut between, 1).expect("fits");
        let mut wanted = vec![0.0; 1500 * 24];
        let onto = Onto { residual: Some(&x), output: false };
        outer.run(&between, 0, onto, &mut wanted, 1).expect("fits");
        for [from, to, threads] in [[0, 1500, 1], [0, 1500, 3], [3, 1200, 2], [1490, 1500, 1]] {
            let part = from * 24..to * 24;
            let mut out = vec![7.0; part.len()];
            let onto = Onto { residual: Some(&x[part.clone()]), output: false };
            outer.run_behind(&inner, &x, from, onto, &mut out, threads).expect("fits");
            let error = worst(&out, wanted[part].iter().map(|&x| f64::from(x)));
            assert!(error < 2e-6, "{level:?}, {from} to {to}: off by {error}");
        }
        let refused = inner.run_behind(&inner, &x, 0, Onto::default(), &mut between, 1);
        assert!(refused.is_err());
    }
}
