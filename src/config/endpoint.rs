//! `REMOTE_WRITE_*` to an endpoint.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::blocks::CONFIG;
use super::reader::{Parsed, Reader};
use super::table::SETTINGS;
use super::url::{UserInfo, parse_push_url};
use crate::model::{Escaping, Secret, SecretSource};
use crate::remote::{Auth, Config, MetadataConfig, Names, Pem, ProtobufMessage, Tls, TlsVersion};

pub(super) const URL: &str = "REMOTE_WRITE_URL";
const HEADERS: &str = "REMOTE_WRITE_HEADERS";
const TENANT_ID: &str = "REMOTE_WRITE_TENANT_ID";
const USERNAME: &str = "REMOTE_WRITE_BASIC_AUTH_USERNAME";
const PASSWORD: &str = "REMOTE_WRITE_BASIC_AUTH_PASSWORD";
const PASSWORD_FILE: &str = "REMOTE_WRITE_BASIC_AUTH_PASSWORD_FILE";
const TOKEN: &str = "REMOTE_WRITE_BEARER_TOKEN";
const TOKEN_FILE: &str = "REMOTE_WRITE_BEARER_TOKEN_FILE";
const MIN_BACKOFF: &str = "REMOTE_WRITE_MIN_BACKOFF";
const INSECURE_SKIP_VERIFY: &str = "REMOTE_WRITE_TLS_INSECURE_SKIP_VERIFY";

const TENANT_HEADER: &str = "X-Scope-OrgID";

/// Set by the protocol, by HTTP itself or by settings of their own (remote-write 1.04); `proxy-*` is reserved as a whole.
const RESERVED_HEADERS: [&str; 16] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "retry-attempt",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "www-authenticate",
    "x-prometheus-remote-write-version",
];

/// Cortex and Mimir answer 500 to a tenant with other characters (receivers 4): it would be retried for ever.
const TENANT_CHARACTERS: &[u8] = b"!-_.*'()";
const LONGEST_TENANT: usize = 150;
pub(super) const LONGEST_NAME: usize = 64;

/// Families in one request of metadata, as in Prometheus.
pub(super) const MAX_METADATA_PER_SEND: u32 = 2_000;

pub(super) const NOT_VERIFIED: &str = "THE ENDPOINT'S CERTIFICATE IS NOT VERIFIED: anybody on the way can read and forge what is sent, \
    credentials included; give its authority as a ca_file instead";

/// The one endpoint of the flat settings. `None` only beside a problem.
pub(super) fn read(reader: &mut Reader<'_>, reload_interval: Option<Option<Duration>>) -> Option<Config> {
    let url = read_url(reader);
    let name = reader.parse("REMOTE_WRITE_NAME", |_, text| check_name(text));
    let message = reader.choice(
        "REMOTE_WRITE_PROTOBUF_MESSAGE",
        &[
            ("auto", ProtobufMessage::Auto),
            ("prometheus.WriteRequest", ProtobufMessage::V1),
            ("1.0", ProtobufMessage::V1),
            ("io.prometheus.write.v2.Request", ProtobufMessage::V2),
            ("2.0", ProtobufMessage::V2),
        ],
        &[],
    );
    let headers = read_headers(reader);
    let (url, user_info) = match url {
        Some((url, user_info)) => (Some(url), user_info),
        None => (None, None),
    };
    let auth = read_auth(reader, user_info);
    let tls = read_tls(reader);
    if let Some(url) = &url {
        warn_about_plain_text(reader, url, &auth, &headers);
    }
    let timeout = reader.duration("REMOTE_WRITE_TIMEOUT");
    let max_samples = reader.count("REMOTE_WRITE_MAX_SAMPLES_PER_SEND");
    let max_bytes = reader.size("REMOTE_WRITE_MAX_BYTES_PER_SEND");
    let batch_send_deadline = reader.duration("REMOTE_WRITE_BATCH_SEND_DEADLINE");
    let send_exemplars = reader.boolean("REMOTE_WRITE_SEND_EXEMPLARS");
    let send_native_histograms = reader.boolean("REMOTE_WRITE_SEND_NATIVE_HISTOGRAMS");
    let names = read_names(reader);
    let metadata = read_metadata(reader);
    let min_backoff = reader.duration(MIN_BACKOFF);
    let max_backoff = reader.duration("REMOTE_WRITE_MAX_BACKOFF");
    if let (Some(min), Some(max)) = (min_backoff, max_backoff)
        && min > max
    {
        reader.problem(MIN_BACKOFF, "is longer than REMOTE_WRITE_MAX_BACKOFF");
    }
    let rate_limit = reader.size("REMOTE_WRITE_RATE_LIMIT");
    let max_connection_age = reader.duration_or_off("REMOTE_WRITE_MAX_CONNECTION_AGE");
    let retry_on_http_429 = reader.boolean("REMOTE_WRITE_RETRY_ON_HTTP_429");
    let hold_on_auth_error = reader.boolean("REMOTE_WRITE_HOLD_ON_AUTH_ERROR");
    let sample_age_limit = reader.duration_or_off("REMOTE_WRITE_SAMPLE_AGE_LIMIT");
    Some(Config {
        name: name?,
        url: url?,
        message: message?,
        timeout: timeout?,
        headers,
        auth,
        tls: tls?,
        max_samples_per_send: u32::try_from(max_samples?).ok()?,
        max_bytes_per_send: max_bytes?,
        batch_send_deadline: batch_send_deadline?,
        send_exemplars: send_exemplars?,
        send_native_histograms: send_native_histograms?,
        names: names?,
        metadata: metadata?,
        min_backoff: min_backoff?,
        max_backoff: max_backoff?,
        rate_limit: Some(rate_limit?).filter(|limit| *limit > 0),
        max_connection_age: max_connection_age?,
        retry_on_http_429: retry_on_http_429?,
        hold_on_auth_error: hold_on_auth_error?,
        sample_age_limit: sample_age_limit?,
        reload_interval: reload_interval?,
    })
}

fn read_names(reader: &mut Reader<'_>) -> Option<Names> {
    let schemes = Escaping::ALL.map(|scheme| (scheme.name(), Names::Escaped(scheme)));
    let words: Vec<_> = schemes.into_iter().chain([("drop", Names::Dropped)]).collect();
    reader.choice("REMOTE_WRITE_METRIC_NAME_ESCAPING_SCHEME", &words, &[])
}

fn read_metadata(reader: &mut Reader<'_>) -> Option<Option<MetadataConfig>> {
    let is_sent = reader.boolean("REMOTE_WRITE_METADATA_SEND");
    let interval = reader.duration("REMOTE_WRITE_METADATA_SEND_INTERVAL")?;
    let metadata = MetadataConfig { interval, max_entries_per_send: MAX_METADATA_PER_SEND };
    is_sent.map(|is_sent| is_sent.then_some(metadata))
}

/// The settings that mean nothing without [`URL`].
pub(super) fn flat_names() -> impl Iterator<Item = &'static str> {
    let names = SETTINGS.iter().map(|setting| setting.name);
    names.filter(|name| name.starts_with("REMOTE_WRITE_") && ![URL, CONFIG].contains(name))
}

fn read_url(reader: &mut Reader<'_>) -> Option<(Url, Option<UserInfo>)> {
    let url = reader.parse(URL, |_, text| read_push_url(text));
    if !reader.is_set(URL) {
        reader.problem(
            URL,
            "is not set, and nothing can be pushed without it (or without REMOTE_WRITE_CONFIG)",
        );
    }
    url
}

/// A push URL without its user info, and the user info, which basic auth can carry.
pub(super) fn read_push_url(text: &str) -> Parsed<(Url, Option<UserInfo>)> {
    let (url, user_info) = parse_push_url(text)?;
    if let Some(UserInfo { username, password }) = &user_info {
        check_username(username).map_err(|what| format!("has a user's name that {what}"))?;
        check_no_control(password.as_deref().unwrap_or_default())
            .map_err(|what| format!("has a password that {what}"))?;
    }
    Ok((url, user_info))
}

pub(super) fn check_name(text: &str) -> Parsed<String> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if !text.bytes().all(is_allowed) {
        return Err("has characters that are not allowed".to_owned());
    }
    if text.len() > LONGEST_NAME {
        return Err(format!("is longer than {LONGEST_NAME} characters"));
    }
    Ok(text.to_owned())
}

// === headers ===

fn read_headers(reader: &mut Reader<'_>) -> Vec<(String, Secret)> {
    let entries = reader.map(HEADERS).unwrap_or_default();
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for (at, (name, value)) in entries.into_iter().enumerate() {
        match check_header(&name, &value, &headers) {
            Ok(()) => headers.push((name, Secret::new(value))),
            Err(what) => reader.problem(HEADERS, format!("entry {} {what}", at + 1)),
        }
    }
    if headers.iter().any(|(name, _)| looks_secret(name)) {
        reader.warn_inline(HEADERS, None);
    }
    let tenant = reader.parse(TENANT_ID, |_, text| check_tenant(text));
    if let Some(tenant) = tenant {
        if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(TENANT_HEADER)) {
            reader.problem(
                TENANT_ID,
                format!("is set, and {HEADERS} has {TENANT_HEADER} too: only one may be"),
            );
        }
        headers.push((TENANT_HEADER.to_owned(), Secret::new(tenant)));
    }
    headers
}

/// Only reserved names are told: another "name" may be a secret in the wrong place.
pub(super) fn check_header(name: &str, value: &str, earlier: &[(String, Secret)]) -> Parsed<()> {
    let lower = name.to_ascii_lowercase();
    if let Some(reserved) = RESERVED_HEADERS.iter().find(|reserved| **reserved == lower) {
        let instead = if lower == "authorization" {
            "; REMOTE_WRITE_BASIC_AUTH_* and _BEARER_TOKEN set it"
        } else {
            ""
        };
        return Err(format!("is {reserved}, which is reserved{instead}"));
    }
    if lower.starts_with("proxy-") {
        return Err("begins with proxy-, which is reserved".to_owned());
    }
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err("has a name that no header may have".to_owned());
    }
    if HeaderValue::from_str(value).is_err() {
        return Err(
            "has a value that no header may have (a control character, such as a line end)".to_owned()
        );
    }
    if earlier.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
        return Err("has the name of an earlier one".to_owned());
    }
    Ok(())
}

/// Names under which receivers and gateways take credentials.
pub(super) fn looks_secret(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    ["auth", "key", "token", "secret", "password", "cookie", "credential"]
        .iter()
        .any(|part| header.contains(part))
}

fn check_tenant(text: &str) -> Parsed<String> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || TENANT_CHARACTERS.contains(&b);
    if !text.bytes().all(is_allowed) {
        return Err("has characters that Mimir and Cortex refuse".to_owned());
    }
    if text.len() > LONGEST_TENANT {
        return Err(format!("is longer than {LONGEST_TENANT} characters"));
    }
    if text == "." || text == ".." {
        return Err("is a name that Mimir and Cortex refuse".to_owned());
    }
    Ok(text.to_owned())
}

// === authentication ===

fn read_auth(reader: &mut Reader<'_>, user_info: Option<UserInfo>) -> Auth {
    let username = reader.parse(USERNAME, |_, text| {
        check_username(text)?;
        Ok(text.to_owned())
    });
    let password = reader.secret(PASSWORD, PASSWORD_FILE, check_no_control);
    let token = reader.secret(TOKEN, TOKEN_FILE, check_token);

    let basic = [USERNAME, PASSWORD, PASSWORD_FILE].into_iter().find(|name| reader.is_set(name));
    let bearer = [TOKEN, TOKEN_FILE].into_iter().find(|name| reader.is_set(name));
    if let (Some(bearer), Some(basic)) = (bearer, basic) {
        reader.problem(bearer, format!("is set together with {basic}: only one way to authenticate may be"));
    }
    if let (true, Some(other)) = (user_info.is_some(), basic.or(bearer)) {
        reader.problem(URL, format!("has user info, and {other} is set too: only one of them may be"));
    }
    if let (Some(password), false) = (basic, reader.is_set(USERNAME)) {
        reader.problem(password, format!("is set without {USERNAME}"));
    }
    if let Some(UserInfo { username, password }) = user_info {
        if password.is_some() {
            reader.warn_inline(URL, Some(PASSWORD_FILE));
        }
        let password = password.map(|password| SecretSource::Inline(Secret::new(password)));
        return Auth::Basic { username, password };
    }
    match (username, token) {
        (Some(username), _) => Auth::Basic { username, password },
        (None, Some(token)) => Auth::Bearer(token),
        (None, None) => Auth::None,
    }
}

/// RFC 7617, section 2.
pub(super) fn check_username(text: &str) -> Parsed<()> {
    if text.contains(':') {
        return Err("contains a colon, which ends the name in basic auth".to_owned());
    }
    check_no_control(text)
}

pub(super) fn check_no_control(text: &str) -> Parsed<()> {
    if text.chars().any(char::is_control) {
        return Err("contains a control character (a line end?)".to_owned());
    }
    Ok(())
}

pub(super) fn check_token(text: &str) -> Parsed<()> {
    if text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
        return Err("begins with the word Bearer, which is added anyway".to_owned());
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("contains a space, a line end or something that is not ASCII".to_owned());
    }
    Ok(())
}

// === TLS ===

fn read_tls(reader: &mut Reader<'_>) -> Option<Tls> {
    const CERT: &str = "REMOTE_WRITE_TLS_CERT";
    const CERT_FILE: &str = "REMOTE_WRITE_TLS_CERT_FILE";
    const KEY: &str = "REMOTE_WRITE_TLS_KEY";
    const KEY_FILE: &str = "REMOTE_WRITE_TLS_KEY_FILE";

    let ca = read_pem(reader, "REMOTE_WRITE_TLS_CA", "REMOTE_WRITE_TLS_CA_FILE", check_certificates);
    let cert = read_pem(reader, CERT, CERT_FILE, check_certificates);
    let key = read_pem(reader, KEY, KEY_FILE, check_key);
    if reader.is_set(KEY) {
        reader.warn_inline(KEY, Some(KEY_FILE));
    }
    let set = |names: [&'static str; 2]| names.into_iter().find(|name| reader.is_set(name));
    match (set([CERT_FILE, CERT]), set([KEY_FILE, KEY])) {
        (Some(cert), None) => {
            reader.problem(cert, format!("is set without a key: set {KEY_FILE} or {KEY} too"))
        }
        (None, Some(key)) => {
            reader.problem(key, format!("is set without a certificate: set {CERT_FILE} or {CERT} too"));
        }
        (None, None) | (Some(_), Some(_)) => {}
    }
    let insecure_skip_verify = reader.boolean(INSECURE_SKIP_VERIFY);
    if insecure_skip_verify == Some(true) {
        reader.warn(INSECURE_SKIP_VERIFY, NOT_VERIFIED);
    }
    let versions = [("TLS12", TlsVersion::Tls12), ("TLS13", TlsVersion::Tls13)];
    let min_version = reader.choice("REMOTE_WRITE_TLS_MIN_VERSION", &versions, &[]);
    Some(Tls {
        ca,
        identity: cert.zip(key),
        insecure_skip_verify: insecure_skip_verify?,
        min_version: min_version?,
    })
}

fn read_pem(
    reader: &mut Reader<'_>,
    name: &'static str,
    file: &'static str,
    check: fn(&[u8]) -> Parsed<()>,
) -> Option<Pem> {
    let inline = reader.parse(name, |_, text| check(text.as_bytes()).map(|()| Secret::new(text)));
    let path = reader.path(file);
    reader.not_both(name, file);
    inline.map(Pem::Inline).or(path.map(Pem::File))
}

pub(super) fn check_certificates(pem: &[u8]) -> Parsed<()> {
    match CertificateDer::pem_slice_iter(pem).try_fold(0_usize, |count, section| section.map(|_| count + 1)) {
        Ok(0) => Err("holds no certificate in PEM".to_owned()),
        Ok(_) => Ok(()),
        Err(_) => Err("is broken PEM (are the line ends kept?)".to_owned()),
    }
}

pub(super) fn check_key(pem: &[u8]) -> Parsed<()> {
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(_) => Ok(()),
        Err(_) => Err("holds no private key in PEM (unencrypted PKCS#8, PKCS#1 or SEC1)".to_owned()),
    }
}

fn warn_about_plain_text(reader: &mut Reader<'_>, url: &Url, auth: &Auth, headers: &[(String, Secret)]) {
    if url.scheme() != "http" {
        return;
    }
    let credentials = match auth {
        Auth::Basic { .. } | Auth::Bearer(_) => true,
        Auth::None => headers.iter().any(|(name, _)| looks_secret(name)),
    };
    if credentials {
        reader.warn(URL, "is http://: credentials go over the network in plain text; use https://");
    }
    let tls =
        ["CA_FILE", "CA", "CERT_FILE", "CERT", "KEY_FILE", "KEY", "INSECURE_SKIP_VERIFY", "MIN_VERSION"];
    for name in tls.map(|end| format!("REMOTE_WRITE_TLS_{end}")) {
        if reader.is_set(&name) {
            reader.warn(&name, format!("has no effect, because {URL} is http://"));
        }
    }
}
