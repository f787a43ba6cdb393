//! Orders in which a call's webhooks may come.

/// Choices that the seed repeats (SplitMix64).
pub(crate) struct Choices(pub(crate) u64);

impl Choices {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).expect("small")
    }

    /// The order, with one of it repeated on the way and one at the end.
    pub(crate) fn with_repetitions(&mut self, order: &[usize]) -> Vec<usize> {
        let mut sequence = order.to_vec();
        let place = 1 + self.below(order.len());
        sequence.insert(place, sequence[self.below(place)]);
        sequence.push(order[self.below(order.len())]);
        sequence
    }
}

/// Every order of every non-empty subset of a life of `webhooks`.
pub(crate) fn orders(webhooks: usize) -> Vec<Vec<usize>> {
    let mut orders: Vec<Vec<usize>> = (0..webhooks).map(|first| vec![first]).collect();
    let mut next = 0;
    while next < orders.len() {
        let order = orders[next].clone();
        let rest = (0..webhooks).filter(|place| !order.contains(place));
        orders.extend(rest.map(|place| [&order[..], &[place]].concat()));
        next += 1;
    }
    orders
}
