// SPDX-License-Identifier: MIT
//! A snapshot in serde's formats, those with bytes and those with numbers only.

use serde::Deserialize;
use serde::de::value::{BytesDeserializer, Error};
use vpl011::Uart;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::port::RingPort;
use vpl011::snapshot::{SIZE, Snapshot};

fn saved() -> Snapshot {
    let mut uart = Uart::new(RingPort::new(AtomicPage::new()));
    let _ = uart.write_bytes(0x000, b"x");
    uart.save()
}

#[test]
fn numbers_give_the_same_snapshot() {
    let snapshot = saved();
    let text = serde_json::to_string(&snapshot).expect("numbers");
    assert_eq!(
        text,
        serde_json::to_string(&snapshot.0[..]).expect("numbers")
    );
    let read: Snapshot = serde_json::from_str(&text).expect("the same");
    assert_eq!(read, snapshot);
    let restored = Uart::<RingPort<_>>::restore(AtomicPage::new(), &read.0);
    assert_eq!(restored.expect("a snapshot").save(), snapshot);
}

#[test]
fn bytes_give_the_same_snapshot() {
    let snapshot = saved();
    let bytes = BytesDeserializer::<Error>::new(&snapshot.0);
    assert_eq!(Snapshot::deserialize(bytes), Ok(snapshot));
}

#[test]
fn another_length_is_refused() {
    let snapshot = saved();
    for bytes in [&snapshot.0[1..], &[&snapshot.0[..], &[0]].concat()] {
        let text = serde_json::to_string(bytes).expect("numbers");
        assert!(serde_json::from_str::<Snapshot>(&text).is_err());
        let bytes = BytesDeserializer::<Error>::new(bytes);
        assert!(Snapshot::deserialize(bytes).is_err());
    }
    assert_eq!(snapshot.0.len(), SIZE);
}
