//! The environment variables that `template.yaml` sets.

use crate::error::Error;

/// The value of the variable `name`.
///
/// # Errors
/// [`Error::Config`] with the name, if it is missing or empty.
pub fn required(name: &'static str) -> Result<String, Error> {
    optional(name).ok_or_else(|| {
        Error::Config(format!(
            "the environment variable {name} is missing or empty"
        ))
    })
}

/// The value of the variable `name`, unless it is missing or empty.
pub fn optional(name: &'static str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
