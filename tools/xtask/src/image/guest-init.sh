#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# The guest's init: a shell on ttyAMA0 and on hvc0, if they exist, or only on those
# that the kernel's command line lists (shells=TTY,TTY). Those of logins=TTY,TTY
# require a password.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
/bin/busybox mkdir -p /bin /sbin /usr/bin /usr/sbin /root
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs run /run
hostname -F /etc/hostname
# From here on consoles are compared byte by byte, and on a slow machine the kernel
# warns of late timers. A WARN is a panic, which is shown at every level.
echo 4 >/proc/sys/kernel/printk
echo 1 >/proc/sys/kernel/panic_on_warn
# The device tree of a guest that Xen starts itself has no hypervisor.
if [ -d /proc/device-tree/hypervisor ]; then
    for module in xen-privcmd xen-evtchn xenfs; do
        insmod /lib/modules/$module.ko
    done
    mount -t xenfs xenfs /proc/xen
fi

: >/etc/inittab
for tty in $(echo "${shells:-ttyAMA0,hvc0}" | tr , ' '); do
    if [ ! -c /dev/$tty ]; then
        continue
    fi
    case ,$logins, in
        *,$tty,*) program="/sbin/getty -L 115200 $tty vt100" ;;
        *) program=-/bin/sh ;;
    esac
    echo "$tty::respawn:$program" >>/etc/inittab
done
echo "::ctrlaltdel:/sbin/reboot" >>/etc/inittab
export HOME=/root TERM=vt100 PS1='\h:\w# '
exec /sbin/init
