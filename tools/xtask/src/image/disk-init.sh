#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# The initramfs of a dom0 on a disk: mounts it, or its partition root=DEVICE, and starts
# the program that the kernel's command line names, start=PATH.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in virtio_mmio virtio_blk crc16 crc32c_generic mbcache jbd2 ext4; do
    insmod /lib/modules/$module.ko
done
word() {
    sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" /proc/cmdline
}
root=$(word root)
root=${root:-/dev/vda}
until [ -b "$root" ]; do
    sleep 0.1
done
mount -t ext4 -o noatime "$root" /root
start=$(word start)
mount --move /dev /root/dev
umount /sys
umount /proc
exec switch_root /root "$start"
