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

/// Between a text and its background.
///
/// Source: <https://www.w3.org/TR/WCAG22/#contrast-minimum>
const MIN_TEXT_CONTRAST: f64 = 4.5;

/// How far a colour may be darkened for white text, in hundredths: it is still the vendor's.
const MAX_DARKENED: u16 = 20;

/// A button's colours on one card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Button {
    color: Rgb,
    text: Rgb,
    /// Its border, which tells it from the card where its colour does not.
    edge: Rgb,
}

impl Accent {
    /// Custom properties for the style: the button's colours in either scheme.
    pub(crate) fn css(self) -> String {
        let [light, dark] = CARDS.map(|card| {
            let Button { color, text, edge } = Button::of(self.0, card);
            format!(":root{{--accent:{color};--on-accent:{text};--edge:{edge}}}")
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

impl Button {
    /// White text is what merchants know from buttons, and a colour may be darkened a little for it.
    /// A light colour stays as it is, with black text.
    fn of(accent: Rgb, card: Rgb) -> Self {
        let darkened = (0..=MAX_DARKENED).map(|part| accent.towards(BLACK, part));
        // For a colour that is too dark for a dark card.
        let lightened = (1..=100).map(|part| accent.towards(WHITE, part));
        let with_white = |color: &Rgb| {
            color.contrast(WHITE) >= MIN_TEXT_CONTRAST && color.contrast(card) >= MIN_CONTRAST
        };
        if let Some(color) = darkened.chain(lightened).find(with_white) {
            return Self {
                color,
                text: WHITE,
                edge: color,
            };
        }
        Self {
            color: accent,
            text: BLACK,
            edge: accent.apart_from(card),
        }
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

    /// The colour, moved away from `card` until it can be told from it.
    fn apart_from(self, card: Self) -> Self {
        let away = if card.contrast(WHITE) >= card.contrast(BLACK) {
            WHITE
        } else {
            BLACK
        };
        (0..=100)
            .map(|part| self.towards(away, part))
            .find(|color| color.contrast(card) >= MIN_CONTRAST)
            .unwrap_or(away)
    }

    /// The colour, so many hundredths of the way to `target`.
    fn towards(self, target: Self, hundredths: u16) -> Self {
        let [red, green, blue] = self.0;
        let [to_red, to_green, to_blue] = target.0;
        let mix = |from: u8, to: u8| {
            let mixed = u16::from(from) * (100 - hundredths) + u16::from(to) * hundredths;
            u8::try_from(mixed / 100).unwrap_or(to)
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
                        let button = Button::of(Rgb([red, green, blue]), card);
                        assert!(button.edge.contrast(card) >= MIN_CONTRAST, "{button:?}");
                        let text = button.color.contrast(button.text);
                        assert!(text >= MIN_TEXT_CONTRAST, "{button:?}");
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
            ":root{--accent:#07863f;--on-accent:#ffffff;--edge:#07863f}@media(prefers-color-scheme:dark){:root{--accent:#07863f;--on-accent:#ffffff;--edge:#07863f}}"
        );
    }

    #[test]
    fn white_is_preferred_and_a_light_colour_keeps_its_hue() {
        let on_white = |color: &str| {
            let accent: Accent = color.parse().unwrap();
            Button::of(accent.0, WHITE)
        };
        // Blue, red and orange of large Chinese sites: a little darker, and white on them.
        for color in ["#1677ff", "#f5222d", "#ff5000", "#e60012", "#2468f2"] {
            assert_eq!(on_white(color).text, WHITE, "{color}");
        }
        for color in ["#ffd100", "#ffffff", "#07c160", "#ffe60f"] {
            let button = on_white(color);
            assert_eq!(
                (button.text, button.color.to_string()),
                (BLACK, color.to_owned())
            );
        }
        // An edge tells yellow from the white card.
        let yellow = on_white("#ffd100");
        assert!(yellow.edge.contrast(WHITE) >= MIN_CONTRAST, "{yellow:?}");
        assert!(yellow.color.contrast(WHITE) < MIN_CONTRAST, "{yellow:?}");
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
