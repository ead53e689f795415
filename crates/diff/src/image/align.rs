//! Which layer of A belongs to which of B: one that is put in the middle must not make all others differ.

/// What is known of a layer without reading it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outline {
    /// Digest of the blob.
    pub(super) digest: String,
    /// Digest after decompression, as the configuration says.
    pub(super) diff_id: Option<String>,
    /// How it came to be, as the history says.
    pub(super) created_by: Option<String>,
    /// Bytes of the blob.
    pub(super) size: u64,
}

/// Pairs of indexes in the order of both; what has no partner is alone.
pub(super) fn align(a: &[Outline], b: &[Outline]) -> Vec<(Option<usize>, Option<usize>)> {
    // Best sum of likenesses of the layers from here on (Needleman and Wunsch, with gaps that cost nothing).
    let width = b.len() + 1;
    let mut best = vec![0_u32; (a.len() + 1) * width];
    let at = |i: usize, j: usize| i * width + j;
    for (i, one) in a.iter().enumerate().rev() {
        for (j, other) in b.iter().enumerate().rev() {
            let get = |i, j| best.get(at(i, j)).copied().unwrap_or_default();
            let value = (get(i + 1, j + 1) + likeness(one, other)).max(get(i + 1, j)).max(get(i, j + 1));
            if let Some(slot) = best.get_mut(at(i, j)) {
                *slot = value;
            }
        }
    }
    let get = |i, j| best.get(at(i, j)).copied().unwrap_or_default();
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    loop {
        match (a.get(i), b.get(j)) {
            (None, None) => return out,
            (Some(one), Some(other)) if get(i, j) == get(i + 1, j + 1) + likeness(one, other) => {
                out.push((Some(i), Some(j)));
                (i, j) = (i + 1, j + 1);
            }
            (Some(_), other) if other.is_none() || get(i, j) == get(i + 1, j) => {
                out.push((Some(i), None));
                i += 1;
            }
            _ => {
                out.push((None, Some(j)));
                j += 1;
            }
        }
    }
}

/// Never 0: two layers in the same place are compared rather than called alone.
fn likeness(a: &Outline, b: &Outline) -> u32 {
    let same = |one: &Option<String>, other: &Option<String>| one.is_some() && one == other;
    if a.digest == b.digest || same(&a.diff_id, &b.diff_id) {
        return 1000;
    }
    let history = if same(&a.created_by, &b.created_by) { 100 } else { 0 };
    let close = a.size.abs_diff(b.size) <= a.size.max(b.size) / 10;
    1 + history + if close { 10 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(digest: &str, created_by: &str, size: u64) -> Outline {
        let created_by = Some(created_by.to_owned()).filter(|text| !text.is_empty());
        Outline { digest: digest.to_owned(), diff_id: None, created_by, size }
    }

    #[test]
    fn a_layer_in_the_middle_leaves_the_others_paired() {
        let a = [layer("1", "base", 10), layer("2", "app", 500), layer("3", "config", 5)];
        let b = [layer("1", "base", 10), layer("x", "more", 99), layer("4", "app", 501), layer("5", "config", 5)];
        let want = [(Some(0), Some(0)), (None, Some(1)), (Some(1), Some(2)), (Some(2), Some(3))];
        assert_eq!(align(&a, &b), want);
        let want: Vec<_> = want.iter().map(|(a, b)| (*b, *a)).collect();
        assert_eq!(align(&b, &a), want);
    }

    #[test]
    fn layers_of_which_nothing_is_known_are_paired_by_place() {
        let a = [layer("1", "", 1000), layer("2", "", 10)];
        let b = [layer("3", "", 500), layer("4", "", 90)];
        assert_eq!(align(&a, &b), [(Some(0), Some(0)), (Some(1), Some(1))]);
        assert_eq!(align(&a, &[]), [(Some(0), None), (Some(1), None)]);
        assert_eq!(align(&[], &[]), []);
    }

    #[test]
    fn a_copy_elsewhere_wins_over_the_same_place() {
        let a = [layer("1", "", 10), layer("2", "", 10)];
        let b = [layer("2", "", 10)];
        assert_eq!(align(&a, &b), [(Some(0), None), (Some(1), Some(0))]);
    }
}
