use super::Setting;
use super::host::HOST;
use super::sending::SENDING;

/// Every setting, in the order of the table and of the manifests.
pub const SETTINGS: &[Setting] = &joined::<{ SENDING.len() + HOST.len() }>([SENDING, HOST]);

const fn joined<const N: usize>(parts: [&[Setting]; 2]) -> [Setting; N] {
    // Every place of it is written below.
    let mut all = [parts[0][0]; N];
    let (mut part, mut to) = (0, 0);
    while part < parts.len() {
        let mut at = 0;
        while at < parts[part].len() {
            all[to] = parts[part][at];
            at += 1;
            to += 1;
        }
        part += 1;
    }
    all
}
