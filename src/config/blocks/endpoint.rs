//! One block to an endpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::super::endpoint::{
    LONGEST_NAME, MAX_METADATA_PER_SEND, NOT_VERIFIED, check_certificates, check_header, check_key,
    check_name, looks_secret, read_push_url,
};
use super::super::reader::{Parsed, count_within, duration_within, size_within};
use super::super::table;
use super::document::{self, Block, Field, QueueConfig, TlsConfig};
use super::{Notes, auth, default_of};
use crate::model::{Escaping, Secret, SecretSource};
use crate::remote::{Auth, Config, MetadataConfig, Names, Pem, ProtobufMessage, Tls, TlsVersion};

/// `None` only beside a misfit.
pub(super) fn build(
    block: Spanned<Option<Block>>,
    reload_interval: Option<Duration>,
    notes: &mut Notes,
) -> Option<Config> {
    let place = block.referenced;
    let Some(block) = block.value else {
        notes.wrong(place, "the block is empty");
        return None;
    };
    note_known_fields(&block, notes);
    let has_url = block.url.as_ref().is_some_and(|url| url.value.is_some());
    if !has_url {
        notes.wrong(place, "the block has no url");
    }
    let url = notes.take("url", block.url, |text| read_push_url(&text));
    let name = match notes.take("name", block.name, |text| check_name(&text)) {
        Some((name, _)) => Some(name),
        None => url.as_ref().map(|((url, _), _)| name_of_host(url)),
    };
    let message = notes.take("protobuf_message", block.protobuf_message, |text| match text.as_str() {
        "prometheus.WriteRequest" => Ok(ProtobufMessage::V1),
        "io.prometheus.write.v2.Request" => Ok(ProtobufMessage::V2),
        _ => Err("is not one of the words for it; allowed: prometheus.WriteRequest, io.prometheus.write.v2.Request".to_owned()),
    });
    let headers = read_headers(block.headers, notes);
    let (url, user_info) = match url {
        Some(((url, user_info), _)) => (Some(url), user_info),
        None => (None, None),
    };
    let auth = auth::read(block.basic_auth, block.authorization, user_info, notes);
    let tls = read_tls(block.tls_config, notes);
    if let (Some(url), Some(name)) = (&url, &name)
        && url.scheme() == "http"
        && (!matches!(auth, Auth::None) || headers.iter().any(|(header, _)| looks_secret(header)))
    {
        notes.warnings.push(format!(
            "the url of endpoint {name} is http://: credentials go over the network in plain text; use https://"
        ));
    }
    let timeout =
        notes.limited("remote_timeout", block.remote_timeout, "REMOTE_WRITE_TIMEOUT", duration_within);
    let sending = read_queue_config(block.queue_config, notes);
    let metadata = read_metadata_config(block.metadata_config, notes);
    let send_exemplars = read_switch("send_exemplars", block.send_exemplars, notes);
    let send_native_histograms = read_switch("send_native_histograms", block.send_native_histograms, notes);
    let max_bytes = default_of("REMOTE_WRITE_MAX_BYTES_PER_SEND", size_within);
    let max_age = default_of("REMOTE_WRITE_MAX_CONNECTION_AGE", duration_within);
    let (url, sending) = (url?, sending?);
    Some(Config {
        name: name?,
        url,
        message: message.map_or(ProtobufMessage::Auto, |(message, _)| message),
        timeout: timeout?.0,
        headers,
        auth,
        tls,
        max_samples_per_send: sending.max_samples,
        max_bytes_per_send: max_bytes?,
        batch_send_deadline: sending.batch_send_deadline,
        send_exemplars,
        send_native_histograms,
        // Prometheus has no word for it here.
        names: Names::Escaped(Escaping::Underscores),
        metadata: metadata?,
        min_backoff: sending.min_backoff,
        max_backoff: sending.max_backoff,
        rate_limit: None,
        max_connection_age: max_age,
        retry_on_http_429: sending.retry_on_http_429,
        hold_on_auth_error: true,
        sample_age_limit: sending.sample_age_limit,
        reload_interval,
    })
}

fn note_known_fields(block: &Block, notes: &mut Notes) {
    notes.without_effect([
        ("round_robin_dns", &block.round_robin_dns),
        ("enable_http2", &block.enable_http2),
        ("follow_redirects", &block.follow_redirects),
    ]);
    notes.not_built([
        ("write_relabel_configs", &block.write_relabel_configs),
        ("oauth2", &block.oauth2),
        ("sigv4", &block.sigv4),
        ("azuread", &block.azuread),
        ("google_iam", &block.google_iam),
        ("http_headers", &block.http_headers),
        ("proxy_url", &block.proxy_url),
        ("no_proxy", &block.no_proxy),
        ("proxy_from_environment", &block.proxy_from_environment),
        ("proxy_connect_header", &block.proxy_connect_header),
    ]);
    for (name, field) in
        [("bearer_token", &block.bearer_token), ("bearer_token_file", &block.bearer_token_file)]
    {
        if let Some(field) = field {
            notes.wrong(
                field.referenced,
                format!("{name} is an old name: write authorization, with credentials or credentials_file"),
            );
        }
    }
}

/// A name for a block that has none: what stays the same when a path or a port is mended.
fn name_of_host(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    host.chars().map(|c| if allowed(c) { c } else { '_' }).take(LONGEST_NAME).collect()
}

fn read_headers(field: Field<BTreeMap<String, Spanned<String>>>, notes: &mut Notes) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    let Some(Spanned { value: Some(entries), .. }) = field else { return headers };
    for (name, value) in entries {
        match check_header(&name, &value.value, &headers) {
            Ok(()) => headers.push((name, Secret::new(value.value))),
            Err(what) => notes.wrong(value.referenced, format!("this entry of headers {what}")),
        }
    }
    headers
}

/// What is left out is `true`, as in the flat settings; Prometheus sends neither by default.
fn read_switch(name: &str, field: Field<bool>, notes: &mut Notes) -> bool {
    notes.take(name, field, Ok).is_none_or(|(is_on, _)| is_on)
}

// === TLS ===

fn read_tls(field: Field<TlsConfig>, notes: &mut Notes) -> Tls {
    let Some(Spanned { value: Some(tls), referenced: place, .. }) = field else { return Tls::default() };
    notes.not_built([("server_name", &tls.server_name), ("max_version", &tls.max_version)]);
    let ca = read_pem(("ca", tls.ca), ("ca_file", tls.ca_file), check_certificates, notes);
    let told = notes.misfits.len();
    let cert = read_pem(("cert", tls.cert), ("cert_file", tls.cert_file), check_certificates, notes);
    let key = read_pem(("key", tls.key), ("key_file", tls.key_file), check_key, notes);
    if cert.is_some() != key.is_some() && notes.misfits.len() == told {
        notes.wrong(place, "tls_config needs a certificate and its key, or neither");
    }
    notes.inline_secret |= matches!(key, Some(Pem::Inline(_)));
    let insecure = notes.take("insecure_skip_verify", tls.insecure_skip_verify, Ok);
    let insecure_skip_verify = insecure.is_some_and(|(insecure, _)| insecure);
    if insecure_skip_verify {
        notes.warnings.push(NOT_VERIFIED.to_owned());
    }
    let min_version = notes.take("min_version", tls.min_version, |text| match text.as_str() {
        "TLS12" => Ok(TlsVersion::Tls12),
        "TLS13" => Ok(TlsVersion::Tls13),
        _ => Err("is not one of the words for it; allowed: TLS12 or TLS13".to_owned()),
    });
    let min_version = min_version.map_or_else(TlsVersion::default, |(version, _)| version);
    Tls { ca, identity: cert.zip(key), insecure_skip_verify, min_version }
}

fn read_pem(
    inline: (&str, Field<String>),
    file: (&str, Field<String>),
    check: fn(&[u8]) -> Parsed<()>,
    notes: &mut Notes,
) -> Option<Pem> {
    let given = notes.text_or_file(inline, file, |text| check(text.as_bytes()))?;
    Some(match given {
        SecretSource::Inline(pem) => Pem::Inline(pem),
        SecretSource::File(path) => Pem::File(path),
    })
}

// === queue_config ===

struct Sending {
    max_samples: u32,
    batch_send_deadline: Duration,
    min_backoff: Duration,
    max_backoff: Duration,
    retry_on_http_429: bool,
    sample_age_limit: Option<Duration>,
}

/// `None` only beside a misfit.
fn read_queue_config(field: Field<QueueConfig>, notes: &mut Notes) -> Option<Sending> {
    let given = field.and_then(|field| field.value).unwrap_or_default();
    notes.without_effect([
        ("capacity", &given.capacity),
        ("max_shards", &given.max_shards),
        ("min_shards", &given.min_shards),
    ]);
    let max_samples = notes.limited(
        "max_samples_per_send",
        given.max_samples_per_send,
        "REMOTE_WRITE_MAX_SAMPLES_PER_SEND",
        count_within,
    );
    let min = notes.limited("min_backoff", given.min_backoff, "REMOTE_WRITE_MIN_BACKOFF", duration_within);
    let max = notes.limited("max_backoff", given.max_backoff, "REMOTE_WRITE_MAX_BACKOFF", duration_within);
    let deadline = notes.limited(
        "batch_send_deadline",
        given.batch_send_deadline,
        "REMOTE_WRITE_BATCH_SEND_DEADLINE",
        duration_within,
    );
    let retry = notes.take("retry_on_http_429", given.retry_on_http_429, Ok);
    let age = notes.limited(
        "sample_age_limit",
        given.sample_age_limit,
        "REMOTE_WRITE_SAMPLE_AGE_LIMIT",
        duration_within,
    );
    let ((min_backoff, min_place), (max_backoff, max_place)) = (min?, max?);
    if min_backoff > max_backoff {
        let place = min_place.unwrap_or(max_place.unwrap_or(Location::UNKNOWN));
        notes.wrong(place, "min_backoff is longer than max_backoff");
    }
    let (age, _) = age?;
    Some(Sending {
        max_samples: u32::try_from(max_samples?.0).ok()?,
        batch_send_deadline: deadline?.0,
        min_backoff,
        max_backoff,
        retry_on_http_429: retry.is_none_or(|(retry, _)| retry),
        sample_age_limit: (!age.is_zero()).then_some(age),
    })
}

// === metadata_config ===

/// `None` only beside a misfit.
fn read_metadata_config(
    field: Field<document::MetadataConfig>,
    notes: &mut Notes,
) -> Option<Option<MetadataConfig>> {
    let given = field.and_then(|field| field.value).unwrap_or_default();
    let is_sent = read_switch("send", given.send, notes);
    let interval = notes.limited(
        "send_interval",
        given.send_interval,
        "REMOTE_WRITE_METADATA_SEND_INTERVAL",
        duration_within,
    );
    // Families here, samples there: the same range will do.
    let kind = table::find("REMOTE_WRITE_MAX_SAMPLES_PER_SEND")?.kind;
    let told = notes.misfits.len();
    let max_entries = notes.take("max_samples_per_send", given.max_samples_per_send, |text| {
        count_within(&kind, &text).map_err(|what| format!("of metadata_config {what}; allowed: {kind}"))
    });
    let max_entries = match max_entries {
        Some((entries, _)) => u32::try_from(entries).ok()?,
        None if notes.misfits.len() > told => return None,
        None => MAX_METADATA_PER_SEND,
    };
    let metadata = MetadataConfig { interval: interval?.0, max_entries_per_send: max_entries };
    Some(is_sent.then_some(metadata))
}
