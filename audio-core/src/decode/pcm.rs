//! Stored samples to `f32`: integers, floats and the two companded kinds of ITU-T G.711.

use super::options::RawSample;

/// Append the whole samples in `bytes` to `out`, in the order in which they are stored.
pub(super) fn convert(format: RawSample, bytes: &[u8], out: &mut Vec<f32>) {
    match format {
        RawSample::U8 => out.extend(bytes.iter().map(|&b| (f32::from(b) - 128.0) / 128.0)),
        RawSample::S8 => out.extend(bytes.iter().map(|&b| f32::from(b.cast_signed()) / 128.0)),
        RawSample::S16Le => each(bytes, out, |b| f32::from(i16::from_le_bytes(b)) / 32768.0),
        RawSample::S16Be => each(bytes, out, |b| f32::from(i16::from_be_bytes(b)) / 32768.0),
        RawSample::S24Le => {
            each(bytes, out, |[a, b, c]| from_i32(i32::from_le_bytes([0, a, b, c])))
        }
        RawSample::S24Be => {
            each(bytes, out, |[a, b, c]| from_i32(i32::from_be_bytes([a, b, c, 0])))
        }
        RawSample::S32Le => each(bytes, out, |b| from_i32(i32::from_le_bytes(b))),
        RawSample::S32Be => each(bytes, out, |b| from_i32(i32::from_be_bytes(b))),
        RawSample::F32Le => each(bytes, out, f32::from_le_bytes),
        RawSample::F32Be => each(bytes, out, f32::from_be_bytes),
        RawSample::F64Le => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        RawSample::F64Be => each(bytes, out, |b| f64::from_be_bytes(b) as f32),
        RawSample::ALaw => out.extend(bytes.iter().map(|&b| f32::from(alaw(b)) / 32768.0)),
        RawSample::MuLaw => out.extend(bytes.iter().map(|&b| f32::from(mulaw(b)) / 32768.0)),
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut Vec<f32>, to_float: impl Fn([u8; N]) -> f32) {
    let (samples, _) = bytes.as_chunks::<N>();
    out.extend(samples.iter().map(|&sample| to_float(sample)));
}

fn from_i32(sample: i32) -> f32 {
    (f64::from(sample) / 2_147_483_648.0) as f32
}

/// Expand an A-law byte (ITU-T G.711 table 1a) to 16 bits.
fn alaw(byte: u8) -> i16 {
    let code = byte ^ 0x55;
    let mantissa = i16::from(code & 0x0f) << 4;
    let segment = (code >> 4) & 7;
    let magnitude = match segment {
        0 => mantissa + 8,
        1 => mantissa + 0x108,
        _ => (mantissa + 0x108) << (segment - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

/// Expand a µ-law byte (ITU-T G.711 table 2a) to 16 bits.
fn mulaw(byte: u8) -> i16 {
    let code = !byte;
    let magnitude = (((i16::from(code & 0x0f) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(format: RawSample, bytes: &[u8]) -> f32 {
        let mut out = Vec::new();
        convert(format, bytes, &mut out);
        out[0]
    }

    #[test]
    fn integers_scale_by_their_own_full_scale() {
        assert_eq!(one(RawSample::U8, &[0]), -1.0);
        assert_eq!(one(RawSample::U8, &[192]), 0.5);
        assert_eq!(one(RawSample::S8, &[0x80]), -1.0);
        assert_eq!(one(RawSample::S16Le, &[0, 0x40]), 0.5);
        assert_eq!(one(RawSample::S16Be, &[0xc0, 0]), -0.5);
        assert_eq!(one(RawSample::S24Le, &[1, 0, 0]), 1.0 / 8_388_608.0);
        assert_eq!(one(RawSample::S24Be, &[0xff, 0xff, 0xff]), -1.0 / 8_388_608.0);
        assert_eq!(one(RawSample::S32Le, &[0, 0, 0, 0x80]), -1.0);
        assert_eq!(one(RawSample::F64Be, &0.25f64.to_be_bytes()), 0.25);
    }

    #[test]
    fn companded_samples_follow_g711() {
        // Extremes and the smallest steps of ITU-T G.711, scaled to 16 bits.
        assert_eq!([alaw(0xd5), alaw(0x55), alaw(0xaa), alaw(0x2a)], [8, -8, 32256, -32256]);
        assert_eq!([mulaw(0xff), mulaw(0x7f), mulaw(0x80), mulaw(0x00)], [0, 0, 32124, -32124]);
        assert_eq!([alaw(0xf5), mulaw(0xf0), mulaw(0xef)], [16 * 32 + 16, 120, 132]);
    }
}
