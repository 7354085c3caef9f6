// SPDX-License-Identifier: MIT
//! Hooks on small texts.

use super::*;

fn hook(text: &str) -> Hook {
    toml::from_str(&format!("name = \"h\"\nfile = \"f\"\n{text}")).unwrap()
}

fn applied(text: &str) -> String {
    hook(text).apply_to("a\nb\nc\n").unwrap()
}

#[test]
fn whole_lines_are_inserted_replaced_and_deleted() {
    assert_eq!(applied("after = \"b\"\ninsert = \"new\""), "a\nb\nnew\nc\n");
    assert_eq!(
        applied("before = \"b\"\ninsert = \"new\""),
        "a\nnew\nb\nc\n"
    );
    assert_eq!(applied("replace = \"b\"\ninsert = \"new\""), "a\nnew\nc\n");
    assert_eq!(applied("delete = \"b\""), "a\nc\n");
    assert_eq!(applied("delete = \"c\""), "a\nb\n");
    assert_eq!(applied("delete = \"a\"\nthrough = \"b\""), "c\n");
    assert_eq!(applied("delete = \"a\"\nthrough = \"c\""), "");
}

/// Only the first of several is meant, and only whole lines count.
#[test]
fn lines_are_deleted_through_the_next_that_fits() {
    let deleted = hook("delete = \"f\"\nthrough = \"}\"").apply_to("}\nf\nx}\n}\ng\n}\n");
    assert_eq!(deleted.unwrap(), "}\ng\n}\n");
    let hook = hook("delete = \"b\"\nthrough = \"a\"");
    let error = hook.apply_to("a\nb\n").unwrap_err().to_string();
    assert!(error.contains("does not follow"), "{error}");
}

#[test]
fn blank_lines_at_either_end_are_kept() {
    let insert = "insert = \"\"\"\n\nnew\n\n\"\"\"";
    assert_eq!(
        applied(&format!("after = \"b\"\n{insert}")),
        "a\nb\n\nnew\n\nc\n"
    );
}

#[test]
fn blanked_a_hook_leaves_every_other_line_its_number() {
    let blanked = |text: &str| {
        let mut hook = hook(text);
        hook.blank();
        hook.apply_to("a\nb\nc\n").unwrap()
    };
    let two = "insert = \"\"\"\nx\ny\n\"\"\"";
    assert_eq!(blanked(&format!("after = \"b\"\n{two}")), "a\nb\n\n\nc\n");
    assert_eq!(blanked(&format!("before = \"b\"\n{two}")), "a\n\n\nb\nc\n");
    assert_eq!(blanked(&format!("replace = \"b\"\n{two}")), "a\nb\n\nc\n");
}

#[test]
fn a_hook_has_one_action() {
    for text in [
        "after = \"b\"",
        "insert = \"new\"",
        "delete = \"b\"\ninsert = \"new\"",
        "after = \"b\"\ninsert = \"new\"\nthrough = \"b\"",
        "after = \"a\"\nreplace = \"b\"\ninsert = \"new\"",
    ] {
        let error = hook(text).apply_to("a\nb\n").unwrap_err().to_string();
        assert!(error.starts_with("give "), "{text}: {error}");
    }
}

#[test]
fn an_anchor_that_is_missing_or_not_unique_is_refused() {
    for text in ["a\nbb\nc\n", "b\nb\n"] {
        let hook = hook("after = \"b\"\ninsert = \"new\"");
        let error = hook.apply_to(text).unwrap_err().to_string();
        assert!(error.contains("exactly once"), "{error}");
    }
}

#[test]
fn a_place_under_a_condition_is_named_or_refused() {
    let free = "a\n#ifdef X\nx\n#endif\nb\n";
    let under = "a\n#ifdef X\nb\n#endif\n";
    let other = "a\n#ifdef X\n#else\nb\n#endif\n";
    let deeper = "a\n#ifdef X\n#ifdef Y\nb\n#endif\n#endif\n";
    for place in [
        "after = \"b\"\ninsert = \"n\"",
        "before = \"b\"\ninsert = \"n\"",
        "replace = \"b\"\ninsert = \"n\"",
        "delete = \"b\"",
    ] {
        for (text, within, fits) in [
            (free, "[]", true),
            (free, "[\"#ifdef X\"]", false),
            (under, "[]", false),
            (under, "[\"#ifdef X\"]", true),
            (other, "[\"#ifdef X\"]", false),
            (deeper, "[\"#ifdef X\"]", false),
            (deeper, "[\"#ifdef Y\"]", false),
            (deeper, "[\"#ifdef X\", \"#ifdef Y\"]", true),
        ] {
            let mut hook = hook(&format!("{place}\nwithin = {within}"));
            hook.file = "f.c".into();
            let applied = hook.apply_to(text);
            assert_eq!(applied.is_ok(), fits, "{place}, {within}: {applied:?}");
            if let Err(error) = applied {
                assert!(error.to_string().contains("conditions"), "{error}");
            }
            // Files that are not preprocessed have lines that look like directives.
            hook.file = "Makefile".into();
            assert!(hook.apply_to(text).is_ok());
        }
    }
    // After an anchor that ends a condition.
    let mut behind = hook("after = \"#endif\"\ninsert = \"n\"");
    behind.file = "f.c".into();
    assert!(behind.apply_to(under).is_ok());
}

#[test]
fn what_the_files_rely_on_is_checked() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("f"), "one two\n").unwrap();
    for (rule, holds) in [
        ("has = \"two\"", true),
        ("has = \"three\"", false),
        ("lacks = \"three\"", true),
        ("lacks = \"two\"", false),
    ] {
        let text = format!("name = \"e\"\nfile = \"f\"\nbecause = \"why\"\n{rule}");
        let expectation: Expect = toml::from_str(&text).unwrap();
        let checked = expectation.check(tree.path());
        assert_eq!(checked.is_ok(), holds, "{rule}: {checked:?}");
        if let Err(error) = checked {
            let error = error.to_string();
            assert!(error.contains("`e`") && error.contains("why"), "{error}");
        }
    }
}

fn tree(version: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("xen")).unwrap();
    fs::write(
        dir.path().join("xen/Makefile"),
        format!("export XEN_VERSION = 4\nexport XEN_SUBVERSION = {version}\n"),
    )
    .unwrap();
    dir
}

#[test]
fn another_version_is_refused_by_name() {
    let shim = tempfile::tempdir().unwrap();
    fs::create_dir_all(shim.path().join("hooks/xen-4.17")).unwrap();
    let error = HookSet::for_tree(shim.path(), tree("9").path())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("Xen 4.9") && error.contains("4.17"),
        "{error}"
    );
}

#[test]
fn a_version_s_own_hooks_join_those_of_every_version() {
    let shim = tempfile::tempdir().unwrap();
    let hook = |name: &str, text: &str| {
        format!("[[hook]]\nname = \"{name}\"\nfile = \"f\"\nafter = \"a\"\ninsert = \"{text}\"\n")
    };
    let hooks = shim.path().join("hooks");
    for (file, name, text) in [
        ("common/a.toml", "every", "every"),
        ("xen-4.17/a.toml", "own", "older"),
        ("xen-4.20/a.toml", "own", "newer"),
        ("xen-4.21/a.toml", "every", "again"),
    ] {
        let path = hooks.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, hook(name, text)).unwrap();
    }
    for (version, made) in [("17", "a\nolder\nevery\n"), ("20", "a\nnewer\nevery\n")] {
        let tree = tree(version);
        fs::write(tree.path().join("f"), "a\n").unwrap();
        let set = HookSet::for_tree(shim.path(), tree.path()).unwrap();
        assert_eq!(set.apply(tree.path()).unwrap(), (2, 0));
        assert_eq!(fs::read_to_string(tree.path().join("f")).unwrap(), made);
    }
    let error = HookSet::for_tree(shim.path(), tree("21").path()).unwrap_err();
    assert!(error.to_string().contains("two hooks are named `every`"));
}

/// A tree of 4.17, and one changed by a vendor.
#[test]
fn a_vendor_s_tree_is_recognised_and_has_hooks_of_its_own() {
    let shim = tempfile::tempdir().unwrap();
    let add = |file: &str, text: &str| {
        write(&shim.path().join("hooks").join(file), text).unwrap();
    };
    let hook = |name: &str, more: &str| {
        format!(
            "[[hook]]\nname = \"{name}\"\nfile = \"f\"\nafter = \"a\"\ninsert = \"{name}\"\n{more}\n"
        )
    };
    add("common/a.toml", &(hook("one", "") + &hook("two", "")));
    add("xen-4.17/a.toml", &hook("three", ""));
    let vendor = "xen-4.17-vendor/a.toml";
    let tells =
        "[[expect]]\nname = \"e\"\ntells = true\nfile = \"f\"\nhas = \"theirs\"\nbecause = \"\"\n";
    let other = "[[hook]]\nname = \"two\"\nfile = \"f\"\nafter = \"a\"\ninsert = \"other\"\ninstead = true\n";
    add(vendor, &format!("without = [\"one\"]\n{tells}{other}"));
    for (text, made) in [
        ("a\n", "a\nthree\ntwo\none\n"),
        ("a\ntheirs\n", "a\nthree\nother\ntheirs\n"),
    ] {
        let tree = tree("17");
        fs::write(tree.path().join("f"), text).unwrap();
        let set = HookSet::for_tree(shim.path(), tree.path()).unwrap();
        set.apply(tree.path()).unwrap();
        assert_eq!(fs::read_to_string(tree.path().join("f")).unwrap(), made);
    }
    // Hooks to be left out or replaced must exist.
    for text in ["without = [\"four\"]\n", &hook("four", "instead = true")] {
        add(vendor, text);
        let error = HookSet::for_version(shim.path(), "4.17-vendor".into()).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("no hook `four`"), "{error}");
    }
}

#[test]
fn a_set_with_one_bad_hook_writes_nothing() {
    let shim = tempfile::tempdir().unwrap();
    let set = shim.path().join("hooks/xen-4.17");
    fs::create_dir_all(&set).unwrap();
    fs::create_dir_all(shim.path().join("hooks/common")).unwrap();
    fs::write(
        set.join("a.toml"),
        "[[hook]]\nname = \"good\"\nfile = \"f\"\nafter = \"a\"\ninsert = \"x\"\n\
         [[hook]]\nname = \"bad\"\nfile = \"f\"\nafter = \"zzz\"\ninsert = \"x\"\n",
    )
    .unwrap();
    let tree = tree("17");
    fs::write(tree.path().join("f"), "a\n").unwrap();
    let set = HookSet::for_tree(shim.path(), tree.path()).unwrap();
    let error = format!("{:#}", set.apply(tree.path()).unwrap_err());
    assert!(error.contains("`bad`"), "{error}");
    assert_eq!(fs::read_to_string(tree.path().join("f")).unwrap(), "a\n");
}

#[test]
fn a_set_is_applied_to_a_tree_once() {
    let shim = tempfile::tempdir().unwrap();
    let set = shim.path().join("hooks/xen-4.17");
    fs::create_dir_all(&set).unwrap();
    fs::create_dir_all(shim.path().join("hooks/common")).unwrap();
    fs::write(shim.path().join("ours.c"), "ours\n").unwrap();
    fs::write(
        set.join("a.toml"),
        "[[copy]]\nfrom = \"ours.c\"\nto = \"xen/ours.c\"\n\
         [[hook]]\nname = \"h\"\nfile = \"f\"\nafter = \"a\"\ninsert = \"x\"\n",
    )
    .unwrap();
    let tree = tree("17");
    fs::write(tree.path().join("f"), "a\n").unwrap();
    let set = HookSet::for_tree(shim.path(), tree.path()).unwrap();
    assert_eq!(set.apply(tree.path()).unwrap(), (1, 1));
    let error = set.apply(tree.path()).unwrap_err().to_string();
    assert!(error.contains("applied to this tree before"), "{error}");
    assert_eq!(fs::read_to_string(tree.path().join("f")).unwrap(), "a\nx\n");
}
