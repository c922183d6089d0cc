//! Chance that repeats: numbers from a seed, the same on every machine and in every order of asking.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A sequence of numbers that depends on nothing but its name.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// The sequence of this name under this seed.
    pub(super) fn of(seed: u64, name: (u8, i64, u32)) -> Self {
        let mut bytes = [0; 13];
        bytes[0] = name.0;
        bytes[1..9].copy_from_slice(&name.1.to_le_bytes());
        bytes[9..].copy_from_slice(&name.2.to_le_bytes());
        Self(xxh3_64_with_seed(&bytes, seed))
    }

    /// The next number (splitmix64).
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// `0 <= x < 1`.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in this share of all cases.
    pub(super) fn hits(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// `from <= x < to`.
    pub(super) fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[(self.unit() * of.len() as f64) as usize]
    }

    /// Normal, mean 0, deviation 1 (Box and Muller).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Seconds of a service: lognormal, by its median and the spread of its logarithm.
    pub(super) fn lognormal(&mut self, median: f64, spread: f64) -> f64 {
        median * (spread * self.normal()).exp()
    }
}
