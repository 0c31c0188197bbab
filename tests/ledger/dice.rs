/// Numbers that depend on a seed and on nothing else (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, and without, `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() >> 16).unwrap() % end.max(1)
    }

    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    /// Each as often as its weight says.
    pub(super) fn weighted<T: Copy>(&mut self, among: &[(usize, T)]) -> T {
        let mut rolled = self.below(among.iter().map(|(weight, _)| weight).sum());
        for (weight, one) in among {
            if rolled < *weight {
                return *one;
            }
            rolled -= weight;
        }
        unreachable!("the weights sum up to more than the roll")
    }
}
