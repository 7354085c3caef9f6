// SPDX-License-Identifier: MIT
//! The daemon's JSON answers against their published schemas
//! (docs/reference/*.schema.json). The checker supports the keywords of those,
//! and fails on others.

use serde_json::Value;
use xen_io::DomId;
use xen_io::fake::Machine;

use crate::peer::Attached;
use crate::support::*;

const STATUS: &str = include_str!("../../../../docs/reference/status.schema.json");
const WHO: &str = include_str!("../../../../docs/reference/who.schema.json");

/// The faults of a value by a schema. A property that is not in the schema is a
/// fault too: this is the daemon of the same version.
fn check(value: &Value, schema: &Value, at: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut fail = |what: String| wrong.push(format!("{at}: {what}"));
    let mut inner = Vec::new();
    for (word, rule) in schema.as_object().unwrap() {
        match word.as_str() {
            "const" if value != rule => fail(format!("{value} is not {rule}")),
            "enum" if !rule.as_array().unwrap().contains(value) => {
                fail(format!("{value} is none of {rule}"));
            }
            "type" => {
                let one = [rule.clone()];
                let types = rule.as_array().map_or(&one[..], Vec::as_slice);
                let kind = match value {
                    Value::Null => "null",
                    Value::Bool(_) => "boolean",
                    Value::Number(_) => "integer",
                    Value::String(_) => "string",
                    Value::Array(_) => "array",
                    Value::Object(_) => "object",
                };
                if !types.contains(&kind.into()) {
                    fail(format!("{kind} is no {rule}"));
                }
            }
            "minimum" if value.as_f64() < rule.as_f64() && value.is_number() => {
                fail(format!("{value} is below {rule}"));
            }
            "maximum" if value.as_f64() > rule.as_f64() => fail(format!("{value} is above {rule}")),
            "required" => {
                for name in rule.as_array().unwrap() {
                    if value.get(name.as_str().unwrap()).is_none() {
                        fail(format!("{name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    match rule.get(name) {
                        Some(rule) => inner.extend(check(member, rule, &format!("{at}.{name}"))),
                        None => fail(format!("{name:?} is not in the schema")),
                    }
                }
            }
            "additionalProperties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    inner.extend(check(member, rule, &format!("{at}.{name}")));
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    inner.extend(check(item, rule, &format!("{at}[]")));
                }
            }
            "$schema" | "title" | "description" | "const" | "enum" | "minimum" | "maximum" => {}
            _ => fail(format!("the checker does not support {word:?}")),
        }
    }
    wrong.extend(inner);
    wrong
}

#[test]
fn answers_follow_the_schemas() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (domid, ..) = guest(&machine, "web");
    let broken = machine.create_domain("broken").unwrap();
    let _pv = machine.add_pv_console(broken).unwrap();
    let port = format!("/local/domain/{broken}/console/port");
    machine.toolstack().unwrap().write(&port, "99999").unwrap();
    machine.introduce(broken);
    let (mut config, socket) = with_control(&dir);
    let watch = "[[watch]]\nname = \"any\"\nmatch = '.'\n";
    config.watch = vconsoled::Config::parse(watch).unwrap().watch;
    let _daemon = Daemon::start(&machine, config);
    let _pty = Viewer::open(&machine, domid, PV);
    let _origin = Attached::new(&socket, r#""domid":1,"console":"pv0","origin":"x""#);
    let _alone = Attached::new(
        &socket,
        r#""domid":1,"console":"vuart0","exclusive":"force""#,
    );
    assert_eq!(domid, DomId(1));
    for (request, schema, list, count) in [
        ("status", STATUS, "consoles", 3),
        ("who", WHO, "viewers", 3),
    ] {
        let schema: Value = serde_json::from_str(schema).unwrap();
        let answer = wait_for("everybody", || {
            let answer: Value = serde_json::from_str(&ask(&socket, request)).unwrap();
            (answer[list].as_array().unwrap().len() == count).then_some(answer)
        });
        assert_eq!(check(&answer, &schema, request), Vec::<String>::new());
        // Each property must be required and have a type.
        for name in answer[list][0].as_object().unwrap().keys() {
            let mut other = answer.clone();
            let row = other[list][0].as_object_mut().unwrap();
            row.remove(name);
            assert_ne!(
                check(&other, &schema, request),
                Vec::<String>::new(),
                "{name}"
            );
            let mut other = answer.clone();
            other[list][0][name] = serde_json::json!({"x": {}});
            assert_ne!(
                check(&other, &schema, request),
                Vec::<String>::new(),
                "{name}"
            );
        }
    }
}
