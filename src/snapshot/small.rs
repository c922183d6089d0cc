//! Numbers that may be unknown, in the eight bytes of the number itself: an `Option` takes sixteen, and rows of lag are
//! kept by the hundred thousand.

use std::fmt;

/// A count or a position, or unknown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MaybeCount(u64);

impl MaybeCount {
    /// The number; `None`: unknown.
    #[must_use]
    pub const fn get(self) -> Option<u64> {
        // No log is that long.
        if self.0 == u64::MAX { None } else { Some(self.0) }
    }
}

impl Default for MaybeCount {
    fn default() -> Self {
        Self(u64::MAX)
    }
}

impl From<Option<u64>> for MaybeCount {
    fn from(n: Option<u64>) -> Self {
        Self(n.unwrap_or(u64::MAX))
    }
}

impl fmt::Debug for MaybeCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// Seconds or a rate, or unknown. What is infinite or no number is unknown: neither can leave the process.
#[derive(Clone, Copy)]
pub struct MaybeReal(f64);

impl MaybeReal {
    /// The number, finite; `None`: unknown.
    #[must_use]
    pub const fn get(self) -> Option<f64> {
        if self.0.is_finite() { Some(self.0) } else { None }
    }
}

impl Default for MaybeReal {
    fn default() -> Self {
        Self(f64::NAN)
    }
}

impl From<Option<f64>> for MaybeReal {
    fn from(n: Option<f64>) -> Self {
        Self(n.unwrap_or(f64::NAN))
    }
}

impl PartialEq for MaybeReal {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl fmt::Debug for MaybeReal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_none_and_equal_to_itself() {
        assert_eq!((MaybeCount::default().get(), MaybeReal::default().get()), (None, None));
        assert_eq!((MaybeCount::default(), MaybeReal::default()), (None.into(), None.into()));
        for n in [0, 1, u64::MAX - 1] {
            assert_eq!(MaybeCount::from(Some(n)).get(), Some(n));
        }
        assert_eq!(MaybeReal::from(Some(0.0)).get(), Some(0.0), "a zero is known");
        assert_ne!(MaybeReal::from(Some(0.0)), None.into());
        for never in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(MaybeReal::from(Some(never)).get(), None);
        }
        assert_eq!(format!("{:?} {:?}", MaybeCount::from(Some(7)), MaybeReal::default()), "Some(7) None");
    }
}
