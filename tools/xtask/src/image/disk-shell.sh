#!/bin/sh
# SPDX-License-Identifier: MIT
# A shell of root's on the console, as disk-shell.service has it, started by sysvinit.
cd /root || exit
exec </dev/hvc0 >/dev/hvc0 2>&1
exec env HOME=/root TERM=dumb LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    /bin/bash --noprofile --norc --noediting -i
