#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# The initramfs of a dom0 on a disk: mounts it and starts the program that the kernel's
# command line names, start=PATH.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in virtio_mmio virtio_blk crc16 crc32c_generic mbcache jbd2 ext4; do
    insmod /lib/modules/$module.ko
done
until [ -b /dev/vda ]; do
    sleep 0.1
done
mount -t ext4 -o noatime /dev/vda /root
start=$(sed -n 's/.*\bstart=\([^ ]*\).*/\1/p' /proc/cmdline)
mount --move /dev /root/dev
umount /sys
umount /proc
exec switch_root /root "$start"
