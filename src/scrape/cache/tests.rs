use super::*;

fn scrape(cache: &mut LineCache, lines: &[&str]) -> (Vec<Option<Line>>, Vec<u32>) {
    cache.begin();
    let found = lines
        .iter()
        .map(|line| {
            let found = cache.find(line.as_bytes(), Spelling::AsExposed).map(|found| found.line);
            if found.is_none() {
                let slot = line.bytes().last().unwrap();
                cache.insert(line.as_bytes(), Spelling::AsExposed, Line::Series(u32::from(slot)), 0);
            }
            found
        })
        .collect();
    let mut forgotten = Vec::new();
    cache.end(true, |slot| forgotten.push(slot));
    (found, forgotten)
}

fn found(line: Line, cached: bool) -> Found {
    Found { line, cached, repeated: false }
}

#[test]
fn lines_are_found_in_any_order_and_forgotten_when_a_good_scrape_lacks_them() {
    let mut cache = LineCache::default();
    let [a, b, c] = [b'a', b'b', b'c'].map(|slot| Line::Series(u32::from(slot)));
    assert_eq!(scrape(&mut cache, &["a", "b", "c"]), (vec![None, None, None], vec![]));
    assert_eq!(scrape(&mut cache, &["a", "b", "c"]), (vec![Some(a), Some(b), Some(c)], vec![]));
    assert_eq!(scrape(&mut cache, &["c", "a", "b"]), (vec![Some(c), Some(a), Some(b)], vec![]));
    assert_eq!(scrape(&mut cache, &["c", "x", "b"]), (vec![Some(c), None, Some(b)], vec![u32::from(b'a')]));
    assert_eq!(scrape(&mut cache, &["a", "c", "c"]).0, vec![None, Some(c), Some(c)]);
}

#[test]
fn a_failed_scrape_forgets_nothing() {
    let mut cache = LineCache::default();
    scrape(&mut cache, &["a", "b"]);
    cache.begin();
    cache.find(b"b", Spelling::AsExposed);
    cache.end(false, |slot| panic!("{slot} forgotten"));
    assert_eq!(
        scrape(&mut cache, &["a", "b"]).0,
        [b'a', b'b'].map(|slot| Some(Line::Series(u32::from(slot))))
    );
}

#[test]
fn lines_that_came_as_expected_count_as_seen_when_another_one_comes() {
    let mut cache = LineCache::default();
    let [a, b, c, d] = [b'a', b'b', b'c', b'd'].map(|slot| Some(Line::Series(u32::from(slot))));
    scrape(&mut cache, &["a", "b", "c"]);
    assert_eq!(scrape(&mut cache, &["a", "b", "d", "c"]), (vec![a, b, None, c], vec![]));
    assert_eq!(scrape(&mut cache, &["a", "b", "d"]), (vec![a, b, d], vec![u32::from(b'c')]));
    assert_eq!(scrape(&mut cache, &["b", "a", "d"]), (vec![b, a, d], vec![]));
}

#[test]
fn lines_of_failed_scrapes_are_forgotten_by_a_good_one_in_which_all_came_as_expected() {
    let mut cache = LineCache::default();
    scrape(&mut cache, &["a", "b"]);
    cache.begin();
    cache.find(b"a", Spelling::AsExposed);
    cache.insert(b"x", Spelling::AsExposed, Line::Series(9), 0);
    cache.end(false, |slot| panic!("{slot} forgotten"));
    assert_eq!(scrape(&mut cache, &["a", "b"]).1, [9]);
    assert!(scrape(&mut cache, &["a", "b"]).1.is_empty());
}

#[test]
fn a_line_is_cached_from_its_first_good_sample_on_wherever_it_stands() {
    let mut cache = LineCache::default();
    scrape(&mut cache, &["a", "b"]);
    let mut found = |lines: [&[u8]; 3], good: usize| {
        cache.begin();
        let found = lines.map(|line| {
            let found = cache.find(line, Spelling::AsExposed).map(|found| found.cached);
            (0..usize::from(found == Some(false)).min(good)).for_each(|_| cache.cached());
            found
        });
        cache.end(true, |_| ());
        found
    };
    assert_eq!(found([b"a", b"b", b"a"], 0), [Some(false); 3]);
    assert_eq!(found([b"a", b"b", b"a"], 1), [Some(false), Some(false), Some(true)]);
    assert_eq!(found([b"a", b"a", b"b"], 1), [Some(true); 3]);
}

#[test]
fn a_cached_line_that_came_before_in_this_scrape_is_repeated_wherever_it_stands() {
    let mut cache = LineCache::default();
    let mut repeated = |lines: &[&[u8]]| {
        cache.begin();
        let found = lines.iter().map(|line| match cache.find(line, Spelling::AsExposed) {
            Some(found) => found.repeated,
            None => {
                cache.insert(line, Spelling::AsExposed, Line::Series(1), 0);
                // Of `u` there is never a good sample.
                if *line != b"u" {
                    cache.cached();
                }
                false
            }
        });
        let found: Vec<bool> = found.collect();
        cache.end(true, |_| ());
        found
    };
    assert_eq!(repeated(&[b"a", b"b", b"a", b"u", b"u"]), [false, false, true, false, false]);
    assert_eq!(repeated(&[b"a", b"b", b"a", b"u", b"u"]), [false, false, true, false, false]);
    assert_eq!(repeated(&[b"b", b"a", b"a", b"a", b"b"]), [false, false, true, true, true]);
    assert_eq!(repeated(&[b"b", b"a", b"a", b"x", b"b", b"x"]), [false, false, true, false, true, true]);
    assert_eq!(repeated(&[b"b", b"a"]), [false; 2]);
}

#[test]
fn the_same_bytes_under_another_type_are_another_series() {
    let mut cache = LineCache::default();
    cache.begin();
    cache.insert(b"m", Spelling::AsExposed, Line::Series(1), 0);
    assert_eq!(cache.find(b"m", Spelling::Le), None);
    cache.insert(b"m", Spelling::Le, Line::Series(2), 0);
    cache.cached();
    cache.end(true, |slot| panic!("{slot} forgotten"));
    cache.begin();
    assert_eq!(cache.find(b"m", Spelling::Le), Some(found(Line::Series(2), true)));
    assert_eq!(cache.find(b"m", Spelling::AsExposed), Some(found(Line::Series(1), false)));
}

#[test]
fn a_line_that_comes_to_nothing_is_remembered_and_releases_no_slot() {
    let mut cache = LineCache::default();
    cache.begin();
    cache.insert(b"dropped", Spelling::AsExposed, Line::Filtered, 0);
    assert_eq!(cache.uncached, 0, "it waits for no sample, and would make every other line be looked up");
    cache.end(true, |slot| panic!("{slot} forgotten"));
    cache.begin();
    assert_eq!(cache.find(b"dropped", Spelling::AsExposed), Some(found(Line::Filtered, true)));
    cache.end(true, |slot| panic!("{slot} forgotten"));
    assert!(scrape(&mut cache, &["x"]).1.is_empty());
    assert_eq!(cache.remembered, 1);
}

#[test]
fn after_everything_is_forgotten_each_line_is_new_and_has_released_its_slot() {
    let mut cache = LineCache::default();
    scrape(&mut cache, &["a", "b"]);
    cache.begin();
    let mut released = Vec::new();
    cache.forget_all(|slot| released.push(slot));
    assert_eq!(released, [u32::from(b'a'), u32::from(b'b')]);
    assert_eq!(cache.find(b"a", Spelling::AsExposed), None);
    cache.insert(b"a", Spelling::AsExposed, Line::Series(7), 0);
    cache.end(true, |slot| panic!("{slot} forgotten"));
    assert_eq!(scrape(&mut cache, &["a"]).0, [Some(Line::Series(7))]);
}
