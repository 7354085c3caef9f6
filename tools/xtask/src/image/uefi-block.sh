#!/bin/sh
# SPDX-License-Identifier: MIT
# xl runs this for a guest's disk, in place of Xen's own script, which needs bash: tells
# xen-blkback the block device's number.
[ "$1" = add ] || exit 0
device=$(xenstore-read "$XENBUS_PATH/params")
xenstore-write "$XENBUS_PATH/physical-device" "$(stat -L -c %t:%T "$device")" \
    "$XENBUS_PATH/hotplug-status" connected
