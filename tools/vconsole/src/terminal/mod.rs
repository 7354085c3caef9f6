// SPDX-License-Identifier: MIT
//! Sets the user's terminal for this program, and restores it when the program ends
//! or is suspended.

pub(crate) mod display;
pub(crate) mod output;
pub(crate) mod signals;

use std::io;
use std::panic;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd;
use rustix::io::retry_on_intr;
use rustix::stdio::stdin;
use rustix::termios::{self, OptionalActions, Termios};

use output::Output;

/// Enters the alternate screen and hides the cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The terminal's modes before, and raw. Static for the panic hook: a release build
/// does not unwind, so no destructor runs.
static MODES: OnceLock<[Termios; 2]> = OnceLock::new();
/// What to restore.
static RAW: AtomicBool = AtomicBool::new(false);
static SCREEN: AtomicBool = AtomicBool::new(false);

/// Standard input's terminal is raw while this lives.
pub(crate) struct Raw(());

impl Raw {
    /// Makes standard input's terminal raw; `None` if it is not one.
    pub(crate) fn enter() -> io::Result<Option<Self>> {
        if !termios::isatty(stdin()) {
            return Ok(None);
        }
        let before = termios::tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        if MODES.set([before, raw]).is_ok() {
            restore_on_panic();
        }
        RAW.store(true, Ordering::SeqCst);
        let entered = Self(());
        take()?;
        Ok(Some(entered))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
        RAW.store(false, Ordering::SeqCst);
    }
}

/// Standard output's terminal shows the alternate screen while this lives.
pub(crate) struct Screen(());

impl Screen {
    /// Enters the alternate screen; the previous content is kept.
    pub(crate) fn enter() -> Self {
        restore_on_panic();
        SCREEN.store(true, Ordering::SeqCst);
        say(ENTER);
        Self(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        say(LEAVE);
        SCREEN.store(false, Ordering::SeqCst);
    }
}

/// Sets the terminal for this program; `false` in the background, where another job
/// uses it.
pub(crate) fn take() -> io::Result<bool> {
    if in_background() {
        return Ok(false);
    }
    if RAW.load(Ordering::SeqCst)
        && let Some([_, raw]) = MODES.get()
    {
        retry_on_intr(|| termios::tcsetattr(stdin(), OptionalActions::Now, raw))?;
    }
    if SCREEN.load(Ordering::SeqCst) {
        say(ENTER);
    }
    Ok(true)
}

/// Restores the terminal.
pub(crate) fn restore() {
    if in_background() {
        return;
    }
    if SCREEN.load(Ordering::SeqCst) {
        say(LEAVE);
    }
    if RAW.load(Ordering::SeqCst)
        && let Some([before, _]) = MODES.get()
    {
        // At once: a stopped terminal never drains. An error of a closed terminal
        // is ignored.
        let _gone = retry_on_intr(|| termios::tcsetattr(stdin(), OptionalActions::Now, before));
    }
}

/// Whether another job of the shell has the terminal. A process group of another
/// PID namespace is 0, which rustix's ids cannot represent.
fn in_background() -> bool {
    unistd::tcgetpgrp(stdin()).is_ok_and(|group| group != unistd::getpgrp())
}

fn restore_on_panic() {
    static HOOKED: OnceLock<()> = OnceLock::new();
    HOOKED.get_or_init(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            report(panic);
        }));
    });
}

/// Bypasses the buffer of standard output and its lock, and writes only what there
/// is room for: a stopped terminal is not waited for.
fn say(sequence: &str) {
    let mut output = Output::stdout();
    output.put(sequence.as_bytes());
    let _gone = output.flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::OpenptFlags;
    use rustix::termios::LocalModes;
    use std::fs::File;
    use std::io::Read;
    use std::process::{Command, Stdio};

    const OWN: &str = "terminal::tests::a_panic_leaves_the_terminal_as_it_was";
    const CHILD: &str = "VCONSOLE_TEST_PANICS";

    fn is_raw(terminal: impl std::os::fd::AsFd) -> bool {
        let modes = termios::tcgetattr(terminal).unwrap().local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Runs this test again in a child process.
    #[test]
    fn a_panic_leaves_the_terminal_as_it_was() {
        if std::env::var_os(CHILD).is_some() {
            let raw = Raw::enter().unwrap().expect("a terminal");
            let screen = Screen::enter();
            println!("is raw: {}", is_raw(stdin()));
            // As in a release build, which does not unwind.
            std::mem::forget((raw, screen));
            panic!("on purpose");
        }
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let outer = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&outer).unwrap();
        rustix::pty::unlockpt(&outer).unwrap();
        let inner = rustix::pty::ioctl_tiocgptpeer(&outer, flags).unwrap();
        assert!(!is_raw(&inner));
        let end = || Stdio::from(inner.try_clone().unwrap());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", OWN])
            .env(CHILD, "yes")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let mut shown = String::new();
        let mut outer = File::from(outer);
        while !shown.contains("test result:") {
            let mut buffer = [0; 1024];
            let length = outer.read(&mut buffer).unwrap();
            shown.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        assert!(!child.wait().unwrap().success());
        assert!(shown.contains("is raw: true"), "{shown}");
        let left = shown.find(LEAVE).expect("the screen as it was");
        let said = shown.find("on purpose").expect("the panic is printed");
        assert!(left < said, "where the user sees it: {shown}");
        assert!(!is_raw(&inner));
    }
}
