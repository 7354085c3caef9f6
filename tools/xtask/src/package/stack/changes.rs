// SPDX-License-Identifier: MIT
//! The changes of a cross build to Debian's part of a source package: lines of ours
//! beside a line that occurs once, or in its place.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use steps::write;

/// A change of one file.
#[derive(Debug)]
pub(super) struct Change {
    /// Path below the source.
    file: &'static str,
    /// A whole line, which the file must have exactly once.
    anchor: &'static str,
    put: Put,
}

#[derive(Debug)]
enum Put {
    /// Lines after the anchor.
    Behind(&'static str),
    /// Lines in the anchor's place.
    Instead(&'static str),
}

const fn behind(file: &'static str, anchor: &'static str, lines: &'static str) -> Change {
    let put = Put::Behind(lines);
    Change { file, anchor, put }
}

const fn instead(file: &'static str, anchor: &'static str, lines: &'static str) -> Change {
    let put = Put::Instead(lines);
    Change { file, anchor, put }
}

const CONTROL: &str = "debian/control";
const RULES: &str = "debian/rules";

/// The changes to each release's source.
pub(super) static COMMON: [Change; 10] = [
    // The build runs iasl, so it must be the building machine's.
    instead(CONTROL, "   iasl,", "   acpica-tools:native,\n"),
    // ocaml for arm64 cannot be installed beside that of the building machine, so
    // oxenstored is not built; the C xenstored is.
    instead(CONTROL, "   ocaml,", ""),
    instead(CONTROL, "   ocaml-findlib,", ""),
    instead(
        "debian/xen-utils-common.install",
        "etc/xen/oxenstored.conf",
        "",
    ),
    // On a host that ran Debian's packages an oxenstored runs whose file is gone, which
    // the script does not find. It would start the other store in addition.
    instead(
        "debian/xen-utils-common.xen.init",
        "\tlog_progress_msg \"xenstored\"",
        "\tif start-stop-daemon --status --pidfile \"$XENSTORED_PIDFILE\" --name oxenstored; then\n\
         \t\treturn 0\n\
         \tfi\n\
         \tlog_progress_msg \"xenstored\"\n",
    ),
    // Python's extensions are compiled for arm64.
    behind(
        RULES,
        "include /usr/share/dpkg/architecture.mk",
        "export _PYTHON_SYSCONFIGDATA_NAME := _sysconfigdata__linux_$(DEB_HOST_MULTIARCH)\n\
         export _PYTHON_HOST_PLATFORM := linux-$(DEB_HOST_GNU_CPU)\n",
    ),
    // The prefix of the cross tools, for tools without their own variable.
    behind(
        RULES,
        "\tCC=$(DEB_HOST_GNU_TYPE)-gcc \\",
        "\tCROSS_COMPILE=$(DEB_HOST_GNU_TYPE)- \\\n",
    ),
    // The shim for x86 is left out: configure would enable it for the building machine.
    behind(
        RULES,
        "\t$(make_args_tools) ./configure \\",
        "\t\t--build=$(DEB_BUILD_MULTIARCH) \\\n\
         \t\t--disable-ocamltools \\\n\
         \t\t--disable-pvshim \\\n",
    ),
    // The device: its object, and its option.
    behind(
        RULES,
        "\tcp debian/xen-kconfig xen/.config",
        "\tcp debian/vpl011/core.o xen/arch/arm/vpl011/core.o_shipped\n",
    ),
    behind(
        "debian/xen-kconfig",
        "CONFIG_DEBUG=n",
        "CONFIG_VPL011_RUST=y\n",
    ),
];

/// Those to Debian 13's Xen 4.20: a part of oxenstored.
pub(super) static TRIXIE: [Change; 1] = [instead(
    "debian/xen-utils-V.install.vsn-in",
    "usr/lib/xen-@version@/ocaml/xsd_glue",
    "",
)];

/// Those to Debian 12's Xen 4.17: its rules build with one job. The documentation has
/// to be built so.
pub(super) static BOOKWORM: [Change; 3] = [
    behind(
        RULES,
        "include /usr/share/dpkg/architecture.mk",
        "JOBS := $(patsubst parallel=%,-j%,$(filter parallel=%,$(DEB_BUILD_OPTIONS)))\n",
    ),
    instead(
        RULES,
        "\t$(MAKE) $(make_args_xen) xen",
        "\t$(MAKE) $(JOBS) $(make_args_xen) xen\n",
    ),
    instead(
        RULES,
        "\t$(MAKE) $(make_args_tools) tools docs CONFIG_PV_SHIM=n",
        "\t$(MAKE) $(JOBS) $(make_args_tools) tools CONFIG_PV_SHIM=n\n\
         \t$(MAKE) $(make_args_tools) docs CONFIG_PV_SHIM=n\n",
    ),
];

/// Applies changes to a source.
pub(super) fn make<'a>(changes: impl IntoIterator<Item = &'a Change>, source: &Path) -> Result<()> {
    changes
        .into_iter()
        .try_for_each(|change| change.make(source))
}

impl Change {
    fn make(&self, source: &Path) -> Result<()> {
        let path = source.join(self.file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let found = text.lines().filter(|line| *line == self.anchor).count();
        ensure!(
            found == 1,
            "{} has the line {:?} {found} times, not once: adapt \
             tools/xtask/src/package/stack/changes.rs to the moved pins",
            self.file,
            self.anchor
        );
        let line = |line| match &self.put {
            _ if line != self.anchor => format!("{line}\n"),
            Put::Behind(lines) => format!("{line}\n{lines}"),
            Put::Instead(lines) => (*lines).to_owned(),
        };
        write(&path, text.lines().map(line).collect::<String>())
    }

    /// Its text in a step's key.
    pub(super) fn text(&self) -> String {
        format!("{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_behind_an_anchor_or_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules");
        let changes = [
            behind("rules", "one", "\tours\n"),
            instead("rules", "two", ""),
            instead("rules", "four", "4\nIV\n"),
        ];
        write(&file, "one\ntwo\nthree two\nfour\n").unwrap();
        make(&changes, folder.path()).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text, "one\n\tours\nthree two\n4\nIV\n");

        for (text, times) in [("two\nfour\n", 0), ("one\none\ntwo\nfour\n", 2)] {
            write(&file, text).unwrap();
            let error = make(&changes, folder.path()).unwrap_err().to_string();
            let said = format!("rules has the line \"one\" {times} times");
            assert!(error.starts_with(&said), "{error}");
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
    }

    #[test]
    fn the_device_s_object_and_option_are_put_in() {
        let put: String = COMMON.iter().map(Change::text).collect();
        for part in [
            "cp debian/vpl011/core.o xen/arch/arm/vpl011/core.o_shipped",
            "CONFIG_VPL011_RUST=y",
        ] {
            assert!(put.contains(part), "{part}");
        }
    }
}
