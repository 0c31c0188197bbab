//! How many labels a series may have, and how long (remote-write 4.13).

use crate::model::Labels;

/// The limits; `None` is off. External labels do not count: they are not the target's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelLimits {
    /// `SCRAPE_LABEL_LIMIT`: labels of one series, the metric's name and the target's labels included.
    pub labels: Option<u64>,
    /// `SCRAPE_LABEL_NAME_LENGTH_LIMIT`, bytes.
    pub name_length: Option<u64>,
    /// `SCRAPE_LABEL_VALUE_LENGTH_LIMIT`, bytes.
    pub value_length: Option<u64>,
}

/// What exceeds which limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelExcess {
    /// Too many labels.
    #[error("{count} labels, more than the {limit} of SCRAPE_LABEL_LIMIT")]
    Labels {
        /// How many.
        count: u64,
        /// The limit.
        limit: u64,
    },
    /// A name that is too long.
    #[error("a label name of {length} bytes, more than the {limit} of SCRAPE_LABEL_NAME_LENGTH_LIMIT")]
    NameLength {
        /// Its bytes.
        length: u64,
        /// The limit.
        limit: u64,
    },
    /// A value that is too long.
    #[error("a label value of {length} bytes, more than the {limit} of SCRAPE_LABEL_VALUE_LENGTH_LIMIT")]
    ValueLength {
        /// Its bytes.
        length: u64,
        /// The limit.
        limit: u64,
    },
}

impl LabelLimits {
    /// Looks at the labels of a series behind the rules, before external labels.
    ///
    /// # Errors
    /// The first limit that they exceed; the scrape fails.
    pub(super) fn check(&self, labels: &Labels) -> Result<(), LabelExcess> {
        let count = labels.len() as u64;
        if let Some(limit) = self.labels.filter(|limit| count > *limit) {
            return Err(LabelExcess::Labels { count, limit });
        }
        for (name, value) in labels.iter() {
            let (name, value) = (name.len() as u64, value.len() as u64);
            if let Some(limit) = self.name_length.filter(|limit| name > *limit) {
                return Err(LabelExcess::NameLength { length: name, limit });
            }
            if let Some(limit) = self.value_length.filter(|limit| value > *limit) {
                return Err(LabelExcess::ValueLength { length: value, limit });
            }
        }
        Ok(())
    }
}
