//! Paths below the home directory.

use std::path::{Path, PathBuf};

/// Returns the path with a leading `~/` replaced by the home directory.
pub fn expand_home(path: &Path, home: &Path) -> PathBuf {
    path.strip_prefix("~").map_or_else(|_| path.to_path_buf(), |rest| home.join(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leading_tilde_is_the_home() {
        for (path, expanded) in [
            ("~/a/b", "/home/ada/a/b"),
            ("/srv/~/a", "/srv/~/a"),
            ("~bob/a", "~bob/a"),
            ("~/", "/home/ada"),
        ] {
            let is = expand_home(Path::new(path), Path::new("/home/ada"));
            assert_eq!(is, Path::new(expanded), "{path}");
        }
    }
}
