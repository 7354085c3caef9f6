// SPDX-License-Identifier: MIT
//! Every decision of a small world against a model with tables of all answers,
//! without matching.

use super::*;
use crate::Config;
use crate::config::Right;

const OWN: u32 = 990;
const SOCKETS: u32 = 50;

/// Users, and the groups of each.
const CALLERS: [(u32, &[u32]); 6] = [
    (0, &[0]),
    (OWN, &[OWN]),
    (1000, &[1000]),
    (1001, &[1001, 2000]),
    (1002, &[1002, SOCKETS]),
    (u32::MAX, &[]),
];

const WEB_1: (&str, &str) = ("web-1", "aaaaaaaa-0000-4000-8000-000000000001");
const WEB_2: (&str, &str) = ("web-2", "aaaaaaaa-0000-4000-8000-000000000002");
const DB: (&str, &str) = ("db", "aaaaaaaa-0000-4000-8000-000000000003");
const NAMELESS: (&str, &str) = ("", "");
const GUESTS: [(&str, &str); 4] = [WEB_1, WEB_2, DB, NAMELESS];

/// Names in rules, and the guests that match them.
const USERS: [&[u32]; 3] = [&[], &[1000], &[1001, 1000]];
const GROUPS: [&[u32]; 2] = [&[], &[2000]];
const DOMAINS: [(&str, &[(&str, &str)]); 4] = [
    ("*", &GUESTS),
    ("web-*", &[WEB_1, WEB_2]),
    ("AAAAAAAA-0000-4000-8000-000000000002", &[WEB_2]),
    ("d?", &[DB]),
];
const CONSOLES: [(&str, &[&str]); 2] = [("*", &["pv0", "vuart0", "pv1"]), ("vuart?", &["vuart0"])];
const SLOTS: [&str; 3] = ["pv0", "vuart0", "pv1"];

/// The rights that a rule lists, and all that follow from them.
const RIGHTS: [(&str, &[Right]); 6] = [
    ("'list'", &[Right::List]),
    ("'watch'", &[Right::List, Right::Watch]),
    ("'log'", &[Right::List, Right::Log]),
    ("'type'", &[Right::List, Right::Watch, Right::Type]),
    ("'break','log'", &[Right::List, Right::Log, Right::Break]),
    ("'control'", &[Right::List, Right::Control]),
];

/// A rule of the model.
#[derive(Clone, Copy)]
struct Model {
    users: &'static [u32],
    groups: &'static [u32],
    domains: (&'static str, &'static [(&'static str, &'static str)]),
    consoles: (&'static str, &'static [&'static str]),
    rights: (&'static str, &'static [Right]),
}

impl Model {
    fn every() -> Vec<Self> {
        let mut all = Vec::new();
        for users in USERS {
            for groups in GROUPS {
                for domains in DOMAINS {
                    for consoles in CONSOLES {
                        for rights in RIGHTS {
                            all.push(Self {
                                users,
                                groups,
                                domains,
                                consoles,
                                rights,
                            });
                        }
                    }
                }
            }
        }
        all.retain(|rule| !rule.users.is_empty() || !rule.groups.is_empty());
        all
    }

    /// The rule as the daemon parses it from a configuration.
    fn rule(&self) -> Rule {
        let quoted = |ids: &[u32]| {
            let words: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
            words.join(",")
        };
        let text = format!(
            "[[access]]\nusers = [{}]\ngroups = [{}]\ndomains = ['{}']\nconsoles = ['{}']\n\
             rights = [{}]\n",
            quoted(self.users),
            quoted(self.groups),
            self.domains.0,
            self.consoles.0,
            self.rights.0,
        );
        let mut found = Found::of(&Config::parse(&text).unwrap().access);
        assert!(found.missing.is_empty(), "{:?}", found.missing);
        found.rules.pop().unwrap()
    }

    fn gives(&self, caller: (u32, &[u32]), guest: (&str, &str), slot: &str, right: Right) -> bool {
        let (uid, groups) = caller;
        let is_named = self.users.contains(&uid);
        let is_member = groups.iter().any(|group| self.groups.contains(group));
        (is_named || is_member)
            && self.domains.1.contains(&guest)
            && self.consoles.1.contains(&slot)
            && self.rights.1.contains(&right)
    }
}

fn caller((uid, groups): (u32, &[u32]), way: Way) -> Caller {
    Caller {
        uid,
        groups: groups.to_vec(),
        pid: 1,
        way,
        tenant: None,
    }
}

fn rules(rules: Vec<Rule>, control: u32, consoles: u32) -> Rules {
    let permissions = |mode| Permissions {
        mode,
        group: SOCKETS,
    };
    Rules {
        own: OWN,
        control: permissions(control),
        consoles: permissions(consoles),
        given: rules,
    }
}

#[test]
fn every_decision_of_one_rule_and_of_two_is_the_model_s() {
    let models = Model::every();
    let parsed: Vec<Rule> = models.iter().map(Model::rule).collect();
    let mut decided = 0_u64;
    for (at, first) in models.iter().enumerate() {
        for (also, second) in models.iter().enumerate().skip(at) {
            // The permissions of sockets are ignored while there are rules.
            let pair = vec![parsed[at].clone(), parsed[also].clone()];
            let rules = rules(pair, 0o666, 0o666);
            for who in CALLERS {
                let is_master = who.0 == 0 || who.0 == OWN;
                let caller = caller(who, Way::Control);
                for (name, uuid) in GUESTS {
                    for slot in SLOTS {
                        let rights = rules.rights(&caller, Guest { name, uuid }, slot);
                        for right in Right::ALL {
                            let given = [first, second]
                                .iter()
                                .any(|rule| rule.gives(who, (name, uuid), slot, right));
                            assert_eq!(
                                rights.has(right),
                                is_master || given,
                                "{right} for {who:?} on {name}/{slot} by {rules:?}"
                            );
                            decided += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(decided > 10_000_000, "{decided}");
}

#[test]
fn without_a_rule_the_sockets_permissions_decide() {
    let guest = Guest {
        name: "web",
        uuid: "",
    };
    for (mode, member, other) in [
        (0o600, false, false),
        (0o660, true, false),
        (0o606, false, true),
        (0o666, true, true),
        // Connecting requires write permission.
        (0o644, false, false),
    ] {
        for (way, rules) in [
            (Way::Control, rules(Vec::new(), mode, 0o600)),
            (Way::Console, rules(Vec::new(), 0o600, mode)),
        ] {
            let may = |who| {
                let rights = rules.rights(&caller(who, way), guest, "pv0");
                assert!(rights == Rights::ALL || rights == Rights::NONE);
                rights == Rights::ALL
            };
            let (root, own) = (may(CALLERS[0]), may(CALLERS[1]));
            assert!(root && own, "{mode:o}");
            assert_eq!(may(CALLERS[4]), member, "{mode:o}");
            assert_eq!(may(CALLERS[2]), other, "{mode:o}");
        }
    }
}

#[test]
fn unknown_names_are_reported_and_grant_nothing() {
    let text = "[[access]]\nusers = ['root']\ndomains = ['*']\nrights = ['list']\n\
                [[access]]\nusers = ['nonesuch', 'root']\ngroups = ['nonesuch']\n\
                domains = ['*']\nrights = ['watch']\n";
    let found = Found::of(&Config::parse(text).unwrap().access);
    assert_eq!(
        found.missing,
        [
            "[[access]] number 2: user nonesuch: there is none",
            "[[access]] number 2: group nonesuch: there is none"
        ]
    );
    assert_eq!(
        (&*found.rules[1].users, &*found.rules[1].groups),
        (&[0][..], &[][..])
    );
}

/// Every rule of one tenant by one caller, against every caller with every
/// tenant.
#[test]
fn a_request_for_a_tenant_has_that_tenant_s_rights_and_none_of_its_own() {
    let tenant = |name: &str| Tenant::new(name);
    let guest = Guest {
        name: "web-1",
        uuid: "",
    };
    // A rule for the callers themselves, which must not count for tenants.
    let own = "[[access]]\nusers = ['1000', '1001']\ndomains = ['*']\nrights = ['control']\n";
    for by in [0, OWN, 1000, 1001] {
        for listed in ["alice", "bob"] {
            let text = format!(
                "{own}[[access]]\ntenants = ['{listed}']\nby = ['{by}']\ndomains = ['web-*']\n\
                 rights = ['watch']\n"
            );
            let found = Found::of(&Config::parse(&text).unwrap().access);
            let rules = rules(found.rules, 0o666, 0o666);
            for who in CALLERS {
                for asks_for in [None, tenant("alice"), tenant("bob")] {
                    let caller = Caller {
                        tenant: asks_for.clone(),
                        ..caller(who, Way::Control)
                    };
                    let rights = rules.rights(&caller, guest, "pv0");
                    let is_master = asks_for.is_none() && [0, OWN].contains(&who.0);
                    assert_eq!(rules.is_master(&caller), is_master);
                    let is_theirs = asks_for == tenant(listed) && who.0 == by;
                    let has_own = asks_for.is_none() && [1000, 1001].contains(&who.0);
                    let expected: &[Right] = match (is_master, is_theirs, has_own) {
                        (true, ..) => &Right::ALL,
                        (_, true, _) => &[Right::List, Right::Watch],
                        (.., true) => &[Right::List, Right::Control],
                        _ => &[],
                    };
                    assert_eq!(
                        rights.iter().collect::<Vec<_>>(),
                        expected,
                        "{caller} by {rules:?}"
                    );
                }
            }
        }
    }
    // Without rules, whoever can connect has all rights, but none for a tenant.
    let caller = Caller {
        tenant: tenant("alice"),
        ..caller(CALLERS[0], Way::Control)
    };
    let rights = rules(Vec::new(), 0o666, 0o666).rights(&caller, guest, "pv0");
    assert_eq!(rights, Rights::NONE);
}
