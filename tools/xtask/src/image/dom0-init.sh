#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# dom0's init. The kernel's command line has its task:
#   e2e=NAME,NAME…    run these scenarios, then power off
#   soak=1            the same in their long form
#   attach=vuart|pv   start the guest, attach to that console, then power off
#   shell=1           after that a shell
#   none of them      a shell; the machine ends with it
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=vt100
/bin/busybox mkdir -p /bin /sbin /usr/bin /usr/sbin
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs run /run
ln -sfn /run /var/run
ln -sfn /run/lock /var/lock
mkdir -p /run/xen /run/xenstored /run/lock /var/lib/xen /var/lib/xenstored /var/log/xen/console
hostname -F /etc/hostname
ifconfig lo 127.0.0.1
for module in xen-privcmd xen-evtchn xen-gntdev xen-gntalloc xenfs virtio_mmio virtio_console \
    loop virtio_blk xen-blkback; do
    # Some kernels have it built in, and few images have the last three.
    [ ! -e /lib/modules/$module.ko ] || insmod /lib/modules/$module.ko
done
mount -t xenfs xenfs /proc/xen

xenstored --pid-file /run/xenstored.pid
# Nothing may write domain 0's keys before this, which skips a dom0 that has them.
xen-init-dom0
if [ -x /usr/sbin/vconsoled ]; then
    vconsoled --log=all
else
    xenconsoled --pid-file=/run/xenconsoled.pid --log=all --log-dir=/var/log/xen/console
fi

word() {
    sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" /proc/cmdline
}
scenarios=$(word e2e)
attach=$(word attach)
soak=$(word soak)

shell() {
    PS1='\h:\w# ' setsid -c sh </dev/hvc0 >/dev/hvc0 2>&1
}

if [ -n "$scenarios" ]; then
    # Events have their own port, where no other output is mixed with them. Its number
    # depends on the machine's disks.
    e2e run ${soak:+--soak} $(echo "$scenarios" | tr , ' ') >"$(echo /dev/vport*p1)" 2>/dev/console
elif [ -n "$attach" ]; then
    type=
    if [ "$attach" = vuart ]; then
        type="-t vuart"
    fi
    xl create /guest/guest.cfg &&
        setsid -c xl console $type guest </dev/hvc0 >/dev/hvc0 2>&1
    if [ -n "$(word shell)" ]; then
        printf '\ndom0: /guest/guest.cfg, xl console %s guest; exit powers off.\n' "$type"
        shell
    fi
else
    shell
fi
poweroff -f
