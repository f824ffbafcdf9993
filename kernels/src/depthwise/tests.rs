use proptest::prelude::*;

use super::*;
use crate::view::Strides;

impl DepthwiseConv1d {
    /// The definition: plain loops on one thread.
    pub(super) fn run_scalar(
        &self,
        x: View<'_>,
        residual: Option<View<'_>>,
        out: &mut ViewMut<'_>,
    ) -> Result<()> {
        scalar::run(&Job::new(self, x, residual, out)?);
        Ok(())
    }
}

/// Numbers from -1 to 1.
fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// How a tensor lies in memory: order of the axes, and unused elements behind each row.
#[derive(Debug, Clone, Copy)]
enum Order {
    ChannelsFirst { gap: usize },
    ChannelsLast { gap: usize },
    Neither,
}

impl Order {
    fn strides(self, shape: Shape) -> Strides {
        match self {
            Self::ChannelsFirst { gap } => {
                let channel = shape.frames + gap;
                Strides { batch: shape.channels * channel + gap, channel, frame: 1 }
            }
            Self::ChannelsLast { gap } => {
                let frame = shape.channels + gap;
                Strides { batch: shape.frames * frame + gap, channel: 1, frame }
            }
            Self::Neither => {
                let channel = 2 * shape.frames + 1;
                Strides { batch: shape.channels * channel, channel, frame: 2 }
            }
        }
    }
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![
        (0usize..3).prop_map(|gap| Order::ChannelsFirst { gap }),
        (0usize..3).prop_map(|gap| Order::ChannelsLast { gap }),
        Just(Order::Neither),
    ]
}

fn activations() -> impl Strategy<Value = Activation> {
    prop::sample::select(vec![
        Activation::Identity,
        Activation::Relu,
        Activation::Silu,
        Activation::SquaredRelu,
    ])
}

fn configs() -> impl Strategy<Value = DepthwiseConfig> {
    (1usize..40, 1usize..4, 0usize..45, 0usize..45, activations()).prop_map(
        |(kernel, dilation, before, behind, activation)| DepthwiseConfig {
            kernel,
            dilation,
            padding: (before, behind),
            activation,
        },
    )
}

/// The definition once more, in double precision and with the bound of its rounding errors.
fn exact(
    conv: &DepthwiseConv1d,
    x: &[f32],
    shape: Shape,
    strides: Strides,
    (b, c, t): (usize, usize, usize),
) -> (f64, f64) {
    let config = conv.config();
    let (mut sum, mut size) = (f64::from(conv.bias[c]), f64::from(conv.bias[c].abs()));
    for k in 0..config.kernel {
        let Some(frame) = (t + k * config.dilation).checked_sub(config.padding.0) else { continue };
        if frame < shape.frames {
            let product = f64::from(conv.weight[c * config.kernel + k])
                * f64::from(x[strides.at(b, c, frame)]);
            sum += product;
            size += product.abs();
        }
    }
    let y = match config.activation {
        Activation::Identity => sum,
        Activation::Relu => sum.max(0.0),
        Activation::Silu => sum / (1.0 + (-sum).exp()),
        Activation::SquaredRelu => sum.max(0.0).powi(2),
    };
    (y, 4e-6 * (1.0 + size) * (1.0 + size))
}

#[derive(Clone, Copy)]
enum Way {
    Scalar,
    Level(Level),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn all_instructions_give_the_definition(
        config in configs(),
        (batch, channels, frames) in (0usize..4, 0usize..37, 0usize..200),
        (order_x, order_r, order_y) in (orders(), orders(), orders()),
        same_order in any::<bool>(),
        with_residual in any::<bool>(),
        seed in any::<u32>(),
    ) {
        let weight = noise(channels * config.kernel, seed ^ 1);
        let bias = noise(channels, seed ^ 2);
        let conv = DepthwiseConv1d::new(config, &weight, &bias).expect("lengths fit");
        let shape = Shape::new(batch, channels, frames);
        let out_shape = Shape::new(batch, channels, conv.output_frames(frames));
        let (order_r, order_y) = if same_order { (order_x, order_x) } else { (order_r, order_y) };
        let (strides, out_strides) = (order_x.strides(shape), order_y.strides(out_shape));
        let residual_strides = order_r.strides(out_shape);
        let x = noise(shape.span(strides).expect("small"), seed ^ 3);
        let r = noise(out_shape.span(residual_strides).expect("small"), seed ^ 4);
        let view = View::new(&x, shape, strides).expect("fits");
        let residual = View::new(&r, out_shape, residual_strides).expect("fits");
        let residual = with_residual.then_some(residual);
        let ways = Level::available().map(Way::Level).chain([Way::Scalar]);
        for way in ways {
            // What lies between rows must stay as it is.
            let mut y = vec![f32::NAN; out_shape.span(out_strides).expect("small")];
            let mut out = ViewMut::new(&mut y, out_shape, out_strides).expect("fits");
            match way {
                Way::Scalar => conv.run_scalar(view, residual, &mut out),
                Way::Level(level) => conv.run_with(level, view, residual, &mut out, 1),
            }.expect("shapes fit");
            let mut written = 0;
            for b in 0..batch {
                for c in 0..channels {
                    for t in 0..out_shape.frames {
                        let (mut wanted, allowed) = exact(&conv, &x, shape, strides, (b, c, t));
                        if with_residual {
                            wanted += f64::from(r[residual_strides.at(b, c, t)]);
                        }
                        let found = f64::from(y[out_strides.at(b, c, t)]);
                        written += 1;
                        prop_assert!(
                            (found - wanted).abs() <= allowed,
                            "[{b}, {c}, {t}] is {found}, not {wanted}"
                        );
                    }
                }
            }
            prop_assert_eq!(y.iter().filter(|y| !y.is_nan()).count(), written);
        }
    }
}

fn run(conv: &DepthwiseConv1d, x: &[f32], shape: Shape, order: Order, threads: usize) -> Vec<f32> {
    let out_shape = Shape { frames: conv.output_frames(shape.frames), ..shape };
    let out_strides = order.strides(out_shape);
    let mut y = vec![0.0; out_shape.span(out_strides).expect("small")];
    let view = View::new(x, shape, order.strides(shape)).expect("fits");
    let mut out = ViewMut::new(&mut y, out_shape, out_strides).expect("fits");
    conv.run(view, None, &mut out, threads).expect("shapes fit");
    y
}

#[test]
fn threads_do_not_change_a_byte() {
    let shape = Shape::new(3, 61, 4111);
    let conv = DepthwiseConv1d::new(DepthwiseConfig::same(17), &noise(61 * 17, 1), &[])
        .expect("lengths fit");
    let x = noise(3 * 61 * 4111, 2);
    for order in [Order::ChannelsFirst { gap: 0 }, Order::ChannelsLast { gap: 0 }] {
        let one = run(&conv, &x, shape, order, 1);
        for threads in [2, 3, 5] {
            assert!(one == run(&conv, &x, shape, order, threads), "{order:?}, {threads} threads");
        }
    }
}

#[test]
fn position_does_not_change_a_byte() {
    let config = DepthwiseConfig { padding: (0, 0), ..DepthwiseConfig::same(7) };
    let conv = DepthwiseConv1d::new(config, &noise(19 * 7, 1), &[]).expect("lengths fit");
    let (shape, order) = (Shape::new(1, 19, 200), Order::ChannelsLast { gap: 0 });
    let x = noise(19 * 200, 2);
    let whole = run(&conv, &x, shape, order, 1);
    for (start, frames) in [(0, 7), (3, 50), (100, 100)] {
        let part = &x[start * 19..(start + frames) * 19];
        let part = run(&conv, part, Shape { frames, ..shape }, order, 1);
        assert!(part == whole[start * 19..(start + frames - 6) * 19], "{start}, {frames}");
    }
}

#[test]
fn scale_and_shift_are_folded() {
    let shape = Shape::new(1, 2, 6);
    let x = noise(12, 5);
    let (weight, bias) = (noise(6, 6), [0.25, -0.5]);
    let (scale, shift) = ([2.0, -3.0], [0.5, 0.125]);
    let plain = DepthwiseConv1d::new(DepthwiseConfig::same(3), &weight, &bias).expect("fits");
    let folded = plain.clone().scaled(&scale, &shift);
    let order = Order::ChannelsFirst { gap: 0 };
    let y = run(&plain, &x, shape, order, 1);
    let z = run(&folded.expect("fits"), &x, shape, order, 1);
    for c in 0..2 {
        for t in 0..6 {
            let wanted = scale[c] * y[c * 6 + t] + shift[c];
            assert!((z[c * 6 + t] - wanted).abs() < 1e-5);
        }
    }
}

#[test]
fn wrong_arguments_are_refused() {
    let config = DepthwiseConfig::same(3);
    assert!(DepthwiseConv1d::new(config, &[0.0; 7], &[]).is_err());
    assert!(DepthwiseConv1d::new(config, &[0.0; 6], &[0.0; 3]).is_err());
    assert!(DepthwiseConv1d::new(DepthwiseConfig { kernel: 0, ..config }, &[], &[]).is_err());
    assert!(DepthwiseConv1d::new(DepthwiseConfig { dilation: 0, ..config }, &[], &[]).is_err());
    let far = DepthwiseConfig { padding: (usize::MAX, 1), ..config };
    assert!(DepthwiseConv1d::new(far, &[0.0; 6], &[]).is_err());

    let conv = DepthwiseConv1d::new(config, &[0.0; 6], &[]).expect("fits");
    let (x, mut y) = ([0.0; 10], [0.0; 10]);
    let right = Shape::new(1, 2, 5);
    let wrong = Shape::new(1, 2, 4);
    let channels = Shape::new(2, 1, 5);
    for (shape, out_shape) in [(right, wrong), (wrong, right), (channels, channels)] {
        let view = View::new(&x, shape, shape.channels_first()).expect("fits");
        let mut out = ViewMut::new(&mut y, out_shape, out_shape.channels_first()).expect("fits");
        let found = conv.run(view, None, &mut out, 1);
        assert!(matches!(found, Err(Error::Shape { .. })));
    }
}

#[test]
fn a_shape_of_any_length_has_an_answer() {
    let conv = DepthwiseConv1d::new(DepthwiseConfig::same(17), &[0.0; 17], &[0.0]).expect("sizes");
    assert_eq!(conv.output_frames(100), 100);
    assert_eq!(conv.output_frames(0), 0);
    assert!(conv.output_frames(usize::MAX) >= usize::MAX - 17);
}
