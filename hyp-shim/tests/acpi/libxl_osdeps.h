/* SPDX-License-Identifier: MIT */
/* libxl includes this header first; nothing in it is needed here. */
