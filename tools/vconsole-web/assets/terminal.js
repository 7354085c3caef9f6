// SPDX-License-Identifier: MIT
// A terminal as each page has it: links lead nowhere, and nobody takes up titles,
// bells and clipboards.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = () => dark.matches
  ? { background: "#161616", foreground: "#e8e8e8", cursor: "#e8e8e8", selectionBackground: "#47617f" }
  : { background: "#ffffff", foreground: "#1a1a1a", cursor: "#1a1a1a", selectionBackground: "#b3d4fc" };

function newTerminal() {
  const terminal = new Terminal({
    convertEol: false, screenReaderMode: true, scrollback: 10000, theme: theme(),
    linkHandler: { activate() {} }, minimumContrastRatio: 4.5,
  });
  dark.addEventListener("change", () => { terminal.options.theme = theme(); });
  return terminal;
}
