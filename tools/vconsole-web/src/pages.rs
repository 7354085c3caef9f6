// SPDX-License-Identifier: MIT
//! The pages. All except the terminals work without scripts.

use std::io;
use std::time::Duration;

use console_proto::browser::{Console, query};
use console_proto::frame::{Decoder, Frame};
use console_proto::{Attached, Row};
use text_filter::{Filter, Policy};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::html::{Html, html, number};
use crate::identity::Visitor;

/// Most output on a page of text, in bytes.
const TEXT_MAX: usize = 256 << 10;
/// How long the daemon may take for it.
const PATIENCE: Duration = Duration::from_secs(5);

fn frame(title: &str, head: &Html, body: &Html) -> Html {
    html!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n\
         <link rel=\"stylesheet\" href=\"/assets/page.css\">\n{}</head>\n<body>\n{}</body>\n</html>\n",
        title,
        head,
        body
    )
}

/// A page for a visitor.
fn theirs(visitor: &Visitor, title: &str, head: &Html, main: &Html) -> Html {
    let logout = match visitor.session {
        None => Html::default(),
        Some(_) => html!(
            " <form method=\"post\" action=\"/logout\">\
             <input type=\"hidden\" name=\"form\" value=\"{}\"><button>Log out</button></form>",
            visitor.form_token
        ),
    };
    let body = html!(
        "<a class=\"skip\" href=\"#main\">Skip to the content</a>\n\
         <header><nav aria-label=\"Pages\"><a href=\"/\">Consoles</a> \
         <a href=\"/replay\">Recordings</a></nav> \
         <span>{}</span>{}</header>\n<main id=\"main\">\n<h1>{}</h1>\n{}</main>\n",
        visitor.tenant.as_ref(),
        logout,
        title,
        main
    );
    frame(title, head, &body)
}

/// All consoles that a tenant may see.
pub(crate) fn list(visitor: &Visitor, rows: &[Row]) -> Html {
    let none = Html::default();
    if rows.is_empty() {
        let main = html!("<p>At present there is no console that you have a right to.</p>\n");
        return theirs(visitor, "Consoles", &none, &main);
    }
    let table: Html = rows.iter().map(row).collect();
    let main = html!(
        "<form method=\"get\" action=\"/view\">\n<table>\n<thead><tr>\
         <th scope=\"col\">Open</th><th scope=\"col\">Guest</th><th scope=\"col\">Console</th>\
         <th scope=\"col\">State</th><th scope=\"col\">Viewers</th><th scope=\"col\">You may</th>\
         <th scope=\"col\"></th></tr></thead>\n<tbody>\n{}</tbody>\n</table>\n\
         <p><button>Open the selected consoles</button> <a href=\"/\">Reload the list</a></p>\n</form>\n",
        table
    );
    theirs(visitor, "Consoles", &none, &main)
}

fn row(row: &Row) -> Html {
    let console = Console::parse(&format!("{}/{}", row.console, row.name));
    let may = |right: &str| row.rights.iter().any(|given| given == right);
    let console = console.filter(|_| row.kind != "channel" && may("watch"));
    let (choice, links) = match &console {
        None => (Html::default(), Html::default()),
        Some(console) => (
            html!(
                "<input type=\"checkbox\" name=\"c\" value=\"{}\" aria-label=\"{} of {}\">",
                console.text(),
                row.console,
                row.name
            ),
            html!(
                "<a href=\"/view?c={}\">Open</a> <a href=\"/text?c={}\">Text</a>",
                query(&console.text()),
                query(&console.text())
            ),
        ),
    };
    let is_uart = row.kind.starts_with("vuart");
    let send_break = match &console {
        Some(_) if may("break") && is_uart => html!(
            " <a href=\"/break?c={}\">Break</a>",
            format!("{}/{}", row.domid, row.console)
        ),
        _ => Html::default(),
    };
    html!(
        "<tr><td>{}</td><th scope=\"row\">{} <small>({})</small></th><td>{}</td><td>{}</td>\
         <td>{}</td><td>{}</td><td>{}{}</td></tr>\n",
        choice,
        row.name,
        number(row.domid),
        row.console,
        row.state,
        number(row.viewers as u64),
        row.rights.join(", "),
        links,
        send_break
    )
}

/// Terminals.
pub(crate) fn view(visitor: &Visitor, consoles: &[Console], has_terminal: bool) -> Html {
    let panes: Html = consoles.iter().map(pane).collect();
    let names: Vec<_> = consoles.iter().map(|one| one.domain.as_str()).collect();
    let title = format!("{} – console", names.join(", "));
    if !has_terminal {
        let main = html!("{}{}", no_terminals(), panes);
        return theirs(visitor, &title, &Html::default(), &main);
    }
    let head = html!(
        "<link rel=\"stylesheet\" href=\"/assets/xterm.css\">\n\
         <meta name=\"form\" content=\"{}\">\n\
         <script defer src=\"/assets/xterm.js\"></script>\n\
         <script defer src=\"/assets/addon-search.js\"></script>\n\
         <script defer src=\"/assets/terminal.js\"></script>\n\
         <script defer src=\"/assets/view.js\"></script>\n",
        visitor.form_token
    );
    let dialog = html!(
        "<dialog aria-labelledby=\"sure\"><form method=\"dialog\"><p id=\"sure\"></p>\
         <button value=\"send\">Send a break</button> <button value=\"\" autofocus>Cancel</button>\
         </form></dialog>\n"
    );
    let main = html!("<div class=\"panes\">\n{}</div>\n{}", panes, dialog);
    theirs(visitor, &title, &head, &main)
}

fn no_terminals() -> Html {
    html!("<p role=\"alert\">xterm.js is not installed here, so there are no terminals.</p>\n")
}

fn pane(console: &Console) -> Html {
    html!(
        "<section class=\"pane\" data-console=\"{}\" aria-label=\"{} of {}\">\n\
         <h2>{} <small>{}</small></h2>\n\
         <noscript><p>Terminals need scripts. <a href=\"/text?c={}\">The text</a> does not.</p></noscript>\n\
         <div class=\"tools\" hidden><label><input type=\"checkbox\" class=\"read-only\"> Read only</label> \
         <button type=\"button\" class=\"break\">Break…</button> \
         <label>Search <input type=\"search\" class=\"search\"></label> \
         <a href=\"/text?c={}\">Text</a></div>\n\
         <p class=\"state\" role=\"status\"></p>\n<div class=\"terminal\"></div>\n</section>\n",
        console.text(),
        console.console,
        console.domain,
        console.domain,
        console.console,
        query(&console.text()),
        query(&console.text())
    )
}

/// A console's output, as far as it is kept.
pub(crate) fn text(visitor: &Visitor, console: &Console, text: &str) -> Html {
    let title = format!("{} – text of {}", console.domain, console.console);
    let main = html!(
        "<p><a href=\"/text?c={}#end\">Reload the list</a> <a href=\"/view?c={}\">Terminal</a></p>\n\
         <pre tabindex=\"0\">{}</pre>\n<p id=\"end\"></p>\n",
        query(&console.text()),
        query(&console.text()),
        text
    );
    theirs(visitor, &title, &Html::default(), &main)
}

/// The player for a recording that the user has as a file.
pub(crate) fn replay(visitor: &Visitor, has_terminal: bool) -> Html {
    let title = "Recordings";
    if !has_terminal {
        return theirs(visitor, title, &Html::default(), &no_terminals());
    }
    let head = html!(
        "<link rel=\"stylesheet\" href=\"/assets/xterm.css\">\n\
         <script defer src=\"/assets/xterm.js\"></script>\n\
         <script defer src=\"/assets/terminal.js\"></script>\n\
         <script defer src=\"/assets/cast.js\"></script>\n\
         <script defer src=\"/assets/replay.js\"></script>\n"
    );
    let main = html!(
        "<p>Plays a recording (asciicast, version 2) that you have as a file. It stays in your \
         browser.</p>\n<section class=\"pane\" aria-label=\"Player\">\n\
         <noscript><p>The player takes scripts. <code>vconsole replay FILE</code> in a terminal \
         does not.</p></noscript>\n\
         <p class=\"choose\" hidden><label>File <input type=\"file\" class=\"file\"></label></p>\n\
         <div class=\"tools\" hidden><button type=\"button\" class=\"play\">Play</button> \
         <label>Speed <select class=\"speed\"><option value=\"0.5\">half</option>\
         <option value=\"1\" selected>as it was</option><option value=\"4\">4 times</option>\
         <option value=\"16\">16 times</option><option value=\"64\">64 times</option></select></label> \
         <label><input type=\"checkbox\" class=\"cut\" checked> Cut pauses to 2 seconds</label> \
         <label>Position <input type=\"range\" class=\"position\" min=\"0\" step=\"any\" value=\"0\">\
         </label> <span class=\"time\"></span></div>\n\
         <p class=\"state\" role=\"status\"></p>\n<div class=\"terminal\"></div>\n</section>\n"
    );
    theirs(visitor, title, &head, &main)
}

/// Reads the output from before the attachment, as plain text.
pub(crate) async fn history(attached: &Attached, mut stream: UnixStream) -> io::Result<String> {
    let said = attached.end.saturating_sub(attached.position);
    let mut left = usize::try_from(said).unwrap_or(usize::MAX);
    let mut decoder = Decoder::default();
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 16 << 10];
    let read = async {
        while left > 0 {
            let length = stream.read(&mut chunk).await?;
            let frames = decoder.push(&chunk[..length]).map_err(io::Error::other)?;
            for frame in frames {
                let count = match frame {
                    Frame::Data(data) => {
                        bytes.extend_from_slice(&data);
                        data.len()
                    }
                    Frame::Lost(count) => usize::try_from(count).unwrap_or(usize::MAX),
                    Frame::Mode(_) | Frame::Notice(_) => 0,
                    Frame::Ended(_) => left,
                };
                left = left.saturating_sub(count);
            }
            // Only the newest output is kept.
            bytes.drain(..bytes.len().saturating_sub(TEXT_MAX));
            if length == 0 {
                break;
            }
        }
        Ok::<(), io::Error>(())
    };
    let late = |_| Err(io::ErrorKind::TimedOut.into());
    timeout(PATIENCE, read).await.unwrap_or_else(late)?;
    let mut shown = Vec::new();
    let mut filter = Filter::new(Policy::File);
    filter.push(&bytes, &mut shown);
    filter.finish(&mut shown);
    Ok(String::from_utf8_lossy(&shown).replace('\r', ""))
}

/// Asks for confirmation of a break.
pub(crate) fn ask_break(visitor: &Visitor, console: &str) -> Html {
    let main = html!(
        "<p>A break interrupts whatever the guest does with its console {}. Linux takes the \
         key after it for SysRq.</p>\n<form method=\"post\" action=\"/break\">\
         <input type=\"hidden\" name=\"c\" value=\"{}\">\
         <input type=\"hidden\" name=\"form\" value=\"{}\">\
         <button>Send a break</button> <a href=\"/\">Cancel</a></form>\n",
        console,
        console,
        visitor.form_token
    );
    theirs(visitor, "Send a break?", &Html::default(), &main)
}

pub(crate) fn break_sent(visitor: &Visitor, console: &str) -> Html {
    let main = html!(
        "<p role=\"status\">A break was sent to the console {}.</p>\n",
        console
    );
    theirs(visitor, "Break sent", &Html::default(), &main)
}

/// The daemon does not answer.
pub(crate) fn gone(visitor: &Visitor) -> Html {
    let head = html!("<meta http-equiv=\"refresh\" content=\"5\">\n");
    let main = html!(
        "<p role=\"alert\">The console daemon does not answer. This page is reloaded every five \
         seconds.</p>\n"
    );
    theirs(visitor, "No daemon", &head, &main)
}

/// The login form, with an error if there was one.
pub(crate) fn login(why: Option<&str>) -> Html {
    let why = why.map_or_else(Html::default, |why| {
        html!("<p role=\"alert\">{}</p>\n", why)
    });
    let body = html!(
        "<main>\n<h1>Log in</h1>\n{}<form method=\"post\" action=\"/login\">\n\
         <p><label for=\"token\">Token</label> <input id=\"token\" name=\"token\" type=\"password\" \
         autocomplete=\"current-password\" required autofocus></p>\n\
         <p><button>Log in</button></p>\n</form>\n</main>\n",
        why
    );
    let head = html!("<script defer src=\"/assets/login.js\"></script>\n");
    frame("Log in – consoles", &head, &body)
}

/// An error page.
pub(crate) fn failure(why: &str) -> Html {
    let body = html!(
        "<main>\n<h1>Not possible</h1>\n<p role=\"alert\">{}</p>\n\
         <p><a href=\"/\">Consoles</a></p>\n</main>\n",
        why
    );
    frame("Not possible – consoles", &Html::default(), &body)
}
