#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# Before systemd, in a dom0 without udev: loads the modules of Xen's interfaces.
# e2e.service reads its task from the kernel's command line.
export PATH=/usr/sbin:/usr/bin
/bin/busybox --install -s /usr/bin 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in xen-privcmd xen-evtchn xen-gntdev xen-gntalloc xenfs virtio_mmio virtio_console; do
    # Some kernels have it built in.
    [ ! -e /lib/modules/$module.ko ] || insmod /lib/modules/$module.ko
done
mount -t xenfs xenfs /proc/xen
# A service with RootDirectory cannot leave the kernel's first root.
mkdir /system
mount --rbind / /system
cd /system
mount --move . /
exec chroot . /lib/systemd/systemd
