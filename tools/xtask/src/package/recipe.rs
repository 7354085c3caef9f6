// SPDX-License-Identifier: MIT
//! The contents of each package. Its files are in `packaging` beside the sources.

use super::programs::{ALL, AMD64, ARM64, Arch};

/// A file that is installed unchanged: source, destination, and mode.
type File = (&'static str, &'static str, u32);

/// A package.
pub(crate) struct Recipe {
    /// Its name, which is also that of a folder of `tools`.
    pub(super) name: &'static str,
    /// Programs, with the folder of each.
    pub(super) programs: &'static [(&'static str, &'static str)],
    pub(super) files: &'static [File],
    /// Files of xterm.js, as npm installs it.
    pub(super) xterm: &'static [&'static str],
    /// The path of EDK2's image, if the package has one.
    pub(super) efi: Option<&'static str>,
    /// Links, with the target of each.
    pub(super) links: &'static [(&'static str, &'static str)],
    /// Empty folders that only root may read.
    pub(super) private: &'static [&'static str],
    /// Files that the administrator may change.
    pub(super) conffiles: &'static str,
    /// Other files for dpkg.
    pub(super) scripts: &'static [&'static str],
    pub(super) triggers: Option<&'static str>,
    /// Test cases of its scripts.
    pub(super) cases: &'static [&'static str],
    /// The set of pinned packages that these need.
    pub(super) others: Option<&'static str>,
    /// Required files, with their permissions.
    pub(super) wanted: &'static [(&'static str, &'static str)],
    /// Words that pages and shells' completions must contain.
    pub(super) told: &'static [(&'static str, &'static str)],
}

impl Recipe {
    /// The architectures that it is made for.
    pub(super) fn archs(&self) -> &'static [&'static Arch] {
        if self.programs.is_empty() {
            &[&ALL]
        } else {
            &[&ARM64, &AMD64]
        }
    }
}

/// Scripts that dpkg runs.
const SCRIPTS: &[&str] = &["postinst", "prerm", "postrm"];

/// The daemon and its client.
pub(crate) const VCONSOLED: Recipe = Recipe {
    name: "vconsoled",
    programs: &[("vconsoled", "usr/sbin"), ("vconsole", "usr/bin")],
    files: &[
        (
            "debian/lintian-overrides",
            "usr/share/lintian/overrides/vconsoled",
            0o644,
        ),
        ("vconsoled.toml", "etc/vconsoled.toml", 0o644),
        (
            "vconsoled.service",
            "lib/systemd/system/vconsoled.service",
            0o644,
        ),
        (
            "vconsoled.sysusers",
            "usr/lib/sysusers.d/vconsoled.conf",
            0o644,
        ),
        (
            "xenconsoled-start",
            "usr/lib/vconsoled/xenconsoled-start",
            0o755,
        ),
        ("xen-programs", "usr/lib/vconsoled/xen-programs", 0o755),
        (
            "vconsoled.openrc",
            "usr/share/vconsoled/vconsoled.openrc",
            0o644,
        ),
    ],
    xterm: &[],
    efi: None,
    links: &[
        // As a login shell.
        ("usr/lib/vconsoled/vconsole-login", "../../bin/vconsole"),
    ],
    private: &[],
    conffiles: "/etc/vconsoled.toml\n",
    scripts: SCRIPTS,
    triggers: Some("triggers"),
    cases: &[
        "first",
        "held",
        "unkillable",
        "dead",
        "no-room",
        "no-room-files",
        "no-room-upgrade",
        "bad-configuration-first",
        "bad-configuration-upgrade",
        "bad-options",
        "policy",
        "no-service",
        "supervised",
        "openrc",
        "two-versions",
        "again",
    ],
    others: Some("openrc"),
    wanted: &[
        ("/etc/vconsoled.toml", "-rw-r--r--"),
        ("/lib/systemd/system/vconsoled.service", "-rw-r--r--"),
        ("/usr/bin/vconsole", "-rwxr-xr-x"),
        ("/usr/lib/sysusers.d/vconsoled.conf", "-rw-r--r--"),
        ("/usr/lib/vconsoled/vconsole-login", "lrwxrwxrwx"),
        ("/usr/lib/vconsoled/xen-programs", "-rwxr-xr-x"),
        ("/usr/lib/vconsoled/xenconsoled-start", "-rwxr-xr-x"),
        ("/usr/sbin/vconsoled", "-rwxr-xr-x"),
        (
            "/usr/share/bash-completion/completions/vconsole",
            "-rw-r--r--",
        ),
        (
            "/usr/share/bash-completion/completions/vconsoled",
            "-rw-r--r--",
        ),
        ("/usr/share/doc/vconsoled/changelog.gz", "-rw-r--r--"),
        ("/usr/share/doc/vconsoled/copyright", "-rw-r--r--"),
        (
            "/usr/share/fish/vendor_completions.d/vconsole.fish",
            "-rw-r--r--",
        ),
        (
            "/usr/share/fish/vendor_completions.d/vconsoled.fish",
            "-rw-r--r--",
        ),
        ("/usr/share/man/man1/vconsole.1.gz", "-rw-r--r--"),
        ("/usr/share/man/man1/vconsole-attach.1.gz", "-rw-r--r--"),
        ("/usr/share/man/man1/vconsole-log.1.gz", "-rw-r--r--"),
        ("/usr/share/man/man8/vconsoled.8.gz", "-rw-r--r--"),
        ("/usr/share/vconsoled/vconsoled.openrc", "-rw-r--r--"),
        ("/usr/share/zsh/vendor-completions/_vconsole", "-rw-r--r--"),
        ("/usr/share/zsh/vendor-completions/_vconsoled", "-rw-r--r--"),
    ],
    told: &[
        ("man8/vconsoled.8.gz", "--overflow-data"),
        ("man8/vconsoled.8.gz", "--check-config"),
        ("man8/vconsoled.8.gz", "SIGHUP"),
        ("man1/vconsole-attach.1.gz", "--read-only"),
        ("completions/vconsole", "attach"),
    ],
};

/// Pages for browsers.
pub(crate) const VCONSOLE_WEB: Recipe = Recipe {
    name: "vconsole-web",
    programs: &[("vconsole-web", "usr/sbin")],
    files: &[
        (
            "debian/lintian-overrides",
            "usr/share/lintian/overrides/vconsole-web",
            0o644,
        ),
        ("vconsole-web.default", "etc/default/vconsole-web", 0o644),
        ("tenants", "etc/vconsole-web/tenants", 0o644),
        (
            "vconsole-web.service",
            "lib/systemd/system/vconsole-web.service",
            0o644,
        ),
        (
            "vconsole-web.sysusers",
            "usr/lib/sysusers.d/vconsole-web.conf",
            0o644,
        ),
    ],
    xterm: &[
        "@xterm/xterm/css/xterm.css",
        "@xterm/xterm/lib/xterm.js",
        "@xterm/addon-search/lib/addon-search.js",
    ],
    efi: None,
    links: &[],
    private: &["etc/vconsole-web/tls"],
    conffiles: "/etc/default/vconsole-web\n/etc/vconsole-web/tenants\n",
    scripts: SCRIPTS,
    triggers: None,
    cases: &["serves", "unit", "removed", "purged"],
    others: None,
    wanted: &[
        ("/etc/default/vconsole-web", "-rw-r--r--"),
        ("/etc/vconsole-web/tenants", "-rw-r--r--"),
        ("/etc/vconsole-web/tls/", "drwx------"),
        ("/lib/systemd/system/vconsole-web.service", "-rw-r--r--"),
        ("/usr/lib/sysusers.d/vconsole-web.conf", "-rw-r--r--"),
        ("/usr/sbin/vconsole-web", "-rwxr-xr-x"),
        (
            "/usr/share/bash-completion/completions/vconsole-web",
            "-rw-r--r--",
        ),
        ("/usr/share/doc/vconsole-web/changelog.gz", "-rw-r--r--"),
        ("/usr/share/doc/vconsole-web/copyright", "-rw-r--r--"),
        ("/usr/share/man/man8/vconsole-web.8.gz", "-rw-r--r--"),
        (
            "/usr/share/vconsole-web/node_modules/@xterm/addon-search/lib/addon-search.js",
            "-rw-r--r--",
        ),
        (
            "/usr/share/vconsole-web/node_modules/@xterm/xterm/css/xterm.css",
            "-rw-r--r--",
        ),
        (
            "/usr/share/vconsole-web/node_modules/@xterm/xterm/lib/xterm.js",
            "-rw-r--r--",
        ),
    ],
    told: &[
        ("man8/vconsole-web.8.gz", "--proxy-socket"),
        ("man8/vconsole-web.8.gz", "/etc/vconsole-web/tenants"),
    ],
};

/// The firmware of guests.
pub(crate) const VPL011_EFI: Recipe = Recipe {
    name: "vpl011-efi",
    programs: &[],
    files: &[],
    xterm: &[],
    efi: Some("usr/lib/vpl011/efi.fd"),
    links: &[],
    private: &[],
    conffiles: "",
    scripts: &[],
    triggers: None,
    cases: &[],
    others: None,
    wanted: &[
        ("/usr/lib/vpl011/efi.fd", "-rw-r--r--"),
        ("/usr/share/doc/vpl011-efi/changelog.gz", "-rw-r--r--"),
        ("/usr/share/doc/vpl011-efi/copyright", "-rw-r--r--"),
        ("/usr/share/doc/vpl011-efi/copyright.edk2", "-rw-r--r--"),
    ],
    told: &[],
};
