//! Reading TOML with its places, collecting what is wrong on the way.

use toml::de::{DeTable, DeValue};

use crate::{ConfigError, ConfigErrors, Position, Problem};

/// The most mistakes that are reported at once.
const MAX_ERRORS: usize = 100;

/// The most elements that a list may have.
pub(crate) const MAX_ELEMENTS: usize = 256;

/// The mistakes found in a text so far.
#[derive(Debug)]
pub(crate) struct Faults<'t> {
    pub(crate) text: &'t str,
    found: Vec<ConfigError>,
}

impl<'t> Faults<'t> {
    /// Begins without a mistake.
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    /// Adds the mistake at the byte `at`.
    pub(crate) fn report(&mut self, at: usize, problem: Problem) {
        if self.found.len() < MAX_ERRORS {
            self.found.push(ConfigError { position: Position::of(self.text, at), problem });
        }
    }

    /// Returns `value` if nothing was found, and the mistakes otherwise.
    pub(crate) fn or<T>(self, value: T) -> Result<T, ConfigErrors> {
        if self.found.is_empty() { Ok(value) } else { Err(ConfigErrors::new(self.found)) }
    }
}

/// A table of the configuration, empty if the text does not have it.
#[derive(Clone, Debug)]
pub(crate) struct Section<'t> {
    /// Its path; empty for the whole file.
    pub(crate) path: String,
    /// Where its name stands.
    pub(crate) at: usize,
    table: Option<&'t DeTable<'t>>,
}

impl<'t> Section<'t> {
    /// The whole file, or the file that says nothing.
    pub(crate) fn root(table: Option<&'t DeTable<'t>>) -> Self {
        Self { path: String::new(), at: 0, table }
    }

    /// Returns the value of a key, if it has one.
    pub(crate) fn field(&self, name: &str) -> Option<Field<'t>> {
        self.fields().find(|field| field.name == name)
    }

    /// Iterates over the keys that the text has here.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field<'t>> {
        self.table.into_iter().flatten().map(|(key, value)| {
            let name = key.get_ref().as_ref();
            let path = match self.path.as_str() {
                "" => name.to_owned(),
                path => format!("{path}.{name}"),
            };
            let (key_at, at) = (key.span().start, value.span().start);
            Field { path, name, key_at, at, value: value.get_ref() }
        })
    }

    /// Returns the table of this name, empty if the text does not have it.
    pub(crate) fn section(&self, name: &str, faults: &mut Faults<'_>) -> Self {
        self.field(name).and_then(|field| field.section(faults)).unwrap_or_else(|| Self::root(None))
    }
}

/// A value of the configuration and its place.
#[derive(Clone, Debug)]
pub(crate) struct Field<'t> {
    /// The path of its key.
    pub(crate) path: String,
    /// The last part of the path.
    pub(crate) name: &'t str,
    /// Where its key stands.
    pub(crate) key_at: usize,
    /// Where the value stands.
    pub(crate) at: usize,
    pub(crate) value: &'t DeValue<'t>,
}

impl<'t> Field<'t> {
    /// Reads a table.
    pub(crate) fn section(&self, faults: &mut Faults<'_>) -> Option<Section<'t>> {
        let DeValue::Table(table) = self.value else {
            return self.wrong("a table", faults);
        };
        Some(Section { path: self.path.clone(), at: self.key_at, table: Some(table) })
    }

    /// Reads a text.
    pub(crate) fn text(&self, faults: &mut Faults<'_>) -> Option<&'t str> {
        let DeValue::String(text) = self.value else {
            return self.wrong("a text in quotes", faults);
        };
        Some(text)
    }

    /// Reads a text and parses it.
    pub(crate) fn parsed<T>(
        &self,
        faults: &mut Faults<'_>,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        match parse(self.text(faults)?) {
            Ok(value) => Some(value),
            Err(problem) => {
                faults.report(self.at, problem);
                None
            }
        }
    }

    /// Reads the name of one of a few values.
    pub(crate) fn choice<T: Copy>(
        &self,
        all: &[T],
        name: fn(T) -> &'static str,
        faults: &mut Faults<'_>,
    ) -> Option<T> {
        self.parsed(faults, |text| {
            let names = || all.iter().map(|value| name(*value));
            all.iter().copied().find(|value| name(*value) == text).ok_or_else(|| Problem::Choice {
                key: self.path.clone(),
                allowed: names().collect(),
                suggestion: crate::key::nearest(text, names()).map(str::to_owned),
            })
        })
    }

    /// Reads a whole number from `min` to `max`.
    pub(crate) fn number(&self, min: u64, max: u64, faults: &mut Faults<'_>) -> Option<u64> {
        let DeValue::Integer(integer) = self.value else {
            return self.wrong("a whole number", faults);
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|number| (min..=max).contains(number));
        if number.is_none() {
            faults.report(self.at, Problem::OutOfRange { key: self.path.clone(), min, max });
        }
        number
    }

    /// Reads a yes or no.
    pub(crate) fn flag(&self, faults: &mut Faults<'_>) -> Option<bool> {
        let DeValue::Boolean(flag) = self.value else {
            return self.wrong("`true` or `false`", faults);
        };
        Some(*flag)
    }

    /// Reads a list, each element as a field of the same key, and drops repeated results.
    pub(crate) fn list<T: PartialEq>(
        &self,
        faults: &mut Faults<'_>,
        read: impl Fn(&Self, &mut Faults<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let DeValue::Array(array) = self.value else {
            return self.wrong("a list", faults);
        };
        if array.len() > MAX_ELEMENTS {
            let problem = Problem::TooMany { key: self.path.clone(), max: MAX_ELEMENTS };
            faults.report(self.at, problem);
            return None;
        }
        let mut elements = Vec::new();
        for element in self.elements() {
            elements.extend(read(&element, faults).filter(|element| !elements.contains(element)));
        }
        Some(elements)
    }

    /// Iterates over the elements of a list; whatever else stands here has none.
    pub(crate) fn elements(&self) -> impl Iterator<Item = Self> {
        let array = match self.value {
            DeValue::Array(array) => Some(array),
            _ => None,
        };
        array.into_iter().flatten().enumerate().map(|(index, value)| {
            let path = format!("{}[{index}]", self.path);
            let (at, value) = (value.span().start, value.get_ref());
            Self { path, key_at: at, at, value, ..self.clone() }
        })
    }

    /// Reports that the value is of another type than `expected`.
    pub(crate) fn wrong<T>(&self, expected: &'static str, faults: &mut Faults<'_>) -> Option<T> {
        let found = match self.value {
            DeValue::Array(_) => "a list",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Integer(_) => "a number",
            DeValue::String(_) => "a text",
            DeValue::Table(_) => "a table",
        };
        let key = self.path.clone();
        faults.report(self.at, Problem::WrongType { key, expected, found });
        None
    }
}
