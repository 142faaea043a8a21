//! Pseudo-random numbers whose seed a failure names.

/// A generator of pseudo-random numbers (splitmix64): a failure names its seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }
}

/// Returns the seed of `OKEBAYAR_SEED`, or a random one.
#[expect(
    clippy::disallowed_methods,
    reason = "a test may ask the machine for randomness"
)]
pub fn seed() -> u64 {
    let given = std::env::var("OKEBAYAR_SEED").ok();
    given.map_or_else(
        || uuid::Uuid::new_v4().as_u64_pair().0,
        |seed| seed.parse().expect("OKEBAYAR_SEED must be a number"),
    )
}
