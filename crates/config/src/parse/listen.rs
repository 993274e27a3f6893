//! Reads `[listen]`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::listen::MAX_ADVERTISED;
use crate::read::{Faults, Field, Section};
use crate::{ListenSettings, Problem, TlsFiles};

use super::settings::path;

/// Reads the listener for other machines, if the text has one.
pub(super) fn listen(root: &Section<'_>, faults: &mut Faults<'_>) -> Option<ListenSettings> {
    let section = root.section("listen", faults);
    let tcp_field = section.field("tcp");
    let tcp = tcp_field.as_ref().and_then(|field| socket(field, faults));
    let advertised = section.field("advertise");
    let advertise = advertised.as_ref().and_then(|field| advertise(field, faults));
    let tls = section.field("tls");
    let files = tls.as_ref().and_then(|field| tls_files(field, faults));
    if tcp_field.is_none() && (advertised.is_some() || tls.is_some()) {
        missing(&section, "tcp", "\"0.0.0.0:18789\"", faults);
    }
    Some(ListenSettings { tcp: tcp?, advertise: advertise.unwrap_or_default(), tls: files })
}

fn missing(
    section: &Section<'_>,
    key: &'static str,
    example: &'static str,
    faults: &mut Faults<'_>,
) {
    faults.report(section.at, Problem::Missing { table: section.path.clone(), key, example });
}

/// Reads where to listen: no name, for it could stand for another address tomorrow.
fn socket(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<SocketAddr> {
    field.parsed(faults, |text| {
        text.parse().map_err(|_not_an_address| Problem::Text {
            key: field.path.clone(),
            expected: "an IP address and a port, such as `0.0.0.0:18789` or `[::]:18789`",
        })
    })
}

fn advertise(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<Vec<String>> {
    let hosts = field.list(faults, host_and_port)?;
    if hosts.len() > MAX_ADVERTISED {
        let problem = Problem::TooMany { key: field.path.clone(), max: MAX_ADVERTISED };
        faults.report(field.at, problem);
    }
    Some(hosts)
}

/// Reads an address that another machine can connect to.
fn host_and_port(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<String> {
    field.parsed(faults, |text| {
        if is_reachable(text) {
            return Ok(text.to_owned());
        }
        let expected =
            "a host that others can reach and a port, such as `gateway.example:18789` or `[2001:db8::1]:18789`";
        Err(Problem::Text { key: field.path.clone(), expected })
    })
}

fn is_reachable(text: &str) -> bool {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
    let Some((host, port)) = bracketed.or_else(|| text.rsplit_once(':')) else {
        return false;
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_host = match bracketed {
        Some(_) => host.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.len() <= 253 && host.chars().all(is_plain),
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port > 0);
    // `0.0.0.0` is every address of this machine, and none of another's.
    let is_nowhere = host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
    is_host && is_port && !is_nowhere
}

/// Reads the two files of a certificate, of which neither is of use alone.
fn tls_files(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<TlsFiles> {
    let section = field.section(faults)?;
    let mut file = |key: &'static str, example: &'static str| -> Option<PathBuf> {
        match section.field(key) {
            Some(field) => path(&field, faults),
            None => {
                missing(&section, key, example, faults);
                None
            }
        }
    };
    let cert = file("certPath", "\"/etc/openclaw/cert.pem\"");
    let key = file("keyPath", "\"/etc/openclaw/key.pem\"");
    Some(TlsFiles { cert: cert?, key: key? })
}

#[cfg(test)]
mod tests;
