//! A walk over the protobuf fields of a message, because prost passes over unknown ones in silence, and over data in them too.

use super::violation::Violation;

/// What a field may be.
#[derive(Clone, Copy)]
enum Kind {
    Varint,
    Fixed64,
    Bytes,
    /// May come often.
    Messages(&'static Shape),
}

struct Shape {
    name: &'static str,
    fields: &'static [(u32, Kind)],
}

/// Remote-write 1.06 and 1.07; exemplars and native histograms (fields 3 and 4 of a series) are not decoded by anybody here yet.
static WRITE_REQUEST: Shape = Shape {
    name: "WriteRequest",
    fields: &[(1, Kind::Messages(&TIME_SERIES)), (3, Kind::Messages(&METADATA))],
};
static TIME_SERIES: Shape =
    Shape { name: "TimeSeries", fields: &[(1, Kind::Messages(&LABEL)), (2, Kind::Messages(&SAMPLE))] };
static LABEL: Shape = Shape { name: "Label", fields: &[(1, Kind::Bytes), (2, Kind::Bytes)] };
static SAMPLE: Shape = Shape { name: "Sample", fields: &[(1, Kind::Fixed64), (2, Kind::Varint)] };
static METADATA: Shape = Shape {
    name: "MetricMetadata",
    fields: &[(1, Kind::Varint), (2, Kind::Bytes), (4, Kind::Bytes), (5, Kind::Bytes)],
};

/// Finds the first field that a `prometheus.WriteRequest` does not have.
///
/// # Errors
/// [`Violation::Field`], or [`Violation::Message`] where the bytes end too early.
pub(super) fn check(message: &[u8]) -> Result<(), Violation> {
    walk(message, &WRITE_REQUEST)
}

fn walk(mut rest: &[u8], shape: &'static Shape) -> Result<(), Violation> {
    let mut seen = 0_u32;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let wire_type = (key & 7) as u8;
        let field = u32::try_from(key >> 3).map_err(|_| broken("a field number beyond 32 bits"))?;
        let violation = |problem| Violation::Field { message: shape.name, field, wire_type, problem };
        let Some((_, kind)) = shape.fields.iter().find(|(number, _)| *number == field) else {
            return Err(violation("unknown"));
        };
        match (kind, wire_type) {
            (Kind::Varint, 0) => {
                varint(&mut rest)?;
            }
            (Kind::Fixed64, 1) => {
                take(&mut rest, 8)?;
            }
            (Kind::Bytes, 2) => {
                let length = varint(&mut rest)?;
                take(&mut rest, length)?;
            }
            (Kind::Messages(inner), 2) => {
                let length = varint(&mut rest)?;
                walk(take(&mut rest, length)?, inner)?;
                continue;
            }
            (Kind::Varint | Kind::Fixed64 | Kind::Bytes | Kind::Messages(_), _) => {
                return Err(violation("unknown"));
            }
        }
        // Known single fields have numbers below 32.
        let bit = 1 << field;
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
    fn remote_write_1_06_known_fields_pass() {
        let sample = b"\x09\0\0\0\0\0\0\0\0\x10\x05";
        let series = [nested(1, LABEL), nested(1, LABEL), nested(2, sample)].concat();
        let metadata = b"\x08\x01\x12\x01m\x22\x01h\x2a\x01s";
        assert_eq!(check(&[nested(1, &series), nested(3, metadata)].concat()), Ok(()));
    }

    #[test]
    fn remote_write_1_06_unknown_and_repeated_fields_are_named() {
        for (message, name, number, problem) in [
            (nested(2, b""), "WriteRequest", 2, "unknown"),
            (nested(1, &nested(4, b"")), "TimeSeries", 4, "unknown"),
            (nested(1, &nested(1, &[LABEL, b"\x0a\x01c"].concat())), "Label", 1, "repeated"),
            (nested(1, &nested(2, b"\x08\x01")), "Sample", 1, "unknown"),
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
    fn bytes_that_end_too_early_are_no_message() {
        for message in [&b"\x0a"[..], b"\x0a\x05a", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] {
            assert!(matches!(check(message), Err(Violation::Message(_))), "{message:?}");
        }
    }
}
