use super::*;

/// What is packed is a tenth as long.
fn tenth(payload: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&payload[..payload.len() / 10])
}

const RAW: Form = Form::Raw(Pack(tenth));

fn append_raw(queue: &Queue, seed: u64) -> u64 {
    queue.append_with(meta(10), payload(seed, 1000), RAW, |_, _| ())
}

#[tokio::test]
async fn a_raw_record_stays_so_while_it_is_left_to_the_endpoints_and_is_packed_when_it_is_written() {
    let mut home = Home::new();
    home.timing.linger = Duration::from_secs(3600);
    let queue = home.open(&["a"]);
    let sequence = append_raw(&queue, 1);
    let record = queue.read(sequence).await.unwrap().unwrap();
    assert_eq!((record.form, &record.payload), (RAW, &payload(1, 1000)));
    queue.close().await;
    drop(queue);
    let record = home.open(&["a"]).read(sequence).await.unwrap().unwrap();
    assert_eq!((record.form, record.payload), (Form::Packed, tenth(&payload(1, 1000))));
}

#[tokio::test]
async fn records_are_packed_at_their_append_once_an_eighth_of_the_ring_is_raw() {
    let mut home = Home::new();
    home.timing.linger = Duration::from_secs(3600);
    home.max_memory_bytes = 16_000;
    let queue = home.open(&["a"]);
    for seed in 1..=4 {
        append_raw(&queue, seed);
    }
    let forms: Vec<Form> = read_all(&queue).await.iter().map(|record| record.form).collect();
    assert_eq!(forms, [RAW, RAW, Form::Packed, Form::Packed]);
    assert_eq!(queue.stats().memory_bytes, 2 * 1000 + 2 * 100 + 4 * 128);
}
