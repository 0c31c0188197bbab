//! A secret in a setting that is wrong is not shown.

use crate::support::program::{Program, World, with};

const MARK: &str = "MARKER";

fn assert_clean(place: &str, text: &str) {
    let at = text.find(MARK);
    assert!(at.is_none(), "{place}: {}", &text[at.unwrap().saturating_sub(200)..]);
}

#[tokio::test]
async fn a_setting_that_is_wrong_does_not_show_the_secret_in_it() {
    let world = World::new().await;
    for (name, value) in [
        ("REMOTE_WRITE_URL", "http://MARKER:MARKER@host:MARKER/"),
        ("REMOTE_WRITE_URL", "MARKER://MARKER"),
        ("REMOTE_WRITE_BEARER_TOKEN", "MARKER with blanks \u{e9}"),
        ("REMOTE_WRITE_HEADERS", "X-Key=MARKER,MARKER"),
        ("REMOTE_WRITE_HEADERS", "Authorization=MARKER"),
        ("REMOTE_WRITE_BASIC_AUTH_PASSWORD", "MARKER\n"),
        ("REMOTE_WRITE_TLS_KEY", "-----BEGIN PRIVATE KEY-----\nMARKER\n-----END PRIVATE KEY-----"),
        ("REMOTE_WRITE_CONFIG", "- url: http://h/\n  basic_auth: {password: MARKER, password: [MARKER\n"),
        ("REMOTE_WRITE_CONFIG", "- url: http://h/\n  basic_auth: MARKER\n"),
        ("REMOTE_WRITE_CONFIG", "- url: http://h/\n  authorization: {credentials: {MARKER: MARKER}}\n"),
        ("REMOTE_WRITE_CONFIG", "MARKER: [MARKER"),
        ("SCRAPE_URL", "http://MARKER:MARKER@127.0.0.1:1/"),
    ] {
        let settings = with(world.settings(), &[(name, value)]);
        let (status, said) = Program::start(&["run"], &settings).ended().await;
        assert_eq!(status.code(), Some(78), "{name}={value}: {said}");
        assert!(said.contains(name), "{said}");
        assert_clean(name, &said);
    }
    let (mut program, mut dockerd) =
        world.plugin(&[("REMOTE_WRITE_URL", "http://MARKER:MARKER@host:MARKER/")]).await;
    program.says("nothing is scraped or sent").await;
    assert_clean("StartMetrics", &dockerd.start_metrics().await.unwrap().body);
    assert_clean("plugin", &program.terminated().await.1);
}
