//! The options of one account that a component may read and set.

use std::collections::BTreeMap;

use crate::errcode::Refusal;

/// Every option with its values, of which the first is the default.
///
/// Source: <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/authorization-management/getAuthorizerOptionInfo.html>
const OPTIONS: [(&str, &[&str]); 3] = [
    ("location_report", &["0", "1", "2"]),
    ("voice_recognize", &["0", "1"]),
    ("customer_service", &["0", "1"]),
];

/// The values that were set; the others are the defaults.
#[derive(Default)]
pub(crate) struct Options(BTreeMap<&'static str, &'static str>);

impl Options {
    /// The option's value. An unknown name is refused with 61012.
    pub(crate) fn value(&self, name: &str) -> Result<&'static str, Refusal> {
        let (name, values) = option(name)?;
        let default = values.first().copied().unwrap_or_default();
        Ok(self.0.get(name).copied().unwrap_or(default))
    }

    /// Sets the option. An unknown name is refused with 61012, an unknown value with 61013.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let (name, values) = option(name)?;
        let value = values.iter().find(|known| **known == value);
        self.0.insert(name, value.ok_or(Refusal::OPTION_VALUE)?);
        Ok(())
    }
}

fn option(name: &str) -> Result<(&'static str, &'static [&'static str]), Refusal> {
    let option = OPTIONS.iter().find(|(known, _)| *known == name);
    option.copied().ok_or(Refusal::OPTION_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_has_its_default_until_it_is_set() {
        let mut options = Options::default();
        assert_eq!(options.value("location_report"), Ok("0"));
        assert_eq!(options.set("location_report", "2"), Ok(()));
        assert_eq!(options.value("location_report"), Ok("2"));
        assert_eq!(options.value("voice_recognize"), Ok("0"));
    }

    #[test]
    fn an_unknown_name_or_value_is_refused() {
        let mut options = Options::default();
        assert_eq!(options.value("weather"), Err(Refusal::OPTION_NAME));
        assert_eq!(options.set("weather", "1"), Err(Refusal::OPTION_NAME));
        for value in ["2", "", "on"] {
            let refused = options.set("customer_service", value);
            assert_eq!(refused, Err(Refusal::OPTION_VALUE), "{value}");
        }
    }
}
