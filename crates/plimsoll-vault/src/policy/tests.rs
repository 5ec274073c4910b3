#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::request::Operation;
use crate::token::support::{Server, refused};

fn acl(policies: &[&str]) -> Acl {
    let parsed: Vec<Arc<Policy>> =
        policies.iter().map(|text| Arc::new(Policy::parse(text).unwrap())).collect();
    Acl::compile(&parsed)
}

fn may(acl: &Acl, access: Access, path: &str) -> bool {
    acl.allows(access, path, &Map::new()).is_ok()
}

/// A policy whose rules each allow one thing, to tell which of them counted.
fn marked(rules: &[(&str, &str)]) -> Acl {
    let rules: Vec<String> = rules
        .iter()
        .map(|(path, capability)| {
            format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}")
        })
        .collect();
    acl(&[&rules.join("\n")])
}

#[test]
fn the_more_specific_pattern_counts() {
    for (path, low, high) in [
        ("secret/a", "secret/*", "secret/a"),
        ("secret/a/b", "secret/*", "secret/a/*"),
        ("secret/a/b", "*", "secret/*"),
        ("secret/a/b", "secret/a*", "secret/a/b"),
        // The first wildcard comes later.
        ("secret/a/b", "secret/+/b", "secret/a/*"),
        ("secret/a/b", "+/a/b", "secret/*"),
        ("secret/a/b", "secret/+/b", "secret/a/+"),
        // No glob at the end.
        ("secret/a/b", "secret/+/b*", "secret/+/b"),
        ("secret/a/b", "secret/+/*", "secret/+/+"),
        // Fewer segments that may be anything.
        ("secret/a/b", "secret/+/+", "secret/+/b"),
        // At the same position, a prefix has none of these.
        ("secret/a/b", "secret/+/*", "secret/*"),
        // Longer.
        ("secret/a/bcd", "secret/+/b*", "secret/+/bc*"),
        // Exact beats all, whatever its order in the alphabet.
        ("secret/a/b", "secret/a/+", "secret/a/b"),
    ] {
        for rules in [[(low, "read"), (high, "update")], [(high, "update"), (low, "read")]] {
            let acl = marked(&rules);
            assert!(may(&acl, Access::Update, path), "{high} over {low} for {path}");
            assert!(!may(&acl, Access::Read, path), "{high} over {low} for {path}");
        }
    }
}

#[test]
fn a_pattern_matches_what_it_says_and_nothing_else() {
    for (pattern, path, expected) in [
        ("a", "a", true),
        ("a", "a/", false),
        ("a", "ab", false),
        ("/a", "a", true),
        ("a/*", "a/", true),
        ("a/*", "a/b/c", true),
        ("a/*", "a", false),
        ("a*", "a", true),
        ("a*", "abc/d", true),
        ("*", "anything/at/all", true),
        ("+", "a", true),
        ("+", "a/b", false),
        ("+/b", "a/b", true),
        ("+/b", "a/b/c", false),
        ("a/+/c", "a/b/c", true),
        ("a/+/c", "a//c", true),
        ("a/+/c", "a/b/d", false),
        ("a/+/c*", "a/b/cde/f", true),
        ("a/+/*", "a/b", false),
        ("a/+/*", "a/b/", true),
        ("a/+/*", "a/b/c/d", true),
        ("a+b", "axb", false),
        ("a+b", "a+b", true),
        ("a/*/c", "a/b/c", false),
    ] {
        let acl = marked(&[(pattern, "read")]);
        assert_eq!(may(&acl, Access::Read, path), expected, "{pattern} for {path}");
    }
}

#[test]
fn the_same_pattern_in_two_policies_unites_what_it_allows() {
    let acl = acl(&[
        "path \"a/*\" { capabilities = [\"read\"] }",
        "path \"a/*\" { capabilities = [\"list\", \"sudo\"] }",
    ]);
    assert_eq!(acl.capabilities("a/b"), ["list", "read", "sudo"]);
    assert!(acl.has_sudo("a/b") && !acl.has_sudo("b"));
    assert!(marked(&[("a/b/", "sudo")]).has_sudo("a/b"), "listing a folder");
}

#[test]
fn deny_wins_on_the_same_pattern_but_not_over_a_more_specific_one() {
    let (read, deny) = (
        "path \"a/*\" { capabilities = [\"read\", \"sudo\"] }",
        "path \"a/*\" { capabilities = [\"deny\", \"read\"] }",
    );
    for policies in [[read, deny], [deny, read]] {
        let acl = acl(&policies);
        assert!(!may(&acl, Access::Read, "a/b"));
        assert!(!acl.has_sudo("a/b"));
        assert_eq!(acl.capabilities("a/b"), ["deny"]);
    }
    let specific = acl(&[deny, "path \"a/b\" { policy = \"read\" }"]);
    assert!(may(&specific, Access::Read, "a/b"));
    assert!(!may(&specific, Access::Read, "a/c"));
}

#[test]
fn a_folder_can_be_listed_if_its_rule_has_the_slash_or_not() {
    for pattern in ["a/b", "a/b/", "a/*", "a/+", "a/+/", "a/b/*"] {
        let acl = marked(&[(pattern, "list")]);
        assert!(may(&acl, Access::List, "a/b"), "{pattern}");
        assert!(may(&acl, Access::List, "a/b/"), "{pattern}");
    }
    let acl = marked(&[("a/b/", "read")]);
    assert!(!may(&acl, Access::Read, "a/b"), "only lists are so lenient");
    let acl = marked(&[("a/*", "list"), ("a/+", "deny")]);
    assert!(may(&acl, Access::List, "a/b"), "a rule for the folder itself comes first");
}

#[test]
fn create_and_update_are_two_things() {
    let creator = marked(&[("a", "create")]);
    assert!(may(&creator, Access::of(Operation::Write, Some(false)), "a"));
    assert!(!may(&creator, Access::of(Operation::Write, Some(true)), "a"));
    assert!(!may(&creator, Access::of(Operation::Write, None), "a"));
    assert!(!may(&creator, Access::Patch, "a"));
}

#[test]
fn root_may_everything_and_nobody_else_may_anything_unsaid() {
    assert!(may(&Acl::root(), Access::Delete, "sys/raw"));
    assert_eq!(Acl::root().capabilities("x"), ["root"]);
    assert!(Acl::root().has_sudo("x") && Acl::root().is_root());
    let nothing = acl(&[]);
    assert!(!may(&nothing, Access::Read, "x"));
    assert_eq!(nothing.capabilities("x"), ["deny"]);
    assert!(!nothing.is_root());
}

#[test]
fn parameters_are_required_allowed_and_denied() {
    let acl = acl(&[r#"
        path "required" {
            capabilities = ["update"]
            required_parameters = ["a", "B"]
        }
        path "allowed" {
            capabilities = ["update", "list", "delete"]
            allowed_parameters = { "A" = ["x*", 7], b = [] }
        }
        path "others" {
            capabilities = ["update"]
            allowed_parameters = { "a" = ["x"], "*" = [] }
        }
        path "denied" {
            capabilities = ["update"]
            denied_parameters = { "a" = ["*bad*"], "b" = [] }
        }
        path "none" {
            capabilities = ["update"]
            denied_parameters = { "*" = [] }
        }"#]);
    for (path, data, expected) in [
        ("required", json!({}), false),
        ("required", json!({"a": 1}), false),
        ("required", json!({"a": 1, "b": 2, "c": 3}), true),
        ("allowed", json!({}), true),
        ("allowed", json!({"a": "xyz", "b": [1]}), true),
        ("allowed", json!({"a": 7}), true),
        ("allowed", json!({"a": 8}), false),
        ("allowed", json!({"a": "yx"}), false),
        ("allowed", json!({"c": 1}), false),
        ("others", json!({"c": 1}), true),
        ("others", json!({"a": "y"}), false),
        ("denied", json!({"a": "good"}), true),
        ("denied", json!({"a": "very bad indeed"}), false),
        ("denied", json!({"A": "bad"}), false),
        ("denied", json!({"b": null}), false),
        ("denied", json!({"c": "bad"}), true),
        ("none", json!({}), true),
        ("none", json!({"c": 1}), false),
    ] {
        let allowed = acl.allows(Access::Update, path, data.as_object().unwrap()).is_ok();
        assert_eq!(allowed, expected, "{path} {data}");
    }
    let unlisted = json!({"c": 1});
    for access in [Access::List, Access::Delete] {
        assert!(acl.allows(access, "allowed", unlisted.as_object().unwrap()).is_ok());
    }
}

#[test]
fn merged_rules_allow_the_values_of_both() {
    let acl = acl(&[
        r#"path "a" { capabilities = ["update"] allowed_parameters = { "k" = ["x"], "m" = ["x"] } }"#,
        r#"path "a" { capabilities = ["update"] allowed_parameters = { "k" = ["y"], "m" = [] } }"#,
    ]);
    for (data, expected) in [
        (json!({"k": "x"}), true),
        (json!({"k": "y"}), true),
        (json!({"k": "z"}), false),
        (json!({"m": "z"}), true),
    ] {
        let allowed = acl.allows(Access::Update, "a", data.as_object().unwrap()).is_ok();
        assert_eq!(allowed, expected, "{data}");
    }
}

#[test]
fn hcl_is_read_as_loosely_as_vault_reads_it() {
    let expected = Policy::parse("path \"a\" { capabilities = [\"read\", \"list\"] }").unwrap();
    for text in [
        "path \"a\" { policy = \"read\" }",
        "path a { capabilities=[\"read\",\"list\",] }",
        "name = \"x\"\n# c\n// c\n/* c\n */ path \"a\" {\"capabilities\" = [ # c\n\"read\", \"list\"]}",
        "path \"a\" { capabilities = [\"read\"], capabilities = [\"list\"] comment = \"\\\"{}\" }",
        "path = { \"a\" = { policy = \"read\" } }",
        "path { \"a\" { policy = \"read\" } }",
        "\u{feff}\"path\" \"/a\" {\r\n  policy = \"read\"\r\n}\r\n",
        r#"{"path": {"a": {"policy": "read"}}}"#,
        r#" {"path": [{"a": {"capabilities": ["read", "list"]}}]}"#,
        r#"{"name": "x", "path": {"a": [{"capabilities": ["read", "list"]}]}}"#,
    ] {
        assert_eq!(Policy::parse(text).unwrap(), expected, "{text}");
    }
    let one_line = "path \"a\" { capabilities = [\"read\"] min_wrapping_ttl = \"1s\" \
                    max_wrapping_ttl = 60 allowed_parameters = { \"a\" = [] \"b\" = [\"1\", 2, true] } }";
    assert!(Policy::parse(one_line).is_ok());
}

#[test]
fn a_wrong_policy_is_refused_in_vaults_words() {
    for (text, error) in [
        ("path \"a\" {", "At 1:11: object expected closing RBRACE got: EOF"),
        ("foo \"a\" {}", "1 error occurred:\n\t* invalid key \"foo\" on line 1\n\n"),
        (
            "path \"a\" {\n x = 1\n y = 2 }",
            "path \"a\": 2 errors occurred:\n\t* invalid key \"x\" on line 2\n\t* invalid key \"y\" on line 3\n\n",
        ),
        ("path \"a\" { capabilities = [\"Read\"] }", "path \"a\": invalid capability \"Read\""),
        ("path \"a\" { policy = \"x\" }", "path \"a\": invalid policy \"x\""),
        (
            "path \"a/+*\" {}",
            "path \"a/+*\": path \"a/+*\": invalid use of wildcards ('+*' is forbidden)",
        ),
        (
            "path \"a\" { min_wrapping_ttl = \"2s\" max_wrapping_ttl = \"1s\" }",
            "path \"a\": max_wrapping_ttl cannot be less than min_wrapping_ttl",
        ),
        (
            "path \"a\" { control_group = {} }",
            "path \"a\": 1 error occurred:\n\t* invalid key \"control_group\" on line 1\n\n",
        ),
    ] {
        assert_eq!(Policy::parse(text).unwrap_err(), error, "{text}");
    }
    for text in [
        "path \"a\" { capabilities = \"read\" }",
        "path \"a\" { capabilities = [1] }",
        "path \"a\" { capabilities = [\"read\" \"list\"] }",
        "path \"a\" { allowed_parameters = [1] }",
        "path \"a\" { allowed_parameters = { a = 1 } }",
        "path \"a\" \"b\" {}",
        "path \"a",
        "path = 1",
        "path",
        "path \"a\" { comment = }",
        "path \"a\" { comment = tru }",
        "/* ",
        "}",
        "{\"path\": 1}",
        "{\"path\": {\"a\": 1}}",
        "{",
        &"a { ".repeat(100_000),
        &"a = [".repeat(100_000),
        &"{\"a\":".repeat(100_000),
    ] {
        let shown: String = text.chars().take(50).collect();
        assert!(Policy::parse(text).is_err(), "{shown}");
    }
}

#[test]
fn a_template_matches_nothing() {
    let acl = marked(&[("secret/{{identity.entity.id}}/*", "read"), ("secret/*", "list")]);
    assert!(!may(&acl, Access::Read, "secret/{{identity.entity.id}}/a"));
    assert!(may(&acl, Access::List, "secret/{{identity.entity.id}}/a"));
}

#[test]
fn the_default_policy_lets_a_token_look_after_itself() {
    let server = Server::new();
    let names = ["default".to_owned(), "unknown".to_owned()];
    let (acl, _) = server.decide(|cx| Acl::load(cx, &names)).unwrap();
    assert!(may(&acl, Access::Read, "auth/token/lookup-self"));
    assert!(may(&acl, Access::Update, "auth/token/renew-self"));
    assert!(may(&acl, Access::Create, "cubbyhole/a"));
    assert!(!may(&acl, Access::Update, "auth/token/create"));
    assert!(!may(&acl, Access::Read, "secret/a"));
}

#[test]
fn policies_are_kept_by_lower_case_name_and_the_built_in_ones_are_guarded() {
    let server = Server::new();
    let text = "path \"a\" { policy = \"read\" }";
    server.commit(|cx| put(cx, "Mine", text)).unwrap();
    assert_eq!(server.commit(|cx| get(cx, "mINE")).unwrap().unwrap().text, text);
    assert_eq!(server.commit(|cx| list(cx)).unwrap(), ["default", "mine", "root"]);
    assert!(server.commit(|cx| get(cx, "other")).unwrap().is_none());

    let encoded = "cGF0aCAiYSIgeyBwb2xpY3kgPSAicmVhZCIgfQ==";
    server.commit(|cx| put(cx, "default", encoded)).unwrap();
    assert_eq!(server.commit(|cx| get(cx, "default")).unwrap().unwrap().text, text);

    server.commit(|cx| delete(cx, "MINE")).unwrap();
    server.commit(|cx| delete(cx, "mine")).unwrap();
    assert_eq!(server.commit(|cx| list(cx)).unwrap(), ["default", "root"]);
    for (result, error) in [
        (server.commit(|cx| put(cx, "Root", text)), "cannot update \"root\" policy"),
        (server.commit(|cx| delete(cx, "root")), "cannot delete \"root\" policy"),
        (server.commit(|cx| delete(cx, "Default")), "cannot delete default policy"),
        (server.commit(|cx| put(cx, "a", "")), "'policy' parameter not supplied or empty"),
        (
            server.commit(|cx| put(cx, "a", "path \"a\" { policy = \"x\" }")),
            "failed to parse policy: path \"a\": invalid policy \"x\"",
        ),
    ] {
        assert_eq!(refused(result), (400, error.to_owned()));
    }
    let long = " ".repeat(POLICY_BYTES_MAX + 1);
    assert_eq!(refused(server.commit(|cx| put(cx, "a", &long))).0, 413);
}

#[test]
fn a_changed_policy_counts_at_once() {
    let server = Server::new();
    let cache = AclCache::default();
    let names = ["p".to_owned(), "q".to_owned()];
    let allows = |server: &Server| {
        let (acl, txn) = server.decide(|cx| cache.load(cx, &names)).unwrap();
        assert_eq!(txn.compares.len(), 2, "both are compared at commit");
        (may(&acl, Access::Read, "a"), may(&acl, Access::Read, "b"))
    };
    assert_eq!(allows(&server), (false, false));
    server.commit(|cx| put(cx, "p", "path \"a\" { policy = \"read\" }")).unwrap();
    assert_eq!(allows(&server), (true, false));
    server.commit(|cx| put(cx, "q", "path \"b\" { policy = \"read\" }")).unwrap();
    assert_eq!(allows(&server), (true, true));
    server.commit(|cx| put(cx, "p", "path \"a\" { policy = \"deny\" }")).unwrap();
    assert_eq!(allows(&server), (false, true));
    server.commit(|cx| delete(cx, "q")).unwrap();
    assert_eq!(allows(&server), (false, false));
}

#[test]
fn openbao_decides_the_same() {
    // Random policies, with what `sys/capabilities` of OpenBao 2.7.2 said.
    let recorded: Vec<Recorded> =
        serde_json::from_str(include_str!("../../tests/vectors/acl-openbao-2.7.2.json")).unwrap();
    assert!(recorded.len() >= 60);
    for Recorded { policies, capabilities } in &recorded {
        let texts: Vec<&str> = policies.iter().map(String::as_str).collect();
        let acl = acl(&texts);
        for (path, expected) in capabilities {
            assert_eq!(acl.capabilities(path), *expected, "{path} with {policies:#?}");
        }
    }
}

#[derive(serde::Deserialize)]
struct Recorded {
    policies: Vec<String>,
    capabilities: std::collections::BTreeMap<String, Vec<String>>,
}

/// The rules as Vault's documentation states them, without any index.
mod reference {
    use std::cmp::Ordering;

    /// The capabilities of the rule that counts.
    pub(super) fn granted<'a>(rules: &'a [(String, &'a str)], path: &str) -> Vec<&'a str> {
        let of = |pattern: &str| -> Vec<&'a str> {
            let mut granted: Vec<&str> =
                rules.iter().filter(|(p, _)| p == pattern).map(|(_, c)| *c).collect();
            if granted.contains(&"deny") {
                granted = vec!["deny"];
            }
            granted.sort_unstable();
            granted.dedup();
            granted
        };
        if rules.iter().any(|(pattern, _)| pattern == path && !is_wild(pattern)) {
            return of(path);
        }
        let matching =
            rules.iter().map(|(p, _)| p.as_str()).filter(|p| is_wild(p) && matches(p, path));
        matching.max_by(|one, other| order(one, other)).map_or_else(|| vec!["deny"], of)
    }

    fn is_wild(pattern: &str) -> bool {
        pattern.ends_with('*') || pattern.split('/').any(|segment| segment == "+")
    }

    fn matches(pattern: &str, path: &str) -> bool {
        if pattern == "*" {
            return true;
        }
        match (pattern.chars().next(), path.chars().next()) {
            (None, None) => true,
            (Some('+'), _) => {
                let end = path.find('/').unwrap_or(path.len());
                matches(&pattern[1..], &path[end..])
            }
            (Some(p), Some(c)) if p == c => matches(&pattern[1..], &path[1..]),
            _ => false,
        }
    }

    fn order(one: &str, other: &str) -> Ordering {
        let first_wildcard = |p: &str| p.find(['+', '*']).unwrap_or(p.len());
        let wildcards = |p: &str| p.matches('+').count();
        first_wildcard(one)
            .cmp(&first_wildcard(other))
            .then((!one.ends_with('*')).cmp(&!other.ends_with('*')))
            .then(wildcards(other).cmp(&wildcards(one)))
            .then(one.len().cmp(&other.len()))
            .then(one.cmp(other))
    }
}

fn segments(words: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::collection::vec(proptest::sample::select(words), 1..5)
}

proptest! {
    #[test]
    fn the_index_finds_what_a_search_of_all_rules_finds(
        rules in proptest::collection::vec(
            (
                segments(&["a", "b", "ab", "+"]),
                proptest::sample::select(&["", "", "*", "/*", "/"][..]),
                proptest::sample::select(&["read", "update", "list", "deny"][..]),
            ),
            0..12,
        ),
        path in segments(&["a", "b", "ab", "abc", ""]),
    ) {
        let rules: Vec<(String, &str)> = rules
            .into_iter()
            .map(|(segments, end, capability)| (format!("{}{end}", segments.join("/")), capability))
            .filter(|(pattern, _)| !pattern.contains("+*"))
            .collect();
        let borrowed: Vec<(&str, &str)> =
            rules.iter().map(|(pattern, capability)| (pattern.as_str(), *capability)).collect();
        let acl = marked(&borrowed);
        let path = path.join("/");
        // A folder's slash is forgiven when capabilities are asked for.
        prop_assume!(!path.ends_with('/') && !path.starts_with('/'));
        prop_assert_eq!(acl.capabilities(&path), reference::granted(&rules, &path), "{}", path);
    }

    #[test]
    fn no_policy_panics(text in "[path\"{}\\[\\]=,:#/*\\\\\n a-z0-9.-]{0,60}") {
        let _ = Policy::parse(&text);
    }

    #[test]
    fn no_capability_of_one_policy_is_lost_by_another_without_deny(
        one in proptest::sample::subsequence(vec!["create", "list", "read", "sudo", "update"], 1..5),
        other in proptest::sample::subsequence(vec!["create", "list", "read", "sudo", "update"], 1..5),
    ) {
        let text = |names: &[&str]| {
            format!("{{\"path\": {{\"a/*\": {{\"capabilities\": {}}}}}}}", Value::from(names.to_vec()))
        };
        let both = acl(&[&text(&one), &text(&other)]);
        let mut expected = [one, other].concat();
        expected.sort_unstable();
        expected.dedup();
        prop_assert_eq!(both.capabilities("a/b"), expected);
    }
}
