//! A classic histogram as a native one with custom bounds (`CONVERT_CLASSIC_HISTOGRAMS_TO_NHCB`).

use std::cmp::Ordering;

use crate::model::{CUSTOM_BOUNDS_SCHEMA, Histogram, Side};

/// What the series of one classic histogram say.
#[derive(Clone, Debug, Default)]
pub(super) struct ClassicHistogram {
    /// Upper bounds, infinity perhaps among them, and the observations up to each.
    buckets: Vec<(f64, f64)>,
    /// `_count`
    pub(super) count: Option<f64>,
    /// `_sum`; 0 where there is none.
    pub(super) sum: f64,
}

/// The buckets are none: a count is negative, is no number, is smaller than that of a lower bound, or the last one is not that of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotConvertible;

impl ClassicHistogram {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.buckets.clear();
        (self.count, self.sum) = (None, 0.0);
    }

    /// All observations up to a bound, which is a number; of a bound that comes twice the first one stands, as in Prometheus.
    pub(super) fn push(&mut self, bound: f64, cumulative: f64) {
        self.buckets.push((bound, cumulative));
    }

    /// Writes it as a native histogram: of integers if all counts are whole.
    ///
    /// # Errors
    /// When its counts make no histogram.
    pub(super) fn convert(&mut self, histogram: &mut Histogram) -> Result<(), NotConvertible> {
        self.sort();
        let whole = self.count.or(self.buckets.last().map(|(_, count)| *count)).unwrap_or_default();
        if self.buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, whole));
        }
        let counts = || self.buckets.iter().map(|(_, count)| *count);
        let is_sound = [0.0].into_iter().chain(counts()).is_sorted_by(|before, count| before <= count)
            && counts().next_back() == Some(whole)
            && self.buckets.iter().all(|(bound, _)| *bound > f64::NEG_INFINITY);
        if !is_sound {
            return Err(NotConvertible);
        }
        let bounds = self.buckets[..self.buckets.len() - 1].iter().map(|(bound, _)| *bound);
        let integers: Option<Vec<u64>> = counts().map(as_integer).collect();
        match (integers, as_integer(whole)) {
            (Some(integers), Some(count)) => {
                let buckets = histogram.as_integer();
                (buckets.count, buckets.sum, buckets.schema) = (count, self.sum, CUSTOM_BOUNDS_SCHEMA);
                buckets.custom_bounds.extend(bounds);
                fill(&mut buckets.positive, integers.into_iter(), |count, before| count - before)
            }
            (Some(_) | None, _) => {
                let buckets = histogram.as_float();
                (buckets.count, buckets.sum, buckets.schema) = (whole, self.sum, CUSTOM_BOUNDS_SCHEMA);
                buckets.custom_bounds.extend(bounds);
                fill(&mut buckets.positive, counts(), |count, before| count - before)
            }
        }
    }

    /// All at once: each of them put in its place would move all above it, where the highest bounds come first.
    fn sort(&mut self) {
        if !self.buckets.is_sorted_by(|(one, _), (other, _)| one < other) {
            // Stable, for the first of a bound; none of them is NaN.
            self.buckets.sort_by(|(one, _), (other, _)| one.partial_cmp(other).unwrap_or(Ordering::Equal));
            self.buckets.dedup_by(|(later, _), (first, _)| later == first);
        }
    }
}

/// Cumulated counts as those of each bucket.
fn fill<N: Copy + Default + PartialOrd>(
    side: &mut Side<N>,
    cumulated: impl Iterator<Item = N>,
    difference: impl Fn(N, N) -> N,
) -> Result<(), NotConvertible> {
    let mut before = N::default();
    for (index, count) in (0..).zip(cumulated) {
        let own = difference(count, before);
        if own.partial_cmp(&N::default()) == Some(Ordering::Greater) {
            side.push(index, own).map_err(|_| NotConvertible)?;
        }
        before = count;
    }
    Ok(())
}

/// A count that is a whole number below 2^53, where every whole number is a float.
fn as_integer(count: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole and within bounds"
    )]
    ((0.0..EXACT).contains(&count) && count.fract() == 0.0).then_some(count as u64)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::model::Buckets;

    fn converted(buckets: &[(f64, f64)], count: Option<f64>) -> Result<Histogram, NotConvertible> {
        let mut classic = ClassicHistogram { count, sum: 1.5, ..ClassicHistogram::default() };
        buckets.iter().for_each(|(bound, count)| classic.push(*bound, *count));
        let mut histogram = Histogram::default();
        classic.convert(&mut histogram).map(|()| histogram)
    }

    #[test]
    fn buckets_keep_their_bounds_and_count_for_themselves() {
        let expected = Histogram::Integer(Buckets {
            schema: -53,
            count: 7,
            sum: 1.5,
            positive: Side::of([(0, 2), (2, 4), (3, 1)]),
            custom_bounds: vec![0.5, 1.0, 2.5],
            ..Buckets::default()
        });
        let all = [(0.5, 2.0), (1.0, 2.0), (2.5, 6.0), (f64::INFINITY, 7.0)];
        assert_eq!(converted(&all, Some(7.0)), Ok(expected.clone()));
        assert_eq!(converted(&all[..3], Some(7.0)), Ok(expected.clone()), "infinity has the count of all");
        assert_eq!(converted(&all, None), Ok(expected.clone()), "the count is the last bucket's");
        let shuffled = [all[2], all[0], all[3], all[1], (1.0, 5.0)];
        assert_eq!(converted(&shuffled, Some(7.0)), Ok(expected), "in any order, the first of a bound");
    }

    proptest! {
        #[test]
        fn buckets_in_any_order_are_those_of_their_bounds_in_order_and_the_first_of_each(
            order in vec(0..30_u8, 0..60),
        ) {
            let mut sorted: Vec<(f64, f64)> = Vec::new();
            let mut given = Vec::new();
            for (turn, bound) in (0_u8..).zip(order) {
                let is_new = sorted.iter().all(|(other, _)| *other != f64::from(bound));
                // A later one of the same bound differs.
                let count = f64::from(bound) + if is_new { 0.0 } else { f64::from(turn) };
                given.push((f64::from(bound), count));
                if is_new {
                    sorted.push((f64::from(bound), count));
                }
            }
            sorted.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            prop_assert_eq!(converted(&given, None), converted(&sorted, None));
            prop_assert!(converted(&given, None).is_ok());
        }
    }

    #[test]
    fn zero_is_one_bound_whatever_its_sign() {
        let Ok(Histogram::Integer(read)) = converted(&[(1.0, 3.0), (0.0, 1.0), (-0.0, 2.0)], None) else {
            panic!()
        };
        assert_eq!(read.positive, Side::of([(0, 1), (1, 2)]));
    }

    #[test]
    fn what_is_not_whole_becomes_floats_and_nothing_at_all_is_one_without_buckets() {
        let Ok(Histogram::Float(read)) = converted(&[(1.0, 0.5), (2.0, 0.75)], Some(3.0)) else { panic!() };
        assert_eq!((read.positive, read.count), (Side::of([(0, 0.5), (1, 0.25), (2, 2.25)]), 3.0));
        let Ok(Histogram::Float(large)) = converted(&[(1.0, 1e300)], None) else { panic!() };
        assert_eq!(large.count.to_bits(), 1e300_f64.to_bits());
        let Ok(Histogram::Integer(empty)) = converted(&[], None) else { panic!() };
        assert_eq!((empty.count, empty.schema, &empty.custom_bounds[..]), (0, -53, &[][..]));
        let Ok(Histogram::Integer(one)) = converted(&[], Some(4.0)) else { panic!() };
        assert_eq!(one.positive, Side::of([(0, 4)]));
    }

    #[test]
    fn counts_that_make_no_histogram_are_not_converted() {
        for (buckets, count) in [
            (&[(1.0, 5.0), (2.0, 4.0)][..], None),
            (&[(1.0, -1.0)], None),
            (&[(1.0, f64::NAN)], None),
            (&[(1.0, 5.0)], Some(4.0)),
            (&[(1.0, 5.0), (f64::INFINITY, 6.0)], Some(7.0)),
            (&[(f64::NEG_INFINITY, 0.0), (1.0, 5.0)], Some(5.0)),
            (&[], Some(-2.0)),
            (&[], Some(f64::NAN)),
        ] {
            assert_eq!(converted(buckets, count), Err(NotConvertible), "{buckets:?} {count:?}");
        }
    }
}
