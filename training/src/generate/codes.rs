//! Codes chosen among latents: codes that begin at random are mostly those of no latent, and stay so.

use tch::{Kind, Tensor};

/// Rounds of the search; the codes hardly move after the first ten.
const ROUNDS: usize = 20;

/// `count` means of groups of `points`, `[points, dimensions]`, each of which is nearest to the mean of
/// its group (Lloyd, "Least squares quantization in PCM", 1982). A group that loses all its points
/// begins again with another one.
pub(super) fn means(points: &Tensor, count: i64) -> Tensor {
    let total = points.size()[0];
    let drawn = |count: i64| {
        let chosen = Tensor::randint(total, [count], (Kind::Int64, points.device()));
        points.index_select(0, &chosen)
    };
    let ones = Tensor::ones([total], (Kind::Float, points.device()));
    (0..ROUNDS).fold(drawn(count), |means, _| {
        let nearest = Tensor::cdist(points, &means, 2.0, None).argmin(1, false);
        let members = Tensor::zeros([count], (Kind::Float, points.device()))
            .index_add(0, &nearest, &ones)
            .unsqueeze(1);
        let sums = means.zeros_like().index_add(0, &nearest, points);
        (sums / members.clamp_min(1.0)).where_self(&members.gt(0.0), &drawn(count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found() {
        tch::manual_seed(1);
        let centres = Tensor::from_slice(&[0.0f32, 0.0, 5.0, 1.0, -4.0, 7.0]).view([3, 2]);
        let near = Tensor::randn([3, 200, 2], tch::kind::FLOAT_CPU) * 0.1;
        let points = (near + centres.unsqueeze(1)).view([-1, 2]);
        // More codes than groups, so that no group goes without.
        let found = means(&points, 12);
        let distances = Tensor::cdist(&centres, &found, 2.0, None).min_dim(1, false).0;
        assert!(distances.max().double_value(&[]) < 0.15, "{distances}");
        assert!(bool::try_from(found.isfinite().all()).expect("one value"));
    }
}
