//! Our own pages for people and scrapers of this host, answered from memory on an OS thread of their own.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tracing::error;

use super::server::Answer;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// Prometheus's text format.
const EXPOSITION: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Where the pages' content comes from; called on the thread of the pages, once for each request. Must not block.
pub trait Content: Send + Sync {
    /// Our own series in text format 0.0.4.
    fn metrics(&self) -> String;
    /// One JSON object.
    fn status(&self) -> String;
    /// Whether samples are taken in; if not, why.
    ///
    /// # Errors
    /// Why not.
    fn ready(&self) -> Result<(), String>;
}

/// The pages. Clones share the content.
#[derive(Clone, Default)]
pub struct Pages(Arc<OnceLock<Box<dyn Content>>>);

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pages").field(&self.0.get().is_some()).finish()
    }
}

impl Pages {
    /// Gives the content, once it is there; until then `/-/healthy` is the only page. The first one stays.
    pub fn open(&self, content: Box<dyn Content>) {
        if self.0.set(content).is_err() {
            error!("the telemetry pages were opened twice");
        }
    }

    fn page(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !matches!(path, "/metrics" | "/status" | "/-/healthy" | "/-/ready") {
            let known = "there are /metrics, /status, /-/healthy and /-/ready\n";
            return response(StatusCode::NOT_FOUND, TEXT, known.to_owned());
        }
        if method != Method::GET && method != Method::HEAD {
            let mut refusal =
                response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned());
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        if path == "/-/healthy" {
            return response(StatusCode::OK, TEXT, "healthy\n".to_owned());
        }
        let Some(content) = self.0.get() else {
            return response(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the queue is being opened\n".to_owned());
        };
        match (path, content.ready()) {
            ("/metrics", _) => response(StatusCode::OK, EXPOSITION, content.metrics()),
            ("/status", _) => response(StatusCode::OK, JSON, content.status()),
            (_, Ok(())) => response(StatusCode::OK, TEXT, "ready\n".to_owned()),
            (_, Err(why)) => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
        }
    }
}

impl Answer for Pages {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        Ok(self.page(request.method(), request.uri().path()))
    }
}

fn response(status: StatusCode, content: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Result<(), String>);

    impl Content for Fixed {
        fn metrics(&self) -> String {
            "a 1\n".to_owned()
        }
        fn status(&self) -> String {
            "{}".to_owned()
        }
        fn ready(&self) -> Result<(), String> {
            self.0.clone()
        }
    }

    fn status(pages: &Pages, method: Method, path: &str) -> u16 {
        pages.page(&method, path).status().as_u16()
    }

    #[test]
    fn before_the_queue_is_open_only_health_is_known() {
        let pages = Pages::default();
        for (path, expected) in
            [("/-/healthy", 200), ("/-/ready", 503), ("/metrics", 503), ("/status", 503), ("/", 404)]
        {
            assert_eq!(status(&pages, Method::GET, path), expected, "{path}");
        }
    }

    #[test]
    fn pages_have_their_types_and_only_get_is_answered() {
        let pages = Pages::default();
        pages.open(Box::new(Fixed(Err("no scrape yet".to_owned()))));
        assert_eq!(status(&pages, Method::GET, "/-/ready"), 503);
        assert_eq!(status(&pages, Method::POST, "/metrics"), 405);
        assert_eq!(status(&pages, Method::POST, "/MetricsCollector.StopMetrics"), 404);
        assert_eq!(pages.page(&Method::GET, "/metrics").headers()[CONTENT_TYPE], EXPOSITION);
        assert_eq!(pages.page(&Method::GET, "/status").headers()[CONTENT_TYPE], JSON);
        let pages = Pages::default();
        pages.open(Box::new(Fixed(Ok(()))));
        assert_eq!(status(&pages, Method::HEAD, "/-/ready"), 200);
    }
}
