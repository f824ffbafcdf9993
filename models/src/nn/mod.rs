//! Layers that several networks share, one file each.

pub mod batch_norm;
pub mod conv2d;
pub mod depthwise;
pub mod ffconvm;
pub mod frame_norm;
pub mod frames;
pub mod frozen_linear;
pub mod fsmn;
pub mod gated_attention;
pub mod l2_norm;
pub mod legendre;
pub mod lif;
pub mod linear;
pub mod offset_scale;
pub mod pair_rotary;
pub mod rel_pos_attention;
pub mod residual_conv;
pub mod rotary;
pub mod scale_norm;
pub mod sequence_norm;
pub mod stream_conv;
pub mod tape;
pub mod threads;
