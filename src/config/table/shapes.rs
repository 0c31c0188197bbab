//! Short ways to write a setting of the table.

use std::time::Duration;

use super::{Default, Group, Kind, Limits, Setting};

pub(super) const fn text(allowed: &'static str) -> Kind {
    Kind::Text(allowed)
}

pub(super) const fn duration(min: Duration, max: Duration) -> Kind {
    Kind::Duration(Limits { zero: false, min, max })
}

pub(super) const fn duration_or_off(min: Duration, max: Duration) -> Kind {
    Kind::Duration(Limits { zero: true, min, max })
}

pub(super) const fn size(min: u64, max: u64) -> Kind {
    Kind::Size(Limits { zero: false, min, max })
}

pub(super) const fn setting(
    group: Group,
    name: &'static str,
    kind: Kind,
    default: Default,
    example: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { name, group, kind, default, secret: false, example, doc }
}

pub(super) const fn secret(
    group: Group,
    name: &'static str,
    kind: Kind,
    default: Default,
    example: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { name, group, kind, default, secret: true, example, doc }
}
