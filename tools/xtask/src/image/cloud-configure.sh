#!/bin/sh
# SPDX-License-Identifier: MIT
# Completes the installation of a guest's system whose packages are only unpacked, in
# place of its init: dpkg, the boot loader, root's password. Then switches the machine
# off.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
if [ "$0" != /run/configure ]; then
    mount -t proc proc /proc
    mount -t sysfs sys /sys
    mount -t tmpfs run /run
    # A file system cannot become read-only while a removed file of it is in use.
    mv /configure /run/configure
    exec /run/configure
fi
ln -s /proc/self/fd /dev/fd
mkdir -p /boot/efi /dev/disk/by-uuid
for entry in 'vda2 / ext4 rw' 'vda1 /boot/efi vfat umask=0077'; do
    set -- $entry
    uuid=$(blkid -s UUID -o value "/dev/$1")
    # The boot loader's configuration uses the UUID only if this link exists.
    ln -sf "../../$1" "/dev/disk/by-uuid/$uuid"
    echo "UUID=$uuid $2 $3 $4 0 0"
done >/etc/fstab
# The initramfs is made once, in the end. The second time those that came before the
# package with the users.
export INITRD=No
dpkg --force-unsafe-io --configure -a || dpkg --force-unsafe-io --configure -a
unset INITRD
if [ -z "$(dpkg --audit)" ] &&
    update-initramfs -c -k all &&
    kernel=$(linux-version list) &&
    linux-update-symlinks install "$kernel" "/boot/vmlinuz-$kernel" &&
    modprobe vfat &&
    mount /boot/efi &&
    grub-install --target=arm64-efi --removable --no-nvram &&
    update-grub &&
    echo 'root:@PASSWORD@' | chpasswd &&
    rm /usr/sbin/policy-rc.d &&
    touch /etc/.updated /var/.updated &&
    umount /boot/efi &&
    sync &&
    mount -o remount,ro /; then
    echo "All packages are configured."
fi
echo o >/proc/sysrq-trigger
while :; do
    sleep 1
done
