//! The environment variables that `template.yaml` sets.

use std::fmt::Display;
use std::str::FromStr;

/// The environment, the secret or the machine is not as it should be; says what to correct.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misconfigured(pub String);

/// The value of the variable `name`.
///
/// # Errors
/// [`Misconfigured`] with the name, if it is missing or empty.
pub fn required(name: &'static str) -> Result<String, Misconfigured> {
    optional(name).ok_or_else(|| {
        Misconfigured(format!(
            "the environment variable {name} is missing or empty"
        ))
    })
}

/// The value of the variable `name`, unless it is missing or empty.
pub fn optional(name: &'static str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The value of the variable `name` as a `T`, unless it is missing or empty.
///
/// # Errors
/// [`Misconfigured`] with the name, if its value is not a `T`.
pub fn parsed<T>(name: &'static str) -> Result<Option<T>, Misconfigured>
where
    T: FromStr,
    T::Err: Display,
{
    let parse = |value: String| {
        value.parse().map_err(|expected: T::Err| {
            Misconfigured(format!("the environment variable {name} is not {expected}"))
        })
    };
    optional(name).map(parse).transpose()
}
