#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# What comes before systemd in a dom0 without udev: the modules of Xen's
# interfaces. What is to be done then stands on the kernel's command line and
# is read by e2e.service.
export PATH=/usr/sbin:/usr/bin
/bin/busybox --install -s /usr/bin 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in xen-privcmd xen-evtchn xen-gntdev xen-gntalloc xenfs virtio_mmio virtio_console; do
    insmod /lib/modules/$module.ko
done
mount -t xenfs xenfs /proc/xen
# A service with a root of its own cannot leave the kernel's first one.
mkdir /system
mount --rbind / /system
cd /system
mount --move . /
exec chroot . /lib/systemd/systemd
