use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::Fault;
use super::server::Answer;
use crate::collector::Control;

/// The type that dockerd's client sends as `Accept` and expects back (docker-plugin 4).
const CONTENT: HeaderValue = HeaderValue::from_static("application/vnd.docker.plugins.v1.2+json");

/// StopMetrics may wait that long for the last scrape, and no longer: a shutting-down engine has 15 s for all its plugins together.
pub(super) const STOP_WAIT: Duration = Duration::from_millis(500);

/// A body means nothing to us. So much of it is read, and for so long, to keep the connection usable; then it is closed after the answer.
const MAX_BODY_BYTES: usize = 64 * 1024;
const BODY_WAIT: Duration = Duration::from_secs(1);

/// The three calls of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Activate,
    Start,
    Stop,
}

/// What a request line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Call(Call),
    /// The path is known, the method is not POST.
    WrongMethod,
    Unknown,
}

/// `Plugin.Activate` comes to legacy plugins only, and is answered all the same.
#[derive(Serialize)]
struct Activated {
    #[serde(rename = "Implements")]
    implements: [&'static str; 1],
}

/// The answer to everything else; no words mean success.
#[derive(Serialize)]
struct Done<'a> {
    #[serde(rename = "Err")]
    err: &'a str,
}

/// The meaning of dockerd's calls.
#[derive(Clone, Debug)]
pub(super) struct Api {
    control: Control,
    fault: Fault,
}

impl Api {
    pub(super) fn new(control: Control, fault: Fault) -> Self {
        Self { control, fault }
    }

    /// Answers one request. The call takes effect before the body is looked at.
    pub(super) async fn answer<B>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (method, path) = (request.method(), request.uri().path());
        let mut response = match route(method, path) {
            Route::Call(Call::Activate) => {
                response(StatusCode::OK, &Activated { implements: ["MetricsCollector"] })
            }
            Route::Call(Call::Start) => self.start(),
            Route::Call(Call::Stop) => self.stop().await,
            Route::WrongMethod => {
                warn!(%method, path, "a call that is not POST: answered 405");
                let mut refusal = failure(StatusCode::METHOD_NOT_ALLOWED, "only POST is understood here");
                refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                refusal
            }
            Route::Unknown => {
                warn!(%method, path, "an unknown call: answered 404");
                failure(StatusCode::NOT_FOUND, "unknown call: this plugin implements MetricsCollector")
            }
        };
        let body = Limited::new(request.into_body(), MAX_BODY_BYTES);
        let whole = timeout(BODY_WAIT, drain(body)).await.unwrap_or(false);
        if !whole {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    fn start(&self) -> Response<Full<Bytes>> {
        if let Some(reason) = self.fault.reason() {
            error!(reason, "dockerd called StartMetrics: answered 500, nothing is scraped");
            return failure(StatusCode::INTERNAL_SERVER_ERROR, reason);
        }
        self.control.start();
        info!("dockerd called StartMetrics: scraping");
        success()
    }

    async fn stop(&self) -> Response<Full<Bytes>> {
        let generation = self.control.stop();
        if self.control.stopped(generation, STOP_WAIT).await {
            info!("dockerd called StopMetrics: scraping has ended");
        } else {
            let waited_ms = STOP_WAIT.as_millis();
            warn!(
                waited_ms = waited_ms as u64,
                "dockerd called StopMetrics: answered before the last scrape has ended"
            );
        }
        success()
    }
}

impl Answer for Api {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        Api::answer(self, request).await
    }
}

fn route(method: &Method, path: &str) -> Route {
    let call = match path {
        "/Plugin.Activate" => Call::Activate,
        "/MetricsCollector.StartMetrics" => Call::Start,
        "/MetricsCollector.StopMetrics" => Call::Stop,
        #[cfg(test)]
        "/Panic" => panic!("a test wants it so"),
        _ => return Route::Unknown,
    };
    if method == Method::POST { Route::Call(call) } else { Route::WrongMethod }
}

/// Whether the body came to its end. Frames are thrown away as they come.
async fn drain<B: Body>(body: B) -> bool {
    let mut body = std::pin::pin!(body);
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return false;
        }
    }
    true
}

fn success() -> Response<Full<Bytes>> {
    response(StatusCode::OK, &Done { err: "" })
}

/// Since 28.0 dockerd reads the words only when the status is not 200.
fn failure(status: StatusCode, words: &str) -> Response<Full<Bytes>> {
    response(status, &Done { err: words })
}

fn response(status: StatusCode, answer: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(answer).expect("a struct of strings is always JSON");
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, CONTENT);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use tokio::time::Instant;

    use super::*;
    use crate::collector::{Commands, Wanted, control};

    fn api() -> (Api, Commands, Fault) {
        let (control, commands) = control();
        let fault = Fault::default();
        (Api::new(control, fault.clone()), commands, fault)
    }

    async fn post(api: &Api, path: &str) -> (StatusCode, String) {
        let request = Request::post(path).body(Empty::<Bytes>::new()).unwrap();
        let (parts, body) = api.answer(request).await.unwrap().into_parts();
        assert_eq!(parts.headers[CONTENT_TYPE], CONTENT);
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn request_lines_are_told_apart() {
        let cases = [
            (Method::POST, "/Plugin.Activate", Route::Call(Call::Activate)),
            (Method::POST, "/MetricsCollector.StartMetrics", Route::Call(Call::Start)),
            (Method::POST, "/MetricsCollector.StopMetrics", Route::Call(Call::Stop)),
            (Method::GET, "/MetricsCollector.StopMetrics", Route::WrongMethod),
            (Method::HEAD, "/Plugin.Activate", Route::WrongMethod),
            (Method::POST, "/metricscollector.startmetrics", Route::Unknown),
            (Method::POST, "/", Route::Unknown),
            (Method::GET, "/VolumeDriver.Mount", Route::Unknown),
        ];
        for (method, path, meaning) in cases {
            assert_eq!(route(&method, path), meaning, "{method} {path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn start_metrics_is_answered_in_no_time_whoever_listens() {
        let (api, commands, _) = api();
        let before = Instant::now();
        for starts in 1..=5 {
            assert_eq!(post(&api, "/MetricsCollector.StartMetrics").await.1, r#"{"Err":""}"#);
            let command = *commands.wanted.borrow();
            assert_eq!((command.wanted, command.starts), (Wanted::Running, starts));
        }
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn stop_metrics_waits_500_ms_for_a_collector_that_does_not_answer() {
        let (api, commands, _) = api();
        let before = Instant::now();
        let (status, body) = post(&api, "/MetricsCollector.StopMetrics").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"Err":""}"#));
        assert_eq!(before.elapsed(), Duration::from_millis(500));
        assert_eq!(commands.wanted.borrow().wanted, Wanted::Stopped);
    }

    #[tokio::test(start_paused = true)]
    async fn stop_metrics_is_answered_when_the_last_scrape_ends() {
        let (api, mut commands, _) = api();
        let before = Instant::now();
        let collector = async {
            commands.wanted.changed().await.unwrap();
            let generation = commands.wanted.borrow().generation;
            tokio::time::sleep(Duration::from_millis(123)).await;
            commands.done.send_replace(generation);
        };
        let ((_, body), ()) = tokio::join!(post(&api, "/MetricsCollector.StopMetrics"), collector);
        assert_eq!(body, r#"{"Err":""}"#);
        assert_eq!(before.elapsed(), Duration::from_millis(123));
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_is_gone_is_not_waited_for() {
        let (api, commands, _) = api();
        drop(commands);
        let before = Instant::now();
        assert_eq!(post(&api, "/MetricsCollector.StopMetrics").await.0, StatusCode::OK);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn with_a_fault_start_metrics_says_why_and_starts_nothing() {
        let (api, commands, fault) = api();
        assert!(fault.set("REMOTE_WRITE_URL is not set\n(\"required\")"));
        assert!(!fault.set("a later reason"));
        let (status, body) = post(&api, "/MetricsCollector.StartMetrics").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body, r#"{"Err":"REMOTE_WRITE_URL is not set\n(\"required\")"}"#);
        assert_eq!(commands.wanted.borrow().starts, 0);
        assert_eq!(post(&api, "/Plugin.Activate").await.1, r#"{"Implements":["MetricsCollector"]}"#);
    }
}
