//! Sorting keys that lie all over the memory.

/// Sorts items by their keys. Two keys that are compared are two cache misses, so each is
/// fetched once for the 16 bytes behind what all have in common, which decide nearly
/// always.
pub(super) fn sorted<T>(items: Vec<T>, key: impl Fn(&T) -> &[u8]) -> Vec<T> {
    let Some(first) = items.first().map(&key) else { return items };
    let common = items.iter().fold(first.len(), |common, item| {
        let pairs = first.iter().zip(key(item)).take(common);
        pairs.take_while(|(a, b)| a == b).count()
    });
    let heads = items.iter().map(|item| head(&key(item)[common..]));
    let mut order: Vec<_> = heads.zip(0_usize..).collect();
    order.sort_unstable_by(|(a, m), (b, n)| {
        a.cmp(b).then_with(|| key(&items[*m]).cmp(key(&items[*n])))
    });
    let mut items: Vec<_> = items.into_iter().map(Some).collect();
    order.into_iter().filter_map(|(_, n)| items[n].take()).collect()
}

/// Sorts as the bytes do, but for those behind it.
fn head(bytes: &[u8]) -> u128 {
    let mut head = [0; 16];
    let length = bytes.len().min(head.len());
    head[..length].copy_from_slice(&bytes[..length]);
    u128::from_be_bytes(head)
}
