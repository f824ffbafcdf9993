//! Layers that several networks share, one file each.

pub mod depthwise;
pub mod frames;
pub mod l2_norm;
pub mod legendre;
pub mod lif;
pub mod linear;
pub mod pair_rotary;
pub mod rel_pos_attention;
pub mod stream_conv;
