/* SPDX-License-Identifier: MIT */
/* libxl asks for this header first; nothing of it is needed here. */
