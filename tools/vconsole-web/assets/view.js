// SPDX-License-Identifier: MIT
// Terminals. Whatever a guest says goes into a terminal or is set as text, never
// as markup; the page's title stays the page's.
"use strict";

const RETRY_FIRST = 250;
const RETRY_LAST = 5000;
const TYPED_MAX = 16384;

// A browser does not tell why a WebSocket is refused.
async function isLoggedOut() {
  const answer = await fetch("/", { redirect: "manual" }).catch(() => null);
  return answer !== null && answer.type === "opaqueredirect";
}

class Pane {
  constructor(section) {
    const find = (name) => section.querySelector("." + name);
    this.console = section.dataset.console;
    this.state = find("state");
    this.readOnly = find("read-only");
    this.socket = null;
    this.place = null;
    this.replaying = 0;
    this.pause = RETRY_FIRST;
    this.terminal = newTerminal();
    const search = new SearchAddon.SearchAddon();
    this.terminal.loadAddon(search);
    this.terminal.open(find("terminal"));
    this.terminal.onData((text) => this.type(new TextEncoder().encode(text)));
    this.terminal.onBinary((text) => this.type(Uint8Array.from(text, (c) => c.charCodeAt(0))));
    // Tab is the guest's; this leads out for those who use no mouse.
    this.terminal.attachCustomKeyEventHandler((event) => {
      if (event.type !== "keydown" || event.key !== "F6") return true;
      find("search").focus();
      return false;
    });
    find("search").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      const text = event.target.value;
      const found = event.shiftKey ? search.findNext(text) : search.findPrevious(text);
      this.showState(found ? "" : "Not found.");
    });
    this.readOnly.addEventListener("change", () => this.send(JSON.stringify({ mode: this.mode() })));
    find("break").addEventListener("click", () => this.askBreak());
    find("tools").hidden = false;
    this.connect();
  }

  mode() { return this.readOnly.checked ? "ro" : "rw"; }

  showState(text) { this.state.textContent = text; }

  send(message) {
    if (this.socket && this.socket.readyState === WebSocket.OPEN) this.socket.send(message);
  }

  // What a terminal answers to old output nobody waits for.
  type(bytes) {
    if (this.readOnly.checked || this.replaying > 0) return;
    for (let at = 0; at < bytes.length; at += TYPED_MAX) this.send(bytes.subarray(at, at + TYPED_MAX));
  }

  connect() {
    const query = new URLSearchParams({ c: this.console, mode: this.mode() });
    if (this.place) {
      query.set("stream", this.place.stream);
      query.set("from", this.place.from);
    }
    const address = new URL("/ws?" + query, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    let over = null;
    let opened = false;
    socket.onopen = () => { opened = true; };
    socket.onmessage = (message) => {
      if (typeof message.data !== "string") return this.show(new Uint8Array(message.data));
      const event = JSON.parse(message.data);
      if (event.event === "over") over = event;
      else this.handle(event);
    };
    socket.onclose = async () => {
      if (!opened && await isLoggedOut()) over = { why: "session", again: false };
      if (over && !over.again) {
        this.showState("Closed: " + over.why + (over.why === "session" ? ". Log in again." : "."));
        return;
      }
      this.showState("Disconnected; reconnecting.");
      setTimeout(() => this.connect(), this.pause);
      this.pause = Math.min(this.pause * 2, RETRY_LAST);
    };
  }

  show(bytes) {
    const old = bytes.subarray(0, Math.max(0, this.old - this.place.from));
    const fresh = bytes.subarray(old.length);
    this.place.from += bytes.length;
    if (old.length > 0) {
      this.replaying += 1;
      this.terminal.write(old, () => { this.replaying -= 1; });
    }
    if (fresh.length > 0) this.terminal.write(fresh);
  }

  handle(event) {
    if (event.event === "attached") {
      const before = this.place;
      this.domid = event.domid;
      this.place = { stream: event.stream, from: event.position };
      this.old = event.end;
      this.pause = RETRY_FIRST;
      const same = before && before.stream === event.stream && before.from === event.position;
      this.print(before && !same ? "\r\n[another stream; bytes may be missing here]\r\n" : "");
      this.handle({ event: "mode", mode: event.mode });
      this.showState(same ? "Reconnected." : "");
    } else if (event.event === "lost") {
      this.place.from += event.bytes;
      this.print("[" + event.bytes + " bytes lost]");
    } else if (event.event === "notice") {
      this.print("\r\n[" + event.text + "]\r\n");
    } else if (event.event === "mode") {
      this.readOnly.checked = event.mode === "ro";
      this.terminal.options.disableStdin = event.mode === "ro";
    }
  }

  print(text) { if (text) this.terminal.write(text); }

  askBreak() {
    const dialog = document.querySelector("dialog");
    dialog.querySelector("#sure").textContent = "Send a break to " + this.console + "?";
    dialog.returnValue = "";
    dialog.onclose = () => {
      if (dialog.returnValue === "send") this.sendBreak();
      this.terminal.focus();
    };
    dialog.showModal();
  }

  async sendBreak() {
    const form = document.querySelector("meta[name=form]").content;
    const console = this.domid + "/" + this.console.slice(0, this.console.indexOf("/"));
    const answer = await fetch("/break", { method: "POST", body: new URLSearchParams({ c: console, form }) })
      .catch(() => null);
    const page = answer && new DOMParser().parseFromString(await answer.text(), "text/html");
    const said = page && page.querySelector("[role=alert], [role=status]");
    this.showState(said ? said.textContent : "No break was sent: the server does not answer.");
  }
}

for (const section of document.querySelectorAll(".pane")) section.pane = new Pane(section);
