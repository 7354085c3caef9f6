// SPDX-License-Identifier: MIT
// Plays a recording from the disk of whoever looks at it. Nothing of it is sent, and
// what a terminal would answer to it goes nowhere.
"use strict";

// Between two looks at what is due, in milliseconds.
const TICK = 50;
// The most that goes into the terminal at once, in characters.
const PIECE = 65536;
// What pauses are cut to, in seconds.
const SHORT = 2;

// Hours, if there are any, minutes and seconds.
function clock(seconds) {
  const whole = Math.floor(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return (hours > 0 ? hours + ":" + two(minutes) : minutes) + ":" + two(whole % 60);
}

class Player {
  constructor(section) {
    const find = (name) => section.querySelector("." + name);
    this.state = find("state");
    this.tools = find("tools");
    this.button = find("play");
    this.speed = find("speed");
    this.cut = find("cut");
    this.bar = find("position");
    this.time = find("time");
    this.recording = null;
    this.chosen = null;
    this.position = 0;
    this.next = 0;
    this.rewinds = false;
    this.shows = false;
    this.timer = null;
    this.terminal = newTerminal();
    this.terminal.options.disableStdin = true;
    // Nothing is typed here: keys are the page's, but those that scroll.
    this.terminal.attachCustomKeyEventHandler((event) => event.shiftKey && event.key.startsWith("Page"));
    this.terminal.open(find("terminal"));
    find("file").addEventListener("change", (event) => this.choose(event.target.files[0]));
    this.button.addEventListener("click", () => (this.timer === null ? this.play() : this.pause()));
    this.bar.addEventListener("input", () => this.seek(Number(this.bar.value)));
    find("choose").hidden = false;
  }

  showState(text) { this.state.textContent = text; }

  async choose(file) {
    this.pause();
    this.tools.hidden = true;
    this.recording = null;
    this.chosen = file;
    this.rewind(0);
    if (!file) return this.showState("");
    this.showState("Reading…");
    let recording;
    try {
      recording = await readRecording(file);
    } catch (error) {
      if (this.chosen === file) this.showState(error instanceof Refusal ? error.message : "This file cannot be played.");
      return;
    }
    if (this.chosen !== file) return;
    this.recording = recording;
    this.bar.max = recording.length;
    this.tools.hidden = false;
    const { skipped } = recording;
    this.showState(skipped === 0 ? "" : skipped === 1 ? "One line was skipped." : skipped + " lines were skipped.");
    this.rewind(0);
  }

  play() {
    if (this.position >= this.recording.length) this.rewind(0);
    this.button.textContent = "Pause";
    let last = performance.now();
    this.timer = setInterval(() => {
      const now = performance.now();
      // What takes long to show is waited for.
      if (!this.shows) this.advance((now - last) / 1000 * Number(this.speed.value));
      last = now;
    }, TICK);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.button.textContent = "Play";
  }

  advance(seconds) {
    const { events, length } = this.recording;
    const due = this.next < events.length ? events[this.next].at : length;
    const from = this.cut.checked ? Math.max(this.position, due - SHORT) : this.position;
    this.position = Math.min(from + seconds, length);
    if (this.position >= length) this.pause();
    this.show();
  }

  seek(position) {
    if (position < this.position) return this.rewind(position);
    this.position = position;
    this.show();
  }

  // Goes back, or to another recording: all that was said before is shown anew.
  rewind(position) {
    this.rewinds = true;
    this.position = position;
    this.show();
  }

  // Shows what is due, a piece at a time, each when the terminal is done with the last.
  async show() {
    this.tell();
    if (this.shows) return;
    this.shows = true;
    for (let text = this.piece(); text !== null; text = this.piece()) {
      await new Promise((done) => { this.terminal.write(text, done); });
    }
    this.shows = false;
  }

  // What is due next, if anything is; the terminal gets the size for it.
  piece() {
    const events = this.recording?.events ?? [];
    if (this.rewinds) {
      this.rewinds = false;
      this.next = 0;
      this.terminal.reset();
    }
    let size = null;
    let text = "";
    while (this.next < events.length && events[this.next].at <= this.position && text.length < PIECE) {
      const event = events[this.next];
      // What was said before another size is shown in the old one.
      if (event.size && text !== "") break;
      if (event.size) size = event.size;
      else text += event.text;
      this.next += 1;
    }
    if (size) this.terminal.resize(...size);
    return text === "" ? null : text;
  }

  tell() {
    this.bar.value = this.position;
    const time = clock(this.position) + " of " + clock(this.recording?.length ?? 0);
    this.time.textContent = time;
    this.bar.setAttribute("aria-valuetext", time);
  }
}

const section = document.querySelector(".pane");
section.pane = new Player(section);
