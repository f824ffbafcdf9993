//! Layers that several networks share, one file each.

pub mod depthwise;
pub mod frames;
pub mod legendre;
pub mod lif;
pub mod rel_pos_attention;
pub mod stream_conv;
