//! Native histograms of a fuzzed body: what holds for each, what they are on the wire, and how broken ones are made whole.

use docker_remote_write::model::{Buckets, Histogram, Side, Span};
use docker_remote_write::proto::{client, v2};
use prost::Message as _;

/// What receivers demand of a native histogram.
pub(super) fn assert_sound(histogram: &Histogram) {
    fn side<N>(side: &Side<N>, is_empty: impl Fn(&N) -> bool) {
        let lengths: u64 = side.spans.iter().map(|span| u64::from(span.length)).sum();
        assert_eq!(lengths, side.counts.len() as u64);
        assert!(!side.counts.iter().any(is_empty), "no bucket is empty");
        let is_run = |(at, span): (usize, &Span)| span.length > 0 && (at == 0 || span.offset > 0);
        assert!(side.spans.iter().enumerate().all(is_run), "{:?}", side.spans);
        let reach =
            side.spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum::<i64>();
        assert!(reach - 1 <= i64::from(i32::MAX) && side.spans.len() <= side.counts.len());
    }
    match histogram {
        Histogram::Integer(buckets) => {
            side(&buckets.negative, |count| *count == 0);
            side(&buckets.positive, |count| *count == 0);
            let all = buckets.negative.counts.iter().chain(&buckets.positive.counts);
            let sum = all.map(|count| u128::from(*count)).sum::<u128>() + u128::from(buckets.zero_count);
            let count = u128::from(buckets.count);
            assert!(sum == count || (sum < count && buckets.sum.is_nan()), "{sum} of {count}");
        }
        Histogram::Float(buckets) => {
            side(&buckets.negative, |count| *count == 0.0);
            side(&buckets.positive, |count| *count == 0.0);
            assert!(buckets.count > 0.0 || buckets.zero_count > 0.0);
        }
    }
}

/// The histogram as the generated types have it.
pub(super) fn told(histogram: &Histogram, timestamp: i64) -> v2::Histogram {
    use v2::histogram::{Count, ZeroCount};
    fn spans<N>(side: &Side<N>) -> Vec<v2::BucketSpan> {
        side.spans.iter().map(|span| v2::BucketSpan { offset: span.offset, length: span.length }).collect()
    }
    fn deltas(side: &Side<u64>) -> Vec<i64> {
        let before = [0].iter().chain(&side.counts);
        before.zip(&side.counts).map(|(before, count)| count.wrapping_sub(*before).cast_signed()).collect()
    }
    fn common<N>(buckets: &Buckets<N>, timestamp: i64) -> v2::Histogram {
        v2::Histogram {
            sum: buckets.sum,
            schema: buckets.schema,
            zero_threshold: buckets.zero_threshold,
            negative_spans: spans(&buckets.negative),
            positive_spans: spans(&buckets.positive),
            reset_hint: if buckets.is_gauge { 3 } else { 0 },
            timestamp,
            ..v2::Histogram::default()
        }
    }
    match histogram {
        Histogram::Integer(buckets) => v2::Histogram {
            count: Some(Count::CountInt(buckets.count)),
            zero_count: Some(ZeroCount::ZeroCountInt(buckets.zero_count)),
            negative_deltas: deltas(&buckets.negative),
            positive_deltas: deltas(&buckets.positive),
            ..common(buckets, timestamp)
        },
        Histogram::Float(buckets) => v2::Histogram {
            count: Some(Count::CountFloat(buckets.count)),
            zero_count: Some(ZeroCount::ZeroCountFloat(buckets.zero_count)),
            negative_counts: buckets.negative.counts.clone(),
            positive_counts: buckets.positive.counts.clone(),
            ..common(buckets, timestamp)
        },
    }
}

/// As many families as can be read, with native histograms whose numbers agree.
pub(super) fn repaired(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while !rest.is_empty()
        && let Ok(mut family) = client::MetricFamily::decode_length_delimited(&mut rest)
    {
        let metrics = family.metric.iter_mut().filter_map(|metric| metric.histogram.as_mut());
        metrics.for_each(repair);
        family.encode_length_delimited(&mut body).expect("room without end");
    }
    body
}

fn repair(histogram: &mut client::Histogram) {
    /// As many buckets as there are counts; a span that would begin too early begins where it can.
    fn fit(spans: &mut Vec<client::BucketSpan>, buckets: usize) {
        let mut left = u32::try_from(buckets).unwrap_or(u32::MAX);
        for (at, span) in spans.iter_mut().enumerate() {
            let length = span.length().min(left);
            span.length = Some(length);
            left -= length;
            if at > 0 {
                span.offset = Some(span.offset().max(0));
            }
        }
        if left > 0 {
            spans.push(client::BucketSpan { offset: Some(1), length: Some(left) });
        }
    }
    fn positive(deltas: &mut [i64]) -> u64 {
        let (mut last, mut sum) = (0_i64, 0_u64);
        for delta in deltas {
            let count = last.wrapping_add(*delta).clamp(0, 1 << 50);
            *delta = count - last;
            last = count;
            sum += count.cast_unsigned();
        }
        sum
    }
    histogram.schema = Some(histogram.schema().clamp(-4, 8));
    if histogram.sample_count_float() > 0.0 || histogram.zero_count_float() > 0.0 {
        for counts in [&mut histogram.negative_count, &mut histogram.positive_count] {
            counts.iter_mut().filter(|count| **count < 0.0).for_each(|count| *count = -*count);
        }
        fit(&mut histogram.negative_span, histogram.negative_count.len());
        fit(&mut histogram.positive_span, histogram.positive_count.len());
    } else {
        let sum = positive(&mut histogram.negative_delta) + positive(&mut histogram.positive_delta);
        let zero = histogram.zero_count().min(1 << 60);
        (histogram.zero_count, histogram.sample_count) = (Some(zero), Some(sum + zero));
        fit(&mut histogram.negative_span, histogram.negative_delta.len());
        fit(&mut histogram.positive_span, histogram.positive_delta.len());
    }
}
