#!/bin/sh
# SPDX-License-Identifier: MIT
# Completes the installation of a system whose packages are only unpacked, in place of
# its init; then switches the machine off.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
ln -s /proc/self/fd /dev/fd
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
depmod "$(ls /usr/lib/modules)"
# The second time those that came before the package with the users.
dpkg --force-unsafe-io --configure -a || dpkg --force-unsafe-io --configure -a
# Units without use in an emulated machine.
for unit in apt-daily-upgrade.timer apt-daily.timer dev-hugepages.mount dev-mqueue.mount \
    dpkg-db-backup.timer getty.target ldconfig.service modprobe@configfs.service \
    modprobe@fuse.service proc-sys-fs-binfmt_misc.automount sys-fs-fuse-connections.mount \
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    systemd-hwdb-update.service systemd-journal-catalog-update.service \
    systemd-logind.service systemd-pstore.service systemd-udev-trigger.service \
    systemd-update-utmp.service; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
done
# Scenarios that run in this system read the guests' logs.
[ ! -e /usr/bin/e2e ] || echo XENCONSOLED_ARGS=--log=guest >>/etc/default/xen
# A disk with partitions gets GRUB, as by Debian's installer. No udev runs here that
# would make the link by which update-grub finds the UUID.
grub() {
    links=/dev/disk/by-uuid
    mkdir -p $links &&
        ln -s /dev/vda2 "$links/$(blkid -s UUID -o value /dev/vda2)" &&
        modprobe vfat &&
        mount /boot/efi &&
        grub-install --target=arm64-efi --removable --no-nvram &&
        update-grub &&
        umount /boot/efi
}
if [ -z "$(dpkg --audit)" ] && { [ ! -b /dev/vda2 ] || grub; }; then
    echo "All packages are configured."
fi
rm /usr/sbin/policy-rc.d
sync
mount -o remount,ro /
echo o >/proc/sysrq-trigger
while :; do
    sleep 1
done
