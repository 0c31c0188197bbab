//! Generated scrapes, and messages that nobody wrote.

use proptest::prelude::*;
use prost::Message;

use super::*;

fn any_series() -> impl Strategy<Value = TestSeries> {
    (prop::collection::btree_map("[a-zA-Z_]{1,8}", ".{1,12}", 0..6), 0..3_u8, ".{0,20}", "[a-z]{0,3}")
        .prop_map(|(mut labels, kind, help, unit)| {
            labels.insert(METRIC_NAME.into(), "m".into());
            let metric_type =
                [MetricType::Unknown, MetricType::Gauge, MetricType::Histogram][usize::from(kind)];
            TestSeries { labels: labels.into_iter().collect(), metric_type, help, unit }
        })
}

proptest! {
    /// 256 generated scrapes: both encoders against prost, as values and as bytes.
    #[test]
    fn rw_1_06_and_2_06_to_2_08_prost_reads_and_rewrites_what_our_encoders_write(
        all in prop::collection::vec(any_series(), 1..30),
        values in prop::collection::vec((any_value(), any::<i64>()), 30),
        max_samples in 1..40_u32,
    ) {
        let samples: Vec<_> = all.iter().zip(&values).zip(0_u32..).map(|((_, (value, timestamp)), slot)| {
            SampleRef { slot, generation: 0, value: *value, timestamp: *timestamp, start: 0 }
        }).collect();
        let limits = Limits { max_samples, max_bytes: 1 << 20 };
        let records = encode(&mut RecordEncoder::new(limits), &samples, &all);
        let read: Vec<_> = records.iter().flat_map(|(_, payload)| read_v2(payload)).collect();
        prop_assert_eq!(&read, &expected(&samples, &all));

        let mut builder = RequestBuilder::new();
        for (counts, payload) in &records {
            prop_assert_eq!(builder.push(payload, 0, &WIDE).unwrap(), counts.samples);
        }
        let body = builder.finish().to_vec();
        prop_assert_eq!(&read_v1(&body), &expected(&samples, &all));

        // prost leaves a negative zero out, we keep it (9 bytes); everything else must be the same bytes.
        if !values.iter().any(|(value, _)| value.to_bits() == (-0.0_f64).to_bits()) {
            let again = decode_v1(&body, MAX).unwrap().encode_to_vec();
            prop_assert_eq!(&snap::raw::Decoder::new().decompress_vec(&body).unwrap(), &again);
            for (_, payload) in &records {
                let again = decode_v2(payload, MAX).unwrap().encode_to_vec();
                prop_assert_eq!(&snap::raw::Decoder::new().decompress_vec(payload).unwrap(), &again);
            }
        }
    }

    /// Whatever a damaged record holds, reading it ends with an answer.
    #[test]
    fn arbitrary_messages_are_refused_or_read_but_never_panic(message in prop::collection::vec(any::<u8>(), 0..200)) {
        let payload = snap::raw::Encoder::new().compress_vec(&message).unwrap();
        let _ = RequestBuilder::new().push(&payload, 0, &WIDE);
        let _ = RequestBuilder::new().push(&message, 0, &WIDE);
    }
}

proptest! {
    /// 256 histories of 2 to 20 scrapes, cut by count and by bytes: an encoder with a past hands on what one without would.
    #[test]
    fn an_encoder_with_a_past_hands_on_the_samples_that_it_got(
        scrapes in prop::collection::vec(
            (prop::collection::vec((0..40_u32, any_value(), 0..4_u32), 1..40), any::<i64>()), 2..20
        ),
        max_samples in 1..50_u32,
        max_bytes in prop_oneof![Just(1 << 20), 100..3_000_usize],
    ) {
        let mut encoder = RecordEncoder::new(Limits { max_samples, max_bytes });
        let mut all: Vec<_> = (0..40).map(series).collect();
        let mut generations = [0_u32; 40];
        for (at, (picked, timestamp)) in scrapes.into_iter().enumerate() {
            let mut samples = Vec::new();
            for (slot, value, renewed) in picked {
                if renewed == 3 {
                    all[slot as usize] = wide_series(1_000 * at + slot as usize, 50);
                    generations[slot as usize] += 1;
                }
                if !samples.iter().any(|sample: &SampleRef| sample.slot == slot) {
                    samples.push(SampleRef { slot, generation: generations[slot as usize], value, timestamp, start: 0 });
                }
            }
            samples.iter_mut().for_each(|sample| sample.generation = generations[sample.slot as usize]);
            let records = encode(&mut encoder, &samples, &all);
            let read: Vec<_> = records.iter().flat_map(|(_, payload)| read_v2(payload)).collect();
            prop_assert_eq!(read, expected(&samples, &all));
            for (counts, _) in &records {
                prop_assert!(counts.samples <= max_samples);
            }
        }
    }
}
