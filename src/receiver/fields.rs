//! A walk over the protobuf fields of a message, because prost passes over unknown ones in silence, and over data in them too.

use super::violation::Violation;

/// What a field may be.
#[derive(Clone, Copy)]
enum Kind {
    Varint,
    Fixed64,
    /// Of a oneof with this field: there may be one of the two. prost would take the last.
    Fixed64Or(u32),
    Bytes,
    Message(&'static Shape),
    /// May come often.
    Messages(&'static Shape),
    /// May come often.
    Strings,
}

struct Shape {
    rule: &'static str,
    name: &'static str,
    fields: &'static [(u32, Kind)],
}

const V1: &str = "1.06";
const V2: &str = "2.06";

/// Remote-write 1.06 and 1.07.
static WRITE_REQUEST: Shape = Shape {
    rule: V1,
    name: "WriteRequest",
    fields: &[(1, Kind::Messages(&TIME_SERIES)), (3, Kind::Messages(&METADATA))],
};
static TIME_SERIES: Shape = Shape {
    rule: V1,
    name: "TimeSeries",
    fields: &[
        (1, Kind::Messages(&LABEL)),
        (2, Kind::Messages(&SAMPLE)),
        (3, Kind::Messages(&EXEMPLAR)),
        (4, Kind::Messages(&HISTOGRAM)),
    ],
};
static LABEL: Shape = Shape { rule: V1, name: "Label", fields: &[(1, Kind::Bytes), (2, Kind::Bytes)] };
static SAMPLE: Shape = Shape { rule: V1, name: "Sample", fields: &[(1, Kind::Fixed64), (2, Kind::Varint)] };
static EXEMPLAR: Shape = Shape {
    rule: V1,
    name: "Exemplar",
    fields: &[(1, Kind::Messages(&LABEL)), (2, Kind::Fixed64), (3, Kind::Varint)],
};
static HISTOGRAM: Shape = Shape { rule: V1, name: "Histogram", fields: &HISTOGRAM_FIELDS };
static METADATA: Shape = Shape {
    rule: V1,
    name: "MetricMetadata",
    fields: &[(1, Kind::Varint), (2, Kind::Bytes), (4, Kind::Bytes), (5, Kind::Bytes)],
};

/// The same in both versions; 2.0 has one more.
const HISTOGRAM_FIELDS: [(u32, Kind); 16] = [
    (1, Kind::Varint),
    (2, Kind::Fixed64Or(1)),
    (3, Kind::Fixed64),
    (4, Kind::Varint),
    (5, Kind::Fixed64),
    (6, Kind::Varint),
    (7, Kind::Fixed64Or(6)),
    (8, Kind::Messages(&SPAN)),
    (9, Kind::Bytes),
    (10, Kind::Bytes),
    (11, Kind::Messages(&SPAN)),
    (12, Kind::Bytes),
    (13, Kind::Bytes),
    (14, Kind::Varint),
    (15, Kind::Varint),
    (16, Kind::Bytes),
];
static SPAN: Shape = Shape { rule: V2, name: "BucketSpan", fields: &[(1, Kind::Varint), (2, Kind::Varint)] };

/// Remote-write 2.06, 2.07, 2.12, 2.14, 2.15, 2.23.
static REQUEST: Shape =
    Shape { rule: V2, name: "Request", fields: &[(4, Kind::Strings), (5, Kind::Messages(&TIME_SERIES_V2))] };
static TIME_SERIES_V2: Shape = Shape {
    rule: V2,
    name: "TimeSeries",
    fields: &[
        (1, Kind::Bytes),
        (2, Kind::Messages(&SAMPLE_V2)),
        (3, Kind::Messages(&HISTOGRAM_V2)),
        (4, Kind::Messages(&EXEMPLAR_V2)),
        // Only one, though it is a message: prost would merge two.
        (5, Kind::Message(&METADATA_V2)),
    ],
};
static SAMPLE_V2: Shape =
    Shape { rule: V2, name: "Sample", fields: &[(1, Kind::Fixed64), (2, Kind::Varint), (3, Kind::Varint)] };
static EXEMPLAR_V2: Shape =
    Shape { rule: V2, name: "Exemplar", fields: &[(1, Kind::Bytes), (2, Kind::Fixed64), (3, Kind::Varint)] };
static METADATA_V2: Shape =
    Shape { rule: V2, name: "Metadata", fields: &[(1, Kind::Varint), (3, Kind::Varint), (4, Kind::Varint)] };
static HISTOGRAM_V2: Shape = {
    const FIELDS: [(u32, Kind); 17] = {
        let mut fields = [(17, Kind::Varint); 17];
        let mut at = 0;
        while at < HISTOGRAM_FIELDS.len() {
            fields[at] = HISTOGRAM_FIELDS[at];
            at += 1;
        }
        fields
    };
    Shape { rule: V2, name: "Histogram", fields: &FIELDS }
};

/// Finds the first field that a `prometheus.WriteRequest` does not have.
///
/// # Errors
/// [`Violation::Field`], or [`Violation::Message`] where the bytes end too early.
pub(super) fn check(message: &[u8]) -> Result<(), Violation> {
    walk(message, &WRITE_REQUEST)
}

/// Finds the first field that an `io.prometheus.write.v2.Request` does not have, those of release candidates before the fourth included.
///
/// # Errors
/// [`Violation::Field`], or [`Violation::MessageV2`] where the bytes end too early.
pub(super) fn check_v2(message: &[u8]) -> Result<(), Violation> {
    walk(message, &REQUEST).map_err(|violation| match violation {
        Violation::Message(what) => Violation::MessageV2(what),
        other => other,
    })
}

fn walk(mut rest: &[u8], shape: &'static Shape) -> Result<(), Violation> {
    let mut seen = 0_u32;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let wire_type = (key & 7) as u8;
        let field = u32::try_from(key >> 3).map_err(|_| broken("a field number beyond 32 bits"))?;
        let violation =
            |problem| Violation::Field { rule: shape.rule, message: shape.name, field, wire_type, problem };
        let Some((_, kind)) = shape.fields.iter().find(|(number, _)| *number == field) else {
            return Err(violation("unknown"));
        };
        match (kind, wire_type) {
            (Kind::Varint, 0) => {
                varint(&mut rest)?;
            }
            (Kind::Fixed64 | Kind::Fixed64Or(_), 1) => {
                take(&mut rest, 8)?;
            }
            (Kind::Bytes, 2) => {
                let length = varint(&mut rest)?;
                take(&mut rest, length)?;
            }
            (Kind::Message(inner), 2) => {
                let length = varint(&mut rest)?;
                walk(take(&mut rest, length)?, inner)?;
            }
            (Kind::Strings, 2) => {
                let length = varint(&mut rest)?;
                take(&mut rest, length)?;
                continue;
            }
            (Kind::Messages(inner), 2) => {
                let length = varint(&mut rest)?;
                walk(take(&mut rest, length)?, inner)?;
                continue;
            }
            (
                Kind::Varint
                | Kind::Fixed64
                | Kind::Fixed64Or(_)
                | Kind::Bytes
                | Kind::Message(_)
                | Kind::Messages(_)
                | Kind::Strings,
                _,
            ) => {
                return Err(violation("unknown"));
            }
        }
        // Known single fields have numbers below 32.
        let bit = match kind {
            Kind::Fixed64Or(other) => 1 << other,
            Kind::Varint
            | Kind::Fixed64
            | Kind::Bytes
            | Kind::Message(_)
            | Kind::Messages(_)
            | Kind::Strings => 1 << field,
        };
        if seen & bit != 0 {
            return Err(violation("repeated"));
        }
        seen |= bit;
    }
    Ok(())
}

fn varint(rest: &mut &[u8]) -> Result<u64, Violation> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = *take(rest, 1)? else { break };
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(broken("a varint of more than ten bytes"))
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], Violation> {
    let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let (head, tail) = split.ok_or_else(|| broken("it ends inside a field"))?;
    *rest = tail;
    Ok(head)
}

fn broken(what: &str) -> Violation {
    Violation::Message(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::hand::nested;
    use super::*;

    const LABEL: &[u8] = b"\x0a\x01a\x12\x01b";

    #[test]
    fn rw_1_06_known_fields_pass() {
        let sample = b"\x09\0\0\0\0\0\0\0\0\x10\x05";
        let series = [nested(1, LABEL), nested(1, LABEL), nested(2, sample)].concat();
        let metadata = b"\x08\x01\x12\x01m\x22\x01h\x2a\x01s";
        assert_eq!(check(&[nested(1, &series), nested(3, metadata)].concat()), Ok(()));
    }

    #[test]
    fn rw_1_06_unknown_and_repeated_fields_are_named() {
        for (message, name, number, problem) in [
            (nested(2, b""), "WriteRequest", 2, "unknown"),
            (nested(1, &nested(5, b"")), "TimeSeries", 5, "unknown"),
            (nested(1, &nested(1, &[LABEL, b"\x0a\x01c"].concat())), "Label", 1, "repeated"),
            (nested(1, &nested(2, b"\x08\x01")), "Sample", 1, "unknown"),
            (nested(1, &nested(4, b"\x11\0\0\0\0\0\0\0\0\x08\x01")), "Histogram", 1, "repeated"),
        ] {
            match check(&message) {
                Err(Violation::Field { message, field, problem: found, .. }) => {
                    assert_eq!((message, field, found), (name, number, problem));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn rw_2_06_unknown_and_repeated_fields_are_named() {
        let series = |inner: &[u8]| nested(5, inner);
        for (message, name, number, problem) in [
            (nested(1, b""), "Request", 1, "unknown"),
            (series(b"\x08\x01"), "TimeSeries", 1, "unknown"),
            (series(&[nested(1, b"\x01"), nested(1, b"\x02")].concat()), "TimeSeries", 1, "repeated"),
            (series(&nested(6, b"")), "TimeSeries", 6, "unknown"),
            (series(&nested(2, b"\x20\x01")), "Sample", 4, "unknown"),
            (series(&nested(3, b"\x90\x01\x01")), "Histogram", 18, "unknown"),
            (series(&nested(3, b"\x08\x01\x11\0\0\0\0\0\0\0\0")), "Histogram", 2, "repeated"),
            (series(&nested(3, b"\x39\0\0\0\0\0\0\0\0\x30\x01")), "Histogram", 6, "repeated"),
            (series(&nested(4, &nested(4, b""))), "Exemplar", 4, "unknown"),
            (series(&nested(5, b"\x10\x01")), "Metadata", 2, "unknown"),
            (series(&[nested(5, b""), nested(5, b"")].concat()), "TimeSeries", 5, "repeated"),
        ] {
            match check_v2(&message) {
                Err(Violation::Field { rule: V2, message, field, problem: found, .. }) => {
                    assert_eq!((message, field, found), (name, number, problem));
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(check_v2(b"\x22\x05a"), Err(Violation::MessageV2(_))));
        // Start timestamps of a sample and a histogram; the same symbol may come as often as it likes here.
        let known = [
            nested(4, b""),
            nested(4, b""),
            series(&nested(2, b"\x18\x01")),
            series(&nested(3, b"\x88\x01\x01")),
        ];
        assert_eq!(check_v2(&known.concat()), Ok(()));
    }

    #[test]
    fn bytes_that_end_too_early_are_no_message() {
        for message in [&b"\x0a"[..], b"\x0a\x05a", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] {
            assert!(matches!(check(message), Err(Violation::Message(_))), "{message:?}");
        }
    }
}
