// SPDX-License-Identifier: MIT
// What a recording holds: asciicast, version 2. Every size is bounded, and whatever
// a file holds, it is read or refused in words.
"use strict";

const FILE_MAX = 64 * 1024 * 1024;
const LINE_MAX = 4 * 1024 * 1024;
const LINES_MAX = 1000000;
// The longest pause, in seconds: a year.
const PAUSE_MAX = 366 * 24 * 60 * 60;
const COLUMNS = { least: 2, most: 500, usual: 80 };
const ROWS = { least: 1, most: 200, usual: 24 };
// How files of zstd(1) begin.
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd];
const ELSEWHERE = " “vconsole replay FILE” plays it in a terminal.";

// Why a file is not played.
class Refusal extends Error {}

// The recording in a file that somebody chose.
async function readRecording(file) {
  if (file.size > FILE_MAX) throw new Refusal("This file is longer than 64 MiB." + ELSEWHERE);
  const bytes = await file.arrayBuffer().catch(() => {
    throw new Refusal("The browser cannot read this file.");
  });
  return parseRecording(new Uint8Array(bytes));
}

// What was said and which size the terminal got, each with the seconds since the first
// of them; and how many lines were none of a recording.
function parseRecording(bytes) {
  if (ZSTD.every((byte, at) => bytes[at] === byte)) {
    throw new Refusal("This file is compressed. Unpack it first: “zstd -d FILE”.");
  }
  const recording = { events: [], length: 0, skipped: 0 };
  const add = (event) => recording.events.push({ at: recording.length, ...event });
  let base = null;
  let last = null;
  let other = null;
  let hasOutput = false;
  for (const line of parsedLines(bytes)) {
    const event = base === null ? null : readEvent(line);
    if (isHeader(line) && line.version === 2) {
      base = Number.isFinite(line.timestamp) ? line.timestamp : 0;
      add({ size: [bounded(line.width, COLUMNS), bounded(line.height, ROWS)] });
    } else if (event === null) {
      other ??= isHeader(line) ? line.version : null;
      recording.skipped += 1;
    } else if (event.text !== undefined || event.size) {
      const time = base + line[0];
      // A clock that was set back makes no pause.
      const pause = last !== null && time > last ? time - last : 0;
      recording.length += Math.min(pause, PAUSE_MAX);
      last = time;
      hasOutput ||= event.text !== undefined;
      add(event);
    }
  }
  if (base === null && Number.isInteger(other)) {
    throw new Refusal("This is asciicast, version " + other + ", and only version 2 can be played.");
  }
  if (base === null) throw new Refusal("This is not a recording (asciicast, version 2).");
  if (!hasOutput) throw new Refusal("This recording has no output.");
  return recording;
}

// What each line is as JSON; undefined, if it is none or too long.
function* parsedLines(bytes) {
  const decoder = new TextDecoder();
  let count = 0;
  for (let from = 0; from < bytes.length;) {
    const end = bytes.indexOf(10, from);
    const to = end === -1 ? bytes.length : end;
    count += 1;
    if (count > LINES_MAX) throw new Refusal("This file has more than a million lines." + ELSEWHERE);
    if (to - from > LINE_MAX) {
      yield undefined;
    } else {
      const line = decoder.decode(bytes.subarray(from, to));
      if (line.trim() !== "") yield parsed(line);
    }
    from = to + 1;
  }
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function isHeader(line) {
  return typeof line === "object" && line !== null && !Array.isArray(line);
}

// What an event says or which size it gives, nothing of another kind; null, if it is none.
function readEvent(line) {
  const isEvent = Array.isArray(line) && line.length === 3 && Number.isFinite(line[0])
    && typeof line[1] === "string" && typeof line[2] === "string";
  if (!isEvent) return null;
  if (line[1] === "o") return { text: line[2] };
  if (line[1] !== "r") return {};
  const size = /^(\d{1,9})x(\d{1,9})$/.exec(line[2]);
  return size && { size: [bounded(Number(size[1]), COLUMNS), bounded(Number(size[2]), ROWS)] };
}

function bounded(wanted, { least, most, usual }) {
  return Number.isInteger(wanted) ? Math.min(Math.max(wanted, least), most) : usual;
}
