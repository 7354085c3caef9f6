// SPDX-License-Identifier: MIT
// A link may carry the token behind its `#`, which is sent to no server.
"use strict";
const token = location.hash.slice(1);
if (token) {
  history.replaceState(null, "", location.pathname);
  document.getElementById("token").value = token;
  document.forms[0].requestSubmit();
}
