use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::batch::Batch;
use crate::queue::Queue;

/// The bucket holds what may be sent in this time.
const BURST: Duration = Duration::from_secs(1);

/// `REMOTE_WRITE_RATE_LIMIT`: a token bucket over the bodies' bytes, for requests of a backlog only.
///
/// It holds one second's worth. A request waits until the bucket has its bytes; a larger one than the bucket waits until that
/// is full, leaves a debt, and the next one waits until that is paid. So what is sent within any `t` seconds is at most
/// `limit * (t + 1)`, or one request. What is sent again counts again: it takes the same way.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: Option<u64>,
    /// When the bucket will be full again. Bytes are measured in the time that they take.
    full_at: Instant,
}

impl Pace {
    pub(super) fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, full_at: Instant::now() }
    }

    /// Waits until this batch may be sent. Not at all where it is the newest scrape: a limit must not delay what is in time.
    /// Safe to abandon: nothing is taken then.
    pub(super) async fn admit(&mut self, queue: &Queue, batch: &Batch) {
        let Some(bytes_per_second) = self.bytes_per_second else { return };
        if is_newest(queue, batch).await {
            return;
        }
        let cost = time_for(batch.body.len(), bytes_per_second);
        sleep_until(self.earliest(cost)).await;
        self.take(cost);
    }

    /// When the bucket has this much.
    fn earliest(&self, cost: Duration) -> Instant {
        self.full_at - (BURST - cost.min(BURST))
    }

    fn take(&mut self, cost: Duration) {
        self.full_at = self.full_at.max(Instant::now()) + cost;
    }
}

/// How long the limit needs for so many bytes.
fn time_for(bytes: usize, bytes_per_second: u64) -> Duration {
    let nanos = (bytes as u128 * 1_000_000_000).div_ceil(u128::from(bytes_per_second.max(1)));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Whether nothing newer waits than what the batch begins with. All records of a scrape, our own series included, carry its
/// timestamp.
async fn is_newest(queue: &Queue, batch: &Batch) -> bool {
    let end = *queue.end().borrow();
    // The newest record is in memory. One that cannot be read is no reason to hurry.
    let newest = queue.read(end.saturating_sub(1)).await.ok().flatten();
    newest.is_some_and(|newest| newest.meta.max_timestamp <= batch.first_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1 << 10;

    /// Sends bodies as fast as the limit lets it; returns when each went, in ms since the beginning.
    async fn sent_at(pace: &mut Pace, bodies: &[usize]) -> Vec<u128> {
        let began = Instant::now();
        let mut at = Vec::new();
        for &bytes in bodies {
            let cost = time_for(bytes, pace.bytes_per_second.unwrap());
            sleep_until(pace.earliest(cost)).await;
            pace.take(cost);
            at.push(began.elapsed().as_millis());
        }
        at
    }

    #[tokio::test(start_paused = true)]
    async fn a_seconds_worth_goes_at_once_and_the_rest_at_the_limit() {
        let mut pace = Pace::new(Some(64 << 10));
        let at = sent_at(&mut pace, &[16 * KIB; 12]).await;
        assert_eq!(at, [0, 0, 0, 0, 250, 500, 750, 1000, 1250, 1500, 1750, 2000]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_bucket_holds_no_more_than_a_second() {
        let mut pace = Pace::new(Some(64 << 10));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(sent_at(&mut pace, &[64 * KIB, 64 * KIB]).await, [0, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_larger_than_a_seconds_worth_goes_when_the_bucket_is_full_and_is_paid_by_the_next() {
        let mut pace = Pace::new(Some(64 << 10));
        let at = sent_at(&mut pace, &[16 * KIB, 256 * KIB, 16 * KIB]).await;
        // 250 ms until the bucket is full; 256 KiB are 4 s, of which the bucket held one.
        assert_eq!(at, [0, 250, 250 + 4000 - 1000 + 250]);
    }

    #[test]
    fn time_is_rounded_up_and_never_overflows() {
        assert_eq!(time_for(1, 3), Duration::from_nanos(333_333_334));
        assert_eq!(time_for(usize::MAX, 1), Duration::from_nanos(u64::MAX));
    }
}
