# SPDX-License-Identifier: MIT
# libxl and xl, with `pl011 = y`, and vconsoled in place of xenconsoled.
require vpl011-patches.inc

# Its unit conflicts with vconsoled's.
SYSTEMD_SERVICE:${PN}-xencommons:remove = "xenconsoled.service"

# Without systemd, xencommons starts the program of this name.
do_install:append() {
    if ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'false', 'true', d)}; then
        mv ${D}${sbindir}/xenconsoled ${D}${sbindir}/xenconsoled.stock
        ln -s ${nonarch_libdir}/vconsoled/xenconsoled-start ${D}${sbindir}/xenconsoled
    fi
}

FILES:${PN}-console += "${sbindir}/xenconsoled.stock"
RDEPENDS:${PN}-console += "vconsoled"
