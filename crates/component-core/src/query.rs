//! What a query says, with one value for each known name.

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
        if let Some(slot) = slot(&names, &mut values, name.as_ref())
            && slot.replace(value).is_some()
        {
            return None;
        }
    }
    Some(values)
}

/// The same for a sender who repeats itself: a name that comes twice with an equal value counts
/// once. `None` if its values differ.
pub fn each_agreed<const N: usize, K: AsRef<str>, V: PartialEq>(
    pairs: impl IntoIterator<Item = (K, V)>,
    names: [&str; N],
) -> Option<[Option<V>; N]> {
    let mut values = [const { None }; N];
    for (name, value) in pairs {
        if let Some(slot) = slot(&names, &mut values, name.as_ref()) {
            if slot.as_ref().is_some_and(|known| *known != value) {
                return None;
            }
            *slot = Some(value);
        }
    }
    Some(values)
}

fn slot<'a, V>(
    names: &[&str],
    values: &'a mut [Option<V>],
    name: &str,
) -> Option<&'a mut Option<V>> {
    let mut slots = names.iter().zip(values);
    slots.find_map(|(known, slot)| (*known == name).then_some(slot))
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

    #[track_caller]
    fn check_agreed(pairs: &[(&str, u8)], expected: Option<[Option<u8>; 2]>) {
        let pairs = pairs.iter().copied();
        assert_eq!(each_agreed(pairs, ["a", "b"]), expected);
    }

    #[test]
    fn a_repeated_name_is_one_if_its_values_agree() {
        let both = Some([Some(1), Some(2)]);
        check_agreed(&[], Some([None, None]));
        check_agreed(&[("b", 2), ("c", 3), ("a", 1), ("c", 4)], both);
        check_agreed(&[("a", 1), ("b", 2), ("a", 1), ("b", 2), ("a", 1)], both);
        check_agreed(&[("a", 1), ("b", 2), ("a", 2)], None);
        check_agreed(&[("a", 1), ("a", 2), ("a", 1)], None);
    }
}
