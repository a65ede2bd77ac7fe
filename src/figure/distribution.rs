//! The reduction of many points to a few numbers.

use super::{FiveNumbers, Point};

/// Returns the percentiles of groups of neighbors. The points must be ordered by `x`.
pub(crate) fn condense(points: &[Point]) -> Vec<FiveNumbers> {
    const GROUPS: usize = 100;
    let size = points.len().div_ceil(GROUPS).max(1);
    points
        .chunks(size)
        .filter_map(|group| {
            let x = f64::midpoint(group.first()?.x, group.last()?.x);
            FiveNumbers::from_values(x, &group.iter().map(|point| point.y).collect())
        })
        .collect()
}
