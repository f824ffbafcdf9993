//! The definition of the convolution, which everything else is tested against.

use super::Job;

/// Computes every output by itself, for any strides.
pub(super) fn run(job: &Job<'_>) {
    let conv = job.conv;
    let (kernel, dilation) = (conv.config.kernel, conv.config.dilation);
    let shape = job.out_shape;
    for b in 0..shape.batch {
        for c in 0..shape.channels {
            for t in 0..shape.frames {
                let mut sum = conv.bias[c];
                for k in job.taps(t) {
                    let frame = t + k * dilation - conv.config.padding.0;
                    // SAFETY: `taps` yields frames of the input only, `b` and `c` are in its shape.
                    let x = unsafe { *job.x.ptr.add(job.x.strides.at(b, c, frame)) };
                    sum += conv.weight[c * kernel + k] * x;
                }
                let mut y = conv.config.activation.of(sum);
                if let Some(residual) = job.residual {
                    // SAFETY: the residual has the output's shape.
                    y += unsafe { *residual.ptr.add(residual.strides.at(b, c, t)) };
                }
                // SAFETY: inside the output's shape; nobody else writes to it.
                unsafe { job.out.add(job.out_strides.at(b, c, t)).write(y) };
            }
        }
    }
}
