//! The loss head: additive angular margin over the speakers of the training.
//!
//! Source: Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition" (CVPR
//! 2019).

use tch::nn::{self, Init};
use tch::{Kind, Tensor};

/// One direction a speaker, `[speakers, values]`.
#[derive(Debug)]
pub(super) struct Head {
    weight: Tensor,
}

impl Head {
    pub(super) fn new(path: &nn::Path<'_>, speakers: i64, values: i64) -> Self {
        let init = Init::Randn { mean: 0.0, stdev: 1.0 / (values as f64).sqrt() };
        Self { weight: path.var("weight", &[speakers, values], init) }
    }

    /// Gives the speakers the directions of `values`, `speakers * values` numbers.
    pub(super) fn set(&self, values: &Tensor) {
        let mut weight = self.weight.shallow_clone();
        tch::no_grad(|| weight.copy_(&values.view_as(&self.weight)));
    }

    /// Cosines of embeddings `[batch, values]` with every speaker, `[batch, speakers]`.
    pub(super) fn cosines(&self, embeddings: &Tensor) -> Tensor {
        unit_rows(embeddings).matmul(&unit_rows(&self.weight).transpose(0, 1))
    }
}

fn unit_rows(x: &Tensor) -> Tensor {
    x / x.norm_scalaropt_dim(2, [-1i64].as_slice(), true).clamp_min(1e-6)
}

/// Logits `[batch, speakers]` from cosines: the angle to the own speaker counts as larger by
/// `margin` radians, all cosines are multiplied by `scale`. Beyond a half turn the cosine goes on
/// falling in a straight line, as in the reference.
pub fn margin_logits(cosines: &Tensor, speakers: &Tensor, margin: f64, scale: f64) -> Tensor {
    let own = speakers.unsqueeze(1); // [batch, 1]
    let cos = cosines.gather(1, &own, false); // [batch, 1]
    let sin = (cos.square() * -1.0 + 1.0).clamp_min(1e-9).sqrt();
    let shifted = &cos * margin.cos() - sin * margin.sin();
    let beyond = cos.le(-margin.cos()); // angle + margin above a half turn
    let straight = &cos - margin.sin() * margin;
    let with_margin = straight.where_self(&beyond, &shifted);
    cosines.scatter(1, &own, &with_margin.to_kind(Kind::Float)) * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_speaker_pays_the_margin() {
        let angle = 0.7f32;
        let cosines = Tensor::from_slice(&[angle.cos(), 0.3, -1.0, 0.2]).view([2, 2]);
        let speakers = Tensor::from_slice(&[0i64, 0]);
        let logits = margin_logits(&cosines, &speakers, 0.2, 10.0);
        let found = Vec::<f32>::try_from(logits.view([-1])).expect("flat");
        assert!((found[0] - 10.0 * (angle + 0.2).cos()).abs() < 1e-4);
        assert!((found[1] - 3.0).abs() < 1e-5 && (found[3] - 2.0).abs() < 1e-5);
        assert!(found[2] < -10.0, "beyond a half turn it goes on falling: {}", found[2]);
    }
}
