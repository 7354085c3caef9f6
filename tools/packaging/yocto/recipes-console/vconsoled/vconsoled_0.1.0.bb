# SPDX-License-Identifier: MIT
SUMMARY = "Console backend and client for Xen guests"
DESCRIPTION = "vconsoled serves the consoles of all guests of a Xen host, in place of xenconsoled; vconsole is its client."
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://LICENSES/MIT.txt;md5=528504715d6fb9908610ffa63192bbb1"

inherit cargo externalsrc systemd useradd vpl011-crates

EXTERNALSRC = "${VPL011_SOURCE}"
EXTERNALSRC_BUILD = "${WORKDIR}/build"
PACKAGING = "${S}/tools/vconsoled/packaging"

CARGO_BUILD_FLAGS += "--package vconsoled --package vconsole"

SYSTEMD_SERVICE:${PN} = "vconsoled.service"

USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --no-create-home --shell /sbin/nologin --user-group vconsoled"

do_install() {
    built=${B}/target/${CARGO_TARGET_SUBDIR}
    install -D -m 0755 $built/vconsoled ${D}${sbindir}/vconsoled
    install -D -m 0755 $built/vconsole ${D}${bindir}/vconsole
    install -D -m 0644 ${PACKAGING}/vconsoled.toml ${D}${sysconfdir}/vconsoled.toml
    # As a login shell.
    install -d ${D}${nonarch_libdir}/vconsoled
    ln -s ${bindir}/vconsole ${D}${nonarch_libdir}/vconsoled/vconsole-login
    if ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'true', 'false', d)}; then
        install -D -m 0644 ${PACKAGING}/vconsoled.service \
            ${D}${systemd_system_unitdir}/vconsoled.service
    else
        install -m 0755 ${PACKAGING}/xenconsoled-start ${D}${nonarch_libdir}/vconsoled/
    fi
}

FILES:${PN} += "${nonarch_libdir}/vconsoled"
CONFFILES:${PN} = "${sysconfdir}/vconsoled.toml"

# What xenconsoled-start uses.
RDEPENDS:${PN} += "${@bb.utils.contains('DISTRO_FEATURES', 'systemd', '', 'util-linux-flock util-linux-logger', d)}"
