#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Links the Rust library to the one object that Xen takes:
#
#   link-object.sh LIBRARY OBJECT
#
# LD, NM and OBJCOPY name the tools; otherwise those of CROSS_COMPILE.
set -eu

library=$1
object=$2
prefix=${CROSS_COMPILE-aarch64-linux-gnu-}
names=$object.names
trap 'rm -f "$names"' EXIT

# One section of each kind, and only what the entry points reach.
"${LD:-${prefix}ld}" -r --gc-sections -T "$(dirname "$0")/fold-sections.lds" \
    -o "$object" "$library"

# Xen has room for 127 characters of a symbol's name together with the name of its
# file, and does not check the length: longer names are cut, and numbered so that
# they stay different.
"${NM:-${prefix}nm}" "$object" | awk '
    length($NF) > 72 { print $NF, substr($NF, 1, 66) "." ++count }
' >"$names"

# Only names of C are global: those that Xen calls, and those that its own definitions
# replace.
"${OBJCOPY:-${prefix}objcopy}" --redefine-syms="$names" --wildcard \
    --keep-global-symbol='vpl011_*' --keep-global-symbol='mem*' "$object"
