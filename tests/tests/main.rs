//! The end-to-end tests: the gateway inside this process, and the real programs.

#[cfg(test)]
mod binaries;
#[cfg(test)]
mod in_process;
