//! Where results and progress go: standard output for results, standard error for the rest.

use std::io::{self, IsTerminal as _, Write};

use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::json::{Definitions, Named};
use crate::screen;

/// How results are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    /// Tables and sentences.
    Human,
    /// One JSON document.
    Json,
}

/// What stands behind a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sink {
    /// A person looks at it.
    Terminal,
    /// A file or a program takes it, byte for byte.
    Other,
}

/// Whether errors are colored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Color {
    /// On a terminal.
    Auto,
    /// Nowhere.
    Never,
}

/// The program's two streams.
pub(crate) struct Output {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    out_sink: Sink,
    err_sink: Sink,
    format: Format,
    color: Color,
    definitions: Option<Definitions>,
}

impl Output {
    /// Prints to the process's own streams.
    pub(crate) fn standard(format: Format, color: Color) -> Self {
        let sink = |is_terminal| if is_terminal { Sink::Terminal } else { Sink::Other };
        Self {
            out: Box::new(io::BufWriter::new(io::stdout())),
            err: Box::new(io::stderr()),
            out_sink: sink(io::stdout().is_terminal()),
            err_sink: sink(io::stderr().is_terminal()),
            format,
            color,
            definitions: None,
        }
    }

    /// Returns how results are printed.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Returns what stands behind standard output.
    pub(crate) fn out_sink(&self) -> Sink {
        self.out_sink
    }

    /// Returns what stands behind standard error.
    pub(crate) fn err_sink(&self) -> Sink {
        self.err_sink
    }

    /// Prints text, cleaned when a person looks at it.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        match self.out_sink {
            Sink::Terminal => self.out.write_all(screen::clean(text).as_bytes())?,
            Sink::Other => self.out.write_all(text.as_bytes())?,
        }
        self.out.flush()
    }

    /// Prints text and ends its last line.
    pub(crate) fn block(&mut self, text: &str) -> io::Result<()> {
        self.text(text)?;
        if text.ends_with('\n') { Ok(()) } else { self.text("\n") }
    }

    /// Prints one line, with what could steer a terminal written out.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", screen::line(text))?;
        self.out.flush()
    }

    /// Prints bytes that are meant for a program.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    /// Prints a line on standard error, for people: a program gets one document, and nothing beside it.
    pub(crate) fn note(&mut self, text: &str) -> io::Result<()> {
        if self.format == Format::Json {
            return Ok(());
        }
        self.out.flush()?;
        writeln!(self.err, "{}", screen::line(text))
    }

    /// Prints text on standard error as it is, for prompts.
    pub(crate) fn prompt(&mut self, text: &str) -> io::Result<()> {
        self.out.flush()?;
        self.err.write_all(text.as_bytes())?;
        self.err.flush()
    }

    /// Prints one JSON document: indented for a person, on one line otherwise.
    pub(crate) fn document(&mut self, document: &impl Serialize) -> io::Result<()> {
        let json = match self.out_sink {
            Sink::Terminal => serde_json::to_string_pretty(document),
            Sink::Other => serde_json::to_string(document),
        };
        self.bytes(format!("{}\n", json?).as_bytes())
    }

    /// Prints a message as one JSON document.
    pub(crate) fn message<M: Named>(&mut self, message: &M) -> Result<(), Failure> {
        let described = self.definitions()?.describe(message)?;
        Ok(self.document(&described)?)
    }

    /// Prints messages as one JSON document, a list under a name.
    pub(crate) fn list<M: Named>(&mut self, name: &str, messages: &[M]) -> Result<(), Failure> {
        let definitions = self.definitions()?;
        let described = messages.iter().map(|message| definitions.describe(message));
        let described = described.collect::<Result<Vec<_>, _>>()?;
        Ok(self.document(&std::collections::BTreeMap::from([(name, described)]))?)
    }

    /// Returns a message as one line of JSON, with its line end.
    pub(crate) fn json_line<M: Named>(&mut self, message: &M) -> Result<String, Failure> {
        let described = self.definitions()?.describe(message)?;
        let mut line = serde_json::to_string(&described).map_err(io::Error::from)?;
        line.push('\n');
        Ok(line)
    }

    fn definitions(&mut self) -> Result<&Definitions, Failure> {
        // Reading them takes time that only JSON has to spend.
        let definitions = match self.definitions.take() {
            Some(definitions) => definitions,
            None => Definitions::load()?,
        };
        Ok(self.definitions.insert(definitions))
    }

    /// Says on standard error what went wrong and what to do next, and returns the exit code.
    pub(crate) fn fail(&mut self, failure: &Failure, start: &str) -> Exit {
        if failure.is_closed_pipe() {
            return Exit::Ok;
        }
        // Nothing can be said about an error while saying one.
        drop(self.try_fail(failure, start));
        failure.exit()
    }

    fn try_fail(&mut self, failure: &Failure, start: &str) -> io::Result<()> {
        drop(self.out.flush());
        if self.format == Format::Json {
            let report = serde_json::to_string(&failure.report(start))?;
            return writeln!(self.err, "{report}");
        }
        let is_colored = self.err_sink == Sink::Terminal && self.color == Color::Auto;
        let (red, bold, end) =
            if is_colored { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
        let cause = failure.to_string();
        writeln!(self.err, "{red}error:{end} {}", screen::line(&cause))?;
        if let Some(id) = failure.request_id() {
            writeln!(self.err, "{bold}request:{end} {}", screen::line(id))?;
        }
        if let Some(next) = failure.next(start) {
            writeln!(self.err, "{bold}next:{end} {}", screen::line(&next))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("format", &self.format).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// What was written.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Written(Rc<RefCell<Vec<u8>>>);

    impl Written {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An output into memory.
    pub(crate) fn captured(format: Format, sink: Sink) -> (Output, Written, Written) {
        let (out, err) = (Written::default(), Written::default());
        let output = Output {
            out: Box::new(out.clone()),
            err: Box::new(err.clone()),
            out_sink: sink,
            err_sink: sink,
            format,
            color: Color::Auto,
            definitions: None,
        };
        (output, out, err)
    }

    #[test]
    fn a_terminal_gets_clean_text_and_a_file_gets_the_bytes() {
        for (sink, expected) in [(Sink::Terminal, "[2Jx\n"), (Sink::Other, "\u{1b}[2Jx\n")] {
            let (mut output, out, _) = captured(Format::Human, sink);
            output.block("\u{1b}[2Jx").unwrap();
            assert_eq!(out.text(), expected);
        }
    }

    #[test]
    fn errors_name_cause_and_next_command() {
        let failure = || Failure::advised(Exit::Configuration, "bad \u{1b}[2J", "openclaw health");
        for (format, sink, expected) in [
            (Format::Human, Sink::Other, "error: bad \\u{1b}[2J\nnext: openclaw health\n"),
            (
                Format::Human,
                Sink::Terminal,
                "\u{1b}[1;31merror:\u{1b}[0m bad \\u{1b}[2J\n\u{1b}[1mnext:\u{1b}[0m openclaw health\n",
            ),
            (
                Format::Json,
                Sink::Other,
                "{\"error\":{\"code\":\"CONFIGURATION\",\"reason\":\"\",\"message\":\"bad \\u001b[2J\",\"missingScopes\":[],\"requestId\":\"\",\"grant\":\"\",\"next\":\"openclaw health\"}}\n",
            ),
        ] {
            let (mut output, _, err) = captured(format, sink);
            assert_eq!(output.fail(&failure(), ""), Exit::Configuration);
            assert_eq!(err.text(), expected);
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_no_failure() {
        let (mut output, _, err) = captured(Format::Human, Sink::Other);
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(output.fail(&failure, ""), Exit::Ok);
        assert_eq!(err.text(), "");
    }
}
