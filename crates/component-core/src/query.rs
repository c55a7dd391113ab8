//! What a query says, each known name at most once.

/// The values of `names` among `pairs`, in the order of `names`; `None` if a name comes twice.
///
/// A sender could otherwise have one value checked and another one used. Pairs of other names are
/// ignored.
pub fn each_once<const N: usize, K: AsRef<str>, V>(
    pairs: impl IntoIterator<Item = (K, V)>,
    names: [&str; N],
) -> Option<[Option<V>; N]> {
    let mut values = [const { None }; N];
    for (name, value) in pairs {
        let slot = names
            .iter()
            .zip(&mut values)
            .find_map(|(known, slot)| (*known == name.as_ref()).then_some(slot));
        if let Some(slot) = slot
            && slot.replace(value).is_some()
        {
            return None;
        }
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pairs: &[(&str, u8)], expected: Option<[Option<u8>; 2]>) {
        let pairs = pairs.iter().copied();
        assert_eq!(each_once(pairs, ["a", "b"]), expected);
    }

    #[test]
    fn a_known_name_comes_at_most_once() {
        check(&[], Some([None, None]));
        check(&[("b", 2), ("c", 3), ("a", 1)], Some([Some(1), Some(2)]));
        check(&[("c", 3), ("a", 1), ("c", 4)], Some([Some(1), None]));
        check(&[("a", 1), ("b", 2), ("a", 1)], None);
    }
}
