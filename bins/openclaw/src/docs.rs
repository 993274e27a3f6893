//! `docs/cli.md`: its second part is written from the definition of the command line.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};
use expect_test::expect_file;

use crate::cli::Cli;

/// What stands between the part that people write and the part that follows the code.
const MARK: &str = "<!-- from here on written by the tests of `bins/openclaw` -->\n";

#[test]
fn the_reference_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let present = std::fs::read_to_string(path).unwrap();
    let (by_hand, _) = present.split_once(MARK).expect("the mark");
    let mut page = format!("{by_hand}{MARK}\n## Reference\n");
    let mut command = Cli::command();
    command.build();
    page.push_str("\n### Global options\n\n");
    let globals = command.get_arguments().filter(|arg| arg.is_global_set());
    globals.for_each(|arg| option(arg, &mut page));
    for verb in verbs(&command) {
        describe(verb, "openclaw", &mut page);
    }
    expect_file![path].assert_eq(&page);
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

fn describe(command: &Command, above: &str, page: &mut String) {
    let name = format!("{above} {}", command.get_name());
    if command.has_subcommands() {
        verbs(command).for_each(|verb| describe(verb, &name, page));
        return;
    }
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let own = || command.get_arguments().filter(|arg| !arg.is_global_set() && !is_builtin(arg));
    let mut usage = name.clone();
    let (positional, flags): (Vec<_>, Vec<_>) = own().partition(|arg| arg.is_positional());
    for arg in &flags {
        let arg_usage = flag(arg);
        let required = if arg.is_required_set() { arg_usage } else { format!("[{arg_usage}]") };
        write!(usage, " {required}").unwrap();
    }
    for arg in &positional {
        let shown = arg.get_id().as_str().to_uppercase();
        let shown = if arg.is_required_set() { shown } else { format!("[{shown}]") };
        write!(usage, " {shown}").unwrap();
    }
    write!(page, "\n### {name}\n\n{about}.\n\n```text\n{usage}\n```\n").unwrap();
    let aliases: Vec<_> = command.get_visible_aliases().map(|name| format!("`{name}`")).collect();
    if !aliases.is_empty() {
        write!(page, "\nAlso: {}.\n", aliases.join(", ")).unwrap();
    }
    if own().next().is_some() {
        page.push('\n');
    }
    positional.into_iter().chain(flags).for_each(|arg| option(arg, page));
    if let Some(more) = command.get_after_help() {
        write!(page, "\n```text\n{more}\n```\n").unwrap();
    }
}

fn is_builtin(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

fn flag(arg: &Arg) -> String {
    let name = format!("--{}", arg.get_long().unwrap());
    match arg.get_value_names() {
        Some([value, ..]) if arg.get_action().takes_values() => format!("{name} {value}"),
        _ => name,
    }
}

fn option(arg: &Arg, page: &mut String) {
    let shown = if arg.is_positional() { arg.get_id().as_str().to_uppercase() } else { flag(arg) };
    let mut short = arg.get_short().map(|short| format!(", `-{short}`")).unwrap_or_default();
    for alias in arg.get_visible_aliases().unwrap_or_default() {
        write!(short, ", `--{alias}`").unwrap();
    }
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let default: Vec<_> =
        arg.get_default_values().iter().map(|v| v.display().to_string()).collect();
    let default = match default.join(" ") {
        text if text.is_empty() || !arg.get_action().takes_values() => String::new(),
        text => format!(" Default: {text}."),
    };
    let values: Vec<_> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    let values = match values.join(", ") {
        text if text.is_empty() || !arg.get_action().takes_values() => String::new(),
        text => format!(" One of {text}."),
    };
    let stop = if help.ends_with('.') { "" } else { "." };
    writeln!(page, "- `{shown}`{short}: {help}{stop}{default}{values}").unwrap();
}
