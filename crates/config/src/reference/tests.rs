//! The reference cannot go stale: page, table and parser are compared with one another.

use std::collections::BTreeSet;

use expect_test::expect_file;

use super::*;
use crate::laws::setting;
use crate::{ConfigErrors, Problem, parse};

#[test]
fn the_page_is_fresh() {
    expect_file!["../../../../docs/configuration.md"].assert_eq(&render_reference());
}

#[test]
fn every_example_is_accepted() {
    for Example { title, text } in EXAMPLES {
        parse(text).unwrap_or_else(|errors| panic!("{title}: {errors}"));
    }
}

#[test]
fn every_fence_of_the_page_is_toml_that_is_accepted() {
    let page = render_reference();
    let fences: Vec<&str> = page
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .filter(|text| text.contains('['))
        .collect();
    assert_eq!(fences, EXAMPLES.map(|example| example.text));
}

/// A path with names where the reader chooses them: of channels there are few.
fn named(path: &str) -> String {
    path.replace("channels.<id>", "channels.discord").replace("<id>", "some")
}

/// Gives one key the value `value`, and says what is wrong with that.
fn with(path: &str, value: &str) -> ConfigErrors {
    let path = named(path);
    parse(&setting(&path, value)).unwrap_err()
}

/// A key that is in the table but that nothing reads would take any value.
#[test]
fn every_documented_key_is_read() {
    for key in reference() {
        let wanted = named(key.path).replace("[]", "[0]");
        let errors = with(key.path, "1979-05-27");
        let is_read = errors.iter().any(
            |error| matches!(&error.problem, Problem::WrongType { key, .. } if *key == wanted),
        );
        // Without `api` nothing else of a provider matters, but its type does.
        assert!(is_read, "{}: {errors}", key.path);
        assert!(
            errors.iter().all(|error| !matches!(error.problem, Problem::UnknownKey { .. })),
            "{errors}"
        );
    }
}

/// A key beside those of the table is refused, on each level.
#[test]
fn every_other_key_is_refused() {
    let tables: BTreeSet<&str> = reference()
        .iter()
        .flat_map(|key| key.path.match_indices('.').filter_map(|(at, _)| key.path.get(..at)))
        .filter(|path| {
            !["byChannel", "channels", "entries", "groups", "identityLinks", "prices", "providers"]
                .iter()
                .any(|name| path.ends_with(name))
        })
        .collect();
    assert!(tables.len() > 10);
    for table in tables {
        let errors = with(&format!("{table}.zzz"), "1");
        let is_refused = errors
            .iter()
            .any(|error| matches!(&error.problem, Problem::UnknownKey { key, .. } if key == "zzz"));
        assert!(is_refused, "{table}: {errors}");
    }
}

/// `snake_case` is the likeliest mistake, so each key must be found from it.
#[test]
fn a_snake_case_spelling_suggests_the_key() {
    for key in reference() {
        let (table, name) = key.path.rsplit_once('.').unwrap();
        let snake: String = name
            .chars()
            .flat_map(|c| {
                let sign = c.is_uppercase().then_some('_');
                sign.into_iter().chain(c.to_lowercase())
            })
            .collect();
        if snake == name {
            continue;
        }
        let errors = with(&format!("{table}.{snake}"), "1");
        let is_suggested = errors.iter().any(|error| {
            matches!(&error.problem, Problem::UnknownKey { suggestion: Some(suggestion), .. } if suggestion == name)
        });
        assert!(is_suggested, "{snake}: {errors}");
    }
}
