//! The order of names as people count: `orders-2` before `orders-10`.

use std::cmp::Ordering;

/// Compares two names; runs of digits by their value. Names that differ only in leading zeros keep their plain order.
#[must_use]
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a, b);
    while let (Some(c), Some(d)) = (x.chars().next(), y.chars().next()) {
        if c.is_ascii_digit() && d.is_ascii_digit() {
            let (n, rest_x) = digits(x);
            let (m, rest_y) = digits(y);
            let order = n.len().cmp(&m.len()).then_with(|| n.cmp(m));
            if order != Ordering::Equal {
                return order;
            }
            (x, y) = (rest_x, rest_y);
        } else if c == d {
            (x, y) = (&x[c.len_utf8()..], &y[d.len_utf8()..]);
        } else {
            return c.cmp(&d);
        }
    }
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

/// The digits that a text begins with, without leading zeros, and the rest.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_in_names_count() {
        let mut names = [
            "orders-10",
            "orders-2",
            "orders",
            "orders-2b",
            "a99999999999999999999999",
            "a100000000000000000000000",
            "o-02",
            "o-2",
        ];
        names.sort_by(|a, b| natural(a, b));
        let expected = [
            "a99999999999999999999999",
            "a100000000000000000000000",
            "o-02",
            "o-2",
            "orders",
            "orders-2",
            "orders-2b",
            "orders-10",
        ];
        assert_eq!(names, expected);
    }

    proptest! {
        #[test]
        fn it_is_an_order(mut names in prop::collection::vec("[a0-2\u{ac00}-]{0,5}", 3)) {
            let (a, b, c) = (names[0].clone(), names[1].clone(), names[2].clone());
            prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
            prop_assert_eq!(natural(&a, &b) == Ordering::Equal, a == b);
            if natural(&a, &b) != Ordering::Greater && natural(&b, &c) != Ordering::Greater {
                prop_assert_ne!(natural(&a, &c), Ordering::Greater);
            }
            names.sort_by(|x, y| natural(x, y));
            prop_assert!(names.windows(2).all(|w| natural(&w[0], &w[1]) != Ordering::Greater));
        }
    }
}
