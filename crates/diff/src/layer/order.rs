//! Which of the same things are in another order.

/// Positions in A and B of what both have. Fewest of them that, taken out, leave the others in one order.
pub(super) fn moved(mut pairs: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    pairs.sort_unstable();
    if pairs.is_sorted_by_key(|(_, of_b)| *of_b) {
        return Vec::new();
    }
    let mut kept = longest_increasing(&pairs).into_iter().rev().peekable();
    let stays = |at: &usize| kept.next_if(|next| next == at).is_some();
    let mut stays = stays;
    pairs.into_iter().enumerate().filter(|(at, _)| !stays(at)).map(|(_, pair)| pair).collect()
}

/// Indexes of a longest increasing subsequence, from its end (patience sorting).
fn longest_increasing(pairs: &[(u32, u32)]) -> Vec<usize> {
    const NONE: u32 = u32::MAX;
    let value = |at: u32| pairs.get(at as usize).map_or(0, |(_, of_b)| *of_b);
    // The last element of the best subsequence of each length, and of each element the one before it.
    let mut ends: Vec<u32> = Vec::new();
    let mut before = Vec::with_capacity(pairs.len());
    for (at, (_, of_b)) in pairs.iter().enumerate() {
        let at = u32::try_from(at).unwrap_or(NONE);
        let length = ends.partition_point(|end| value(*end) < *of_b);
        before.push(length.checked_sub(1).and_then(|shorter| ends.get(shorter)).copied().unwrap_or(NONE));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut out = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied().unwrap_or(NONE);
    while next != NONE {
        out.push(next as usize);
        next = before.get(next as usize).copied().unwrap_or(NONE);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::moved;

    #[test]
    fn one_thing_that_moved_is_the_only_one_named() {
        let order = |of_b: &[u32]| of_b.iter().enumerate().map(|(a, b)| (a as u32, *b)).collect::<Vec<_>>();
        assert_eq!(moved(order(&[0, 1, 2, 3])), []);
        assert_eq!(moved(order(&[5, 7, 9])), []);
        assert_eq!(moved(order(&[4, 0, 1, 2, 3])), [(0, 4)]);
        assert_eq!(moved(order(&[1, 2, 3, 0])), [(3, 0)]);
        assert_eq!(moved(order(&[3, 2, 1, 0])).len(), 3);
    }
}
