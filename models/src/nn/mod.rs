//! Layers that several networks share, one file each.

pub mod fused_depthwise;
pub mod legendre;
pub mod lif;
pub mod stream_conv;
