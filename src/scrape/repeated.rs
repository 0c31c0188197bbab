//! A label name that stands twice in a line (remote-write 4.16).
//!
//! Prometheus looks for it when it stores the series, behind the target's labels: a clash has then taken all but the first value away, and an
//! empty value all of them. What still stands twice fails the scrape.

use super::target_labels::TargetLabels;
use crate::exposition::{Exposed, Occurrence, ParseError, Series};

/// The labels of a line with every name once.
pub(super) fn settled<'a>(line: &Series<'a>, labels: &TargetLabels) -> Result<Exposed<'a>, ParseError> {
    let error = match line.exposed() {
        Ok(exposed) => return Ok(exposed),
        Err(error) => error,
    };
    let mut exposed = line.as_written()?;
    for name in exposed.repeated() {
        let to = if labels.renames(&name) { Occurrence::First } else { Occurrence::FirstEmpty };
        if exposed.reduce(&name, to).is_none() {
            return Err(error);
        }
    }
    Ok(exposed)
}
