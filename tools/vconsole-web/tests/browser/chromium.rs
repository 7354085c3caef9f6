// SPDX-License-Identifier: MIT
//! Headless Chromium with one page, controlled by its debugging protocol.

use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};
use viewers::{PATIENCE, wait_for};

use crate::client::ask;

/// A script that each page runs first.
const NOTE: &str = "window.violations = []; document.addEventListener('securitypolicyviolation', \
    (event) => violations.push(event.violatedDirective + ' ' + event.blockedURI));";

/// The installed program.
pub(crate) fn program() -> Option<PathBuf> {
    let names = ["chromium-headless-shell", "chromium"];
    let mut places = names
        .iter()
        .map(|name| PathBuf::from("/usr/bin").join(name));
    places.find(|place| place.exists())
}

pub(crate) struct Chromium {
    process: Child,
    page: WebSocket<TcpStream>,
    asked: u64,
    _profile: tempfile::TempDir,
}

impl Chromium {
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let process = Command::new(program().expect("a Chromium"))
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args(["--remote-debugging-port=0", "about:blank"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Debian's is a script that starts the program.
            .process_group(0)
            .spawn()
            .unwrap();
        let file = profile.path().join("DevToolsActivePort");
        let address = wait_for("Chromium", || {
            let port = std::fs::read_to_string(&file).ok()?;
            Some(format!("127.0.0.1:{}", port.lines().next()?))
        });
        let url = wait_for("a page", || {
            let stream = TcpStream::connect(&address).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let answer = ask(stream, &address, "GET", "/json/list", &[], None);
            let targets: Value = serde_json::from_str(&answer.body).ok()?;
            let mut pages = targets.as_array()?.iter();
            let page = pages.find(|target| target["type"] == "page")?;
            Some(page["webSocketDebuggerUrl"].as_str()?.to_owned())
        });
        let stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (page, _) = tungstenite::client(url, stream).unwrap();
        let mut chromium = Self {
            process,
            page,
            asked: 0,
            _profile: profile,
        };
        chromium.ask("Page.enable", &json!({}));
        let note = json!({ "source": NOTE });
        chromium.ask("Page.addScriptToEvaluateOnNewDocument", &note);
        chromium
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let request = json!({ "id": self.asked, "method": method, "params": params });
        self.page.send(Message::text(request.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.page.read().unwrap() else {
                continue;
            };
            let answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == self.asked {
                return answer;
            }
        }
    }

    pub(crate) fn open(&mut self, address: &str) {
        self.ask("Page.navigate", &json!({ "url": address }));
    }

    /// The value of an expression, if it is a string.
    pub(crate) fn evaluate(&mut self, expression: &str) -> String {
        let answer = self.ask("Runtime.evaluate", &json!({ "expression": expression }));
        let value = &answer["result"]["result"]["value"];
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression has that value.
    pub(crate) fn until(&mut self, expression: &str, expected: &str) {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let last = self.evaluate(expression);
            if last == expected {
                return;
            }
            let now = std::time::Instant::now();
            assert!(now < deadline, "{expression}: {last:?}, not {expected:?}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Chooses a file in the input of that selector.
    pub(crate) fn choose(&mut self, selector: &str, path: &Path) {
        let input = format!("document.querySelector('{selector}')");
        // Choosing the same file again would be no change.
        self.evaluate(&format!("{input}.value = ''"));
        let input = json!({ "expression": input });
        let answer = self.ask("Runtime.evaluate", &input);
        let input = &answer["result"]["result"]["objectId"];
        let answer = self.ask(
            "DOM.setFileInputFiles",
            &json!({ "files": [path], "objectId": input }),
        );
        assert!(answer["error"].is_null(), "{answer}");
    }

    /// Presses a key that is not a letter, by its name and its number on Windows.
    pub(crate) fn press(&mut self, key: &str, number: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            let key = json!({ "type": kind, "key": key, "code": key,
                "windowsVirtualKeyCode": number });
            self.ask("Input.dispatchKeyEvent", &key);
        }
    }

    /// The browser's colour scheme: dark or light.
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.ask(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
    }

    /// The window's size.
    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", &size);
    }

    /// A screenshot of the page, as PNG.
    pub(crate) fn picture(&mut self) -> Vec<u8> {
        let answer = self.ask("Page.captureScreenshot", &json!({ "format": "png" }));
        let data = answer["result"]["data"].as_str().expect("a picture");
        data_encoding::BASE64
            .decode(data.as_bytes())
            .expect("base64")
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        for letter in text.chars() {
            for kind in ["keyDown", "keyUp"] {
                let key = json!({ "type": kind, "key": letter, "text": letter });
                self.ask("Input.dispatchKeyEvent", &key);
            }
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ended = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ended = self.process.wait();
    }
}
