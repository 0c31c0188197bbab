//! The YAML list as it is written: Prometheus's own field names, every field with its place.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Error, Location, Spanned};

/// What is wrong, and where. Holds no part of the text: passwords stand in it.
pub(super) struct Misfit {
    pub(super) line: u64,
    pub(super) column: u64,
    pub(super) what: String,
}

impl Misfit {
    pub(super) fn at(place: Location, what: impl Into<String>) -> Self {
        Self { line: place.line(), column: place.column(), what: what.into() }
    }
}

/// A field that is there, with its place; null is as good as not there, as in Prometheus.
pub(super) type Field<T> = Option<Spanned<Option<T>>>;

/// Something that we know and do nothing with.
pub(super) type Known = Option<Spanned<IgnoredAny>>;

/// One entry of `remote_write`. No `Debug`: it holds secrets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Block {
    #[serde(default, deserialize_with = "given")]
    pub(super) url: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) name: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) remote_timeout: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) headers: Field<BTreeMap<String, Spanned<String>>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) basic_auth: Field<BasicAuth>,
    #[serde(default, deserialize_with = "given")]
    pub(super) authorization: Field<Authorization>,
    #[serde(default, deserialize_with = "given")]
    pub(super) tls_config: Field<TlsConfig>,
    #[serde(default, deserialize_with = "given")]
    pub(super) queue_config: Field<QueueConfig>,
    #[serde(default, deserialize_with = "given")]
    pub(super) protobuf_message: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) send_exemplars: Field<bool>,
    #[serde(default, deserialize_with = "given")]
    pub(super) send_native_histograms: Field<bool>,
    #[serde(default, deserialize_with = "given")]
    pub(super) metadata_config: Field<MetadataConfig>,
    // What Prometheus knows and this program does in its own way, or always, or never.
    pub(super) round_robin_dns: Known,
    pub(super) enable_http2: Known,
    pub(super) follow_redirects: Known,
    // What would change what is sent, or to whom, and is not built.
    pub(super) write_relabel_configs: Known,
    pub(super) oauth2: Known,
    pub(super) sigv4: Known,
    pub(super) azuread: Known,
    pub(super) google_iam: Known,
    pub(super) http_headers: Known,
    pub(super) bearer_token: Known,
    pub(super) bearer_token_file: Known,
    pub(super) proxy_url: Known,
    pub(super) no_proxy: Known,
    pub(super) proxy_from_environment: Known,
    pub(super) proxy_connect_header: Known,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BasicAuth {
    #[serde(default, deserialize_with = "given")]
    pub(super) username: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) password: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) password_file: Field<String>,
    pub(super) username_file: Known,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Authorization {
    #[serde(default, rename = "type", deserialize_with = "given")]
    pub(super) kind: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) credentials: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) credentials_file: Field<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsConfig {
    #[serde(default, deserialize_with = "given")]
    pub(super) ca: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) ca_file: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) cert: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) cert_file: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) key: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) key_file: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) insecure_skip_verify: Field<bool>,
    #[serde(default, deserialize_with = "given")]
    pub(super) min_version: Field<String>,
    pub(super) server_name: Known,
    pub(super) max_version: Known,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueueConfig {
    #[serde(default, deserialize_with = "given")]
    pub(super) max_samples_per_send: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) min_backoff: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) max_backoff: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) retry_on_http_429: Field<bool>,
    #[serde(default, deserialize_with = "given")]
    pub(super) sample_age_limit: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) batch_send_deadline: Field<String>,
    pub(super) capacity: Known,
    pub(super) max_shards: Known,
    pub(super) min_shards: Known,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetadataConfig {
    #[serde(default, deserialize_with = "given")]
    pub(super) send: Field<bool>,
    #[serde(default, deserialize_with = "given")]
    pub(super) send_interval: Field<String>,
    #[serde(default, deserialize_with = "given")]
    pub(super) max_samples_per_send: Field<String>,
}

fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Field<T>, D::Error> {
    Spanned::deserialize(deserializer).map(Some)
}

/// The blocks with their places; `None` for null.
///
/// # Errors
/// The first thing that is no YAML, or does not fit the schema.
pub(super) fn read(yaml: &str) -> Result<Vec<Spanned<Option<Block>>>, Misfit> {
    // Without snippets: they would quote the text.
    let options = serde_saphyr::options! { with_snippet: false };
    let blocks: Result<Option<Vec<_>>, _> = serde_saphyr::from_str_with_options(yaml, options);
    blocks.map(Option::unwrap_or_default).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
        Misfit { line, column, what: reason(&error) }
    })
}

/// Our words: the crate's own may hold a part of the text.
fn reason(error: &Error) -> String {
    match error {
        Error::SerdeUnknownField { expected, .. } => {
            format!("there is no such field; here may stand {}", expected.join(", "))
        }
        Error::DuplicateMappingKey { .. } => "the field was there before".to_owned(),
        Error::NullIntoString { .. } => "a text is missing".to_owned(),
        Error::MultipleDocuments { .. } => "a second document begins".to_owned(),
        Error::Eof { .. } => "the text ends too early".to_owned(),
        Error::Unexpected { expected: "sequence start", .. } => {
            "a list is expected here (the blocks alone, each begun with `- `, without `remote_write:` before them)".to_owned()
        }
        Error::Unexpected { expected: "mapping start", .. } => "a map of fields is expected here".to_owned(),
        Error::Unexpected { .. } | Error::SerdeInvalidType { .. } => {
            "a value of another kind is expected here (quote text that begins with { or [)".to_owned()
        }
        Error::InvalidScalar { ty: "u64", .. } => "a whole number is expected here".to_owned(),
        Error::InvalidScalar { .. } => "a value of another kind is expected here (true or false?)".to_owned(),
        Error::UnknownAnchor { .. } => "unknown anchor (quote text that begins with `*`)".to_owned(),
        // Not ours to list: the enum is open. Broken syntax is what remains.
        _ => "syntax error (is the indentation even? quote text that contains any of {}[],:#&*!|>'\"%@)".to_owned(),
    }
}
