//! What is refused, and where.

use super::*;

#[test]
fn rw_4_16_what_is_wrong_is_told_with_message_and_byte() {
    let good = family("a", client::MetricType::Counter, vec![counter(1.0)]);
    let first = good.encode_length_delimited_to_vec().len();
    let refused = |bad: MetricFamily| refuse(&[good.clone(), bad]);
    let error = refused(family("", client::MetricType::Counter, vec![counter(1.0)]));
    assert_eq!(error, MessageError { message: 2, offset: first + 1, reason: MessageReason::MissingName });
    let mut odd = good.clone();
    odd.r#type = Some(6);
    assert_eq!(refused(odd).reason, MessageReason::UnknownType(6));

    let twice = client::Metric { label: vec![pair("x", "1"), pair("x", "2")], ..counter(1.0) };
    let error = refused(family("b", client::MetricType::Counter, vec![twice]));
    assert_eq!((error.message, error.offset > first), (2, true));
    assert!(
        matches!(&error.reason, MessageReason::Series { reason: Reason::DuplicateLabel(name), .. } if name == "x")
    );
    assert_eq!(
        error.to_string(),
        format!(
            "message 2, byte {}: label \"x\" comes twice in one series: b{{x=\"1\",x=\"2\"}}",
            first + 12
        )
    );
    let nameless = client::Metric { label: vec![pair("", "1")], ..counter(1.0) };
    let error = refused(family("b", client::MetricType::Counter, vec![nameless]));
    assert!(matches!(error.reason, MessageReason::Series { reason: Reason::EmptyLabelName, .. }), "{error}");
}

#[test]
fn rw_4_16_what_is_no_protobuf_is_refused_where_it_breaks() {
    use MessageReason as R;
    let wire_type = |field, wire_type| R::WireType { field, wire_type };
    let cases: [(&[u8], usize, R); 11] = [
        (b"\x05\x0a\x01a", 0, R::Truncated),
        (b"\x03\x0a\x05a", 2, R::Truncated),
        (b"\x80", 0, R::Truncated),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 0, R::LongVarint),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 0, R::LongVarint),
        (b"\x02\x00\x01", 1, R::FieldNumber),
        (b"\x02\x08\x01", 1, wire_type(1, 0)),
        (b"\x01\x0b", 1, wire_type(1, 3)),
        (b"\x02\x0f\x01", 1, wire_type(1, 7)),
        (b"\x03\x0a\x01\xff", 3, R::NotUtf8 { field: 1 }),
        (b"\x09\x0a\x01a\x22\x04\x1a\x02\x08\x01", 8, wire_type(1, 0)),
    ];
    for (bytes, offset, reason) in cases {
        let (_, _, error) = read(bytes);
        let error = error.unwrap_or_else(|| panic!("accepted {}", bytes.escape_ascii()));
        assert_eq!((error.offset, error.reason), (offset, reason), "{}", bytes.escape_ascii());
    }
    assert_eq!(read(b"").2, None, "no message is no error");
    assert_eq!(read(b"\0\0").2, None, "nor are empty ones");
}
