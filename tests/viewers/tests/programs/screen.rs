// SPDX-License-Identifier: MIT
//! screen, at a terminal.

use viewers::Terminal;

use crate::{blocks, end, host, private};

#[test]
fn screen() {
    let (host, guest) = host();
    let lines = blocks("screen.md", "sh");
    assert_eq!(lines.len(), 2, "{lines:?}");
    let sessions = host.dir.path().join("screens");
    std::fs::create_dir(&sessions).unwrap();
    private(&sessions);
    for (line, leave) in lines.iter().zip([&b"\x1d"[..], b"\x01ky"]) {
        let mut user = Terminal::open();
        let line = format!("SCREENDIR={} {line}", sessions.display());
        let mut session = host.login(&user, &line);
        host.until_viewers("vuart0", 1);
        user.write(b"in screen\r");
        user.until("echo: in screen");
        user.write(leave);
        user.until("[screen is terminating]");
        assert!(session.wait().success());
        assert!(user.is_cooked());
        host.until_viewers("vuart0", 0);
    }
    end(&host);
    guest.join().unwrap();
}
