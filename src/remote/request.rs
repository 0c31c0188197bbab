use std::borrow::Cow;

use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};

use super::files::Material;
use super::protocol::Version;
use super::{Auth, Config};

const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");

/// Counts the resends of a request, as Prometheus does (remote-write 5.02); Mimir makes its Retry-After longer by it.
const RETRY_ATTEMPT: HeaderName = HeaderName::from_static("retry-attempt");

/// A header of the settings that HTTP cannot carry. Never shows its value.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// Not a header's name.
    #[error("REMOTE_WRITE_HEADERS: {name:?} is not a header name")]
    Name {
        /// As it was given.
        name: String,
    },
    /// Control characters or the like.
    #[error("REMOTE_WRITE_HEADERS: the value of {name} holds a character that a header cannot carry")]
    Value {
        /// The header's name.
        name: String,
    },
    /// Control characters or the like in a user's name, a password or a token.
    #[error("the credentials hold a character that a header cannot carry")]
    Credentials,
}

/// The headers of every request of an endpoint: the custom ones, then those of the protocol, which nothing overrides
/// (remote-write 1.02, 1.03, 1.04).
pub(super) fn headers(
    config: &Config,
    material: &Material,
    http: &reqwest::Client,
) -> Result<HeaderMap, HeaderError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let header =
            HeaderName::try_from(name.as_str()).map_err(|_| HeaderError::Name { name: name.clone() })?;
        let mut value =
            HeaderValue::try_from(value.expose()).map_err(|_| HeaderError::Value { name: name.clone() })?;
        value.set_sensitive(true);
        headers.append(header, value);
    }
    if let Some(authorization) = authorization(config, material, http)? {
        headers.insert(AUTHORIZATION, authorization);
    }
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    headers.insert(VERSION, HeaderValue::from_static("0.1.0"));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("docker-remote-write/", env!("CARGO_PKG_VERSION"))),
    );
    Ok(headers)
}

/// Who we say we are. reqwest writes the header, on a request that is never sent: it brings base64 along.
fn authorization(
    config: &Config,
    material: &Material,
    http: &reqwest::Client,
) -> Result<Option<HeaderValue>, HeaderError> {
    let secret = material.secret.as_ref().map(|secret| secret.expose());
    let request = http.post(config.url.clone());
    let request = match &config.auth {
        Auth::None => return Ok(None),
        Auth::Basic { username, password: _ } => request.basic_auth(username, secret),
        Auth::Bearer(_) => request.bearer_auth(secret.unwrap_or_default()),
    };
    let mut request = request.build().map_err(|_| HeaderError::Credentials)?;
    Ok(request.headers_mut().remove(AUTHORIZATION))
}

/// The same headers for a request of this version. Thanos takes 2.0 only if they are these to the byte (receivers section 1).
pub(super) fn spoken(headers: &HeaderMap, version: Version) -> HeaderMap {
    let mut headers = headers.clone();
    match version {
        Version::V1 => {}
        Version::V2 => {
            let content_type = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            headers.insert(VERSION, HeaderValue::from_static("2.0.0"));
        }
    }
    headers
}

/// Adds what differs from request to request: the count of resends.
pub(super) fn numbered(request: reqwest::RequestBuilder, resend: u64) -> reqwest::RequestBuilder {
    if resend == 0 { request } else { request.header(RETRY_ATTEMPT, resend) }
}

const SHORTEST_USER: usize = 4;

/// Values that must not come back out of a server's text: the credentials, as they are and as they were sent, custom headers, and
/// what stands in the URL's query. A user's name of less than four letters would take words apart that are none. A tenant is no secret, and helps in an error message.
pub(super) fn secrets<'a>(
    config: &'a Config,
    material: &'a Material,
    headers: &'a HeaderMap,
) -> impl Iterator<Item = Cow<'a, str>> {
    let is_tenant = |name: &str| {
        ["x-scope-orgid", "thanos-tenant"].iter().any(|tenant| name.eq_ignore_ascii_case(tenant))
    };
    let custom = config.headers.iter().filter(move |(name, _)| !is_tenant(name));
    let user = match &config.auth {
        Auth::Basic { username, password: _ } => {
            Some(username.as_str()).filter(|name| name.len() >= SHORTEST_USER)
        }
        Auth::None | Auth::Bearer(_) => None,
    };
    // As it was sent and as a server may have read it; the longest first, before a part of it is taken out.
    let query = config.url.query().into_iter().flat_map(|query| {
        let values = query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1));
        std::iter::once(query).chain(values)
    });
    let decoded = config.url.query_pairs().map(|(_, value)| value);
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    custom
        .map(|(_, value)| value.expose())
        .chain(material.secret.as_ref().map(|secret| secret.expose()))
        .chain(sent.and_then(|header| header.split(' ').next_back()))
        .chain(query)
        .chain(user)
        .map(Cow::Borrowed)
        .chain(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;
    use crate::remote::tests::config;

    fn made(config: &Config) -> Result<HeaderMap, HeaderError> {
        crate::remote::install_crypto_provider();
        headers(config, &Material::default(), &reqwest::Client::new())
    }

    fn with(name: &str, value: &str) -> Config {
        let headers = vec![(name.to_owned(), Secret::new(value))];
        Config { headers, ..config("http://127.0.0.1:1/") }
    }

    #[test]
    fn the_protocols_headers_win_over_custom_ones_rw_1_04() {
        let headers = made(&with("Content-Encoding", "gzip")).unwrap();
        assert_eq!(headers.get_all(CONTENT_ENCODING).iter().collect::<Vec<_>>(), ["snappy"]);
    }

    #[test]
    fn a_header_that_http_cannot_carry_is_an_error_without_its_value() {
        let said = made(&with("X Y", "hunter2")).unwrap_err().to_string();
        assert_eq!(said, r#"REMOTE_WRITE_HEADERS: "X Y" is not a header name"#);
        let said = made(&with("X-Key", "hunter2\n")).unwrap_err().to_string();
        assert_eq!(
            said,
            "REMOTE_WRITE_HEADERS: the value of X-Key holds a character that a header cannot carry"
        );
    }

    #[test]
    fn custom_values_are_not_shown_by_debug() {
        let headers = made(&with("X-Key", "hunter2")).unwrap();
        assert!(!format!("{headers:?}").contains("hunter2"), "{headers:?}");
    }
}
