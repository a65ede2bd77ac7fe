//! The reduction of many points to a few numbers.

use super::{FiveNumbers, Point};

/// Returns the finite values in order.
pub(crate) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    values
}

/// Returns the quantile `p`, from 0 to 1, of sorted values, interpolated between neighbors.
pub(crate) fn quantile(values: &[f64], p: f64) -> Option<f64> {
    let position = p * values.len().checked_sub(1)? as f64;
    let low = *values.get(position.floor() as usize)?;
    let high = *values.get(position.ceil() as usize)?;
    Some(low + (high - low) * position.fract())
}

/// Returns the percentiles of groups of neighbors. The points must be ordered by `x`.
pub(crate) fn condense(points: &[Point]) -> Vec<FiveNumbers> {
    const GROUPS: usize = 100;
    let size = points.len().div_ceil(GROUPS).max(1);
    points
        .chunks(size)
        .filter_map(|group| {
            let x = f64::midpoint(group.first()?.x, group.last()?.x);
            FiveNumbers::from_values(x, group.iter().map(|point| point.y).collect())
        })
        .collect()
}
