//! The look at everything after each step.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use docker_remote_write::model::now_ms;
use docker_remote_write::queue::{Faults, Ledger, Queue};
use docker_remote_write::receiver::Protocol;
use docker_remote_write::remote::ProtobufMessage;

use super::super::DEADLINE;
use super::super::disk::{self, Cursor};
use super::super::endpoint::Arrival;
use super::super::key::{keys_of_record, keys_of_request};
use super::super::model::{ENDPOINTS, Fate, Part};
use super::{Failed, Held, SYNTHETIC, Story};

impl Story {
    /// Waits until nothing moves: each endpoint that has something pending has asked for an answer, the next scrape has begun, and the
    /// disk has what it is to have. Then everything must agree.
    pub(super) async fn rest(&mut self, since: i64) {
        let start = Instant::now();
        let mut arrived = [None, None];
        let mut looks = 0;
        loop {
            while let Ok(arrival) = self.life().arrivals.try_recv() {
                let endpoint = arrival.endpoint;
                let asked = self.held[endpoint].is_some() || arrived[endpoint].is_some();
                assert!(!asked, "two requests in flight to endpoint {endpoint}");
                arrived[endpoint] = Some(arrival);
            }
            if self.life().running {
                self.life().target.scrape_begins().await;
            }
            if self.is_at_rest(&arrived) {
                break;
            }
            let stats = self.life().queue.stats();
            assert!(start.elapsed() < DEADLINE, "never at rest: {arrived:?} {stats:?}");
            looks += 1;
            if looks % 20 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            } else {
                std::thread::yield_now();
                tokio::task::yield_now().await;
            }
        }
        self.audit(arrived, since).await;
    }

    pub(super) fn is_at_rest(&self, arrived: &[Option<Arrival>; ENDPOINTS]) -> bool {
        let life = self.life.as_ref().unwrap();
        let asked = |endpoint: usize| self.held[endpoint].is_some() || arrived[endpoint].is_some();
        if (0..ENDPOINTS).any(|endpoint| life.queue.ledger(endpoint).pending > 0 && !asked(endpoint)) {
            return false;
        }
        let stats = life.queue.stats();
        if self.in_memory {
            return true;
        }
        let queue = self.dir.path().join("queue");
        stats.waiting_records == 0
            && disk::segments(&queue).len() as u64 == stats.segments
            && (0..ENDPOINTS).all(|at| disk::cursors(&queue)[at] == Cursor::At(life.queue.cursor(at)))
    }

    pub(super) async fn audit(&mut self, arrived: [Option<Arrival>; ENDPOINTS], since: i64) {
        let queue = self.life().queue.clone();
        self.learn_records(&queue).await;
        self.learn_overflow(&queue).await;
        for (endpoint, arrival) in arrived.into_iter().enumerate() {
            self.learn_request(endpoint, arrival, since);
        }
        let counted = self.life().metrics.snapshot();
        let ledgers = [0, 1].map(|endpoint| queue.ledger(endpoint));
        for (endpoint, ledger) in ledgers.iter().enumerate() {
            self.model.follow(endpoint, queue.cursor(endpoint));
            assert_closes(ledger);
            assert_eq!(ledger, &self.model.ledgers[endpoint], "program and model at endpoint {endpoint}");
            // All that was exposed is appended or discarded, and all that was appended has one place.
            assert_eq!((counted.scrapes_succeeded, counted.scrapes_failed), self.scrapes);
            let scrapes = self.scrapes.0 + self.scrapes.1;
            let own_lines = self.life().own_lines();
            let scraped = self.lines + SYNTHETIC * scrapes + own_lines + counted.markers;
            let Ledger { recovered, delivered, rejected, expired, overflowed, lost_at_exit, pending, .. } =
                *ledger;
            assert_eq!(
                scraped + recovered,
                delivered + rejected + expired + overflowed + lost_at_exit + pending + counted.discarded(),
                "what was scraped, endpoint {endpoint}"
            );
            // The receiver's own count.
            let stored = self.strict[endpoint].read(|state| state.store.samples() + state.duplicates);
            let booked =
                self.model.delivered_before[endpoint] + delivered + self.model.stored_unbooked[endpoint];
            assert_eq!(
                self.model.stored[endpoint], booked,
                "endpoint {endpoint} holds what it was said to hold"
            );
            assert_eq!(stored + self.late[endpoint], booked, "the receiver's count, endpoint {endpoint}");
        }
        let (stats, knobs) = (queue.stats(), self.life().knobs);
        assert!(stats.disk_bytes <= knobs.max_disk_bytes);
        assert_eq!(stats.faults, Faults::default());
    }

    pub(super) async fn learn_records(&mut self, queue: &Queue) {
        let end = *queue.end().borrow();
        let mut from = self.known_end;
        while let Some(record) = queue.read(from).await.unwrap() {
            from = record.sequence + 1;
            let keys = keys_of_record(&record.payload);
            self.model.append(record.sequence, record.meta, keys);
        }
        self.known_end = end;
        // Records that went in the moment in which they came: a ring that is smaller than what one scrape becomes, or a byte cap of which
        // the journals have their share.
        let unseen = queue.ledger(0).appended - self.model.ledgers[0].appended;
        let knobs = self.life().knobs;
        assert!(
            unseen == 0 || knobs.has_small_ring() || knobs.is_tight(),
            "{unseen} samples are gone at once"
        );
        *self.tally.entry("samples overflowed at once").or_default() += unseen;
        for ledger in &mut self.model.ledgers {
            ledger.appended += unseen;
            ledger.overflowed += unseen;
        }
    }

    pub(super) async fn learn_overflow(&mut self, queue: &Queue) {
        let overflowed = queue.stats().overflowed_records;
        if std::mem::replace(&mut self.overflowed_records, overflowed) == overflowed {
            return;
        }
        self.note("overflow");
        let knobs = self.life().knobs;
        assert!(knobs.is_tight() || knobs.has_small_ring(), "an overflow for nothing");
        let mut there = BTreeSet::new();
        let mut from = 0;
        while let Some(record) = queue.read(from).await.unwrap() {
            there.insert(record.sequence);
            from = record.sequence + 1;
        }
        let mut lost = 0;
        for endpoint in 0..ENDPOINTS {
            for sequence in self
                .model
                .waiting(endpoint)
                .into_iter()
                .filter(|sequence| !there.contains(sequence))
                .collect::<Vec<_>>()
            {
                lost += self.model.drop_record(endpoint, sequence, Fate::Overflowed);
            }
        }
        *self.tally.entry("samples overflowed").or_default() += lost;
    }

    /// What an endpoint is asked now, and what has expired on the way there.
    pub(super) fn learn_request(&mut self, endpoint: usize, arrival: Option<Arrival>, since: i64) {
        let limit = self.life().knobs.limit_of(endpoint);
        let limit = limit.map(|limit| i64::try_from(limit.as_millis()).unwrap());
        let expired = match arrival {
            Some(arrival) => {
                let (parts, skipped) =
                    self.model.locate(endpoint, &keys_of_request(arrival.protocol, &arrival.body));
                let pinned = match self.life().knobs.messages[endpoint] {
                    ProtobufMessage::Auto => None,
                    ProtobufMessage::V1 => Some(Protocol::V1),
                    ProtobufMessage::V2 => Some(Protocol::V2),
                };
                assert!(pinned.is_none_or(|pinned| pinned == arrival.protocol), "endpoint {endpoint}");
                let before = self.failed[endpoint].take();
                if let Some(Failed { parts: before, protocol, body }) =
                    before.filter(|failed| self.model.is_pending(endpoint, &failed.parts))
                    // Another message may hold more or fewer of them.
                    && protocol == arrival.protocol
                    && skipped.is_empty()
                    && limit.is_none()
                {
                    assert_eq!(parts, before, "a resend to endpoint {endpoint}");
                    assert!(body == arrival.body, "a resend to endpoint {endpoint} has other bytes");
                }
                let newest = |part: &Part| self.model.newest(*part);
                let is_young = |part| limit.is_none_or(|limit| newest(part) >= since - limit);
                assert!(
                    parts.iter().all(is_young),
                    "endpoint {endpoint} is asked to take what has expired: {parts:?}"
                );
                self.held[endpoint] = Some(Held { arrival, parts });
                skipped
            }
            None if self.held[endpoint].is_some() => Vec::new(),
            None => self.model.waiting(endpoint),
        };
        let mut lost = 0;
        for sequence in expired {
            let newest = self.model.records[&sequence].meta.max_timestamp;
            let is_old = limit.is_some_and(|limit| newest < now_ms() - limit);
            assert!(is_old, "endpoint {endpoint} passes over record {sequence}");
            lost += self.model.drop_record(endpoint, sequence, Fate::Expired);
        }
        *self.tally.entry("samples expired").or_default() += lost;
    }
}

pub(super) fn assert_closes(ledger: &Ledger) {
    let Ledger { appended, recovered, delivered, rejected, expired, overflowed, lost_at_exit, pending } =
        *ledger;
    let places = delivered + rejected + expired + overflowed + lost_at_exit + pending;
    assert_eq!(appended + recovered, places, "{ledger:?}");
}
