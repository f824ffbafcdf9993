//! Which source of a chunk continues which output: the one that is the same where chunks overlap,
//! and where nothing is heard there, the one that sounds like it.

/// What a decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// There was nothing before.
    First,
    /// Equal waveforms where the chunks overlap.
    Overlap,
    /// How the sources sound.
    Likeness,
    /// Nothing: the order was kept.
    None,
}

/// The same stretch of every source in two chunks.
pub(super) struct Overlap<'a> {
    /// In the order of the outputs.
    pub(super) before: Vec<&'a [f32]>,
    /// In the order of the new chunk.
    pub(super) now: Vec<&'a [f32]>,
}

/// By this share of what could agree, the best order must be better than the next.
const OVERLAP_MARGIN: f64 = 0.1;
/// By this much the sum of likenesses must be better than that of the next order.
const LIKENESS_MARGIN: f64 = 0.03;
/// An overlap this much softer than the signal so far, as a ratio of powers, counts as silent.
const SILENT: f64 = 1e-4;

/// What is known about the outputs so far.
#[derive(Debug)]
pub(super) struct Orders {
    sources: usize,
    /// Sums of prints, a row an output.
    prints: Vec<Option<Vec<f32>>>,
    /// Power of the loudest chunk.
    loudest: f64,
    begun: bool,
}

impl Orders {
    pub(super) fn new(sources: usize) -> Self {
        Self { sources, prints: vec![None; sources], loudest: 0.0, begun: false }
    }

    pub(super) fn forget(&mut self) {
        *self = Self::new(self.sources);
    }

    /// The order in which the new sources have to be put, and why.
    pub(super) fn decide(
        &mut self,
        overlap: Option<&Overlap<'_>>,
        prints: &[Option<Vec<f32>>],
        mixture: &[f32],
    ) -> (Vec<usize>, Evidence) {
        self.loudest = self.loudest.max(power(mixture));
        let same: Vec<usize> = (0..self.sources).collect();
        if !std::mem::replace(&mut self.begun, true) {
            return (same, Evidence::First);
        }
        let by_overlap = overlap.and_then(|overlap| self.by_overlap(overlap));
        if let Some((order, true)) = &by_overlap {
            return (order.clone(), Evidence::Overlap);
        }
        if let Some(order) = self.by_likeness(prints) {
            return (order, Evidence::Likeness);
        }
        match by_overlap {
            Some((order, false)) => (order, Evidence::Overlap),
            _ => (same, Evidence::None),
        }
    }

    /// The order by equal waveforms, and whether it is clear.
    fn by_overlap(&self, overlap: &Overlap<'_>) -> Option<(Vec<usize>, bool)> {
        let energy = |parts: &[&[f32]]| parts.iter().map(|part| product(part, part)).sum::<f64>();
        let (before, now) = (energy(&overlap.before), energy(&overlap.now));
        let samples = overlap.before.first().map_or(0, |part| part.len());
        let silence = SILENT * self.loudest * samples as f64;
        if samples == 0 || before <= silence || now <= silence {
            return None;
        }
        let table: Vec<Vec<f64>> = overlap
            .before
            .iter()
            .map(|before| overlap.now.iter().map(|now| product(before, now)).collect())
            .collect();
        let (order, margin) = best(&table)?;
        Some((order, margin > OVERLAP_MARGIN * (before * now).sqrt()))
    }

    fn by_likeness(&self, prints: &[Option<Vec<f32>>]) -> Option<Vec<usize>> {
        let table: Vec<Vec<f64>> = self
            .prints
            .iter()
            .map(|known| {
                prints
                    .iter()
                    .map(|new| match (known, new) {
                        (Some(known), Some(new)) => cosine(known, new),
                        _ => 0.0,
                    })
                    .collect()
            })
            .collect();
        if table.iter().flatten().all(|&likeness| likeness == 0.0) {
            return None;
        }
        // An output that was never heard is what a voice that is like none of the others goes to.
        let (order, margin) = best(&table)?;
        (margin > LIKENESS_MARGIN).then_some(order)
    }

    /// Adds the prints of sources that were put in `order`.
    pub(super) fn learn(&mut self, order: &[usize], prints: &[Option<Vec<f32>>]) {
        for (known, &source) in self.prints.iter_mut().zip(order) {
            let Some(new) = prints.get(source).and_then(Option::as_ref) else { continue };
            match known {
                Some(known) if known.len() == new.len() => {
                    known.iter_mut().zip(new).for_each(|(sum, x)| *sum += x);
                }
                _ => *known = Some(new.clone()),
            }
        }
    }

    /// How alike the two most similar outputs sound.
    pub(super) fn likeness(&self) -> Option<f64> {
        let known: Vec<&Vec<f32>> = self.prints.iter().flatten().collect();
        let pairs = known
            .iter()
            .enumerate()
            .flat_map(|(i, a)| known[i + 1..].iter().map(move |b| cosine(a, b)));
        pairs.max_by(f64::total_cmp)
    }
}

/// The order with the largest sum, and by how much it is larger than that of any other.
fn best(table: &[Vec<f64>]) -> Option<(Vec<usize>, f64)> {
    let sum = |order: &[usize]| -> f64 {
        table.iter().zip(order).map(|(row, &source)| row[source]).sum()
    };
    let mut found: Option<(Vec<usize>, f64)> = None;
    let mut next = f64::NEG_INFINITY;
    for order in orders(table.len()) {
        let value = sum(&order);
        match &found {
            Some((_, most)) if value <= *most => next = next.max(value),
            _ => {
                next = found.map_or(next, |(_, most)| most);
                found = Some((order, value));
            }
        }
    }
    found.map(|(order, most)| (order, most - next))
}

/// All orders of `count` sources; there are few sources.
fn orders(count: usize) -> Vec<Vec<usize>> {
    (0..count).fold(vec![Vec::new()], |orders, next| {
        let longer = |order: &Vec<usize>, at: usize| {
            let mut longer = order.clone();
            longer.insert(at, next);
            longer
        };
        orders.iter().flat_map(|order| (0..=order.len()).map(move |at| longer(order, at))).collect()
    })
}

fn product(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

fn power(samples: &[f32]) -> f64 {
    product(samples, samples) / samples.len().max(1) as f64
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let length = (product(a, a) * product(b, b)).sqrt();
    if length > 0.0 { product(a, b) / length } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_that_of_the_second_best() {
        let (order, margin) = best(&[vec![1.0, 0.2], vec![0.1, 0.5]]).expect("a table");
        assert_eq!(order, [0, 1]);
        assert!((margin - 1.2).abs() < 1e-9);
        let table = [vec![0.0, 3.0, 1.0], vec![2.0, 0.0, 0.0], vec![0.0, 0.0, 0.5]];
        let (order, margin) = best(&table).expect("a table");
        assert_eq!(order, [1, 0, 2]);
        assert!((margin - 2.5).abs() < 1e-9);
    }

    #[test]
    fn overlap_first_then_likeness_then_nothing() {
        let mut orders = Orders::new(2);
        let (a, b) = (vec![1.0, 0.0], vec![0.0, 1.0]);
        let loud = vec![0.5f32; 100];
        let prints = vec![Some(a.clone()), Some(b.clone())];
        let (order, evidence) = orders.decide(None, &prints, &loud);
        assert_eq!((order.as_slice(), evidence), ([0, 1].as_slice(), Evidence::First));
        orders.learn(&order, &prints);
        let (up, down, quiet) = (vec![0.5f32; 10], vec![-0.5f32; 10], vec![0.0f32; 10]);
        let crossed = Overlap { before: vec![&up, &down], now: vec![&down, &up] };
        assert_eq!(orders.decide(Some(&crossed), &prints, &loud), (vec![1, 0], Evidence::Overlap));
        let silent = Overlap { before: vec![&quiet, &quiet], now: vec![&quiet, &quiet] };
        let swapped = vec![Some(b), Some(a)];
        assert_eq!(orders.decide(Some(&silent), &swapped, &loud), (vec![1, 0], Evidence::Likeness));
        assert_eq!(
            orders.decide(Some(&silent), &[None, None], &loud),
            (vec![0, 1], Evidence::None)
        );
    }
}
