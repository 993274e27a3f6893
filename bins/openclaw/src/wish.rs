//! The least that a verb needs to be allowed: what a device asks for when it connects for it.

use openclaw_scopes::method::{self, ActorRule, Case};
use openclaw_scopes::{Scope, ScopeSet};

/// Returns what calls of these methods need, on whatever targets.
pub(crate) fn of(methods: &[&str]) -> ScopeSet {
    let rows = methods.iter().filter_map(|name| method::find(name));
    needed(rows.flat_map(|row| row.cases))
}

/// Returns what calls of one method need on the targets `when`, as the policy calls them.
pub(crate) fn when(method: &str, when: &str) -> ScopeSet {
    let row = method::find(method).into_iter();
    needed(row.flat_map(|row| row.cases).filter(|case| case.when == when))
}

fn needed<'a>(cases: impl Iterator<Item = &'a Case>) -> ScopeSet {
    let is_open =
        |case: &&Case| matches!(case.actor, ActorRule::CapabilityOrScope(_) | ActorRule::Never);
    let of_clients = cases.filter(is_open);
    let scopes = of_clients.filter_map(|case| case.requires.scope());
    scopes.fold(ScopeSet::EMPTY, ScopeSet::with).reduced()
}

/// Returns a wish that can be told: one names at least a scope, and this is the smallest.
pub(crate) fn told(wish: ScopeSet) -> ScopeSet {
    if wish.is_empty() { Scope::SessionsRead.into() } else { wish }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_the_policy() {
        for (methods, expected) in [
            (&["sessions.list", "sessions.history"][..], "operator.sessions.read"),
            (&["sessions.list", "sessions.create"], "operator.write"),
            (&["agent", "sessions.abort"], "operator.write"),
            (&["status"], "operator.read"),
            (&["health"], ""),
            (&["device.pair.list"], "operator.pairing"),
            (&["device.token.rotate"], "operator.pairing"),
            (&["device.scopes.requestUpgrade", "device.scopes.waitUpgrade"], ""),
            (&["audit.list"], "operator.admin"),
            (&["access.explain"], "operator.pairing operator.read"),
            (&["device.revokeAll"], "operator.admin"),
            (&["delivery.list", "delivery.get", "channels.status"], "operator.read"),
            (&["channels.pairing.list"], "operator.pairing"),
            (&["channels.logs"], "operator.read"),
            (&["channels.add"], "operator.admin"),
            (&["channels.start", "channels.stop"], "operator.admin"),
            (&["channels.pairing.approve"], "operator.admin"),
            (&["channels.pairing.remove"], "operator.pairing"),
            (&["events.watch"], ""),
            (&["events.watch", "events.pairing", "events.runs"], "operator.pairing operator.read"),
            (&["system.event", "wake"], "operator.write"),
            (&["system.event.get"], "operator.read"),
        ] {
            assert_eq!(of(methods).to_string(), expected, "{methods:?}");
        }
        let patch = |part| when("sessions.patch", part).to_string();
        assert_eq!(patch("organization and model"), "operator.write");
        assert_eq!(patch("runtime policy"), "operator.admin");
        assert_eq!(when("audit.list", "own rows").to_string(), "operator.read");
        for method in ["cron.add", "cron.cancel", "cron.remove", "cron.run", "cron.update"] {
            assert_eq!(when(method, "own job").to_string(), "operator.write", "{method}");
            assert_eq!(when(method, "job of others").to_string(), "operator.admin", "{method}");
            let far = when(method, "job with a webhook or command").to_string();
            assert_eq!(far, "operator.admin", "{method}");
        }
        for method in ["delivery.discard", "delivery.retry"] {
            assert_eq!(when(method, "own delivery").to_string(), "operator.write", "{method}");
            let others = when(method, "delivery of others").to_string();
            assert_eq!(others, "operator.admin", "{method}");
        }
        let approve = "channels.pairing.approve";
        assert_eq!(when(approve, "").to_string(), "operator.pairing");
        assert_eq!(when(approve, "as an owner").to_string(), "operator.admin");
        assert_eq!(when("send", "chat platform").to_string(), "operator.write");
        assert_eq!(when("send", "webhook").to_string(), "operator.admin");
        assert_eq!(when("access.show", "own access").to_string(), "operator.read");
        assert_eq!(when("device.pair.list", "own device"), ScopeSet::EMPTY);
        assert_eq!(told(ScopeSet::EMPTY).to_string(), "operator.sessions.read");
        assert_eq!(told(Scope::Read.into()), Scope::Read.into());
    }
}
