//! An address as a QR code, for a phone that is held before the screen.

use std::fmt::Write;

use qrcode::{Color, EcLevel, QrCode};

/// A square of modules, drawn as an SVG path.
#[derive(Debug)]
pub(crate) struct Code {
    /// Modules along an edge, the quiet zone included.
    pub(crate) size: usize,
    /// Pixels along an edge: a whole number for each module, since a phone cannot read blurred
    /// ones.
    pub(crate) pixels: usize,
    /// The dark modules: a stroke one unit wide along the middle of each row.
    pub(crate) path: String,
}

/// Light modules around the code.
///
/// Source: <https://www.qrcode.com/en/howto/code.html>
const QUIET_ZONE: usize = 4;

/// If an edge had more modules, a phone could not tell them apart on a screen. The code would also
/// need more room than the page has.
const MAX_MODULES: usize = 69;

/// What the page has room for. The largest code has three pixels for a module.
const MAX_PIXELS: usize = 232;

impl Code {
    /// The code of `address`; `None` if that is too long to be scanned from a screen.
    pub(crate) fn of(address: &str) -> Option<Self> {
        // A screen has no stains: the least correction makes the largest modules.
        let code = QrCode::with_error_correction_level(address, EcLevel::L).ok()?;
        let modules = code.width();
        let size = modules + 2 * QUIET_ZONE;
        (modules <= MAX_MODULES).then(|| Self {
            size,
            pixels: MAX_PIXELS / size * size,
            path: path(&code.to_colors(), modules),
        })
    }
}

fn path(colors: &[Color], modules: usize) -> String {
    let mut path = String::new();
    for (y, row) in colors.chunks(modules).enumerate() {
        let mut x = 0;
        // Where the last run ended; the first run of a row is placed absolutely.
        let mut pen = None;
        for run in row.chunk_by(|one, next| one == next) {
            if run.first() == Some(&Color::Dark) {
                let step = match pen {
                    None => write!(path, "M{} {}.5", x + QUIET_ZONE, y + QUIET_ZONE),
                    Some(end) => write!(path, "m{} 0", x - end),
                };
                // Writing to a string does not fail.
                let _ = step.and_then(|()| write!(path, "h{}", run.len()));
                pen = Some(x + run.len());
            }
            x += run.len();
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a path back into the modules it draws.
    fn drawn(code: &Code) -> Vec<Vec<bool>> {
        let mut dark = vec![vec![false; code.size]; code.size];
        let (mut x, mut y) = (0, 0);
        let mut rest = code.path.as_str();
        while let Some(kind) = rest.chars().next() {
            let end = rest[1..]
                .find(['M', 'm', 'h'])
                .map_or(rest.len(), |at| at + 1);
            let numbers: Vec<&str> = rest[1..end].split(' ').collect();
            let number = |n: usize| numbers[n].trim_end_matches(".5").parse::<usize>().unwrap();
            match kind {
                'M' => (x, y) = (number(0), number(1)),
                'm' => x += number(0),
                _ => {
                    for module in &mut dark[y][x..x + number(0)] {
                        *module = true;
                    }
                    x += number(0);
                }
            }
            rest = &rest[end..];
        }
        dark
    }

    #[test]
    fn the_path_draws_the_code_and_nothing_around_it() {
        let address = "https://auth.vendor.example/auth/start?reference=shop-42";
        let code = Code::of(address).unwrap();
        let expected = QrCode::with_error_correction_level(address, EcLevel::L).unwrap();
        let dark = drawn(&code);
        for (y, row) in dark.iter().enumerate() {
            for (x, is_dark) in row.iter().enumerate() {
                let inside = [x, y].map(|at| at.checked_sub(QUIET_ZONE));
                let wanted = match inside {
                    [Some(x), Some(y)] if x < expected.width() && y < expected.width() => {
                        expected[(x, y)] == Color::Dark
                    }
                    _ => false,
                };
                assert_eq!(*is_dark, wanted, "{x} {y}");
            }
        }
    }

    #[test]
    fn a_module_is_never_smaller_than_three_pixels() {
        for chars in [20, 100, 200, 300, 400, 425] {
            let code = Code::of(&"x".repeat(chars)).unwrap();
            assert_eq!(code.pixels % code.size, 0, "{chars}");
            assert!(code.pixels >= 3 * code.size, "{chars}");
        }
    }

    #[test]
    fn an_address_too_long_for_a_phones_eye_has_no_code() {
        let link = |chars: usize| format!("https://a.example/{}", "x".repeat(chars - 18));
        assert!(Code::of(&link(425)).is_some());
        assert!(Code::of(&link(426)).is_none());
        assert!(Code::of(&link(9000)).is_none());
        assert!(Code::of(&link(425)).unwrap().path.len() < 9_000);
    }
}
