//! The vendor's colour, adjusted so that its text can be read and its button can be seen.

use std::fmt;
use std::str::FromStr;

use super::Expected;

/// A colour for buttons, and what becomes of it on a light and on a dark page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accent(Rgb);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rgb([u8; 3]);

const BLACK: Rgb = Rgb([0, 0, 0]);
const WHITE: Rgb = Rgb([255, 255, 255]);

/// `--card` of the style, light and dark: a button must stand out from it.
const CARDS: [Rgb; 2] = [WHITE, Rgb([0x1c, 0x1f, 0x22])];

/// Between a button and its background, as for any part of a page that must be recognized.
///
/// Source: <https://www.w3.org/TR/WCAG22/#non-text-contrast>
const MIN_CONTRAST: f64 = 3.0;

impl Accent {
    /// Custom properties for the style: the colour and that of the text on it, in either scheme.
    pub(crate) fn css(self) -> String {
        let [light, dark] = CARDS.map(|card| {
            let color = self.0.apart_from(card);
            format!(":root{{--accent:{color};--on-accent:{}}}", color.text_on())
        });
        format!("{light}@media(prefers-color-scheme:dark){{{dark}}}")
    }
}

impl Default for Accent {
    /// A green that merchants know from WeChat, dark enough for white text.
    fn default() -> Self {
        Self(Rgb([0x07, 0x86, 0x3f]))
    }
}

impl FromStr for Accent {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let digits = text.strip_prefix('#').filter(|digits| {
            digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let [_, red, green, blue] = number
            .ok_or(Expected("a colour like #07863f"))?
            .to_be_bytes();
        Ok(Self(Rgb([red, green, blue])))
    }
}

impl Rgb {
    /// Source: <https://www.w3.org/TR/WCAG22/#dfn-relative-luminance>
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|channel| {
            let channel = f64::from(channel) / 255.0;
            if channel <= 0.04045 {
                channel / 12.92
            } else {
                ((channel + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Source: <https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio>
    fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance() + 0.05, other.luminance() + 0.05);
        one.max(other) / one.min(other)
    }

    /// The one of black and white that contrasts more: at least 4.58, whatever the colour, where AA
    /// asks for 4.5.
    fn text_on(self) -> Self {
        if self.contrast(WHITE) >= self.contrast(BLACK) {
            WHITE
        } else {
            BLACK
        }
    }

    /// The colour, moved towards black or white until it can be told from `card`.
    fn apart_from(self, card: Self) -> Self {
        let target = card.text_on();
        (0..=20)
            .map(|step| self.towards(target, step))
            .find(|color| color.contrast(card) >= MIN_CONTRAST)
            .unwrap_or(target)
    }

    /// The colour, `twentieths` of the way to `target`.
    fn towards(self, target: Self, twentieths: u16) -> Self {
        let [red, green, blue] = self.0;
        let [to_red, to_green, to_blue] = target.0;
        let mix = |from: u8, to: u8| {
            let mixed = (u16::from(from) * (20 - twentieths) + u16::from(to) * twentieths) / 20;
            u8::try_from(mixed).unwrap_or(to)
        };
        Self([mix(red, to_red), mix(green, to_green), mix(blue, to_blue)])
    }
}

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_as_the_guidelines_count_it() {
        assert!((BLACK.contrast(WHITE) - 21.0).abs() < 1e-9);
        // The published border cases: the greys that do and do not pass on white.
        assert!(Rgb([0x76; 3]).contrast(WHITE) >= 4.5);
        assert!(Rgb([0x77; 3]).contrast(WHITE) < 4.5);
    }

    #[test]
    fn every_colour_a_vendor_has_makes_buttons_that_can_be_seen_and_read() {
        let channels = || (0..=255).step_by(15);
        for red in channels() {
            for green in channels() {
                for blue in channels() {
                    for card in CARDS {
                        let button = Rgb([red, green, blue]).apart_from(card);
                        assert!(button.contrast(card) >= MIN_CONTRAST, "{button}");
                        assert!(button.contrast(button.text_on()) >= 4.5, "{button}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_colour_that_is_good_stays_as_it_is() {
        let accent: Accent = "#07863F".parse().unwrap();
        assert_eq!(accent, Accent::default());
        assert_eq!(
            accent.css(),
            ":root{--accent:#07863f;--on-accent:#ffffff}@media(prefers-color-scheme:dark){:root{--accent:#07863f;--on-accent:#ffffff}}"
        );
    }

    #[test]
    fn a_colour_is_six_hex_digits() {
        for wrong in [
            "", "#fff", "07863f", "#07863g", "#+7863f", "#07863f;", "red",
        ] {
            assert!(wrong.parse::<Accent>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_cards_are_those_of_the_style() {
        let style = include_str!("../../templates/style.css");
        assert!(style.contains("--card:#fff;"));
        assert!(style.contains(&format!("--card:{};", CARDS[1])));
    }
}
